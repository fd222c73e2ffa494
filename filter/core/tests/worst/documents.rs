//! Documents that cost as much as documents can: each kind as large as it may be.

use serde_json::{Map, Value, json};

/// The most bytes of a document.
const BYTES: usize = sluice_core::config::MAX_DOCUMENT_BYTES;

/// Every document, with what it is made of.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let regex = |pattern: String| json!({"paths": [{"regex": pattern}]});
    let hosts = |number: usize, name: fn(usize, usize) -> String| {
        move |split: usize| {
            let hosts: Vec<String> = (0..number).map(|host| name(split, host)).collect();
            json!({ "hosts": hosts })
        }
    };
    vec![
        (
            "64 hosts a split",
            splits(hosts(64, |split, host| format!("{split:x}.{host:x}"))),
        ),
        (
            "a wildcard for each",
            splits(hosts(64, |split, host| format!("*.{split:x}.{host:x}"))),
        ),
        (
            "the same 64 hosts in all",
            splits(hosts(64, |_, host| format!("{host:x}"))),
        ),
        (
            "deep names",
            splits(hosts(64, |split, host| {
                format!("{}{split:x}.{host:x}", "a.".repeat(118))
            })),
        ),
        (
            "deep wildcards",
            splits(hosts(8, |split, host| {
                format!("*.{}{split:x}.{host:x}", "a.".repeat(118))
            })),
        ),
        (
            "hosts and no hosts",
            splits(|split| match split % 2 {
                0 => json!({}),
                _ => json!({"hosts": [format!("{split:x}")], "header": "x-same"}),
            }),
        ),
        (
            "services",
            splits(|split| {
                let services: Vec<String> =
                    (0..64).map(|name| format!("{split:x}.{name:x}")).collect();
                json!({ "services": services })
            }),
        ),
        (
            "tables",
            splits(move |split| regex(format!("(a|b){{250}}c{{{split}}}|x"))),
        ),
        (
            "tables of many classes",
            splits(move |split| {
                regex(format!(
                    "(?:[a-f]|[b-g]|[c-h]|[d-i]|[e-j]|[f-k]|[g-l]|m.*n.*o{{{split}}})*!"
                ))
            }),
        ),
        (
            "tables that grow too large",
            splits(move |split| regex(format!(".*a.{{{}}}!", 100 + split))),
        ),
        (
            "tables that grow together",
            splits(move |split| regex(format!(".*a.{{8}}!{split}"))),
        ),
        (
            "groups",
            splits(move |split| {
                regex(format!(
                    "{}a{}{{{split}}}|b",
                    "(".repeat(200),
                    ")".repeat(200)
                ))
            }),
        ),
        (
            "long expressions",
            splits(move |split| regex(format!("{}{split}", "[ab]".repeat(255)))),
        ),
        (
            "nothing a billion times",
            splits(move |split| regex(format!("(?:(?:(?:a?b?){{1000}}){{1000}}){{1000}}{split}"))),
        ),
        (
            "letters of either case",
            splits(move |split| regex(format!("(?i:{}|{split})", "abcdefghij".repeat(50)))),
        ),
        (
            "long lists",
            splits(|split| {
                let values: Vec<String> = (0..10_000).map(|value| format!("{value}")).collect();
                json!({"paths": [{"in": values}], "salt": split.to_string()})
            }),
        ),
        (
            "many rules",
            splits(|_| {
                let rules: Vec<Value> = (0..64).map(|rule| json!({"name": format!("r{rule}"), "match": [{"cookies": {"a": {"exact": ""}}}]})).collect();
                json!({ "rules": rules })
            }),
        ),
        (
            "many weights",
            whole(|text| {
                let rules: Vec<Value> = (0..64).map(|rule| json!({"name": format!("r{rule}"), "match": [{"cookies": {"a": {"exact": ""}}}]})).collect();
                let variants = ["a", "b", "c", "d", "e", "f", "g", "h"];
                let weights: Map<String, Value> = (0..64)
                    .map(|rule| {
                        (
                            format!("r{rule}"),
                            json!({"b": 9, "c": 9, "d": 9, "e": 9, "f": 9, "g": 9, "h": 9}),
                        )
                    })
                    .collect();
                let names = 0..48;
                let all: Map<String, Value> = names
                    .clone()
                    .map(|name| {
                        (
                            format!("s{name}"),
                            json!({"variants": variants, "rules": rules}),
                        )
                    })
                    .collect();
                let weights: Map<String, Value> = names
                    .map(|name| (format!("s{name}"), json!(weights)))
                    .collect();
                text.push_str(&json!({"splits": all, "weights": weights}).to_string());
            }),
        ),
        (
            "unknown fields",
            splits(|split| {
                Value::Object(
                    (0..600)
                        .map(|name| (format!("{split:x}{name:x}"), json!(0)))
                        .collect(),
                )
            }),
        ),
        (
            "unknown fields of the document",
            whole(|text| fill(text, '{', '}', |number| format!("\"{number:x}\":0"))),
        ),
        ("no sources", splits(|_| json!({"identity": vec![0; 600]}))),
        ("no hosts", splits(|_| json!({"hosts": vec![0; 600]}))),
        ("no names", splits(|_| json!({"variants": vec!["A"; 600]}))),
        (
            "weights of nobody",
            whole(|text| {
                text.push_str(r#"{"splits":{"a":{}},"weights":"#);
                fill(text, '{', '}', |number| format!("\"{number:x}\":0"));
                text.push('}');
            }),
        ),
        (
            "audiences of nobody",
            whole(|text| {
                let rules: Vec<Value> = (0..64).map(|rule| json!({"name": format!("{}{rule:02}", "r".repeat(61)), "match": [{"cookies": {"a": {"exact": ""}}}]})).collect();
                text.push_str(&format!(
                    r#"{{"splits":{{"a":{}}},"weights":{{"a":"#,
                    json!({ "rules": rules })
                ));
                fill(text, '{', '}', |number| format!("\"{number:x}\":{{}}"));
                text.push_str("}}");
            }),
        ),
        (
            "maps",
            whole(|text| {
                text.push_str(r#"{"splits":{"a":"#);
                fill(text, '[', ']', |_| r#"{"":0}"#.to_owned());
                text.push_str("}}");
            }),
        ),
        (
            "maps in maps",
            whole(|text| {
                text.push_str(r#"{"splits":{"a":"#);
                fill(text, '[', ']', |_| {
                    r#"{"":{"":{"":{"":{"":{"":0}}}}}}"#.to_owned()
                });
                text.push_str("}}");
            }),
        ),
        (
            "maps as deep as they may be",
            whole(|text| {
                text.push_str(r#"{"splits":{"a":"#);
                fill(text, '[', ']', |_| deep_maps(31));
                text.push_str("}}");
            }),
        ),
        (
            "deep maps in small entries, and no room for a large one",
            whole(|text| {
                let large = format!("[{}]", vec!["0"; 80_000].join(","));
                text.push_str(&format!(r#"{{"splits":{{"a":{large}}},"weights":"#));
                fill(text, '{', '}', |number| {
                    format!("\"{number:x}\":{}", deep_maps(31))
                });
                text.push('}');
            }),
        ),
        (
            "no room for thousands of entries",
            whole(|text| {
                let entries = (0..34_000).map(|number| format!("\"{number:x}\":[0,0]"));
                let entries: Vec<String> = entries.collect();
                text.push_str(&format!(r#"{{"weights":{{{}}}}}"#, entries.join(",")));
            }),
        ),
        (
            "lists in lists",
            whole(|text| {
                text.push_str(r#"{"splits":{"a":"#);
                fill(text, '[', ']', |_| {
                    format!("{}{}", "[".repeat(20), "]".repeat(20))
                });
                text.push_str("}}");
            }),
        ),
        (
            "huge numbers",
            whole(|text| {
                text.push_str(r#"{"splits":{"a":"#);
                fill(text, '[', ']', |_| "1e300".to_owned());
                text.push_str("}}");
            }),
        ),
        (
            "numbers that cannot be read",
            whole(|text| {
                text.push_str(r#"{"splits":{"a":{}},"weights":"#);
                fill(text, '{', '}', |number| format!("\"{number:x}\":1e999"));
                text.push('}');
            }),
        ),
        ("escapes", splits(|_| json!({"salt": "\u{1}".repeat(80)}))),
        (
            "a long name over a long list",
            whole(|text| {
                let name = "a".repeat(BYTES / 2);
                text.push_str(&format!(r#"{{"splits":{{"{name}":{{"hosts":"#));
                fill(text, '[', ']', |_| "\"a b\"".to_owned());
                text.push_str("}}}");
            }),
        ),
        (
            "a long name under the weights",
            whole(|text| {
                let name = "a".repeat(BYTES / 2);
                text.push_str(&format!(
                    r#"{{"splits":{{"a":{{}}}},"weights":{{"{name}":{{"{}":"#,
                    "b".repeat(1_000)
                ));
                fill(text, '{', '}', |number| format!("\"{number:x}\":-1"));
                text.push_str("}}}");
            }),
        ),
        (
            "the same name again and again",
            whole(|text| {
                text.push_str(r#"{"splits":"#);
                fill(text, '{', '}', |_| r#""a":{"hosts":["a.org"]}"#.to_owned());
                text.push('}');
            }),
        ),
    ]
}

/// Maps inside each other.
fn deep_maps(levels: usize) -> String {
    format!("{}0{}", r#"{"":"#.repeat(levels), "}".repeat(levels))
}

/// A thousand splits, or as many as a document has room for.
fn splits(split: impl Fn(usize) -> Value) -> Vec<u8> {
    whole(|text| {
        text.push_str(r#"{"splits":"#);
        let mut number = 0;
        fill_while(text, '{', '}', |_| {
            number += 1;
            (number <= 1_000).then(|| format!("\"s{number}\":{}", split(number)))
        });
        text.push('}');
    })
}

fn whole(write: impl FnOnce(&mut String)) -> Vec<u8> {
    let mut text = String::new();
    write(&mut text);
    assert!(text.len() <= BYTES, "{} bytes", text.len());
    text.into_bytes()
}

/// As many items as there may be values, and as the document has room for.
fn fill(text: &mut String, open: char, close: char, item: impl Fn(usize) -> String) {
    fill_while(text, open, close, |number| Some(item(number)));
}

fn fill_while(
    text: &mut String,
    open: char,
    close: char,
    mut item: impl FnMut(usize) -> Option<String>,
) {
    let mut values = sluice_core::config::MAX_DOCUMENT_VALUES - 3_000;
    text.push(open);
    for number in 0.. {
        let Some(item) = item(number) else {
            break;
        };
        let own = item.matches([',', '[', '{']).count() + 1;
        if own > values || text.len() + item.len() + 1_000 > BYTES {
            break;
        }
        values -= own;
        if number > 0 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(close);
}
