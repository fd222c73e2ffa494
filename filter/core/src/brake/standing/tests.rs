use super::*;
use crate::config::Document;
use crate::plan::Node;
use serde_json::{Value, json};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A configuration with a split of two challengers.
fn config(canary: u32) -> Value {
    json!({
        "splits": {"web": {"variants": ["stable", "canary", "blue"]}},
        "weights": {"web": {"everyone": {"canary": canary, "blue": 5}}},
        "brake": {"service": "sluice.sluice-system"},
    })
}

fn plan(config: &Value) -> Plan {
    let document = Document::from_value(config.clone()).unwrap();
    Plan::build(&document, &Node::default(), None)
}

fn brake(id: &str) -> Listed {
    Listed {
        id: id.to_owned(),
        split: "web".to_owned(),
        challenger: Some("canary".to_owned()),
    }
}

fn answer(brakes: &[&str], released: &[&str]) -> Answer {
    Answer {
        version: format!("{}-{}", brakes.len(), released.len()),
        brakes: brakes.iter().map(|id| brake(id)).collect(),
        released: released.iter().map(|&id| id.to_owned()).collect(),
    }
}

/// What happens to the brake `a`.
enum Step {
    Listed,
    Unlisted,
    Released,
    Configured(Value),
}

#[test]
fn a_brake_ends_when_it_is_released_or_what_it_was_written_as_has_come() {
    use Step::{Configured, Listed, Released, Unlisted};
    let with = |field: &str, value: Value| {
        let mut changed = config(50);
        changed[field]["web"] = value;
        Configured(changed)
    };
    let without = |field: &str| {
        let mut changed = config(50);
        changed.as_object_mut().unwrap().remove(field);
        Configured(changed)
    };
    let other = || {
        let mut changed = config(50);
        changed["splits"]["api"] = json!({});
        changed["responseMetrics"] = json!(true);
        Configured(changed)
    };
    let cases: Vec<(&str, Vec<Step>, Option<End>)> = vec![
        ("listed", vec![Listed], None),
        ("listed again", vec![Listed, Listed], None),
        (
            "whatever the weights say",
            vec![Listed, Configured(config(60))],
            None,
        ),
        ("released", vec![Listed, Released], Some(End::Released)),
        (
            "released after it was written",
            vec![Listed, Unlisted, Released],
            Some(End::Released),
        ),
        ("not listed any more", vec![Listed, Unlisted], None),
        ("still not", vec![Listed, Unlisted, Unlisted], None),
        (
            "the same weights once more",
            vec![Listed, Unlisted, Configured(config(50))],
            None,
        ),
        ("what others changed", vec![Listed, Unlisted, other()], None),
        (
            "its weights came",
            vec![Listed, Unlisted, Configured(config(0))],
            Some(End::Changed),
        ),
        (
            "its weights came first",
            vec![Listed, Configured(config(0)), Unlisted],
            Some(End::Changed),
        ),
        (
            "and went back",
            vec![
                Listed,
                Configured(config(0)),
                Configured(config(50)),
                Unlisted,
            ],
            Some(End::Changed),
        ),
        (
            "came while it was listed again",
            vec![Listed, Unlisted, Listed, Configured(config(0)), Unlisted],
            Some(End::Changed),
        ),
        (
            "another draw",
            vec![Listed, Unlisted, with("draws", json!("b"))],
            Some(End::Changed),
        ),
        (
            "another definition",
            vec![
                Listed,
                Unlisted,
                with("splits", json!({"paths": [{"prefix": "/a"}]})),
            ],
            Some(End::Changed),
        ),
        (
            "the split is gone",
            vec![
                Listed,
                Unlisted,
                Configured(json!({"brake": {"service": "a.b"}})),
            ],
            Some(End::Changed),
        ),
        (
            "listed for a split that is gone",
            vec![Listed, Configured(json!({"brake": {"service": "a.b"}}))],
            None,
        ),
        (
            "another service",
            vec![Listed, with("brake", json!({"service": "a.b"}))],
            None,
        ),
        (
            "a service that cannot be read",
            vec![Listed, with("brake", json!(5))],
            None,
        ),
        (
            "no service any more",
            vec![Listed, without("brake")],
            Some(End::Off),
        ),
        (
            "nobody has the challenger anyway",
            vec![Configured(config(0)), Listed, Unlisted],
            Some(End::Needless),
        ),
        (
            "but as long as it is listed",
            vec![Configured(config(0)), Listed, Configured(config(50))],
            None,
        ),
    ];
    for (label, steps, expected) in cases {
        let (mut in_force, mut plan) = (InForce::default(), plan(&config(50)));
        let mut ended = None;
        for step in steps {
            let changes = match step {
                Listed => in_force.answered(&answer(&["a"], &[]), &plan),
                Unlisted => in_force.answered(&answer(&[], &[]), &plan),
                Released => in_force.answered(&answer(&["a"], &["a"]), &plan),
                Configured(config) => {
                    plan = self::plan(&config);
                    in_force.configured(&plan)
                }
            };
            ended = ended.or(changes.ended.first().map(|(_, end)| *end));
            assert_eq!(InForce::read(&in_force.bytes()), in_force, "{label}");
        }
        assert_eq!(ended, expected, "{label}");
        assert_eq!(in_force.brakes.is_empty(), expected.is_some(), "{label}");
    }
}

