//! What the user should know beside what became of a write.

use serde::Serialize;

use crate::cluster::plugins::Unlisted;

/// What went wrong beside a write that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Note {
    /// The history lacks it.
    #[error(
        "the change was made, but `sluice history` will not have it: {why}{}",
        if *.is_forbidden { "; the Role in wasmplugin/base/rbac.yaml has the right" } else { "" }
    )]
    NotRemembered {
        /// The API server's words.
        why: String,
        /// Whether the account lacks the right to write it.
        #[serde(rename = "isForbidden")]
        is_forbidden: bool,
    },
    /// Others wrote what looks like a part of the history.
    #[error(
        "{}{count} ControllerRevisions claim to be of this history and are left out, such as \
         {first}: {why}",
        if *.are_more { "at least " } else { "" }
    )]
    NotOurs {
        /// How many.
        count: usize,
        /// The name of one.
        first: String,
        /// What is wrong with that one.
        why: String,
        /// Whether there are more than were looked at.
        #[serde(rename = "areMore")]
        are_more: bool,
    },
    /// The weights' file could not be read, and an abort went on without it.
    #[error("{why}; {instead}")]
    Salvaged {
        /// Why not.
        why: String,
        /// Where weights were taken from instead.
        instead: String,
    },
    /// What an abort had to replace is kept beside it.
    #[error(
        "replaced, because proxies or sluice could not read it: {what}; as it was, it is kept in \
         {kept}"
    )]
    KeptAside {
        /// What was replaced.
        what: String,
        /// Where it is now.
        kept: String,
    },
    /// What was replaced because it could not be read is gone.
    #[error("{what} could not be read and was replaced, and could not be kept beside it: {why}")]
    NotKept {
        /// What is gone.
        what: String,
        /// The system's words.
        why: String,
    },
    /// No answer came to the write.
    #[error("no answer to the write ({why}), but it was made: it was read back")]
    FoundMade {
        /// What became of the connection.
        why: String,
    },
    /// The plugin's annotation does not say who changed it last.
    #[error("the change was made, but without its note on the plugin: {why}")]
    NotNoted {
        /// The API server's words.
        why: String,
    },
    /// An abort that is not in force could not be mended.
    #[error("what is in the way could not be replaced: {why}")]
    NotRepaired {
        /// Why not.
        why: String,
    },
    /// An abort went on without plugins that could not be listed.
    #[error(
        "{what} could not all be listed, and those that are not named here are NOT ABORTED: {why}"
    )]
    NotListed {
        /// Which, such as `WasmPlugins of every namespace`.
        what: String,
        /// Why not.
        why: String,
    },
    /// Changes of a backup that the history could not be given again.
    #[error("{count} changes of the backup are not in the history again: {why}")]
    NotRestored {
        /// How many.
        count: usize,
        /// Why not.
        why: String,
    },
    /// Native proxies do not follow.
    #[error("NATIVE PROXIES KEEP WHAT THEY HAVE: {filter} was not written: {why}")]
    NotMirrored {
        /// Which, such as `EnvoyFilter shop/sluice-native`.
        filter: String,
        /// Why not.
        why: String,
    },
    /// Whether native proxies follow is not known.
    #[error(
        "native proxies follow once a controller has written {filter}, which this account may \
         neither write nor read; `sluice status` says which revision they run"
    )]
    MirrorUnseen {
        /// Which.
        filter: String,
    },
    /// The history keeps more than it should.
    #[error("old entries of the history could not be removed: {why}")]
    NotForgotten {
        /// The API server's words.
        why: String,
    },
}

impl Note {
    /// Why it is not known what was there before the write.
    pub fn unread(&self) -> Option<String> {
        match self {
            Self::Salvaged { why, .. } => Some(why.clone()),
            _ => None,
        }
    }

    /// Whether what it says leaves something to do.
    pub const fn is_problem(&self) -> bool {
        matches!(self, Self::NotListed { .. } | Self::NotMirrored { .. })
    }
}

impl From<Unlisted> for Note {
    fn from(Unlisted { what, error }: Unlisted) -> Self {
        let why = format!("{:#}", anyhow::Error::from(error));
        Self::NotListed { what, why }
    }
}
