use super::*;
use crate::model::refusal::check;
use serde_json::json;
use sluice_core::config::Document;

fn state(config: Value) -> (State, Plan) {
    let plan = Plan::build(
        &Document::from_value(config.clone()).unwrap(),
        &Node::default(),
        None,
    );
    (
        State {
            managed: WeightSet::of_config(&config),
            config,
        },
        plan,
    )
}

fn web() -> (State, Plan) {
    state(json!({
        "splits": {"web": {"variants": ["stable", "canary", "blue"], "rules": [{"name": "staff", "match": [{"cookies": {"a": {"exact": "1"}}}]}]}},
        "weights": {"web": {"everyone": {"canary": 5}}},
    }))
}

#[test]
fn what_the_plugin_does_not_have_is_refused_with_the_near_names() {
    let (state, plan) = web();
    let cases = [
        (
            "wep",
            "everyone",
            "canary",
            "there is no split \"wep\"; did you mean \"web\"?",
        ),
        (
            "web",
            "stuff",
            "canary",
            "split web has no audience \"stuff\"; did you mean \"staff\"?",
        ),
        (
            "web",
            "everyone",
            "canari",
            "split web has no challenger \"canari\"; did you mean \"canary\"?",
        ),
        (
            "web",
            "everyone",
            "stable",
            "stable is the fallback of split web and gets what the challengers leave; set canary, blue instead",
        ),
    ];
    for (split, audience, challenger, expected) in cases {
        let share = Share {
            challenger: challenger.to_owned(),
            percent: Percent::new(10.0).unwrap(),
        };
        assert_eq!(
            set(&state, &plan, split, audience, &[share])
                .unwrap_err()
                .to_string(),
            expected
        );
    }
}

#[test]
fn a_split_with_a_problem_is_not_changed_and_stops_no_other() {
    let (state, before) = state(json!({
        "splits": {"good": {}, "bad": {"colour": "red"}, "ruled": {}},
        "weights": {"ruled": {"a-rule-that-is-gone": {"canary": 5}}},
    }));
    let share = Share {
        challenger: "canary".to_owned(),
        percent: Percent::new(10.0).unwrap(),
    };
    for (split, expected) in [
        ("good", None),
        ("ruled", None),
        ("bad", Some("splits.bad.colour: unknown field")),
    ] {
        let managed = set(
            &state,
            &before,
            split,
            "everyone",
            std::slice::from_ref(&share),
        )
        .unwrap();
        let after = Plan::build(
            &Document::from_value(state.with(&managed)).unwrap(),
            &Node::default(),
            None,
        );
        let refused = check(&before, &after, Some(split))
            .err()
            .map(|refusal| refusal.to_string());
        assert_eq!(
            refused.as_deref().map(|text| &text[..32]),
            expected,
            "{split}"
        );
    }
    let twice = set(&state, &before, "good", "everyone", &[share.clone(), share]).unwrap_err();
    assert_eq!(
        twice.to_string(),
        "canary is given twice; accepted: one percentage each"
    );
}

#[test]
fn an_abort_zeroes_every_audience_and_challenger() {
    let (state, plan) = web();
    let managed = abort(&state, Some(&plan), &Reach::of_split("web")).unwrap();
    let zeros =
        json!({"web": {"everyone": {"blue": 0, "canary": 0}, "staff": {"blue": 0, "canary": 0}}});
    assert_eq!(managed.to_config()["weights"], zeros);
    let blind = abort(&state, None, &Reach::of_split("web")).unwrap();
    assert_eq!(
        blind.to_config()["weights"],
        json!({"web": {"everyone": {"canary": 0}}}),
        "even where the plugin is unreadable"
    );
    assert_eq!(
        abort(&state, Some(&plan), &Reach::of_split("wab"))
            .unwrap_err()
            .to_string(),
        "there is no split \"wab\"; did you mean \"web\"?"
    );
}

#[test]
fn a_redraw_waits_for_the_end_of_a_ramp() {
    let (state, plan) = web();
    let refused = redraw(&state, &plan, "web", "b").unwrap_err().to_string();
    assert!(
        refused.starts_with("split web is at canary=5 for everyone"),
        "{refused}"
    );
}

#[test]
fn letters_are_the_date_and_a_number_for_the_second_draw_of_a_day() {
    let cases = [
        (None, "2026-11-20"),
        (Some("2026-11-19"), "2026-11-20"),
        (Some("2026-11-20"), "2026-11-20.2"),
        (Some("2026-11-20.2"), "2026-11-20.3"),
    ];
    for (current, expected) in cases {
        assert_eq!(letters("2026-11-20", current), expected);
    }
}

#[test]
fn going_back_takes_away_what_came_since() {
    let (state, _) = web();
    let restored = restore(&state, &WeightSet::default());
    assert_eq!(
        restored.weight(&WeightKey::new("web", "everyone", "canary")),
        Some(&Weight::default())
    );
    assert_eq!(
        restored.to_config()["weights"]["web"]["everyone"],
        json!({"canary": 0})
    );
}

#[test]
fn git_s_weights_stay_beneath_ours() {
    let state = State {
        config: json!({"weights": {"web": {"everyone": {"canary": 10, "blue": 3}}}}),
        managed: WeightSet::of_config(&json!({"weights": {"web": {"everyone": {"canary": 10}}}})),
    };
    assert_eq!(
        state.with(&WeightSet::default()),
        json!({"weights": {"web": {"everyone": {"blue": 3}}}})
    );
}

#[test]
fn all_splits_are_those_that_have_the_challenger_and_the_audience() {
    let rules = json!([{"name": "staff", "match": [{"cookies": {"a": {"exact": "1"}}}]}]);
    let (state, plan) = state(json!({
        "splits": {
            "api": {}, "old": {"variants": ["one", "two"]}, "turned": {"variants": ["canary", "stable"]},
            "web": {"variants": ["stable", "canary", "blue"], "rules": rules},
        },
        "weights": {"web": {"everyone": {"blue": 5}}},
    }));
    let set = |audience: &str, shares: &[&str]| {
        let shares: Vec<Share> = shares.iter().map(|share| share.parse().unwrap()).collect();
        let managed = set_all(&state, &plan, audience, &shares);
        managed.map(|managed| managed.to_config()["weights"].clone())
    };
    let blue = json!({"blue": 5, "canary": 25});
    let cases = [
        (
            "everyone",
            ["canary=25"],
            json!({"api": {"everyone": {"canary": 25}}, "web": {"everyone": blue}}),
        ),
        (
            "staff",
            ["canary=25"],
            json!({"web": {"everyone": {"blue": 5}, "staff": {"canary": 25}}}),
        ),
        (
            "everyone",
            ["two=7"],
            json!({"old": {"everyone": {"two": 7}}, "web": {"everyone": {"blue": 5}}}),
        ),
    ];
    for (audience, shares, expected) in cases {
        assert_eq!(
            set(audience, &shares),
            Ok(expected),
            "{audience} {shares:?}"
        );
    }
    let nowhere = set("staff", &["two=7"]).unwrap_err().to_string();
    assert_eq!(
        nowhere,
        "none of the 4 splits has an audience staff and a challenger two"
    );
    let twice = set("everyone", &["canary=7", "canary=8"])
        .unwrap_err()
        .to_string();
    assert_eq!(
        twice,
        "canary is given twice; accepted: one percentage each"
    );
}
