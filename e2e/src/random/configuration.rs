//! Configurations as teams write them, mistakes among them.

use serde_json::{Map, Value, json};

use super::Random;
use super::request::CLAIMS;

const NAMES: [&str; 6] = ["api", "b-c", "shop", "web", "z9", "a"];

const HOSTS: [&str; 7] = [
    "shop.example.com",
    "*.example.com",
    "example.com",
    "Shop.Example.com.",
    "[::1]",
    "a.org",
    "no host",
];

const SERVICES: [&str; 4] = ["web.shop", "api.shop", "web.other", "nonsense"];

const HEADERS: [&str; 5] = ["x-app", "user-agent", "x-user-id", "cookie", "content-type"];

/// A configuration. `number` tells it from the one before it, so that Envoy takes it as another one.
pub fn configuration(random: &mut Random, number: usize) -> Value {
    let many = random.one_in(8);
    let mut splits = Map::new();
    for _ in 0..1 + random.below(5) {
        splits.insert(random.pick(&NAMES).to_owned(), split(random));
    }
    // More than a host has places for.
    for number in 0..if many { 12 + random.below(12) } else { 0 } {
        splits.insert(
            format!("many-{number:02}"),
            json!({"identity": [{"header": "x-user-id"}]}),
        );
    }
    let mut weights = Map::new();
    let mut draws = Map::new();
    for (name, split) in &splits {
        if !random.one_in(6) {
            weights.insert(name.clone(), self::weights(random, split));
        }
        if random.one_in(4) {
            draws.insert(name.clone(), json!(random.pick(&["1", "2026-11-23"])));
        }
    }
    // Of no split, so a problem; and what makes this configuration another one than the last.
    draws.insert("none".to_owned(), json!(number.to_string()));
    let mut config = json!({"splits": splits, "weights": weights, "draws": draws});
    if !random.one_in(4) {
        config["cookie"] = cookie(random);
    }
    if random.one_in(3) {
        config["responseMetrics"] = json!(true);
    }
    config
}

fn split(random: &mut Random) -> Value {
    let mut split = json!({});
    if random.one_in(2) {
        split["hosts"] = json!(random.some(3, &HOSTS[..6]));
    }
    if random.one_in(3) {
        split["services"] = json!(random.some(2, &SERVICES[..3]));
    }
    if random.one_in(3) {
        split["paths"] = json!(random.some(2, &paths()));
    }
    if random.one_in(3) {
        let variants: [&[&str]; 3] = [
            &["stable", "canary", "blue"],
            &["old", "new"],
            &["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"],
        ];
        split["variants"] = json!(random.pick(&variants));
    }
    if random.one_in(5) {
        split["header"] = json!(random.pick(&["x-v", "X-V", "x-user-id", "host", "range"]));
    }
    if random.one_in(4) {
        split["salt"] = json!(random.pick(&["web", "other", ""]));
    }
    split["identity"] = json!(random.some(4, &sources()));
    if random.one_in(3) {
        split["anonymous"] = json!(random.pick(&["fallback", "perRequest", "issueCookie"]));
    }
    if random.one_in(3) {
        split["inherit"] = json!(true);
    }
    if random.one_in(3) {
        split["override"] = json!({"header": "x-force", "cookie": "force"});
    }
    if random.one_in(2) {
        split["rules"] = rules(random);
    }
    if random.one_in(12) {
        let mistakes = [
            ("colour", json!("red")),
            ("hosts", json!([HOSTS[6]])),
            ("services", json!([SERVICES[3]])),
        ];
        let (field, value) = random.pick(&mistakes);
        split[field] = value;
    }
    split
}

fn paths() -> [Value; 4] {
    [
        json!({"prefix": "/a"}),
        json!({"exact": "/"}),
        json!({"regex": "/x.*"}),
        json!({"suffix": ".js"}),
    ]
}

fn sources() -> [Value; 9] {
    [
        json!({"cookie": "uid"}),
        json!({"cookie": "uid"}),
        json!({"header": "x-user-id"}),
        json!({"header": "x-user-id"}),
        json!({"query": "uid"}),
        json!({"claim": CLAIMS[0]}),
        json!({"claim": CLAIMS[2]}),
        json!({"source": "address"}),
        json!({"source": "anonymous"}),
    ]
}

fn rules(random: &mut Random) -> Value {
    let names = ["staff", "gold", "bots"];
    let rules = (0..1 + random.below(3)).map(|place| {
        let alternatives: Vec<Value> = (0..1 + random.below(2))
            .map(|_| alternative(random))
            .collect();
        json!({"name": names[place], "match": alternatives})
    });
    rules.collect()
}

fn alternative(random: &mut Random) -> Value {
    let mut alternative = json!({});
    for _ in 0..1 + random.below(2) {
        let kinds: [(&str, &[&str]); 4] = [
            ("cookies", &["uid", "email", "force"]),
            ("headers", &HEADERS),
            ("query", &["uid", "beta"]),
            ("claims", &CLAIMS),
        ];
        let (kind, names) = random.pick(&kinds);
        alternative[kind][random.pick(names)] = comparison(random);
    }
    alternative
}

fn comparison(random: &mut Random) -> Value {
    let comparisons = [
        json!({"exact": "ios"}),
        json!({"exact": ""}),
        json!({"prefix": "i"}),
        json!({"prefix": ""}),
        json!({"suffix": "@b.com"}),
        json!({"regex": "[^@]+@b\\.com"}),
        json!({"regex": ".*[Bb]ot.*"}),
        json!({"regex": ".*"}),
        json!({"in": ["gold", "ios", "5"]}),
        json!({"present": true}),
        json!({"present": false}),
        json!({"present": true}),
        json!({"present": false}),
    ];
    random.pick(&comparisons)
}

fn weights(random: &mut Random, split: &Value) -> Value {
    let variants = split["variants"].as_array().cloned();
    let variants = variants.unwrap_or_else(|| vec![json!("stable"), json!("canary")]);
    let challengers: Vec<&str> = variants[1..]
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let mut weights = Map::new();
    for audience in ["everyone", "staff", "gold"] {
        if audience != "everyone" && random.one_in(2) {
            continue;
        }
        let mut percents = Map::new();
        for challenger in &challengers {
            let all = challengers.len() == 1;
            let percents_of_one = [json!(0), json!(50), json!(100), json!(33.333), json!(50)];
            let percents_of_many = [json!(0), json!(10), json!(14.285), json!(12.5)];
            let of = if all {
                &percents_of_one[..]
            } else {
                &percents_of_many[..]
            };
            percents.insert((*challenger).to_owned(), random.pick(of));
        }
        if random.one_in(12) {
            percents.insert("gone".to_owned(), json!(3));
        }
        weights.insert(audience.to_owned(), Value::Object(percents));
    }
    Value::Object(weights)
}

fn cookie(random: &mut Random) -> Value {
    let mut cookie = json!({"name": random.pick(&["visitor", "__Host-v", "uid2"])});
    if random.one_in(2) {
        cookie["secure"] = json!(random.one_in(2));
    }
    if random.one_in(2) {
        cookie["sameSite"] = json!(random.pick(&["Lax", "Strict", "None"]));
    }
    if random.one_in(3) {
        cookie["maxAge"] = json!(random.pick(&["30d", "1h", "0s", "nonsense"]));
    }
    if random.one_in(4) {
        cookie["domain"] = json!("example.com");
    }
    cookie
}
