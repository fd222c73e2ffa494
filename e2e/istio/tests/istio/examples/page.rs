//! What an example's page has one type, which of it may be typed again, and whether what was printed
//! is what the page says. The syntax of a console is that of the book's pages.

use sluice_book::Page;
use sluice_book::transcript::{self, Step};

/// Commands that only look: they are repeated until they print what the page says.
const LOOKS: [&str; 21] = [
    "../visit.sh",
    "../../visit.sh",
    "curl ",
    "sluice status",
    "sluice get",
    "sluice explain",
    "sluice validate",
    "sluice history",
    "sluice diff",
    "sluice doctor",
    "sluice rollout status",
    "sluice rollout list",
    "sluice rollout history",
    "sluice brake list",
    "kubectl get",
    "kubectl wait",
    "kubectl rollout status",
    "kubectl exec",
    "kubectl diff",
    "kubectl sluice status",
    "kubectl sluice get",
];

/// Whether a command changes nothing, so that it may be run again.
pub fn only_looks(command: &str) -> bool {
    command.contains("# until") || LOOKS.iter().any(|look| command.starts_with(look))
}

/// Why what a step printed is not what the page says; `None` where it is, and where the page says
/// nothing.
pub fn differs(step: &Step, printed: &str) -> Option<String> {
    let found: Vec<&str> = printed.lines().collect();
    let is_so = step.printed.is_empty() || transcript::matches(&step.printed, &found);
    let wanted = step.printed.join("\n");
    (!is_so).then(|| format!("the page says\n{wanted}\nprinted was\n{printed}"))
}

/// The commands of a page, in order; each console begins with one.
pub fn steps(page: &Page) -> Vec<Step> {
    for block in &page.blocks {
        let is_told = block.language() != "console" || block.text.starts_with("$ ");
        assert!(is_told, "{}: no command", page.at(block.line));
    }
    transcript::of_page(page)
}
