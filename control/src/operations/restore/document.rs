//! A backup as it is read from a file: refused as a whole where any of it is something else.

use std::collections::BTreeSet;

use crate::model::input::Input;
use crate::operations::backup::{API_VERSION, Backup, KIND};

/// The most plugins of a backup. Chosen: ten times as many as a controller was measured with.
pub const MAX_BACKUP_PLUGINS: usize = 10_000;

/// The most changes of one plugin in a backup. Chosen: twice as many as a history keeps.
pub const MAX_BACKUP_ENTRIES: usize = 100;

/// Why a file is no backup.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// It has another number of documents.
    #[error("{0} documents; accepted: one, as `sluice get -A -o yaml` prints it")]
    Documents(usize),
    /// It is something else, or of another version.
    #[error(
        "{found}; accepted: apiVersion {API_VERSION}, kind {KIND}, as `sluice get -A -o yaml` prints it"
    )]
    Kind {
        /// What it says of itself.
        found: String,
    },
    /// A field is something else.
    #[error("{path}: {why}")]
    Field {
        /// Where.
        path: String,
        /// What is wrong there.
        why: String,
    },
}

/// The one backup of a file.
///
/// # Errors
/// Whatever it is instead.
pub fn read(inputs: &[Input]) -> Result<Backup, BackupError> {
    let [input] = inputs else {
        return Err(BackupError::Documents(inputs.len()));
    };
    let text = |field: &str| input.value.get(field).and_then(|value| value.as_str());
    if text("apiVersion") != Some(API_VERSION) || text("kind") != Some(KIND) {
        let [version, kind] = ["apiVersion", "kind"].map(|field| text(field).unwrap_or("missing"));
        let found = format!("apiVersion {version:.80}, kind {kind:.80}");
        return Err(BackupError::Kind { found });
    }
    let backup: Backup =
        serde_path_to_error::deserialize(&input.value).map_err(|error| BackupError::Field {
            path: error.path().to_string(),
            why: error.inner().to_string(),
        })?;
    let field = |path: String, why: String| Err(BackupError::Field { path, why });
    if backup.plugins.len() > MAX_BACKUP_PLUGINS {
        let why = format!(
            "{} of them; accepted: at most {MAX_BACKUP_PLUGINS}",
            backup.plugins.len()
        );
        return field("plugins".to_owned(), why);
    }
    let mut names = BTreeSet::new();
    for (index, plugin) in backup.plugins.iter().enumerate() {
        let entries = plugin.history.len();
        if entries > MAX_BACKUP_ENTRIES {
            let why = format!("{entries} changes; accepted: at most {MAX_BACKUP_ENTRIES}");
            return field(format!("plugins[{index}].history"), why);
        }
        if !names.insert(&plugin.plugin) {
            let why = format!("{:.80} is there twice", plugin.plugin);
            return field(format!("plugins[{index}].plugin"), why);
        }
    }
    Ok(backup)
}
