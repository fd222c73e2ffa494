//! The only printer: tables, JSON and YAML on standard output, notes and errors on standard error.
//!
//! What is printed is decided by each command; that nothing in it is obeyed by a terminal
//! (`shown`), that no text is endless (`cut`), and that notes and errors hold no password of a URL,
//! is seen to here. Whether a
//! colour reaches the reader is anstream's decision: it is left out where no terminal shows it, and
//! where NO_COLOR or CLICOLOR=0 asks for that (no-color.org, bixense.com/clicolors).

mod cut;
mod kept;
mod live;
mod shown;

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub(super) use self::kept::{Kept, Piece, kept};
pub(super) use self::live::Live;
use self::shown::{on_one_line, shown};
use super::arguments::Format;
use crate::model::redacted;

/// How the word `error:` stands out.
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Prints lines for people, each up to a length.
pub(super) fn line(text: impl std::fmt::Display) {
    document(cut::lines(&text.to_string()));
}

/// Prints what programs read, or people apply, as it is; a reader that went away (`| head`) is no
/// error.
pub(super) fn document(text: impl std::fmt::Display) {
    put(Piece::Line(shown(&text.to_string()).into_owned()));
}

/// Prints what a shell reads, byte by byte.
pub(super) fn bytes(answer: &[u8]) {
    let _ = std::io::stdout().write_all(answer);
}

/// Says something about what is going on, beside the result.
pub(super) fn note(text: impl std::fmt::Display) {
    put(Piece::Note(beside(&text.to_string())));
}

/// As much of a text as a note or a log shows of it, without passwords.
pub(super) fn excerpt(text: &str) -> String {
    cut::notice(&redacted::text(text))
}

/// Writes a line of a log, which is JSON, on standard error.
pub(super) fn logged(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", shown(line));
}

/// A note or error as it is printed: without passwords, and with every further line of it indented,
/// so that what it quotes begins no line.
fn beside(text: &str) -> String {
    shown(&cut::notice(&redacted::text(text))).replace('\n', "\n  ")
}

/// Says why nothing came of it: the error, and below it its causes.
pub fn error(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some libraries repeat the cause in their own text.
        if !text.contains(&cause) {
            text.push_str(&format!("\n{cause}"));
        }
    }
    put(Piece::Error(beside(&text)));
}

/// Prints it now, or when the work is over that it belongs to.
fn put(one: Piece) {
    if let Some(one) = kept::keep(one) {
        piece(&one);
    }
}

/// Prints what is ready to be printed.
pub(super) fn piece(piece: &Piece) {
    // A reader that went away is no error.
    let _ = match piece {
        Piece::Line(text) => writeln!(std::io::stdout(), "{text}"),
        Piece::Note(text) => writeln!(std::io::stderr(), "{text}"),
        Piece::Error(text) => writeln!(anstream::stderr(), "{ERROR}error:{ERROR:#} {text}"),
    };
}

/// Prints a value as JSON or YAML, or a table made of it.
///
/// # Errors
/// When the value cannot be written in the format.
pub(super) fn print<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match format {
        Format::Table => line(table(value).trim_end()),
        Format::Json => document(serde_json::to_string_pretty(value)?),
        Format::Yaml => document(yaml(value)?.trim_end()),
    }
    Ok(())
}

/// A value as YAML. Where a plain text of it would have to be escaped to be printed, as JSON, which
/// is YAML too and can escape every text.
///
/// # Errors
/// When the value cannot be written.
pub(super) fn yaml<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let text = yaml_serde::to_string(value)?;
    if matches!(shown(&text), Cow::Borrowed(_)) {
        return Ok(text);
    }
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// A sentence or name from elsewhere, for a line of ours: whatever it holds, it begins no line.
pub(super) fn quoted(text: impl std::fmt::Display) -> String {
    on_one_line(&text.to_string()).into_owned()
}

/// Columns in kubectl's manner: a header in capitals, three spaces between.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    columns(header.to_vec(), rows.into_iter().map(Vec::from))
}

/// The same where only at run time it is known which columns there are.
pub(super) fn columns(header: Vec<&str>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let quoted = |cell: String| quoted(cut::cell(&cell));
    let quoted = |row: Vec<String>| row.into_iter().map(quoted).collect();
    let rows: Vec<Vec<String>> = rows.into_iter().map(quoted).collect();
    let mut widths: Vec<usize> = header.iter().map(|name| name.len()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let header = header.into_iter().map(str::to_owned).collect();
    for row in std::iter::once(&header).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths.iter().copied()) {
            line.push_str(&format!("{cell:<width$}   "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Begins the screen anew, for what is shown in place.
pub(super) fn refresh() {
    let _ = write!(std::io::stdout(), "\x1b[2J\x1b[H");
}

/// Whether a person watches standard output, so that a result may be redrawn in place.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = table(
            ["SPLIT", "PERCENT"],
            [
                ["web".to_owned(), "5".to_owned()],
                ["checkout".to_owned(), "12.5".to_owned()],
            ],
        );
        assert_eq!(text, "SPLIT      PERCENT\nweb        5\ncheckout   12.5\n");
    }

    #[test]
    fn a_cell_neither_begins_a_line_nor_widens_a_column_unseen() {
        let rows = [
            ["a\nb   100".to_owned(), "5".to_owned()],
            ["\u{1b}[1m".to_owned(), "6".to_owned()],
        ];
        assert_eq!(
            table(["SPLIT", "PERCENT"], rows),
            "SPLIT        PERCENT\na\\nb   100   5\n\\u001b[1m    6\n"
        );
    }

    #[test]
    fn what_a_note_quotes_is_without_passwords_and_begins_no_line() {
        assert_eq!(
            beside("no answer from http://user:pw@host\u{1b}[2K\nerror: all is well"),
            "no answer from http://***@host\\u001b[2K\n  error: all is well"
        );
    }

    #[test]
    fn yaml_that_would_have_to_be_escaped_is_json() {
        let value = serde_json::json!({"a": "x\u{202e}y"});
        let text = yaml(&value).unwrap();
        assert_eq!(shown(&text), "{\n  \"a\": \"x\\u202ey\"\n}\n");
        assert_eq!(yaml(&serde_json::json!({"a": "x"})).unwrap(), "a: x\n");
    }
}
