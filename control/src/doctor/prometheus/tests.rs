//! What a Prometheus has, and what Rollouts need of it.

use serde_json::json;

use super::*;
use crate::model::plugin::Kind;

fn plugin(config: Value) -> LivePlugin {
    let object = json!({
        "metadata": {"name": "sluice", "namespace": "a"}, "spec": {"pluginConfig": config},
    });
    LivePlugin::of(serde_json::from_value(object).unwrap(), Kind::WasmPlugin).unwrap()
}

fn good() -> Seen {
    Seen {
        ticking: 6.0,
        agents: 6.0,
        latency_buckets: 20.0,
        istio_requests: 10.0,
        scraped_every: Some(Duration::from_secs(15)),
        edges: vec![0.5, 1.0],
        ..Seen::default()
    }
}

fn wish(metrics: Metrics) -> Wish {
    Wish {
        rollout: "Rollout a/web".to_owned(),
        namespace: "a".to_owned(),
        plugin: None,
        window: Some(Duration::from_secs(60)),
        metrics,
        latencies: vec![0.5],
    }
}

fn codes(look: &Look) -> Vec<&'static str> {
    look.findings
        .iter()
        .map(|found| found.code.as_str())
        .collect()
}

#[test]
fn what_prometheus_has_is_judged() {
    let with = |change: fn(&mut Seen)| {
        let mut seen = good();
        change(&mut seen);
        Some(Ok(seen))
    };
    let rows: [(&str, Asked, &[&str]); 10] = [
        ("good", Some(Ok(good())), &[]),
        ("not named", None, &["prometheus-unnamed"]),
        (
            "down",
            Some(Err("no".to_owned())),
            &["prometheus-unanswered"],
        ),
        (
            "nothing",
            with(|seen| seen.ticking = 0.0),
            &["prometheus-without-filter"],
        ),
        (
            "envoys",
            with(|seen| seen.agents = 0.0),
            &["prometheus-without-agents"],
        ),
        (
            "nobody's",
            with(|seen| seen.without_pods = 1.0),
            &["prometheus-without-pods"],
        ),
        (
            "untagged",
            with(|seen| seen.without_tags = 1.0),
            &["prometheus-without-tags"],
        ),
        (
            "twice",
            with(|seen| seen.twice = 1.0),
            &["prometheus-twice"],
        ),
        (
            "seldom",
            with(|seen| seen.scraped_every = Some(Duration::from_secs(17))),
            &["prometheus-seldom"],
        ),
        (
            "unknown how often",
            with(|seen| seen.scraped_every = None),
            &[],
        ),
    ];
    let live = [plugin(json!({"splits": {}, "responseMetrics": true}))];
    for (label, asked, expected) in rows {
        let look = judge(&asked, &live, &[wish(Metrics::Filters)], None);
        assert_eq!(codes(&look), expected, "{label}");
    }
    let nothing = with(|seen| seen.ticking = 0.0);
    assert_eq!(
        codes(&judge(&nothing, &[], &[], None)),
        [""; 0],
        "nobody has the filter"
    );
    let minute = with(|seen| seen.scraped_every = Some(Duration::from_secs(61)));
    assert_eq!(codes(&judge(&minute, &live, &[], None)), [""; 0]);
}

#[test]
fn what_rollouts_need_is_looked_for() {
    let (on, off) = (
        json!({"splits": {}, "responseMetrics": true}),
        json!({"splits": {}}),
    );
    let mut coarse = wish(Metrics::Filters);
    coarse.latencies.push(0.6);
    let mut elsewhere = wish(Metrics::Filters);
    elsewhere.plugin = Some("other".to_owned());
    let without_istio = Seen {
        istio_requests: 0.0,
        ..good()
    };
    let rows: [(&str, Value, Wish, Seen, &[&str]); 7] = [
        ("counted", on.clone(), wish(Metrics::Filters), good(), &[]),
        (
            "not counted",
            off.clone(),
            wish(Metrics::Filters),
            good(),
            &["response-metrics-off"],
        ),
        ("of another plugin", off.clone(), elsewhere, good(), &[]),
        (
            "its own queries",
            off.clone(),
            wish(Metrics::None),
            good(),
            &[],
        ),
        ("Istio's", off.clone(), wish(Metrics::Istios), good(), &[]),
        (
            "no Istio's",
            off,
            wish(Metrics::Istios),
            without_istio,
            &["istio-metrics-missing"],
        ),
        (
            "between edges",
            on,
            coarse,
            good(),
            &["latency-edges-coarse"],
        ),
    ];
    for (label, config, wish, seen, expected) in rows {
        let look = wanted(&[plugin(config)], &[wish], Some(&seen));
        assert_eq!(codes(&look), expected, "{label}");
    }
}

#[test]
fn scrapes_are_as_far_apart_as_most_are() {
    let series = |times: &[f64]| -> Series {
        let values: Vec<Value> = times.iter().map(|time| json!([time, "1"])).collect();
        serde_json::from_value(json!({"metric": {}, "values": values})).unwrap()
    };
    let all = [series(&[0.0, 15.0, 30.0, 45.0, 105.0]), series(&[7.0])];
    assert_eq!(most_common_gap(&all), Some(Duration::from_secs(15)));
    assert_eq!(most_common_gap(&[series(&[7.0])]), None);
    assert_eq!(most_common_gap(&[]), None);
}
