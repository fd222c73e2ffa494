use super::*;
use crate::config::{Document, MAX_DOCUMENT_VALUES};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn nested(levels: usize) -> String {
    ["[".repeat(levels), "]".repeat(levels)].concat()
}

#[test]
fn an_entry_that_cannot_be_read_costs_only_itself() {
    let cases = [
        (
            "too large a number",
            r#"{"everyone": {"canary": 1e400}}"#.to_owned(),
            "weights.web: number out of range at line 1 column 29, ignored; accepted: JSON",
        ),
        (
            "half a surrogate pair",
            r#"{"everyone": {"\ud800": 5}}"#.to_owned(),
            "weights.web: unexpected end of hex escape at line 1 column 22, ignored; accepted: JSON",
        ),
        (
            "what no parser bears",
            nested(200_000),
            "weights.web: no room for its 200001 values, ignored; at most 56000 in all, those of small entries first",
        ),
        (
            "deeper than any setting",
            nested(34),
            "weights.web: too deeply nested, ignored; at most 32 levels",
        ),
        (
            "a line end in a text",
            "{\"everyone\n\": {}}".to_owned(),
            "weights.web: control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0, ignored; accepted: JSON",
        ),
        (
            "no JSON at all",
            "{true]".to_owned(),
            "weights.web: key must be a string at line 1 column 2, ignored; accepted: JSON",
        ),
    ];
    for (label, weights, problem) in cases {
        let json = format!(
            r#" {{"weights": {{"a": {{}}, "web": {weights}, "z}}\"": 1}}, "splits": {{"a": {{}}}} }} "#
        );
        let document = Document::read(json.as_bytes()).unwrap();
        let problems: Vec<_> = document.unread.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [problem], "{label}");
        let absent = r#"{"weights": {"a": {}, "z}\"": 1}, "splits": {"a": {}}}"#;
        let absent = Document::read(absent.as_bytes()).unwrap();
        assert_eq!(document.revision, absent.revision, "{label}");
        assert_eq!(document.weights.get("web"), Some(&Value::Null), "{label}");
        assert_eq!(document.weights.get("z}\""), Some(&1.into()), "{label}");
    }
}

#[test]
fn a_name_that_cannot_be_read_costs_only_its_entry() {
    let json = br#"{"draws": {"\udead": "1", "web": "2"}}"#;
    let document = Document::read(json).unwrap();
    let problems: Vec<_> = document.unread.iter().map(ToString::to_string).collect();
    let expected = "draws: a name that is no text, ignored; accepted: JSON";
    assert_eq!(problems, [expected]);
    assert_eq!(document.draws.len(), 1);
}

