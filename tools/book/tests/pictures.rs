//! Each picture of docs/pictures is the one that is drawn from the text beside it (`make pictures`
//! draws them), and stands on a page with words for who cannot see it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::collections::BTreeSet;

use sluice_book::{picture, tree};

fn names(ending: &str) -> BTreeSet<String> {
    let folder = std::fs::read_dir(tree::root().join("docs/pictures")).unwrap();
    folder
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            name.strip_suffix(ending).map(str::to_owned)
        })
        .collect()
}

#[test]
fn every_picture_is_drawn_from_its_text() {
    let texts = names(".txt");
    assert!(texts.len() >= 6, "{texts:?}");
    for name in &texts {
        let source = format!("docs/pictures/{name}.txt");
        let text = std::fs::read_to_string(tree::root().join(&source)).unwrap();
        let picture = picture::read(&text).unwrap_or_else(|error| panic!("{source}: {error}"));
        let drawn = picture::svg(&picture, &source);
        let path = tree::root().join(format!("docs/pictures/{name}.svg"));
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(&path, &drawn).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == drawn,
            "{name}.svg is not what {source} says; `make pictures` draws it"
        );
    }
    assert_eq!(names(".svg"), texts, "an SVG has no text, or a text no SVG");
}

#[test]
fn every_picture_stands_on_a_page_and_is_described_there() {
    let mut shown = BTreeSet::new();
    for page in tree::pages(&tree::root()).unwrap() {
        for link in page.links.iter().filter(|link| link.to.ends_with(".svg")) {
            let words = &page.text[link.shown.clone()];
            assert!(
                words.len() > 10,
                "{}: says nothing of it",
                page.at(link.line)
            );
            let name = link.to.rsplit('/').next().unwrap().trim_end_matches(".svg");
            shown.insert(name.to_owned());
        }
    }
    assert_eq!(shown, names(".svg"));
}

#[test]
fn what_cannot_be_drawn_is_said_with_its_line() {
    let head = "title t\ndesc d\nsize 100 100\n";
    let rows = [
        (
            "circle 1 2",
            "line 4: \"circle\" is nothing that is drawn; \
             accepted: title, desc, size, box, arrow, text, line, bar, dot",
        ),
        (
            "box a 0 0 40 30 plain too many words",
            "line 4: \"too many words\" does not fit into 40 pixels",
        ),
        (
            "box a 0 0 90 30 red a",
            "line 4: \"red\" is no filling; accepted: plain, sluice, stable, canary, bad",
        ),
        ("arrow a.left b.right", "line 4: there is no box \"a\""),
        (
            "text 90 50 start small words",
            "line 4: reaches 122,50, outside of 100 by 100 pixels",
        ),
        ("dot x 1 plain", "line 4: \"x\" is no number of pixels"),
    ];
    for (line, expected) in rows {
        let error = picture::read(&format!("{head}{line}\n")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let error = picture::read("title t\n").unwrap_err();
    assert_eq!(error.to_string(), "line 1: title, desc or size is missing");
}
