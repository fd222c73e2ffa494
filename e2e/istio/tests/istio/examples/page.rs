//! What an example's page has one type, and what it says that one sees then.
//!
//! Commands stand in fenced blocks of the kind `console`: a line that begins with `$ ` is one, and
//! goes on over lines that end with a backslash and to the end of a here-document. The lines below it
//! are what it prints, where `…` is any text of a line, and alone on a line any number of lines.

use std::fmt::Write as _;

/// What stands for any text.
const ANYTHING: &str = "…";

/// A command of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is typed; several lines where it goes on.
    pub command: String,
    /// What it prints, a line each; none: it is not compared.
    pub printed: Vec<String>,
    /// The page's line of the command, from 1.
    pub line: usize,
}

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

impl Step {
    /// Whether it changes nothing, so that it may be run again.
    pub fn only_looks(&self) -> bool {
        self.command.contains("# until") || LOOKS.iter().any(|look| self.command.starts_with(look))
    }

    /// Why what was printed is not what the page says; `None` where it is.
    pub fn differs(&self, printed: &str) -> Option<String> {
        let found: Vec<&str> = printed.lines().map(str::trim_end).collect();
        let wanted: Vec<&str> = self.printed.iter().map(|line| line.trim_end()).collect();
        let is_so = wanted.is_empty() || lines_match(&wanted, &found);
        (!is_so).then(|| {
            format!(
                "the page says\n{}\nprinted was\n{printed}",
                wanted.join("\n")
            )
        })
    }
}

/// The commands of a page, in order.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        if line.trim() != "```console" {
            continue;
        }
        let mut is_first = true;
        while let Some((number, line)) = lines.next() {
            if line.trim() == "```" {
                break;
            }
            if let Some(command) = line.strip_prefix("$ ") {
                let mut command = command.to_owned();
                while let Some(end) = goes_on(&command) {
                    let (_, next) = lines
                        .next()
                        .unwrap_or_else(|| panic!("{command} has no {end}"));
                    command.push('\n');
                    command.push_str(next);
                }
                let (printed, line) = (Vec::new(), number + 1);
                steps.push(Step {
                    command,
                    printed,
                    line,
                });
                is_first = false;
            } else {
                assert!(!is_first, "line {}: no command before {line:?}", number + 1);
                let step = steps.last_mut().expect("a command");
                step.printed.push(line.to_owned());
            }
        }
    }
    steps
}

/// A page with other lines below its commands, which are those of the steps in their order.
pub fn with_steps(text: &str, steps: &[Step]) -> String {
    let mut steps = steps.iter();
    let (mut page, mut is_inside) = (String::new(), false);
    for line in text.lines() {
        let is_fence = line.trim().starts_with("```");
        if is_inside && !is_fence {
            if line.starts_with("$ ")
                && let Some(step) = steps.next()
            {
                let _ = writeln!(page, "$ {}", step.command);
                let printed = step.printed.iter();
                printed.for_each(|line| page.extend([line, "\n"]));
            }
            continue;
        }
        is_inside = line.trim() == "```console";
        page.extend([line, "\n"]);
    }
    page
}

/// What a command still needs to be whole: its next line, or the end of its here-document.
fn goes_on(command: &str) -> Option<&str> {
    let last = command.lines().last().unwrap_or_default();
    if let Some((_, rest)) = command.split_once("<<") {
        let word: &str = rest.split_whitespace().next().unwrap_or_default();
        let word = word.trim_matches(['\'', '"', '-']);
        return (last != word || !command.contains('\n')).then_some(word);
    }
    last.ends_with('\\').then_some("next line")
}

/// Whether the lines are as wanted, where a line of `…` alone is any number of them.
fn lines_match(wanted: &[&str], found: &[&str]) -> bool {
    match wanted {
        [] => found.is_empty(),
        [line, rest @ ..] if *line == ANYTHING => {
            (0..=found.len()).any(|at| lines_match(rest, &found[at..]))
        }
        [line, rest @ ..] => match found {
            [] => false,
            [first, others @ ..] => line_matches(line, first) && lines_match(rest, others),
        },
    }
}

/// Whether a line is as wanted, where `…` is any text.
fn line_matches(wanted: &str, found: &str) -> bool {
    let Some((before, rest)) = wanted.split_once(ANYTHING) else {
        return wanted == found;
    };
    let Some(found) = found.strip_prefix(before) else {
        return false;
    };
    let mut ends = found.char_indices().map(|(at, _)| at).chain([found.len()]);
    ends.any(|at| line_matches(rest, &found[at..]))
}
