use super::*;
use crate::pattern::MAX_PATTERN_CHARS;
use crate::pattern::dialect::Disagreement;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn expressions_match_the_whole_value_in_bytes() {
    let cases: &[(&str, &str, &[u8], bool)] = &[
        ("whole", "a|b", b"a", true),
        ("alternation is anchored on both sides", "a|b", b"ab", false),
        ("bytes that are no text", "a.b", b"a\xffb", true),
        ("digits are ASCII", r"\d+", "٣".as_bytes(), false),
        (
            "case folding is ASCII",
            "(?i)straße",
            "STRAßE".as_bytes(),
            true,
        ),
        (
            "the email rule",
            r"[^@]+@some-company-name\.com",
            b"joe@some-company-name.com",
            true,
        ),
        (
            "its dot is a dot",
            r"[^@]+@some-company-name\.com",
            b"joe@some-company-nameXcom",
            false,
        ),
        ("POSIX classes", "[[:alpha:]]+", b"abc", true),
        ("a literal ] first in a class", "[]a]+", b"]a", true),
        ("lazy repetition", "a+?b", b"aab", true),
        ("named groups", "(?P<x>a)(?<y>b)", b"ab", true),
    ];
    for (label, pattern, value, expected) in cases {
        let compiled = Patterns::default()
            .compile(pattern)
            .unwrap_or_else(|error| panic!("{label}: {error:?}"));
        assert_eq!(compiled.is_match(value), *expected, "{label}");
    }
}

fn refused(pattern: &str) -> PatternError {
    Patterns::default().compile(pattern).unwrap_err()
}

#[test]
fn expressions_that_re2_and_rust_read_differently_are_refused() {
    let cases: &[(&str, &str, Disagreement)] = &[
        ("intersection", "[^;&&]", Disagreement::SetOperation),
        ("difference", "[a--z]", Disagreement::SetOperation),
        ("symmetric difference", "[a~~b]", Disagreement::SetOperation),
        ("nested class", "[[a]", Disagreement::NestedClass),
        ("word boundary", r"\<a\>", Disagreement::AngleEscape),
        ("quoting", r"\Qa.b\E", Disagreement::Quoting),
        ("octal", r"\123", Disagreement::OctalOrBackreference),
        (
            "backreference",
            r"(a)\1",
            Disagreement::OctalOrBackreference,
        ),
        ("extended mode", "(?x)a b", Disagreement::Flag),
        ("extended mode among others", "(?ix: a)", Disagreement::Flag),
        ("possessive", "a++", Disagreement::RepeatedRepetition),
        ("doubled star", "a**", Disagreement::RepeatedRepetition),
        (
            "too many repetitions",
            "a{1001}",
            Disagreement::ManyRepetitions,
        ),
    ];
    for (label, pattern, disagreement) in cases {
        let expected = PatternError::Disagreement {
            pattern: (*pattern).to_owned(),
            disagreement: *disagreement,
        };
        assert_eq!(refused(pattern), expected, "{label}");
    }
}

#[test]
fn expressions_that_do_not_compile_are_refused() {
    let cases: &[(&str, &str, &str)] = &[
        ("Unicode classes", r"\pL", "Unicode not allowed here"),
        (
            "look-ahead",
            "(?=a)",
            "look-around, including look-ahead and look-behind, is not supported",
        ),
        ("unclosed", "(a", "unclosed group"),
    ];
    for (label, pattern, error) in cases {
        let expected = PatternError::DoesNotCompile {
            pattern: (*pattern).to_owned(),
            error: (*error).to_owned(),
        };
        assert_eq!(refused(pattern), expected, "{label}");
    }
}

#[test]
fn an_expression_may_have_as_many_characters_as_in_istio() {
    assert!(
        Patterns::default()
            .compile(&"ä".repeat(MAX_PATTERN_CHARS))
            .is_ok()
    );
    let chars = MAX_PATTERN_CHARS + 1;
    assert_eq!(refused(&"a".repeat(chars)), PatternError::TooLong { chars });
}

#[test]
fn expressions_that_cost_too_much_are_refused() {
    let cases = [
        (
            "more places than any expression may have",
            "(a{1000}){1000}x|y",
        ),
        ("remembers 900 bytes", ".*a.{900}!"),
        ("remembers twenty", ".*a.{20}!"),
    ];
    for (label, pattern) in cases {
        let pattern = pattern.to_owned();
        assert_eq!(
            refused(&pattern),
            PatternError::TooExpensive { pattern },
            "{label}"
        );
    }
}

