use serde_json::json;
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn counter(pod: &str, labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Counter {
    let own = [("namespace", "shop"), ("pod", pod)];
    let labels = own.iter().chain(labels);
    let sample = |&(second, value): &(i64, f64)| Sample {
        at: at(second),
        value,
    };
    Counter {
        labels: labels
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        samples: samples.iter().map(sample).collect(),
    }
}

fn responses(pod: &str, variant: &str, class: &str, samples: &[(i64, f64)]) -> Counter {
    let labels = [("sluice_variant", variant), ("sluice_class", class)];
    counter(pod, &labels, samples)
}

fn bucket(pod: &str, variant: &str, le: &str, samples: &[(i64, f64)]) -> Counter {
    counter(pod, &[("sluice_variant", variant), ("le", le)], samples)
}

fn target() -> Target {
    Target {
        split: "web".to_owned(),
        challenger: "canary".to_owned(),
        fallback: "stable".to_owned(),
        ..Target::default()
    }
}

fn empty_plan() -> Plan {
    let document = Document::from_value(json!({"splits": {}})).unwrap();
    Plan::build(&document, &Node::default(), None)
}

/// A round at 160 whose window begins at 100, where the step converged; the last one was at 130.
fn seen(counted: &Counted) -> Reading<Arms> {
    let plan = empty_plan();
    let round = Round {
        at: at(160),
        converged: at(100),
        since: Some(at(130)),
        plan: &plan,
        checks: &[],
        window: Duration::from_secs(300),
        interval: Duration::from_secs(30),
    };
    arms(&Dialect::of_filter(&target()), counted, &round)
}

/// Responses and failures of the challenger: in the window, since the last round.
fn challenger(counted: &Counted) -> [(u64, u64); 2] {
    let Reading::Value(arms) = seen(counted) else {
        panic!("no arms");
    };
    let Arm { window, since, .. } = arms.challenger;
    [window, since].map(|found| (found.responses, found.failures))
}

#[test]
fn each_response_is_counted_once_for_its_variant() {
    let ticks = vec![counter("p", &[], &[(40, 900.0), (160, 1_020.0)])];
    let cases = [
        (
            "both classes, in the window and since the last round",
            responses(
                "p",
                "canary",
                "2xx",
                &[(90, 10.0), (120, 14.0), (150, 20.0)],
            ),
            responses("p", "canary", "5xx", &[(90, 1.0), (120, 2.0), (150, 4.0)]),
            [(13, 3), (8, 2)],
        ),
        (
            "a first failure, of a proxy that was looked at before",
            responses("p", "canary", "2xx", &[(90, 10.0), (150, 11.0)]),
            responses("p", "canary", "5xx", &[(150, 2.0)]),
            [(3, 2), (3, 2)],
        ),
        (
            "a proxy that restarted",
            responses(
                "p",
                "canary",
                "2xx",
                &[(90, 1_000.0), (120, 3.0), (150, 5.0)],
            ),
            responses("p", "canary", "5xx", &[(90, 7.0), (120, 0.0), (150, 0.0)]),
            [(5, 0), (2, 0)],
        ),
        (
            "a proxy that went away",
            responses("p", "canary", "2xx", &[(90, 10.0), (105, 14.0)]),
            responses("p", "canary", "5xx", &[(90, 0.0), (105, 1.0)]),
            [(5, 1), (0, 0)],
        ),
        (
            "not a number",
            responses(
                "p",
                "canary",
                "2xx",
                &[(90, 10.0), (120, f64::NAN), (150, 12.0)],
            ),
            responses("p", "canary", "5xx", &[(90, f64::NAN)]),
            [(2, 0), (2, 0)],
        ),
    ];
    for (label, good, failed, expected) in cases {
        let counted = Counted {
            responses: vec![good, failed],
            ticks: ticks.clone(),
            ..Counted::default()
        };
        assert_eq!(challenger(&counted), expected, "{label}");
    }
}

#[test]
fn what_a_proxy_counted_before_it_was_looked_at_is_of_any_time_unless_it_is_new() {
    let new = responses("new", "canary", "2xx", &[(140, 1_000.0), (155, 1_004.0)]);
    let known = responses("p", "canary", "2xx", &[(90, 10.0), (150, 11.0)]);
    let known_ticks = counter("p", &[], &[(90, 900.0)]);
    let cases = [
        ("it runs for an hour", 3_600.0, [(5, 0), (5, 0)]),
        ("it began before the last round", 20.0, [(1_005, 0), (5, 0)]),
        ("it is new", 2.0, [(1_005, 0), (1_005, 0)]),
    ];
    for (label, ticks, expected) in cases {
        let counted = Counted {
            responses: vec![known.clone(), new.clone()],
            ticks: vec![known_ticks.clone(), counter("new", &[], &[(140, ticks)])],
            ..Counted::default()
        };
        assert_eq!(challenger(&counted), expected, "{label}");
    }
}

#[test]
fn nothing_is_known_where_no_proxy_with_the_filter_counts() {
    let own = responses("p", "canary", "2xx", &[(90, 10.0), (150, 11.0)]);
    let ticks = counter("p", &[], &[(90, 900.0)]);
    let of_another = responses("p", "blue", "2xx", &[(90, 10.0), (150, 11.0)]);
    let cases = [
        ("nothing at all", vec![], vec![]),
        ("no filter in that proxy", vec![own], vec![]),
        ("only another variant", vec![of_another], vec![ticks]),
    ];
    for (label, responses, ticks) in cases {
        let counted = Counted {
            responses,
            ticks,
            ..Counted::default()
        };
        assert_eq!(seen(&counted), Reading::NoData, "{label}");
    }
}

#[test]
fn histograms_are_summed_over_the_edges_that_every_proxy_has() {
    let of = |pod: &str, edges: &[(&str, f64)]| -> Vec<Counter> {
        let one = |&(le, count): &(&str, f64)| {
            bucket(pod, "canary", le, &[(90, 10.0), (150, 10.0 + count)])
        };
        edges.iter().map(one).collect()
    };
    let buckets = [
        of(
            "p",
            &[("0.5", 1.0), ("100", 3.0), ("250", 2.0), ("+Inf", 7.0)],
        ),
        of("q", &[("0.5", 0.0), ("250", 1.0), ("+Inf", 1.0)]),
    ];
    let counted = Counted {
        responses: vec![responses("p", "canary", "2xx", &[(90, 1.0), (150, 9.0)])],
        buckets: buckets.concat(),
        ticks: vec![
            counter("p", &[], &[(90, 900.0)]),
            counter("q", &[], &[(90, 900.0)]),
        ],
    };
    let Reading::Value(arms) = seen(&counted) else {
        panic!("no arms");
    };
    let bucket = |upper, count| Bucket { upper, count };
    let expected = vec![
        bucket(Edge::At(Duration::from_micros(500)), 1),
        bucket(Edge::At(Duration::from_millis(250)), 3),
        bucket(Edge::Infinite, 8),
    ];
    assert_eq!(arms.challenger.window.buckets, expected);
    assert_eq!(arms.fallback.window.buckets, vec![]);
    let mut without_infinity = counted;
    without_infinity
        .buckets
        .retain(|counter| counter.label("le") != "+Inf");
    let Reading::Value(arms) = seen(&without_infinity) else {
        panic!("no arms");
    };
    assert_eq!(arms.challenger.window.buckets, vec![]);
}

#[test]
fn both_variants_of_one_split_are_asked_for() {
    let filter = Dialect::of_filter(&target());
    assert_eq!(
        filter.query(filter.responses, Duration::from_secs(480)),
        "sluice_responses_total{sluice_split=\"web\",sluice_variant=~\"canary|stable\"}[480s]"
    );
    assert_eq!(literally("v1.2\"|b"), "v1\\\\x{2e}2\\\\x{22}\\\\x{7c}b");
}
