//! The folder that mdBook makes the book of, and whether every link of the book leads somewhere.
//!
//! Pages keep their places in the tree, so that a link which leads somewhere in a Git host's view
//! does in the book: the folder is a copy of every page of the summary, of every file that they
//! link to, and of the summary with links from above `docs/`. mdBook shows no folders: a link to one
//! leads to its README.md where it has one that is in the book, and is only its words otherwise.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::links::{is_external, target};
use crate::page::Page;
use crate::tree;

/// The page that says what is in the book.
pub const SUMMARY: &str = "docs/SUMMARY.md";

/// The summary as mdBook is given it: with links from the folder that `docs/` lies in, and with the
/// pages of each folder that it names below that folder's line.
///
/// # Errors
/// Where the summary, or a page of such a folder, cannot be read.
pub fn summary(root: &Path) -> anyhow::Result<Page> {
    let written = page(root, SUMMARY)?;
    let mut replaced = Vec::new();
    for link in &written.links {
        let Some((path, _)) = target(SUMMARY, &link.to) else {
            bail!(
                "{}: {} leads out of the repository",
                written.at(link.line),
                link.to
            );
        };
        let shown = &written.text[link.shown.clone()];
        let new = if root.join(&path).is_dir() {
            folder(root, shown, &path)?
        } else {
            format!("[{shown}]({path})")
        };
        replaced.push((link.range.clone(), new));
    }
    Ok(Page::read(
        "SUMMARY.md",
        replaced_in(&written.text, replaced),
    ))
}

/// A folder's line: its README.md, or nothing to read where it has none, and its pages below.
fn folder(root: &Path, shown: &str, folder: &str) -> anyhow::Result<String> {
    let prefix = format!("{folder}/");
    let readme = format!("{prefix}README.md");
    let pages = tree::pages(&root.join(folder)).with_context(|| folder.to_owned())?;
    let paths: Vec<String> = pages
        .iter()
        .map(|page| format!("{prefix}{}", page.path))
        .collect();
    let own = if paths.contains(&readme) {
        readme.as_str()
    } else {
        ""
    };
    let mut text = format!("[{shown}]({own})");
    for (page, path) in pages
        .iter()
        .zip(&paths)
        .filter(|(_, path)| *path != &readme)
    {
        // A page of a folder's folder stands below that folder's own.
        let above = path.trim_end_matches("/README.md").rsplit_once('/');
        let above = above.map(|(above, _)| format!("{above}/README.md"));
        let is_deep = above.is_some_and(|above| above != readme && paths.contains(&above));
        let indent = if is_deep { "    " } else { "  " };
        text += &format!("\n{indent}- [{}]({path})", page.title());
    }
    Ok(text)
}

/// The paths of the summary's pages, below the repository's folder.
pub fn chapters(summary: &Page) -> Vec<String> {
    let links = summary.links.iter().filter(|link| !link.to.is_empty());
    links.map(|link| link.to.clone()).collect()
}

/// Writes the folder for mdBook: `book.toml`, and the pages in `src`.
///
/// # Errors
/// Where a page of the book links to a page that is not in it, or a file cannot be read or written.
pub fn lay_out(root: &Path, folder: &Path) -> anyhow::Result<()> {
    let sources = folder.join("src");
    let summary = summary(root)?;
    let chapters: BTreeSet<String> = chapters(&summary).into_iter().collect();
    write(
        &sources.join("SUMMARY.md"),
        indexed(&summary.text).as_bytes(),
    )?;
    write(
        &folder.join("book.toml"),
        &read(&root.join("docs/book.toml"))?,
    )?;
    let mut files = BTreeSet::new();
    for chapter in &chapters {
        let page = page(root, chapter)?;
        let text = for_book(root, &page, &chapters, &mut files)?;
        write(&sources.join(indexed(chapter)), text.as_bytes())?;
    }
    for file in files {
        write(&sources.join(&file), &read(&root.join(&file))?)?;
    }
    Ok(())
}

/// A folder's page under the name that a web server shows for the folder.
fn indexed(text: &str) -> String {
    text.replace("README.md", "index.md")
}

fn page(root: &Path, path: &str) -> anyhow::Result<Page> {
    let text = String::from_utf8(read(&root.join(path))?).context(path.to_owned())?;
    Ok(Page::read(path, text))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    std::fs::create_dir_all(path.parent().unwrap_or(path)).with_context(name)?;
    std::fs::write(path, bytes).with_context(name)
}

/// A page as mdBook is given it; the files that it links to are added to `files`.
fn for_book(
    root: &Path,
    page: &Page,
    chapters: &BTreeSet<String>,
    files: &mut BTreeSet<String>,
) -> anyhow::Result<String> {
    let mut replaced = Vec::new();
    for link in page.links.iter().filter(|link| !is_external(&link.to)) {
        let Some((path, _)) = target(&page.path, &link.to) else {
            bail!(
                "{}: {} leads out of the repository",
                page.at(link.line),
                link.to
            );
        };
        let readme = format!("{path}/README.md");
        let shown = &page.text[link.shown.clone()];
        if root.join(&path).is_dir() {
            let new = if chapters.contains(&readme) {
                format!("[{shown}]({}/index.md)", link.to.trim_end_matches('/'))
            } else {
                shown.to_owned()
            };
            replaced.push((link.range.clone(), new));
        } else if !path.ends_with(".md") {
            files.insert(path);
        } else if !chapters.contains(&path) {
            bail!("{}: {path} is not in {SUMMARY}", page.at(link.line));
        } else if path.ends_with("README.md") {
            let new = format!("[{shown}]({})", indexed(&link.to));
            replaced.push((link.range.clone(), new));
        }
    }
    Ok(replaced_in(&page.text, replaced))
}

fn replaced_in(text: &str, replaced: Vec<(std::ops::Range<usize>, String)>) -> String {
    let mut text = text.to_owned();
    for (range, new) in replaced.into_iter().rev() {
        text.replace_range(range, &new);
    }
    text
}

/// What of the built book leads nowhere, a line each: files that pages link to, and anchors.
///
/// # Errors
/// Where a file of the book cannot be read.
pub fn dead_ends(book: &Path) -> anyhow::Result<Vec<String>> {
    let mut pages = Vec::new();
    html(book, &mut pages)?;
    let mut found = BTreeSet::new();
    for path in &pages {
        let name = path
            .strip_prefix(book)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        for to in values(&text, " href=\"").chain(values(&text, " src=\"")) {
            if is_external(to) || to.starts_with("data:") {
                continue;
            }
            let Some((path, anchor)) = target(&name, to) else {
                found.insert(format!("{name}: {to} leads out of the book"));
                continue;
            };
            let Ok(text) = std::fs::read(book.join(&path)) else {
                found.insert(format!("{name}: {to}: there is no {path}"));
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            let is_there = |anchor: &String| text.contains(&format!("id=\"{anchor}\""));
            if anchor.is_some_and(|anchor| !anchor.is_empty() && !is_there(&anchor)) {
                found.insert(format!("{name}: {to}: {path} has no such anchor"));
            }
        }
    }
    if pages.is_empty() {
        bail!("{}: no page", book.display());
    }
    Ok(found.into_iter().collect())
}

fn html(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            html(&path, found)?;
        // The page for what is not found is shown at any address, so its links are from the root.
        } else if path.extension().is_some_and(|ending| ending == "html")
            && !path.ends_with("404.html")
        {
            found.push(path);
        }
    }
    Ok(())
}

/// The values of an attribute.
fn values<'a>(text: &'a str, attribute: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(attribute)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
}
