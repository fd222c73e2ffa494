//! Where the pages are: every Markdown file of the tree. And those of other endings, for tests that read
//! all of a kind.

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
    files(root, ".md")?
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path)?;
            let below = path.strip_prefix(root).unwrap_or(&path);
            Ok(Page::read(&below.to_string_lossy(), text))
        })
        .collect()
}

/// Every file below a folder whose name ends so, in the order of their paths, which begin with the
/// folder's.
///
/// # Errors
/// Where a folder cannot be read.
pub fn files(folder: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(folder, ending, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        // A link may lead out of the tree.
        let kind = entry.file_type()?;
        if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) {
            walk(&entry.path(), ending, found)?;
        } else if kind.is_file() && name.to_string_lossy().ends_with(ending) {
            found.push(entry.path());
        }
    }
    Ok(())
}
