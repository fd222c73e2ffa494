//! Blocks of a console: commands and what they print.
//!
//! A line that begins with `$ ` is a command; it goes on over lines that end with a backslash, and
//! over a heredoc until its closing word. The lines below it are what it prints. `…` within a line
//! stands for any text, a line of `…` alone for any number of lines. Who runs the commands, and
//! where, is not said here.

use crate::shell::heredoc;
use crate::{Block, Page};

/// What stands for anything.
const ANYTHING: &str = "…";

/// A command and what is said of what it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command, its lines as they stand there.
    pub command: String,
    /// The lines below it.
    pub printed: Vec<String>,
    /// The line of the command: of its page, from 1, or of its block, from 0.
    pub line: usize,
}

fn consoles(page: &Page) -> impl Iterator<Item = &Block> {
    let blocks = page.blocks.iter();
    blocks.filter(|block| block.language() == "console")
}

/// The commands of all consoles of a page, in order.
pub fn of_page(page: &Page) -> Vec<Step> {
    let steps = consoles(page).flat_map(|block| {
        steps(&block.text).into_iter().map(|step| Step {
            line: block.line + step.line,
            ..step
        })
    });
    steps.collect()
}

/// The text of a page with what these commands print, which are all of its own in their order.
pub fn rewritten(page: &Page, steps: &[Step]) -> String {
    let mut text = page.text.clone();
    let mut rest = steps;
    let mut replaced = Vec::new();
    for block in consoles(page) {
        let (here, others) = rest.split_at(self::steps(&block.text).len());
        rest = others;
        let fences = &page.text[block.range.clone()];
        // Within a list, a block is indented as its fences are.
        let before = page.text[..block.range.start].rsplit('\n').next();
        let indent = before.unwrap_or_default();
        let lines = self::block(here);
        let lines = lines.lines().map(|line| format!("{indent}{line}\n"));
        let (first, last) = (fences.lines().next(), fences.lines().next_back());
        let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
        let new = format!("{first}\n{}{last}", lines.collect::<String>());
        let end = if fences.ends_with('\n') { "\n" } else { "" };
        replaced.push((block.range.clone(), new + end));
    }
    for (range, new) in replaced.into_iter().rev() {
        text.replace_range(range, &new);
    }
    text
}

/// Takes a block apart; what stands before the first command is left out.
fn steps(block: &str) -> Vec<Step> {
    let mut found: Vec<Step> = Vec::new();
    let mut lines = block.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else {
            if let Some(step) = found.last_mut() {
                step.printed.push(line.to_owned());
            }
            continue;
        };
        let mut command = command.to_owned();
        while command.ends_with('\\') {
            let Some((_, more)) = lines.next() else { break };
            command = format!("{command}\n{more}");
        }
        if let Some(end) = heredoc(&command) {
            for (_, more) in lines.by_ref() {
                command = format!("{command}\n{more}");
                if more == end {
                    break;
                }
            }
        }
        found.push(Step {
            command,
            printed: Vec::new(),
            line: number,
        });
    }
    found
}

/// A block again, of its steps.
fn block(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        text += &format!("$ {}\n", step.command);
        for line in &step.printed {
            text += &format!("{line}\n");
        }
    }
    text
}

/// Whether what was printed is what was expected.
pub fn matches(expected: &[String], printed: &[&str]) -> bool {
    let Some((first, expected)) = expected.split_first() else {
        return printed.is_empty();
    };
    if first.trim() == ANYTHING {
        return (0..=printed.len()).any(|skipped| matches(expected, &printed[skipped..]));
    }
    printed
        .split_first()
        .is_some_and(|(line, printed)| is_line(first, line) && matches(expected, printed))
}

fn is_line(expected: &str, line: &str) -> bool {
    let (expected, line) = (expected.trim_end(), line.trim_end());
    let Some((before, after)) = expected.split_once(ANYTHING) else {
        return expected == line;
    };
    let Some(rest) = line.strip_prefix(before) else {
        return false;
    };
    let mut places = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    places.any(|at| is_line(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "$ a \\\n  b\nc\n$ d <<'EOF'\n$ e\nEOF\nf\ng\n";

    #[test]
    fn a_block_is_its_commands_and_what_they_print() {
        let found = steps(BLOCK);
        assert_eq!(found[0].command, "a \\\n  b");
        assert_eq!(found[0].printed, ["c"]);
        assert_eq!(found[1].command, "d <<'EOF'\n$ e\nEOF");
        assert_eq!(found[1].printed, ["f", "g"]);
        assert_eq!(block(&found), BLOCK);
    }

    #[test]
    fn a_page_says_what_its_commands_print_now() {
        let text = "# x\n\n```console\n$ a\nb\n```\n\n1. y\n\n   ```console\n   $ c\n   ```\n\nz\n";
        let page = Page::read("x.md", text.to_owned());
        let mut found = of_page(&page);
        let lines: Vec<_> = found
            .iter()
            .map(|step| (&*step.command, step.line))
            .collect();
        assert_eq!(lines, [("a", 4), ("c", 11)]);
        assert_eq!(rewritten(&page, &found), text);
        found[0].printed = vec!["e".to_owned(), "f".to_owned()];
        found[1].printed = vec!["d".to_owned()];
        let expected = text
            .replace("b\n", "e\nf\n")
            .replace("$ c\n", "$ c\n   d\n");
        assert_eq!(rewritten(&page, &found), expected);
    }

    #[test]
    fn an_ellipsis_stands_for_anything() {
        let rows: [(&str, &[&str], &[&str], bool); 8] = [
            ("alike", &["a"], &["a"], true),
            ("different", &["a"], &["b"], false),
            ("more", &["a"], &["a", "b"], false),
            ("less", &["a", "b"], &["a"], false),
            ("within a line", &["a … c"], &["a b b c"], true),
            ("within another", &["a … c"], &["a b b d"], false),
            ("lines", &["a", "…", "c"], &["a", "b", "b", "c"], true),
            ("no lines", &["a", "…", "c"], &["a", "c"], true),
        ];
        for (label, expected, printed, wanted) in rows {
            let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(matches(&expected, printed), wanted, "{label}");
        }
    }
}
