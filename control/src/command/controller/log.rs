//! The controller's log, on standard error: an entry a line, for people or, with
//! `--log-format json`, for programs.
//!
//! Which entries there are is [`crate::rollout::logged`]'s.

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use crate::command::output;
use crate::rollout::logged::{Entry, Occasion};

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// The words alone
    Text,
    /// An object a line: time, level, occasion, message, and what it is about
    Json,
}

/// The log of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    pub(super) format: LogFormat,
    pub(super) clock: fn() -> Timestamp,
}

/// A line for programs.
#[derive(Debug, Serialize)]
struct Line<'l> {
    time: String,
    level: &'static str,
    occasion: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<usize>,
    message: &'l str,
}

impl Log {
    /// Writes an entry.
    pub(super) fn write(self, entry: Entry<'_>) {
        match self.format {
            LogFormat::Text => output::note(text(&entry)),
            LogFormat::Json => output::logged(&json(&entry, (self.clock)())),
        }
    }

    /// Writes an entry that is about no Rollout.
    pub(super) fn say(self, occasion: Occasion, message: impl std::fmt::Display) {
        self.write(Entry::of(occasion, &message.to_string()));
    }
}

fn text(entry: &Entry<'_>) -> String {
    let message = entry.message;
    match entry.rollout {
        None => message.to_owned(),
        Some((namespace, name)) => format!("Rollout {namespace}/{name}: {message}"),
    }
}

fn json(entry: &Entry<'_>, now: Timestamp) -> String {
    let message = output::excerpt(entry.message);
    let event = match entry.occasion {
        Occasion::Rollout(kind) => Some(kind.reason()),
        _ => None,
    };
    let line = Line {
        time: format!("{now:.3}"),
        level: entry.occasion.level().word(),
        occasion: entry.occasion.word(),
        namespace: entry.rollout.map(|(namespace, _)| namespace),
        rollout: entry.rollout.map(|(_, name)| name),
        event,
        run: (entry.run > 0).then_some(entry.run),
        step: entry.step,
        message: &message,
    };
    // Strings and numbers can always be written.
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::engine::EventKind;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn an_entry_is_one_line_for_programs_and_the_words_for_people() {
        let entry = Entry {
            occasion: Occasion::Rollout(EventKind::RollingBack),
            rollout: Some(("shop", "web")),
            run: 3,
            step: Some(2),
            message: "its users are taken back:\n\"errors\"",
        };
        assert_eq!(
            json(&entry, NOW),
            r#"{"time":"1970-01-01T00:00:00.000Z","level":"warning","occasion":"rollout-event","namespace":"shop","rollout":"web","event":"RollingBack","run":3,"step":2,"message":"its users are taken back:\n\"errors\""}"#
        );
        assert!(text(&entry).starts_with("Rollout shop/web: its users"));
        let entry = Entry::of(Occasion::Leads, "leads");
        assert_eq!(
            json(&entry, NOW),
            r#"{"time":"1970-01-01T00:00:00.000Z","level":"info","occasion":"leads","message":"leads"}"#
        );
        assert_eq!(text(&entry), "leads");
    }

    #[test]
    fn every_occasion_is_documented() {
        let page = include_str!("../../../../docs/logs.md");
        for occasion in Occasion::ALL {
            let (word, meaning) = (occasion.word(), occasion.meaning());
            let level = match occasion {
                Occasion::Rollout(_) => "info, warning",
                _ => occasion.level().word(),
            };
            let row = format!("| `{word}` | {level} | {meaning} |\n");
            assert!(page.contains(&row), "docs/logs.md lacks:\n{row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        assert!(rows.count() >= Occasion::ALL.len());
    }
}
