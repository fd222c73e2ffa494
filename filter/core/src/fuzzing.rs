//! What the fuzz targets in fuzz/ run, and what a short fixed run of the same inputs in `make test`
//! runs.
//!
//! Each takes any bytes, must not panic, and checks what must hold whatever the bytes. Built for
//! tests and fuzzing only (feature `fuzzing`).

use std::borrow::Cow;

use crate::caching;
use crate::config::Document;
use crate::cookies;
use crate::decide::decide;
use crate::plan::{Node, NodeKind, Plan};
use crate::request::{Bytes, Request, Seen};

/// Any bytes as a configuration: read, built, built again over itself, and asked for a decision.
#[allow(clippy::panic, reason = "a fuzz target fails by panicking")]
pub fn config(bytes: &[u8]) {
    let Ok(document) = Document::read(bytes) else {
        return;
    };
    let plan = Plan::build(&document, &Node::default(), None);
    let again = Plan::build(&document, &Node::default(), Some(&plan));
    assert_eq!(
        plan.problems(),
        again.problems(),
        "what is kept decides as what is compiled"
    );
    let request = Raw {
        host: b"shop.example.com",
        path: b"/shop?uid=1",
        cookie: b"uid=1; email=a@b",
        header: b"canary",
    };
    let (one, other) = (decide(&plan, &request), decide(&again, &request));
    assert_eq!(
        one.iter().collect::<Vec<_>>(),
        other.iter().collect::<Vec<_>>()
    );
}

/// Any bytes as a cookie header, as a path and as what a response tells caches.
pub fn values(bytes: &[u8]) {
    let _ = cookies::value(bytes, b"uid");
    let request = Raw {
        host: bytes,
        path: bytes,
        cookie: bytes,
        header: bytes,
    };
    let seen = Seen::new(&request);
    let _ = (
        seen.path_without_query(),
        seen.query(b"uid"),
        seen.cookie(b"uid"),
        seen.header("cookie"),
    );
    for (name, value) in caching::private(|_| Some(bytes.to_vec())) {
        let is_not_kept = [b"private".as_slice(), b"no-store", b"0"]
            .iter()
            .any(|directive| value.starts_with(directive));
        assert!(is_not_kept, "{name}");
    }
}

/// Any bytes as a request to a configuration that uses everything.
#[allow(clippy::panic, reason = "a fuzz target fails by panicking")]
pub fn request(bytes: &[u8]) {
    const EVERYTHING: &str = r#"{
        "splits": {
            "a": {"hosts": ["shop.example.com", "*.example.com"], "paths": [{"prefix": "/"}, {"regex": ".*x"}], "identity": [{"cookie": "uid"}, {"header": "x-id"}, {"query": "uid"}, {"claim": "sub"}, {"source": "address"}],
                  "rules": [{"name": "r", "match": [{"cookies": {"email": {"regex": "[^@]+@b"}}, "query": {"b": {"present": false}}}, {"headers": {"cookie": {"regex": "^(.*?;)?(email=[^;]*@b.com)(;.*)?$"}}, "claims": {"t": {"in": ["x"]}}}]}],
                  "override": {"header": "x-force", "cookie": "force"}, "inherit": true},
            "b": {"anonymous": "perRequest", "variants": ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"]},
            "c": {"anonymous": "fallback"},
            "d": {"services": ["web.shop"]}
        },
        "weights": {"a": {"everyone": {"canary": 50}, "r": {"canary": 12.5}}, "b": {"everyone": {"v1": 10, "v2": 10, "v3": 10, "v7": 20}}, "c": {"everyone": {"canary": 50}}}
    }"#;
    thread_local!(static PLANS: [Option<Plan>; 2] = [NodeKind::Gateway, NodeKind::Sidecar].map(|kind| {
        let document = Document::read(EVERYTHING.as_bytes()).ok()?;
        Some(Plan::build(&document, &Node { kind, namespace: None }, None))
    }));
    let mut parts = bytes.split(|&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let request = Raw {
        host: part(),
        path: part(),
        cookie: part(),
        header: part(),
    };
    PLANS.with(|plans| {
        for plan in plans {
            let Some(plan) = plan else {
                panic!("the configuration is readable");
            };
            assert!(plan.problems().is_empty(), "{:?}", plan.problems());
            let (one, other) = (decide(plan, &request), decide(plan, &request));
            assert_eq!(
                one.iter().collect::<Vec<_>>(),
                other.iter().collect::<Vec<_>>(),
                "the same request twice"
            );
            let left_out = plan.hosts().left_out(one.places);
            for decision in one.iter() {
                assert!(!left_out.contains(&decision.split), "decided and left out");
                let variants = plan
                    .split(decision.split)
                    .map_or(0, |split| split.definition.variants.len());
                assert!(
                    decision
                        .variant
                        .is_none_or(|variant| usize::from(variant) < variants)
                );
            }
        }
    });
}

struct Raw<'b> {
    host: &'b [u8],
    path: &'b [u8],
    cookie: &'b [u8],
    header: &'b [u8],
}