#[test]
fn whoever_reads_the_same_values_has_the_same_revision() {
    let of_text = |json: &str| Document::read(json.as_bytes()).unwrap().revision;
    let of_value = |json: &str| {
        let value = serde_json::from_str(json).unwrap();
        Document::from_value(value).unwrap().revision
    };
    for levels in [1, 32, 33, 34, 100] {
        let json = format!(r#"{{"weights": {{"web": {}}}}}"#, nested(levels));
        assert_eq!(of_text(&json), of_value(&json), "{levels}");
        let is_absent = of_text(&json) == of_text(r#"{"weights": {}}"#);
        assert_eq!(is_absent, levels > 33, "{levels}");
    }
}

#[test]
fn what_stands_outside_of_entries_must_be_readable() {
    let cases = [
        r#"{"weights": {"web": 1e400}"#,
        r#"{"weights": {"web": 1e400}} {}"#,
        r#"{"weights": {"web": 1e400}, "cookie": 1e400}"#,
        r#"{"weights": {"web": 1e400}, "\ud800": 1}"#,
        r#"{"weights": {"web" 1e400}}"#,
        r#"{"weights": {"web": 1e400,}}"#,
        r#"{"weights": {"web": 1e400}, "version": 2}"#,
        r#"["weights", 1e400]"#,
        "1e400",
        "",
        "\"\\",
    ];
    for json in cases {
        let is_read = fields(json.as_bytes(), size::of_json(json.as_bytes())).is_some();
        assert_eq!(is_read, json.contains("version"), "{json}");
        let unread = Document::read(json.as_bytes());
        assert!(unread.is_err() || json.is_empty(), "{json}");
    }
}

/// The problems of a document and what it is, read as text and as a value: both find the same.
fn read(json: &str) -> Result<(Vec<String>, Document), String> {
    let of_text = Document::read(json.as_bytes()).map_err(|error| error.to_string());
    let of_value = Document::from_value(serde_json::from_str(json).unwrap());
    assert_eq!(of_text, of_value.map_err(|error| error.to_string()));
    let document = of_text?;
    let problems = document.unread.iter().map(ToString::to_string);
    Ok((problems.collect(), document))
}

/// A list of so many values in all.
fn list(values: usize) -> String {
    format!("[{}]", vec!["0"; values - 1].join(","))
}

/// A document with splits of so many values.
fn splits(values: &[usize]) -> String {
    let entry = |(number, values): (usize, &usize)| format!(r#""s{number}":{}"#, list(*values));
    let entries: Vec<String> = values.iter().enumerate().map(entry).collect();
    format!(r#"{{"splits":{{{}}}}}"#, entries.join(","))
}

#[test]
fn entries_that_find_no_room_cost_only_themselves() {
    // The document and its splits are a value each.
    const ROOM: usize = MAX_DOCUMENT_VALUES - 2;
    let cases: &[(&str, &[usize], &[&str])] = &[
        ("as many as there may be", &[ROOM - 10, 10], &[]),
        ("one more", &[ROOM - 10, 11], &["s0"]),
        (
            "nine of nearly 8,192 each",
            &[8_191; 9],
            &["s6", "s7", "s8"],
        ),
        (
            "the first of equal ones have it",
            &[8_193, 5, 8_193, 8_193, 8_193, 8_193, 8_193, 8_193, 8_193],
            &["s7", "s8"],
        ),
        (
            "small ones before large ones",
            &[30_000, 15_000, 10_000, 15_001, 9_000],
            &["s0"],
        ),
        ("one that is too large alone", &[5, ROOM + 1, 7], &["s1"]),
        ("several that are", &[ROOM + 1, 7, ROOM + 2], &["s0", "s2"]),
    ];
    for (label, values, left_out) in cases {
        let (problems, document) = read(&splits(values)).unwrap();
        let expected = left_out.iter().map(|split| {
            let values = values[split[1..].parse::<usize>().unwrap()];
            format!(
                "splits.{split}: no room for its {values} values, ignored; at most 56000 in all, those of small entries first"
            )
        });
        assert_eq!(problems, expected.collect::<Vec<_>>(), "{label}");
        let absent = document.splits.iter().filter(|(_, value)| value.is_null());
        let absent: Vec<_> = absent.map(|(split, _)| split.as_str()).collect();
        assert_eq!(absent, *left_out, "{label}");
    }
}

#[test]
fn an_entry_that_cannot_be_read_takes_no_more_room_than_others() {
    let broken = list(9_000).replace(",0]", ",1e400]");
    let entries: Vec<String> = (0..6)
        .map(|number| format!(r#""s{number}":{}"#, list(8_000)))
        .collect();
    let json = format!(
        r#"{{"splits":{{{}}},"weights":{{"a":{broken}}}}}"#,
        entries.join(",")
    );
    let document = Document::read(json.as_bytes()).unwrap();
    let problems: Vec<_> = document.unread.iter().map(ToString::to_string).collect();
    let expected = "weights.a: no room for its 9000 values, ignored; at most 56000 in all, those of small entries first";
    assert_eq!(problems, [expected]);
    assert!(document.splits.values().all(Value::is_array));
}

#[test]
fn too_many_values_outside_of_entries_are_unreadable() {
    let json = |values| format!(r#"{{"cookie":{},"splits":{{"web":{{}}}}}}"#, list(values));
    let (problems, _) = read(&json(MAX_DOCUMENT_VALUES - 4)).unwrap();
    assert_eq!(problems, [""; 0]);
    let (problems, _) = read(&json(MAX_DOCUMENT_VALUES - 2)).unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let refused = read(&json(MAX_DOCUMENT_VALUES - 1)).unwrap_err();
    assert_eq!(refused, "document: 56003 values; at most 56000");
}

#[test]
fn however_many_entries_are_left_out_few_are_noted() {
    let entries = (0..24_000).map(|number| format!(r#""{number:05}":[0,0]"#));
    let json = format!(
        r#"{{"weights":{{{}}}}}"#,
        entries.collect::<Vec<_>>().join(",")
    );
    let (problems, _) = read(&json).unwrap();
    assert_eq!(problems.len(), MAX_SPLITS + 1);
}
