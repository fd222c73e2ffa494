//! Where the pages are: every Markdown file of the tree.

use std::io;
use std::path::{Path, PathBuf};

use crate::page::Page;

/// Folders of any depth that hold nothing of ours.
const FOREIGN: [&str; 4] = ["target", "node_modules", ".git", ".mirror"];

/// The repository's folder, as it was when this was compiled.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page below a folder, in the order of their paths, which are relative to it.
///
/// # Errors
/// Where a folder or a file cannot be read.
pub fn pages(root: &Path) -> io::Result<Vec<Page>> {
    let mut paths = Vec::new();
    files(root, &mut paths)?;
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path)?;
            let below = path.strip_prefix(root).unwrap_or(&path);
            Ok(Page::read(&below.to_string_lossy(), text))
        })
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        // A link may lead out of the tree.
        let kind = entry.file_type()?;
        if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) {
            files(&entry.path(), found)?;
        } else if kind.is_file() && name.to_string_lossy().ends_with(".md") {
            found.push(entry.path());
        }
    }
    Ok(())
}