#[test]
fn what_is_braked_is_a_challenger_or_all_of_them_and_never_the_fallback() {
    let plan = plan(&config(50));
    let cases: &[(&str, Option<&str>, Option<u8>)] = &[
        ("web", Some("canary"), Some(0b010)),
        ("web", Some("blue"), Some(0b100)),
        ("web", None, Some(0b110)),
        ("web", Some("stable"), Some(0)),
        ("web", Some("green"), Some(0)),
        ("api", None, None),
    ];
    for (split, challenger, expected) in cases {
        let mut in_force = InForce::default();
        let listed = Listed {
            id: "a".to_owned(),
            split: (*split).to_owned(),
            challenger: challenger.map(str::to_owned),
        };
        let answer = Answer {
            version: "1".to_owned(),
            brakes: vec![listed.clone()],
            released: Vec::new(),
        };
        assert_eq!(
            in_force.answered(&answer, &plan).begun,
            [listed],
            "{split} {challenger:?}"
        );
        let expected = expected.map(|bits| {
            let variants = (0..8).filter(|variant| bits >> variant & 1 == 1);
            let variants = variants.map(|variant| Variants::of(VariantIndex::new(variant)));
            (
                SplitIndex::new(0),
                variants.fold(Variants::default(), Variants::and),
            )
        });
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(in_force.places(&plan), expected, "{split} {challenger:?}");
    }
}

#[test]
fn two_brakes_of_one_challenger_end_each_by_itself() {
    let plan = plan(&config(50));
    let mut in_force = InForce::default();
    in_force.answered(&answer(&["a", "b"], &[]), &plan);
    let changes = in_force.answered(&answer(&["b"], &["a"]), &plan);
    assert_eq!(changes.ended, [(brake("a"), End::Released)]);
    assert_eq!(in_force.places(&plan).len(), 1);
}

#[test]
fn a_service_that_lists_others_each_time_fills_no_memory() {
    let plan = plan(&config(50));
    let mut in_force = InForce::default();
    for round in 0..4 {
        let ids: Vec<String> = (0..512).map(|number| format!("{round}-{number}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let changes = in_force.answered(&answer(&ids, &[]), &plan);
        let forgotten = changes
            .ended
            .iter()
            .filter(|(_, end)| *end == End::Forgotten);
        assert_eq!(forgotten.count(), if round < 2 { 0 } else { 512 });
    }
    assert_eq!(in_force.brakes.len(), MAX_KEPT_BRAKES);
    assert_eq!(
        InForce::read(&in_force.bytes()).brakes.len(),
        MAX_KEPT_BRAKES
    );
}

#[test]
fn of_garbage_all_is_asked_for_again() {
    let mut in_force = InForce::default();
    in_force.answered(&answer(&["a", "b"], &[]), &plan(&config(50)));
    let whole = in_force.bytes();
    for end in 0..whole.len() {
        let read = InForce::read(&whole[..end]);
        let is_whole = read.bytes() == whole[..end];
        assert_eq!(read.version.is_some(), is_whole && end > 1, "cut at {end}");
        assert!(in_force.brakes.starts_with(&read.brakes), "cut at {end}");
    }
    for byte in 0..=255 {
        assert_eq!(InForce::read(&[byte; 1_000]).version, None, "{byte}");
        let mut other = whole.clone();
        other.push(byte);
        assert_eq!(InForce::read(&other).version, None, "{byte}");
    }
}
