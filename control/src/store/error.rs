//! Why a write was not made, where others are the reason.

/// Why a write was not made, or not in full, where others are the reason: its caller may try again
/// or take over.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another process kept the directory locked.
    #[error(
        "{lock}: another sluice has been writing for {seconds} s; nothing was changed, try again"
    )]
    Locked {
        /// The lock's path.
        lock: String,
        /// How long this write waited.
        seconds: u64,
    },
    /// Others, who waited for no lock, kept writing first.
    #[error("{file}: others have written first {times} times; nothing was changed, try again")]
    Outrun {
        /// The weights' file.
        file: String,
        /// How often.
        times: usize,
    },
    /// Others kept writing first.
    #[error("{plugin}: others have been writing for {seconds} s; nothing was changed, try again")]
    Overtaken {
        /// The plugin's kind, namespace and name.
        plugin: String,
        /// How long this write was tried.
        seconds: u64,
    },
    /// Fields that it sets belong to others.
    #[error(
        "{}; nothing was changed. --force would set it all the same ({}) and take the field \
         over: {} would then get this conflict in turn",
        owners(.plugin, .fields), .changes.join(", "),
        .fields.first().map_or("the other", |field| field.manager.as_str())
    )]
    Conflict {
        /// The plugin's kind, namespace and name.
        plugin: String,
        /// The fields with their owners.
        fields: Vec<OwnedField>,
        /// What it sets, such as `everyone/canary 5 -> 10`.
        changes: Vec<String>,
    },
    /// No answer came to it, and reading back showed that it was not made.
    #[error(
        "{plugin}: no answer to a write ({why}); it was not made: the weights were read back and \
         are as they were"
    )]
    NotMade {
        /// The plugin's kind, namespace and name.
        plugin: String,
        /// What became of the connection.
        why: String,
    },
    /// No answer came to it, and reading back did not show whether it was made.
    #[error(
        "{plugin}: no answer to a write ({why}), and it is still unknown whether it was made: \
         {unread}. See `sluice get` before anything else"
    )]
    Unknown {
        /// The plugin's kind, namespace and name.
        plugin: String,
        /// What became of the connection.
        why: String,
        /// Why reading back did not tell.
        unread: String,
    },
    /// One split's part was refused after those of others were written.
    #[error("of several splits, only these were changed: {}", .written.join(", "))]
    Partial {
        /// The splits that were written.
        written: Vec<String>,
        /// Why the other was not.
        source: anyhow::Error,
    },
}

impl WriteError {
    /// Whether a command that ends with it leaves something to find out.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Unknown { .. } => true,
            Self::Partial { source, .. } => {
                source.downcast_ref::<Self>().is_some_and(Self::is_open)
            }
            _ => false,
        }
    }
}

/// A field that somebody else set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedField {
    /// Its path in the resource, such as `spec.pluginConfig.weights.web.everyone.canary`.
    pub path: String,
    /// The field manager that owns it.
    pub manager: String,
}

fn owners(plugin: &str, fields: &[OwnedField]) -> String {
    let owner = |OwnedField { path, manager }: &OwnedField| {
        format!("{plugin}: {path} was set by field manager {manager:?}")
    };
    fields.iter().map(owner).collect::<Vec<_>>().join("\n")
}
