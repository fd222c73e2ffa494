//! The only printer: tables, JSON and YAML on standard output, notes and errors on standard error.
//!
//! What is printed is decided by each command. Whether a colour reaches the reader is anstream's
//! decision: it is left out where no terminal shows it, and where NO_COLOR or CLICOLOR=0 asks for
//! that (no-color.org, bixense.com/clicolors).

use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::arguments::Format;

/// How the word `error:` stands out.
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Prints a line; a reader that went away (`| head`) is no error.
pub(super) fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says something about what is going on, beside the result.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says why nothing came of it: the error, and below it its causes.
pub fn error(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some libraries repeat the cause in their own text.
        if !text.contains(&cause) {
            text.push_str(&format!("\n  {cause}"));
        }
    }
    let _ = writeln!(anstream::stderr(), "{ERROR}error:{ERROR:#} {text}");
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
    let text = match format {
        Format::Table => table(value),
        Format::Json => serde_json::to_string_pretty(value)?,
        Format::Yaml => yaml_serde::to_string(value)?,
    };
    line(text.trim_end());
    Ok(())
}

/// Columns in kubectl's manner: a header in capitals, three spaces between.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    let mut widths = header.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&header.map(str::to_owned)).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
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
}
