//! What comments and documents cite is in this repository: pages, their sections, and no design
//! that is kept elsewhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::{Path, PathBuf};

const FOLDERS: [&str; 6] = ["filter", "control", "e2e", "tools", "wasmplugin", "docs"];

/// The notes that this was written from. They are kept elsewhere, so that a reader who is sent to
/// one of them finds nothing; and nothing else tells whether a line does.
const ELSEWHERE: [&str; 3] = ["DESIGN", "ROLLOUTS", "STYLE"];

/// Whether a line cites one of them, or the folder of notes beside them.
fn is_citation_of_elsewhere(line: &str) -> bool {
    let is_cited = |note: &&str| {
        let cited = [format!("{note} section"), format!("{note}.md")];
        cited.iter().any(|cited| line.contains(cited))
    };
    ELSEWHERE.iter().any(is_cited) || line.contains("facts/")
}

/// Every page that a line cites, and the section that follows it in quotes: `docs/x.md, "Y"`.
fn cited(line: &str) -> impl Iterator<Item = (String, Option<&str>)> {
    line.split("docs/").skip(1).filter_map(|rest| {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        let (name, after) = rest.split_at(rest.find(|letter| !is_name(letter))?);
        let after = after.strip_prefix(".md")?;
        let section = after
            .strip_prefix(", \"")
            .and_then(|after| after.split_once('"'));
        let page = format!("docs/{name}.md");
        Some((page, section.map(|(section, _)| section)))
    })
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" {
            files(&path, found);
        }
        let is_text = [".rs", ".md", ".mk", ".yaml", ".toml"];
        if is_text.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

#[test]
fn every_cited_page_and_section_is_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "Makefile"]
        .map(|page| root.join(page))
        .to_vec();
    for folder in FOLDERS {
        files(&root.join(folder), &mut sources);
    }
    let this = Path::new(file!()).file_name();
    sources.retain(|path| path.file_name() != this);
    let mut citations = 0;
    for path in sources {
        for (line, number) in std::fs::read_to_string(&path).unwrap().lines().zip(1..) {
            let at = format!("{}:{number}: {line}", path.display());
            assert!(!is_citation_of_elsewhere(line), "{at}");
            for (page, section) in cited(line) {
                citations += 1;
                let text = std::fs::read_to_string(root.join(&page)).unwrap_or_default();
                assert!(!text.is_empty(), "{at}: there is no {page}");
                let is_there = |section: &str| text.contains(&format!("\n## {section}\n"));
                assert!(section.is_none_or(is_there), "{at}: no such section");
            }
        }
    }
    assert!(citations > 10, "{citations} citations were read");
}

/// What stands in `code` on a page, and the commands that are indented there.
fn code(page: &str) -> impl Iterator<Item = &str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let indented = page.lines().filter_map(|line| line.strip_prefix("    "));
    quoted.chain(indented.filter_map(|line| line.split('#').next()))
}

#[test]
fn what_the_page_for_contributors_names_is_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut makefiles = vec![root.join("Makefile")];
    files(&root.join("tools"), &mut makefiles);
    makefiles.retain(|path| {
        path.ends_with("Makefile") || path.extension().is_some_and(|end| end == "mk")
    });
    let makefiles: String = makefiles.iter().map(|path| read(path)).collect();
    let page = read(&root.join("CONTRIBUTING.md"));
    let mut known = 0;
    for code in code(&page) {
        let words: Vec<&str> = code.split_whitespace().collect();
        match words[..] {
            ["make", ref rest @ ..] => {
                for target in rest.iter().filter(|word| !word.contains('=')) {
                    let is_there = makefiles.contains(&format!("\n{target}:"));
                    assert!(is_there, "CONTRIBUTING.md: there is no `make {target}`");
                    known += 1;
                }
            }
            ["cargo", "test", ref rest @ ..] => {
                for pair in rest.windows(2).filter(|pair| pair[0] == "--test") {
                    let test = root.join(format!("control/tests/{}.rs", pair[1]));
                    let is_there = test.exists();
                    assert!(is_there, "CONTRIBUTING.md: {} is not there", test.display());
                    known += 1;
                }
            }
            [path] if path.contains('/') && !path.starts_with('/') => {
                let is_there = root.join(path).exists();
                assert!(is_there, "CONTRIBUTING.md: {path} is not there");
                known += 1;
            }
            _ => {}
        }
    }
    assert!(known > 50, "{known} paths and commands were read");
}
