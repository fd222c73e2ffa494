//! `decide()` so many times over one scenario; `make bench` counts its instructions under valgrind.
//!
//! Usage: `decide SCENARIO ITERATIONS`. The difference between two numbers of iterations is free of
//! start-up.

use std::borrow::Cow;
use std::hint::black_box;

use serde_json::{Value, json};
use sluice_core::config::Document;
use sluice_core::decide::decide;
use sluice_core::plan::{Node, Plan};
use sluice_core::request::{Bytes, Request};

struct Fixed {
    host: &'static str,
    cookie: &'static str,
}

impl Request for Fixed {
    fn authority(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.host.as_bytes()))
    }
    fn path(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(b"/shop?beta=1"))
    }
    fn header(&self, name: &str) -> Option<Bytes<'_>> {
        (name == "cookie").then_some(Cow::Borrowed(self.cookie.as_bytes()))
    }
    fn random(&self) -> Option<[u8; 16]> {
        Some([7; 16])
    }
}

const COOKIES: &str = "_ga=GA1.2.1234; theme=dark; email=joe@some-company-name.com; __Host-sluice=AAECAwQFBgcICQoLDA0ODw; lang=en";

fn split(number: usize) -> Value {
    let regex = format!("[^@]+@some-company-name{}\\.com", number % 10);
    json!({
        "hosts": [format!("host{number}.example.com")],
        "rules": [{"name": "staff", "match": [{"cookies": {"email": {"regex": regex.replace("name0", "name")}}}]}],
    })
}

fn config(splits: usize) -> Value {
    let name = |number: usize| format!("s{number}");
    let named: serde_json::Map<_, _> = (0..splits)
        .map(|number| (name(number), split(number)))
        .collect();
    let weights: serde_json::Map<_, _> = (0..splits)
        .map(|number| {
            (
                name(number),
                json!({"staff": {"canary": 50}, "everyone": {"canary": 5}}),
            )
        })
        .collect();
    json!({"splits": named, "weights": weights})
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [scenario, iterations] = arguments.as_slice() else {
        println!(
            "usage: decide {{email-rule|thousand-splits|newcomer|classic-rule|other-host}} ITERATIONS"
        );
        return;
    };
    let mut config = config(if scenario == "thousand-splits" {
        1_000
    } else {
        1
    });
    if scenario == "classic-rule" {
        let regex = r"^(.*?;\s*)?(email=[^;]*@some-company-name\.com)(;.*)?$";
        config["splits"]["s0"]["rules"][0]["match"] =
            json!([{"headers": {"cookie": {"regex": regex}}}]);
    }
    let request = match scenario.as_str() {
        "newcomer" => Fixed {
            host: "host0.example.com",
            cookie: "theme=dark",
        },
        "other-host" => Fixed {
            host: "other.example.com",
            cookie: COOKIES,
        },
        _ => Fixed {
            host: "host0.example.com:8443",
            cookie: COOKIES,
        },
    };
    let document = Document::from_value(config).unwrap_or_default();
    let plan = Plan::build(&document, &Node::default(), None);
    for _ in 0..iterations.parse::<u64>().unwrap_or(0) {
        black_box(decide(&plan, black_box(&request)));
    }
}
