use super::*;
use serde_json::json;

fn look(clusters: &[(&str, f64, f64)]) -> Look {
    let series = |value: &dyn Fn(&(&str, f64, f64)) -> f64| -> Vec<Series> {
        let of = |row: &(&str, f64, f64)| {
            let metric = json!({"namespace": "a", "pod": row.0});
            let value = json!([1.0, value(row).to_string()]);
            serde_json::from_value(json!({"metric": metric, "value": value})).unwrap()
        };
        clusters.iter().map(of).collect()
    };
    Look::of(&series(&|row| row.1), &series(&|row| row.2))
}

fn selected() -> BTreeSet<String> {
    BTreeSet::from(["a/p".to_owned()])
}

#[test]
fn a_proxy_has_subsets_when_clusters_were_added_and_none_warms() {
    let lacks = || Sight::Lacks("a/p".to_owned());
    let unscraped = || Sight::Unscraped("a/p".to_owned());
    let cases = [
        (
            "nothing new",
            vec![("p", 10.0, 0.0)],
            vec![("p", 10.0, 0.0)],
            lacks(),
        ),
        (
            "one of two",
            vec![("p", 10.0, 0.0)],
            vec![("p", 11.0, 0.0)],
            lacks(),
        ),
        (
            "both, one warms",
            vec![("p", 10.0, 0.0)],
            vec![("p", 12.0, 1.0)],
            lacks(),
        ),
        (
            "both, warm",
            vec![("p", 10.0, 0.0)],
            vec![("p", 12.0, 0.0)],
            Sight::Has,
        ),
        (
            "one port more",
            vec![("p", 10.0, 0.0)],
            vec![("p", 14.0, 0.0)],
            Sight::Has,
        ),
        (
            "one warms for ever",
            vec![("p", 10.0, 1.0)],
            vec![("p", 12.0, 1.0)],
            Sight::Has,
        ),
        (
            "started anew",
            vec![("p", 30.0, 0.0)],
            vec![("p", 12.0, 0.0)],
            Sight::Has,
        ),
        (
            "not scraped before",
            vec![],
            vec![("p", 12.0, 0.0)],
            unscraped(),
        ),
        (
            "no longer scraped",
            vec![("p", 10.0, 0.0)],
            vec![],
            unscraped(),
        ),
    ];
    for (label, before, now, expected) in cases {
        let sights = look(&before).against(&look(&now), &selected(), 2);
        assert_eq!(sights.selected, [expected], "{label}");
        assert_eq!(sights.others, [], "{label}");
    }
}

#[test]
fn proxies_that_no_plugin_selects_are_looked_at_while_they_are_scraped() {
    let before = look(&[
        ("gone", 9.0, 0.0),
        ("p", 9.0, 0.0),
        ("q", 9.0, 0.0),
        ("r", 9.0, 0.0),
    ]);
    let now = look(&[
        ("new", 9.0, 0.0),
        ("p", 11.0, 0.0),
        ("q", 9.0, 0.0),
        ("r", 11.0, 0.0),
    ]);
    let expected = Sights {
        selected: vec![Sight::Has],
        others: vec![Sight::Lacks("a/q".to_owned()), Sight::Has],
    };
    assert_eq!(before.against(&now, &selected(), 2), expected);
    assert_eq!(before.beside(&selected()), 3);
}

#[test]
fn routes_follow_when_all_have_the_subsets_or_whoever_will_get_them_has() {
    let (has, lacks) = (Sight::Has, Sight::Lacks("a/p".to_owned()));
    let unscraped = Sight::Unscraped("a/q".to_owned());
    let seen = |proxies, seconds| Verdict::GoOn(Waited::Seen { proxies, seconds });
    let partly = Verdict::GoOn(Waited::PartlySeen {
        proxies: 1,
        others: vec!["a/q".to_owned(), "a/p".to_owned()],
    });
    let blindly = Verdict::GoOn(Waited::Blindly {
        seconds: 15,
        because: Unseen::NotScraped,
    });
    let stop = Verdict::Stop(vec!["a/p".to_owned()]);
    let none = Vec::new;
    let cases = [
        (
            "all have them",
            vec![has.clone()],
            vec![has.clone()],
            1,
            seen(2, 1.0),
        ),
        (
            "one lacks them",
            vec![has.clone(), lacks.clone()],
            none(),
            14,
            Verdict::Wait,
        ),
        (
            "one lacks them that no plugin selects",
            vec![has.clone()],
            vec![lacks.clone()],
            14,
            Verdict::Wait,
        ),
        (
            "the others will not get them",
            vec![has.clone(), unscraped.clone()],
            vec![lacks.clone()],
            15,
            partly,
        ),
        (
            "none is scraped",
            vec![unscraped.clone()],
            none(),
            14,
            Verdict::Wait,
        ),
        (
            "none is scraped for long",
            vec![unscraped.clone()],
            vec![has.clone()],
            15,
            blindly,
        ),
        (
            "istiod is late",
            vec![lacks.clone(), unscraped.clone()],
            vec![has.clone()],
            59,
            Verdict::Wait,
        ),
        (
            "istiod is too late",
            vec![lacks, unscraped],
            vec![has],
            60,
            stop,
        ),
    ];
    for (label, selected, others, seconds, expected) in cases {
        let verdict = judge(
            &Sights { selected, others },
            Duration::from_secs(seconds),
            Duration::from_secs(60),
        );
        assert_eq!(verdict, expected, "{label}");
    }
}

#[test]
fn of_many_proxies_some_are_named() {
    let proxies: Vec<String> = (0..22).map(|number| format!("a/{number}")).collect();
    assert_eq!(named(&proxies[..2]), "a/0, a/1");
    assert!(named(&proxies).ends_with("a/18, a/19 and 2 more"));
}

#[test]
fn what_is_left_to_wait_counts_from_the_last_change() {
    let at = |second| Timestamp::from_second(second).unwrap();
    for (changed, now, expected) in [
        (100, 100, 15),
        (100, 101, 15),
        (100, 110, 6),
        (100, 116, 0),
        (100, 900, 0),
    ] {
        assert_eq!(left(at(changed), at(now)), expected, "{changed} to {now}");
    }
}

#[test]
fn routes_of_gateways_wait_for_their_proxies_and_the_plugins() {
    let all = || look(&[("p", 1.0, 0.0), ("q", 1.0, 0.0), ("r", 1.0, 0.0)]);
    let gateway = BTreeSet::from(["a/q".to_owned()]);
    let count = |look: Look| look.beside(&BTreeSet::new());
    assert_eq!(count(all().of_those(None, &selected())), 3);
    assert_eq!(count(all().of_those(Some(&gateway), &selected())), 2);
}
