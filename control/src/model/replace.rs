//! Writing a file so that a reader sees the old content or the new one, and nothing between.
//!
//! For files that somebody watches: Envoy its configuration, `sluice dev` its directory. Both see a
//! rename. Logs and locks are no matter for it.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Replaces a file's content, all or nothing, also when the machine loses power.
pub(crate) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
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
        |found| found.permissions(),
    );
    file.as_file()
        .set_permissions(permissions)
        .with_context(context)?;
    file.persist(path).with_context(context)?;
    Ok(())
}
