//! How much of one text is shown to a person: names, reasons and errors from elsewhere may be of
//! any length.
//!
//! What is for programs (JSON, YAML) is never cut.

use std::borrow::Cow;

/// How long a cell of a table may be. Chosen: a few lines of a terminal.
const MAX_CELL_BYTES: usize = 1_024;

/// How long a line may be: some such cells.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// How long a note or an error may be. Chosen: a thousand conflicts, a line each, are read by
/// nobody.
const MAX_NOTICE_BYTES: usize = 32 * 1024;

/// A cell.
pub(super) fn cell(text: &str) -> Cow<'_, str> {
    cut(text, MAX_CELL_BYTES)
}

/// Lines.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    if text.lines().all(|line| line.len() <= MAX_LINE_BYTES) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<Cow<'_, str>> = text.lines().map(|line| cut(line, MAX_LINE_BYTES)).collect();
    Cow::Owned(lines.join("\n"))
}

/// A note or an error.
pub(super) fn notice(text: &str) -> String {
    cut(&lines(text), MAX_NOTICE_BYTES).into_owned()
}

fn cut(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    let kept = text.get(..text.floor_char_boundary(max_bytes));
    Cow::Owned(format!(
        "{}… ({} bytes)",
        kept.unwrap_or_default(),
        text.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_its_length_is_said() {
        let long = "é".repeat(1_000);
        assert_eq!(cut(&long, 5), "éé… (2000 bytes)");
        assert_eq!(cut("éé", 4), "éé");
    }

    #[test]
    fn of_several_lines_only_the_long_ones_are_cut() {
        let long = "x".repeat(600_000);
        let shown = lines(&format!("a\n{long}\nb")).into_owned();
        let kept = "x".repeat(MAX_LINE_BYTES);
        assert_eq!(shown, format!("a\n{kept}… (600000 bytes)\nb"));
        let many = "line\n".repeat(100_000);
        assert!(notice(&many).ends_with("… (500000 bytes)"));
        assert!(notice(&many).len() < MAX_NOTICE_BYTES + 30);
    }
}
