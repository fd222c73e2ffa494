//! The most that one request may cost a worker: configurations that `sluice validate` accepts, each
//! with the requests that are worst for it; and one with as many splits on the host as there may be.
//!
//! Sixteen splits apply to the host, as many as may. What Envoy itself pays for such requests is
//! taken off: an Envoy without the filter gets the same ones.

use std::path::Path;

use serde_json::{Map, Value, json};
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};
use sluice_core::revision::canonical;

use crate::competitors::{Routes, start, turn_of, wasm};
use crate::statistics::quantile;

/// How many splits may apply to one host.
const SPLITS: usize = 16;

/// One way to make the filter work.
struct Worst {
    name: &'static str,
    config: Value,
    /// The host of its request.
    host: &'static str,
    /// The headers of its request.
    headers: Vec<(String, String)>,
    /// How many problems it has: splits that find no place on the host.
    problems: usize,
}

/// Measures each, and prints the table.
pub(crate) async fn worst_requests(folder: &Path, module: &Path, wrk: &Path, rounds: usize) {
    println!(
        "\n| worst request | with the filter | without | the filter's part |\n|---|---|---|---|"
    );
    let all = [
        expressions(),
        header_names(),
        cookies(),
        identities(),
        crowd(),
    ];
    for worst in all {
        let document = Document::from_value(worst.config.clone()).unwrap();
        let plan = Plan::build(&document, &Node::default(), None);
        assert_eq!(plan.number_of_problems(), worst.problems, "{}", worst.name);
        let filter = vec![wasm(module, &canonical(&worst.config))];
        let with = start(folder, worst.name, filter, 1, Routes::Header).await;
        let without = start(folder, "without", vec![], 1, Routes::Header).await;
        let script = script(worst.host, &worst.headers);
        let mut added = Vec::new();
        let (mut whole, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            whole.push(turn_of(wrk, folder, &with, &script) / 1e3);
            plain.push(turn_of(wrk, folder, &without, &script) / 1e3);
        }
        added.extend(whole.iter().zip(&plain).map(|(whole, plain)| whole - plain));
        println!(
            "| {} | {:.3} ms | {:.3} ms | {:.3} ms (worst round {:.3}) |",
            worst.name,
            quantile(&whole, 0.5),
            quantile(&plain, 0.5),
            quantile(&added, 0.5),
            quantile(&added, 1.0),
        );
    }
}

fn script(host: &str, headers: &[(String, String)]) -> String {
    let fields: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("['{name}'] = '{value}'"))
        .collect();
    format!(
        "local made\nrequest = function()\n  made = made or wrk.format('GET', '/', {{['Host'] = '{host}', {}}})\n  return made\nend\n",
        fields.join(", ")
    )
}

/// Splits that differ in what `fields` gives for their number.
fn splits(fields: impl Fn(usize) -> Value) -> Value {
    let named = |number: usize| (format!("s{number:02}"), fields(number));
    let weights = |number: usize| (format!("s{number:02}"), json!({"everyone": {"canary": 50}}));
    json!({
        "splits": (0..SPLITS).map(named).collect::<Map<_, _>>(),
        "weights": (0..SPLITS).map(weights).collect::<Map<_, _>>(),
    })
}

/// Rules, each with one condition on what `condition` says.
fn rules(number: usize, condition: impl Fn(usize) -> Value) -> Vec<Value> {
    let rule = |place: usize| json!({"name": format!("r{place}"), "match": [condition(place)]});
    (0..number).map(rule).collect()
}

/// Every split has its own expressions for headers as long as an expression is given.
fn expressions() -> Worst {
    let condition = |split: usize| {
        move |place: usize| {
            let regex = format!("([a-z]+,?)+!{split}x{place}");
            json!({"headers": {(format!("x-long-{}", place % 6)): {"regex": regex}}})
        }
    };
    let header = |number: usize| (format!("x-long-{number}"), "abcdefg,".repeat(1_020));
    Worst {
        name: "expressions on six headers of 8 KiB",
        config: splits(
            |split| json!({"rules": rules(12, condition(split)), "identity": [{"header": "x-long-0"}]}),
        ),
        headers: (0..6).map(header).collect(),
        host: "a",
        problems: 0,
    }
}

/// Every split asks for headers of its own, none of which is there.
fn header_names() -> Worst {
    let condition = |split: usize| move |place: usize| json!({"headers": {(format!("x-{split}-{place}")): {"exact": "y"}}});
    Worst {
        name: "a thousand header names",
        config: splits(|split| json!({"rules": rules(64, condition(split))})),
        headers: vec![("x-user".to_owned(), "a".to_owned())],
        host: "a",
        problems: 0,
    }
}

/// Every split asks for cookies of its own, in a header as long as it is read.
fn cookies() -> Worst {
    let condition = |split: usize| move |place: usize| json!({"cookies": {(format!("c{split}-{place}")): {"exact": "y"}}});
    let pairs: Vec<String> = (0..180)
        .map(|number| format!("n{number}={}", "v".repeat(170)))
        .collect();
    Worst {
        name: "a thousand cookie names, 180 cookies of 32 KiB",
        config: splits(
            |split| json!({"rules": rules(64, condition(split)), "identity": [{"cookie": "n179"}]}),
        ),
        headers: vec![("cookie".to_owned(), pairs.join("; "))],
        host: "a",
        problems: 0,
    }
}

/// Every split has as many sources as it may, and the last gives a long value to be hashed.
fn identities() -> Worst {
    let sources = |split: usize| {
        let absent = (0..7).map(|place| json!({"header": format!("x-{split}-{place}")}));
        absent
            .chain([json!({"header": "x-long"})])
            .collect::<Vec<Value>>()
    };
    Worst {
        name: "eight sources a split, the last of 8 KiB",
        config: splits(|split| json!({"identity": sources(split)})),
        headers: vec![("x-long".to_owned(), "i".repeat(8 * 1024))],
        host: "a",
        problems: 0,
    }
}

/// A thousand splits name the same wildcards inside each other, of which sixteen have the most to
/// do, and the request has as many headers as Envoy takes: those of splits without a place.
fn crowd() -> Worst {
    const LEFT_OUT: usize = 984;
    let mut worst = expressions();
    let hosts: Vec<String> = (1..=8)
        .map(|level| format!("*.{}", vec!["a"; level].join(".")))
        .collect();
    let splits = worst.config["splits"].as_object_mut().expect("splits");
    for split in splits.values_mut() {
        split["hosts"] = json!(hosts);
    }
    let crowded = (0..LEFT_OUT).map(|number| (format!("t{number:03}"), json!({"hosts": hosts})));
    splits.extend(crowded);
    let own = 85;
    let of_crowd = |number: usize| {
        (
            format!("x-sluice-t{:03}", LEFT_OUT - 1 - number),
            "canary".to_owned(),
        )
    };
    worst.headers.extend((0..own).map(of_crowd));
    Worst {
        name: "expressions on six headers of 8 KiB, and a thousand splits of a host",
        host: "a.a.a.a.a.a.a.a.a:x.a.a.a.a.a.a.a.a.a:80",
        problems: LEFT_OUT,
        ..worst
    }
}