impl Request for Raw<'_> {
    fn authority(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.host))
    }
    fn virtual_host(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.header))
    }
    fn path(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.path))
    }
    fn header(&self, name: &str) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(if name == "cookie" {
            self.cookie
        } else {
            self.header
        }))
    }
    fn claim(&self, _: &str) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.header))
    }
    fn source_address(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.header))
    }
    fn random(&self) -> Option<[u8; 16]> {
        Some([7; 16])
    }
}

#[cfg(test)]
mod tests {
    //! A short run with fixed seeds: the case files and what fuzzing found, mutated.

    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SEEDS: [&[u8]; 11] = [
        br#"{"splits":{"web":{"hosts":["shop.example.com"],"rules":[{"name":"staff","match":[{"cookies":{"email":{"regex":"[^@]+@b"}}}]}]}},"weights":{"web":{"staff":{"canary":50},"everyone":{"canary":5}}},"draws":{"web":"1"},"cookie":{"name":"v","secure":false}}"#,
        br#"{"splits":{"web":{"variants":["a","b","c"],"identity":[{"cookie":"uid"},{"source":"anonymous"}],"paths":[{"prefix":"/"}]}},"weights":{"web":{"everyone":{"b":1e-3,"c":99.999}}}}"#,
        b"uid=1; email=\"joe@b\"; __Host-sluice=\xff\xfe; ;;=;",
        b"/shop?uid=1&uid=2&a&=b&b=%00",
        b"shop.example.com:80\0/x?uid=1\0uid=1; email=joe@b\0canary",
        b"[::1]:80\0/\0\0v7",
        b"10.0.0.7:80\0/\0\0web.shop.svc.cluster.local:80",
        b"private=\"x, y\", s-maxage = 5",
        b"*.\0?\0=\0",
        b"",
        b"\0\0\0\0",
    ];

    /// xorshift64 (Marsaglia 2003): repeatable mutations without a dependency.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    fn mutated(seed: &[u8], state: &mut u64) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..next(state) % 6 {
            let at = (next(state) as usize) % (bytes.len() + 1);
            let with = [
                b'{',
                b'}',
                b'"',
                b';',
                b'=',
                0,
                0xff,
                b'.',
                b'9',
                b'-',
                (next(state) & 0xff) as u8,
            ];
            let byte = with[(next(state) as usize) % with.len()];
            match next(state) % 4 {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn no_mutation_of_the_case_files_panics() {
        let mut state = 20_261_120;
        let mut files = 0;
        for case in std::fs::read_dir("tests/cases").unwrap() {
            let folder = case.unwrap().path();
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
            let case: serde_json::Value = yaml_serde::from_str(&read("config.yaml")).unwrap();
            for _ in 0..300 {
                config(&mutated(case.to_string().as_bytes(), &mut state));
            }
            for line in read("requests.yaml").lines() {
                for _ in 0..50 {
                    let bytes = mutated(line.as_bytes(), &mut state);
                    values(&bytes);
                    request(&bytes);
                }
            }
            files += 1;
        }
        assert!(files >= 10);
    }

    #[test]
    fn no_mutation_of_the_seeds_panics() {
        let mut state = 20_261_120;
        for round in 0..20_000 {
            let bytes = mutated(SEEDS[round % SEEDS.len()], &mut state);
            config(&bytes);
            values(&bytes);
            request(&bytes);
        }
    }
}