#[test]
fn expressions_that_people_write_cost_little() {
    let most = MAX_SPLIT_WORK / 20;
    for pattern in [
        r"^(.*?;\s*)?(email=[^;]*@some-company-name\.com)(;.*)?$",
        r".*(iPhone|iPad|iPod).*OS (1[5-9]|[2-9][0-9])_.*",
        r"(?i).*(chrome|firefox|safari|edge)/[0-9]+.*",
        r"(?:[a-z0-9._%+-]+)@(?:some|other|third)-company\.(?:com|co\.uk)",
        r"\bde\b.*",
        r"10\.(1[6-9]|2[0-9]|3[01])\.[0-9]{1,3}\.[0-9]{1,3}",
    ] {
        let expression = Patterns::default().compile(pattern).unwrap();
        assert!(expression.cost < most, "{pattern}: {}", expression.cost);
    }
}

/// Some thousand distinct expressions in splits of their own; how many were accepted before
/// nothing was left.
fn accepted_of(patterns: &mut Patterns) -> (usize, Vec<Used>) {
    let mut used = Vec::new();
    for number in 0..10_000 {
        let compiled = patterns.compile(&format!("(a|b){{90}}c{{{number}}}|x"));
        let refused = compiled.err();
        used.push(patterns.next_split());
        if refused == Some(PatternError::NoneLeft) {
            return (number, used);
        }
        assert_eq!(refused, None);
    }
    panic!("never too expensive");
}

#[test]
fn what_is_accepted_does_not_depend_on_what_was_compiled_before() {
    let mut patterns = Patterns::default();
    let (first, used) = accepted_of(&mut patterns);
    assert!(first > 100, "{first}");
    let mut again = patterns.next_configuration();
    assert_eq!(accepted_of(&mut again).0, first, "all of them known");
    let mut kept = patterns.next_configuration();
    let paid = used
        .iter()
        .take_while(|used| kept.keep(used) && used.is_for_good());
    assert_eq!(paid.count(), first, "all of them kept");
    assert_eq!(accepted_of(&mut Patterns::default()).0, first, "none");
}

#[test]
fn no_split_takes_what_is_left_to_the_others() {
    let mut patterns = Patterns::default();
    let greedy = (0..1_000).find_map(|number| {
        let compiled = patterns.compile(&format!("(a|b){{90}}c{{{number}}}|x"));
        compiled.err()
    });
    assert!(matches!(greedy, Some(PatternError::TooExpensive { .. })));
    let used = patterns.next_split();
    assert!(used.is_for_good());
    assert!(patterns.compile("a|bc").is_ok());
    assert!(patterns.left.left() > MAX_PATTERN_WORK - 2 * MAX_SPLIT_WORK);
}

#[test]
fn a_split_and_a_configuration_pay_once_for_an_expression() {
    let mut patterns = Patterns::default();
    let one = patterns.compile("a|bc").unwrap();
    let left = patterns.left;
    let other = patterns.compile("a|bc").unwrap();
    patterns.next_split();
    let third = patterns.compile("a|bc").unwrap();
    assert!(Arc::ptr_eq(&one, &other) && Arc::ptr_eq(&one, &third));
    assert_eq!(patterns.left, left);
    assert_eq!(patterns.left_to_split.left(), MAX_SPLIT_WORK - one.cost);
}

#[test]
fn a_split_pays_for_what_a_kept_one_has_too() {
    let mut patterns = Patterns::default();
    let one = patterns.compile("a|bc").unwrap();
    let used = patterns.next_split();
    let mut next = patterns.next_configuration();
    assert!(next.keep(&used));
    let shared = next.compile("a|bc").unwrap();
    assert!(Arc::ptr_eq(&one, &shared));
    assert_eq!(next.left_to_split.left(), MAX_SPLIT_WORK - one.cost);
    assert_eq!(next.left.left(), MAX_PATTERN_WORK - one.cost);
}

#[test]
fn identical_expressions_are_compiled_once() {
    let mut patterns = Patterns::default();
    let (one, other) = (
        patterns.compile("a+").unwrap(),
        patterns.compile("a+").unwrap(),
    );
    assert!(Arc::ptr_eq(&one, &other));
    drop((one, other, patterns.next_split()));
    patterns.forget_unused();
    assert!(patterns.is_empty());
}
