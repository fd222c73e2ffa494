//! Compiled expressions match what they match in the regex crate: over many expressions and values,
//! with fixed seeds.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use sluice_core::pattern::Patterns;

/// Expressions of the kind that a scanner may take: classes, literals and repetitions over a small
/// alphabet.
fn expressions() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        Just("a"),
        Just("b"),
        Just("@"),
        Just("[ab]"),
        Just("[^@]"),
        Just("[^ab]"),
        Just("."),
        Just("(a)"),
        Just("ab"),
        Just("(?i:a)")
    ];
    let times = prop_oneof![
        Just(""),
        Just("+"),
        Just("*"),
        Just("?"),
        Just("{2}"),
        Just("{1,2}"),
        Just("+?"),
        Just("{0}")
    ];
    proptest::collection::vec((atom, times), 0..5).prop_map(|parts| {
        parts
            .into_iter()
            .map(|(atom, times)| format!("(?:{atom}){times}"))
            .collect()
    })
}

#[test]
fn scanners_and_the_regex_crate_agree() {
    let values = proptest::collection::vec(
        prop_oneof![
            Just(b'a'),
            Just(b'A'),
            Just(b'b'),
            Just(b'@'),
            Just(b'\n'),
            Just(0xff)
        ],
        0..8,
    );
    let config = Config {
        cases: 20_000,
        rng_seed: RngSeed::Fixed(20_261_120),
        failure_persistence: None,
        ..Config::default()
    };
    let mut scanned = 0;
    let counter = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&(expressions(), values), |(pattern, value)| {
            let parsed = regex_syntax::ParserBuilder::new()
                .unicode(false)
                .utf8(false)
                .build()
                .parse(&pattern)
                .unwrap();
            let Some(scanner) = sluice_core::scanner::Scanner::new(&parsed) else {
                return Ok(());
            };
            counter.set(counter.get() + 1);
            let regex = regex::bytes::RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                .unicode(false)
                .build()
                .unwrap();
            prop_assert_eq!(
                scanner.is_match(&value),
                regex.is_match(&value),
                "{} on {:?}",
                pattern,
                value
            );
            Ok(())
        })
        .unwrap();
    scanned += counter.get();
    assert!(
        scanned > 2_000,
        "only {scanned} expressions were scanned: the test would prove little"
    );
}

/// Any expressions over a small alphabet: alternatives, groups, repetitions, and every way to look
/// around.
fn any_expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        proptest::sample::select(vec![
            "a", "b", "@", "\\n", "[ab]", "[^@]", ".", "(?s:.)", "\\w", "\\W", "(?i:a)", "\\xff",
            "ab@", "",
        ]),
        proptest::sample::select(vec![
            "^", "$", "(?m:^)", "(?m:$)", "\\A", "\\z", "\\b", "\\B"
        ]),
    ];
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 4, |inner| {
            let times = proptest::sample::select(vec![
                "", "+", "*", "?", "{2}", "{1,3}", "*?", "{2,}", "{0}",
            ]);
            let list = proptest::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                list.clone().prop_map(|parts| parts.concat()),
                list.prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (inner, times).prop_map(|(part, times)| format!("({part}){times}")),
            ]
        })
}

#[test]
fn expressions_match_what_they_match_in_the_regex_crate() {
    let values = proptest::collection::vec(
        proptest::sample::select(vec![b'a', b'A', b'b', b'@', b'_', b'\n', 0xff]),
        0..7,
    );
    let config = Config {
        cases: 5_000,
        rng_seed: RngSeed::Fixed(20_261_121),
        failure_persistence: None,
        ..Config::default()
    };
    let (compared, matched) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let values = proptest::collection::vec(values, 8);
    TestRunner::new(config)
        .run(&(any_expressions(), values), |(pattern, values)| {
            let Ok(expression) = Patterns::default().compile(&pattern) else {
                return Ok(());
            };
            let regex = regex::bytes::RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                .unicode(false)
                .build()
                .unwrap();
            for value in values {
                let expected = regex.is_match(&value);
                prop_assert_eq!(
                    expression.is_match(&value),
                    expected,
                    "{} on {:?}",
                    pattern,
                    value
                );
                compared.set(compared.get() + 1);
                matched.set(matched.get() + usize::from(expected));
            }
            Ok(())
        })
        .unwrap();
    assert!(
        compared.get() > 25_000 && matched.get() > 2_500,
        "{} compared, {} matched: the test would prove little",
        compared.get(),
        matched.get()
    );
}
