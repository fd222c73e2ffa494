//! Files and standard input: reading what people write, and replacing what others watch.
//!
//! What a text means is [`crate::model::input`]'s. Files that only `sluice` itself writes are read
//! where they are written. Used by stores, the local Envoy and commands.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::model::input::{Input, InputError, parse};
use crate::model::plugin::{self, Plugin};

/// Why a file could not be read.
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
    /// Its text is not what is accepted.
    #[error(transparent)]
    Text(#[from] InputError),
}

/// The one plugin of a file, directory or standard input.
///
/// # Errors
/// When nothing can be read, or there is no plugin, or more than one.
pub fn plugin(path: &Path) -> anyhow::Result<Plugin> {
    let inputs = documents(path)?;
    let mut plugins = plugin::plugins(inputs)?;
    match plugins.len() {
        1 => Ok(plugins.remove(0)),
        0 => bail!(
            "{}: no plugin configuration; accepted: a WasmPlugin, a TrafficExtension, or the configuration itself (with `splits`)",
            path.display()
        ),
        _ => {
            let names: Vec<_> = plugins
                .iter()
                .map(|plugin| plugin.name.as_deref().unwrap_or("without a name"))
                .collect();
            bail!(
                "{}: {} plugins ({}); accepted: one",
                path.display(),
                plugins.len(),
                names.join(", ")
            )
        }
    }
}

/// The text of a file, or of standard input for `-`.
///
/// # Errors
/// When it cannot be read.
pub fn text(path: &Path) -> Result<String, FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: name(path),
        source,
    };
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Every document of a file; of a directory, of each .yaml, .yml and .json file in it, in the order
/// of their names.
///
/// # Errors
/// The first file that cannot be read.
pub fn documents(path: &Path) -> Result<Vec<Input>, FileError> {
    if !path.is_dir() {
        return Ok(parse(&name(path), &text(path)?)?);
    }
    let mut all = Vec::new();
    for file in files(path)? {
        all.extend(parse(&name(&file), &text(&file)?)?);
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

/// Replaces a file's content so that a reader sees the old content or the new one and nothing
/// between, also when the machine loses power. For files that somebody watches, Envoy its
/// configuration and `sluice dev` its directory: both see a rename.
///
/// # Errors
/// When the folder or the file cannot be written; the file is then as it was.
pub fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let context = || format!("{}: cannot be written", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".sluice-")
        .tempfile_in(directory)
        .with_context(context)?;
    file.write_all(content).with_context(context)?;
    file.as_file().sync_data().with_context(context)?;
    let permissions = std::fs::metadata(path).map_or_else(
        |_| std::os::unix::fs::PermissionsExt::from_mode(0o644),
        |replaced| replaced.permissions(),
    );
    file.as_file()
        .set_permissions(permissions)
        .with_context(context)?;
    file.persist(path).with_context(context)?;
    Ok(())
}

fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}
