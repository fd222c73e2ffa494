//! A text that is redrawn in place in a terminal, without a flicker: the cursor goes up, each line
//! is written over the former one, and what was longer is cleared. What scrolled away before stays.

use std::io::Write as _;

use rustix::termios::tcgetwinsize;
use unicode_width::UnicodeWidthChar as _;

use super::shown::on_one_line;

/// How large a terminal is that does not say so. As VT100's.
const USUAL: (usize, usize) = (24, 80);

/// A text that is redrawn in place.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// How many lines of it are there.
    drawn: usize,
}

impl Live {
    /// Draws it, or draws it anew.
    pub(crate) fn draw(&mut self, text: &str) {
        let (frame, drawn) = frame(text, self.drawn, size());
        self.drawn = drawn;
        let mut output = std::io::stdout();
        // One write: a terminal shows no half of it.
        let _ = output.write_all(frame.as_bytes());
        let _ = output.flush();
    }
}

/// Rows and columns of the terminal.
fn size() -> (usize, usize) {
    match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 1 && size.ws_col > 1 => {
            (usize::from(size.ws_row), usize::from(size.ws_col))
        }
        _ => USUAL,
    }
}

/// What is written to a terminal that has so many lines of the former text above the cursor, and how
/// many lines it has then. The cursor ends below the text: whatever comes next is not overwritten.
fn frame(text: &str, former: usize, (rows, columns): (usize, usize)) -> (String, usize) {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    // The line of the cursor is below them.
    let most = rows.saturating_sub(1).max(1);
    let left_out = lines.len().saturating_sub(most);
    let shown = match left_out {
        0 => lines.len(),
        _ => most.saturating_sub(1),
    };
    let mut frame = String::new();
    if former > 0 {
        frame += &format!("\x1b[{}A\r", former.min(most));
    }
    let own = lines.iter().take(shown).map(|line| fitting(line, columns));
    let rest =
        (left_out > 0).then(|| fitting(&format!("… {} more lines", lines.len() - shown), columns));
    let mut drawn = 0;
    for line in own.chain(rest) {
        frame += &format!("{line}\x1b[K\n");
        drawn += 1;
    }
    frame += "\x1b[J";
    (frame, drawn)
}

/// As much of a line as is surely on one line of the terminal, and safe to print.
fn fitting(line: &str, columns: usize) -> String {
    let line = on_one_line(line);
    let width = |letter: char| letter.width().unwrap_or(0);
    let whole: usize = line.chars().map(width).sum();
    if whole < columns {
        return line.into_owned();
    }
    let mut left = columns.saturating_sub(2);
    let mut cut: String = line
        .chars()
        .take_while(|letter| match left.checked_sub(width(*letter)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_over_the_former_one_and_the_rest_is_cleared() {
        let (first, drawn) = frame("a\nb\nc\n", 0, (24, 80));
        assert_eq!((&*first, drawn), ("a\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J", 3));
        let (next, drawn) = frame("a\n", drawn, (24, 80));
        assert_eq!((&*next, drawn), ("\x1b[3A\ra\x1b[K\n\x1b[J", 1));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_text_higher() {
        let cases = [
            ("abcdefghij", 11, "abcdefghij"),
            ("abcdefghij", 10, "abcdefgh…"),
            ("灰度发布", 8, "灰度发…"),
            ("\x1b[2Jx", 20, "\\u001b[2Jx"),
        ];
        for (line, columns, expected) in cases {
            assert_eq!(fitting(line, columns), expected, "{line}");
        }
        let many = "line\n".repeat(50);
        let (text, drawn) = frame(&many, 0, (10, 80));
        assert_eq!(drawn, 9);
        assert!(text.contains("… 42 more lines"), "{text}");
        let (text, _) = frame(&many, 30, (10, 80));
        assert!(
            text.starts_with("\x1b[9A"),
            "a terminal that became smaller"
        );
    }
}
