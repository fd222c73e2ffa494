//! What a controller logs: entries with an occasion, which is one word of a fixed list, and what they
//! are about. How a line of the log looks is the command's.

use std::fmt;
use std::sync::Arc;

use super::engine::EventKind;

/// Why something is logged. Its word is stable: alerts on logs go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The process listens; the message says where.
    Listening,
    /// This replica leads from now on.
    Leads,
    /// Another replica leads, or nobody is known to.
    Waits,
    /// Something happened to a Rollout, which is an Event on it too.
    Rollout(EventKind),
    /// A look at a Rollout ended with an error; it is tried again.
    LookFailed,
    /// Rollouts cannot be watched just now.
    WatchFailed,
    /// Something about the key by which a split is braked past the API server.
    Key,
    /// The EnvoyFilter of a native plugin is not as the plugin is.
    Native,
    /// The process ends with an error.
    Ends,
}

/// How much an entry matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// A person should know.
    Warning,
    /// It does not do what it is there for.
    Error,
}

impl Level {
    /// As in a line: `info`, `warning` or `error`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Occasion {
    /// One of each, for documents; the Event stands for every kind.
    pub const ALL: [Self; 9] = [
        Self::Listening,
        Self::Leads,
        Self::Waits,
        Self::Rollout(EventKind::Started),
        Self::LookFailed,
        Self::WatchFailed,
        Self::Key,
        Self::Native,
        Self::Ends,
    ];

    /// Its word in a line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Leads => "leads",
            Self::Waits => "waits",
            Self::Rollout(_) => "rollout-event",
            Self::LookFailed => "look-failed",
            Self::WatchFailed => "watch-failed",
            Self::Key => "brake-key",
            Self::Native => "native",
            Self::Ends => "ends",
        }
    }

    /// How much it matters.
    pub const fn level(self) -> Level {
        match self {
            Self::Listening | Self::Leads | Self::Waits => Level::Info,
            Self::Rollout(kind) if kind.is_warning() => Level::Warning,
            Self::Rollout(_) => Level::Info,
            Self::LookFailed | Self::WatchFailed | Self::Key | Self::Native => Level::Warning,
            Self::Ends => Level::Error,
        }
    }

    /// What a reader of the log should know about it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Listening => "The process answers; the message says what, and on which address.",
            Self::Leads => "This replica runs the Rollouts from now on.",
            Self::Waits => {
                "Another replica leads, or the Lease cannot be read; then the message says why."
            }
            Self::Rollout(_) => {
                "Something happened to a Rollout. It is an Event on it too, whose reason is the \
                 field `event`; `warning` where the Event is one."
            }
            Self::LookFailed => "A look at a Rollout ended with an error, and is tried again.",
            Self::WatchFailed => "The API server does not let Rollouts be watched just now.",
            Self::Key => {
                "The key by which a split is braked past the API server was used, or cannot be; \
                 or who was to be told of a use was not."
            }
            Self::Native => {
                "The EnvoyFilter of a plugin that is annotated as native could not be written; what \
                 stood there stays. It is an Event on the plugin too, `NativeNotWritten`."
            }
            Self::Ends => "The process ends with an error, exit code 2.",
        }
    }
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    /// Why it is logged.
    pub occasion: Occasion,
    /// The Rollout, as namespace and name, that it is about.
    pub rollout: Option<(&'e str, &'e str)>,
    /// The run's number; 0 where it is about none.
    pub run: u64,
    /// The step, counting from 1.
    pub step: Option<usize>,
    /// In words.
    pub message: &'e str,
}

impl<'e> Entry<'e> {
    /// An entry that is about no Rollout.
    pub const fn of(occasion: Occasion, message: &'e str) -> Self {
        Self {
            occasion,
            rollout: None,
            run: 0,
            step: None,
            message,
        }
    }
}

/// Where entries go, at once.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(Entry<'_>) + Send + Sync>);

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Log")
    }
}

impl Log {
    /// A log that hands each entry to a function, which must be quick: who runs Rollouts waits for it.
    pub fn to(write: impl Fn(Entry<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// Writes an entry.
    pub fn write(&self, entry: Entry<'_>) {
        (self.0)(entry);
    }
}
