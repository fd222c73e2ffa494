//! Whether links lead somewhere: to a file or folder of the tree, and to a heading of a page.
//! Links to other hosts are not looked at.

use std::path::Path;

use crate::page::Page;

/// Whether a link leads out of the tree.
pub fn is_external(to: &str) -> bool {
    ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| to.starts_with(scheme))
}

/// The path below the repository's folder that a link of a page leads to, and its anchor; nothing
/// where it leads above the folder.
pub fn target(page: &str, to: &str) -> Option<(String, Option<String>)> {
    let (path, anchor) = match to.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (to, None),
    };
    if path.is_empty() {
        return Some((page.to_owned(), anchor));
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some((parts.join("/"), anchor))
}

/// What is wrong with the links of all pages, a line each.
pub fn problems(root: &Path, pages: &[Page]) -> Vec<String> {
    let mut problems = Vec::new();
    for page in pages {
        for link in page.links.iter().filter(|link| !is_external(&link.to)) {
            if let Some(problem) = problem(root, pages, page, &link.to) {
                problems.push(format!("{}: {problem}", page.at(link.line)));
            }
        }
    }
    problems
}

fn problem(root: &Path, pages: &[Page], page: &Page, to: &str) -> Option<String> {
    if to.starts_with('/') {
        return Some(format!(
            "{to}: a path from the root; accepted: one from the page"
        ));
    }
    let Some((path, anchor)) = target(&page.path, to) else {
        return Some(format!("{to}: leads out of the repository"));
    };
    if !root.join(&path).exists() {
        return Some(format!("{to}: there is no {path}"));
    }
    let anchor = anchor?;
    let headings = &pages.iter().find(|page| page.path == path)?.anchors;
    (!headings.contains(&anchor)).then(|| {
        let all: Vec<&str> = headings.iter().map(String::as_str).collect();
        format!(
            "{to}: {path} has no such heading; accepted: {}",
            all.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_from_its_page() {
        let found = |to| target("pages/a.md", to).map(|(path, _)| path);
        assert_eq!(found("b.md").as_deref(), Some("pages/b.md"));
        assert_eq!(found("../b/").as_deref(), Some("b"));
        assert_eq!(found("#c").as_deref(), Some("pages/a.md"));
        assert_eq!(found("../../b.md"), None);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_said_with_its_line() {
        let root = crate::tree::root();
        let page = |path, text: &str| Page::read(path, text.to_owned());
        let text = "[a](docs/limits.md) [b](no.md)\n[c](#no) [d](/x) [e](../x)\n# Yes\n";
        let pages = [
            page("README.md", text),
            page("SECURITY.md", "[f](README.md#yes) [g](README.md#nope)"),
        ];
        let expected = [
            "README.md:1: no.md: there is no no.md",
            "README.md:2: #no: README.md has no such heading; accepted: yes",
            "README.md:2: /x: a path from the root; accepted: one from the page",
            "README.md:2: ../x: leads out of the repository",
            "SECURITY.md:1: README.md#nope: README.md has no such heading; accepted: yes",
        ];
        assert_eq!(problems(&root, &pages), expected);
    }
}
