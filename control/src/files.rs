//! What people write: the files, folders and standard input that they name.
//!
//! What a text means is [`crate::model::input`]'s. How much is read at most is [`bounded`]'s; files
//! of a folder that others may have filled are [`folder`]'s. Used by stores, the local Envoy and
//! commands.

pub mod bounded;
pub mod folder;

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::model::input::{Input, InputError, parse};
use crate::model::plugin::{self, Plugin};
use bounded::MAX_INPUT_BYTES;
use folder::MAX_KEPT_ASIDE;
pub use folder::replace;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, or may not be read.
    #[error("{path}: cannot be read")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The folder is full, or may not be written.
    #[error("{path}: cannot be written")]
    Unwritable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is a link, a pipe or a device.
    #[error("{path}: {found}; accepted: a file")]
    NoFile {
        /// Its path.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// It is a link or a file.
    #[error("{path}: {found}; accepted: a folder, or none")]
    NoFolder {
        /// Its path.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// A write would follow it, or take it away.
    #[error(
        "{path}: {found}, which sluice reads at most and never writes through or replaces; \
         nothing was changed. \
         Accepted: a file, or none"
    )]
    NotReplaced {
        /// Its path.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// What nobody took away is all that is kept.
    #[error(
        "{path}: {MAX_KEPT_ASIDE} files are kept under this name already; remove what is not needed"
    )]
    TooManyKept {
        /// The first one's path.
        path: String,
    },
    /// It does not end.
    #[error("{path}: more than {max_bytes} bytes; accepted: at most that")]
    TooLong {
        /// The file.
        path: String,
        /// How many bytes are accepted.
        max_bytes: usize,
    },
    /// It is no UTF-8.
    #[error("{path}: not text in UTF-8, at byte {at}")]
    NoText {
        /// The file.
        path: String,
        /// Where.
        at: usize,
    },
    /// Its text is not what is accepted.
    #[error(transparent)]
    Text(#[from] InputError),
}

/// The one plugin of a file, directory or standard input.
///
/// # Errors
/// When nothing can be read, or there is no plugin, or more than one.
pub fn plugin(path: &Path) -> anyhow::Result<Plugin> {
    only_plugin(&path.display().to_string(), documents(path)?)
}

/// The one plugin of documents, which were read from `source`.
///
/// # Errors
/// When there is none, or more than one.
pub fn only_plugin(source: &str, inputs: Vec<Input>) -> anyhow::Result<Plugin> {
    let mut plugins = plugin::plugins(inputs)?;
    match plugins.len() {
        1 => Ok(plugins.remove(0)),
        0 => bail!(
            "{source}: no plugin configuration; accepted: a WasmPlugin, a TrafficExtension, or \
             the configuration itself (with `splits`)"
        ),
        _ => {
            let names: Vec<_> = plugins
                .iter()
                .map(|plugin| plugin.name.as_deref().unwrap_or("without a name"))
                .collect();
            bail!(
                "{source}: {} plugins ({}); accepted: one",
                plugins.len(),
                names.join(", ")
            )
        }
    }
}

/// The text of a file, or of standard input for `-`.
///
/// # Errors
/// When it cannot be read, or has more than [`MAX_INPUT_BYTES`].
pub fn text(path: &Path) -> Result<String, FileError> {
    let name = name(path);
    bounded::text(&name, bytes(path, MAX_INPUT_BYTES)?)
}

/// What a file holds, or standard input for `-`. Other than a folder's files, what somebody names
/// may be a pipe, as `<(kustomize build)` is one.
///
/// # Errors
/// When it cannot be read, or has more bytes than are accepted.
pub fn bytes(path: &Path, max_bytes: usize) -> Result<Vec<u8>, FileError> {
    use std::os::unix::fs::FileTypeExt as _;
    let name = name(path);
    if path == Path::new("-") {
        return bounded::bytes(&name, &mut std::io::stdin(), max_bytes);
    }
    let unreadable = |source| FileError::Unreadable {
        path: name.clone(),
        source,
    };
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    let is_handed_over = ["/dev", "/proc"]
        .iter()
        .any(|shell| path.starts_with(shell));
    if kind.is_dir() || (kind.is_fifo() && !is_handed_over) {
        let found = bounded::kind(kind);
        return Err(FileError::NoFile { path: name, found });
    }
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    bounded::bytes(&name, &mut file, max_bytes)
}

/// Every document of a file; of a directory, of each .yaml, .yml and .json file in it, in the order
/// of their names.
///
/// # Errors
/// The first file that cannot be read, and when they are longer than [`MAX_INPUT_BYTES`] together.
pub fn documents(path: &Path) -> Result<Vec<Input>, FileError> {
    if !path.is_dir() {
        return Ok(parse(&name(path), &text(path)?)?);
    }
    let mut all = Vec::new();
    let mut left = MAX_INPUT_BYTES;
    for file in files(path)? {
        let name = name(&file);
        let bytes = bytes(&file, MAX_INPUT_BYTES)?;
        left = left
            .checked_sub(bytes.len())
            .ok_or_else(|| FileError::TooLong {
                path: path.display().to_string(),
                max_bytes: MAX_INPUT_BYTES,
            })?;
        all.extend(parse(&name, &bounded::text(&name, bytes)?)?);
    }
    Ok(all)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: name(directory),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_document = path
            .extension()
            .is_some_and(|kind| ["yaml", "yml", "json"].iter().any(|known| kind == *known));
        if is_document && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}
