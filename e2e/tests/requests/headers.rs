//! The split's header: a client's own, and one that names a variant outright or is kept.

use serde_json::{Map, Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::mesh::{Mesh, Options};

use crate::{ALICE, BOB, HOST, config};

async fn a_client_s_own_header_never_survives(adapter: Adapter) {
    let mut config = config();
    config["splits"]["web"]["paths"] = json!([{"prefix": "/shop"}]);
    let mesh = Mesh::start(&config, Options::on(adapter)).await;
    let spoofs: [&[&[u8]]; 3] = [
        &[b"x-sluice-web: canary"],
        &[b"x-sluice-web: stable", b"x-sluice-web: canary"],
        &[b"X-Sluice-Web: canary", b"x-sluice-web: canary"],
    ];
    for spoof in spoofs {
        let lines: Vec<&[u8]> = spoof.iter().copied().chain([ALICE]).collect();
        let answer = mesh.get("/shop", HOST, &lines).await;
        assert_eq!(
            (answer.variant().as_str(), answer.received("x-sluice-web")),
            ("stable", vec!["stable".to_owned()]),
            "on the split's path"
        );
        let beside = mesh.get("/other", HOST, &lines).await;
        assert_eq!(
            (beside.variant().as_str(), beside.received("x-sluice-web")),
            ("", vec![]),
            "beside it"
        );
    }
}

async fn override_and_inherit_depend_on_where_the_filter_runs(adapter: Adapter) {
    let mut config = config();
    config["splits"]["web"]["inherit"] = json!(true);
    config["splits"]["web"]["override"] = json!({"header": "x-force", "cookie": "force"});
    let nodes = [
        ("router~10.0.0.1~gw.a~a.svc.cluster.local", "stable"),
        ("sidecar~10.0.0.1~a.b~b.svc.cluster.local", "canary"),
    ];
    for (node, with_header) in nodes {
        let mesh = Mesh::start(
            &config,
            Options {
                node_id: node.to_owned(),
                ..Options::on(adapter)
            },
        )
        .await;
        let variant = async |lines: &[&[u8]]| mesh.get("/", HOST, lines).await.variant();
        assert_eq!(
            variant(&[ALICE, b"x-sluice-web: canary"]).await,
            with_header,
            "{node}"
        );
        assert_eq!(
            variant(&[ALICE, b"x-sluice-web: nonsense"]).await,
            "stable",
            "{node}"
        );
        assert_eq!(
            variant(&[ALICE, b"x-force: canary"]).await,
            "canary",
            "{node}"
        );
        assert_eq!(
            variant(&[b"cookie: uid=alice; force=canary"]).await,
            "canary",
            "{node}"
        );
        assert_eq!(
            variant(&[BOB, b"x-force: stable"]).await,
            "stable",
            "{node}"
        );
    }
}

async fn a_split_that_finds_no_place_leaves_no_header_of_a_client(adapter: Adapter) {
    let healthy = (10..26).map(|number| (format!("s{number}"), json!({"hosts": [HOST]})));
    let broken = json!({"hosts": [HOST], "colour": "red"});
    let crowded = json!({"hosts": [HOST]});
    let others = [
        ("a-broken".to_owned(), broken),
        ("z-late".to_owned(), crowded),
    ];
    let splits: Map<String, Value> = healthy.chain(others).collect();
    let mesh = Mesh::start(&json!({"splits": splits}), Options::on(adapter)).await;
    let lines: [&[u8]; 4] = [
        b"x-sluice-a-broken: canary",
        b"x-sluice-z-late: canary",
        b"x-sluice-z-late: stable",
        b"x-sluice-s10: spoofed",
    ];
    let answer = mesh.get("/", HOST, &lines).await;
    for number in 10..26 {
        let header = format!("x-sluice-s{number}");
        assert_eq!(
            answer.received(&header),
            ["stable"],
            "{header}: the healthy ones have the places"
        );
    }
    assert_eq!(answer.received("x-sluice-a-broken"), [""; 0]);
    assert_eq!(answer.received("x-sluice-z-late"), [""; 0]);
    let elsewhere = mesh.get("/", "other.org", &lines).await;
    assert_eq!(elsewhere.received("x-sluice-z-late"), ["canary", "stable"]);
    assert_eq!(mesh.metric("sluice_problems_total", &[]).await, 3.0);
}

async fn a_broken_split_takes_no_header_from_a_healthy_one(adapter: Adapter) {
    let config = json!({
        "splits": {
            "a": {"header": "x-v", "hosts": ["no host"]},
            "b": {"header": "x-v", "hosts": [HOST], "colour": "red"},
            "c": {"header": "x-v", "hosts": [HOST], "variants": ["old", "new"]},
            "d": {"header": "x-v", "hosts": "elsewhere.org"},
        },
        "weights": {"c": {"everyone": {"new": 100}}},
    });
    let mesh = Mesh::start(&config, Options::on(adapter)).await;
    let value = async |host: &str| mesh.get("/", host, &[b"x-v: own"]).await.received("x-v");
    assert_eq!(value(HOST).await, ["new"]);
    assert_eq!(
        value("elsewhere.org").await,
        ["own"],
        "hosts that cannot be read are nowhere"
    );
}

async fn a_header_that_others_give_a_meaning_is_neither_set_nor_removed(adapter: Adapter) {
    let headers = [
        "host",
        "range",
        "expect",
        "cookie",
        "x-forwarded-proto",
        "x-request-id",
        ":path",
        "te",
    ];
    let split = |header: &&str| {
        let name = header.trim_start_matches(':').to_owned();
        (
            name,
            json!({"header": header, "paths": [{"prefix": "/elsewhere"}], "colour": "red"}),
        )
    };
    let splits: Map<String, Value> = headers.iter().map(split).collect();
    let mesh = Mesh::start(&json!({"splits": splits}), Options::on(adapter)).await;
    let sent = [
        ("range", "bytes=0-4"),
        ("cookie", "uid=bob"),
        ("te", "trailers"),
        ("x-request-id", "7"),
    ];
    let lines = sent.map(|(name, value)| format!("{name}: {value}").into_bytes());
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    for path in ["/", "/elsewhere"] {
        let answer = mesh.get(path, HOST, &lines).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.received("host"), [HOST], "{path}");
        assert_eq!(answer.received("x-forwarded-proto"), ["http"], "{path}");
        assert_eq!(answer.received("expect"), [""; 0], "{path}");
        for (name, value) in &sent[..2] {
            assert_eq!(answer.received(name), [*value], "{path} {name}");
        }
    }
    assert_eq!(mesh.metric("sluice_problems_total", &[]).await, 16.0);
}

sluice_e2e::over_both_adapters![
    a_client_s_own_header_never_survives,
    override_and_inherit_depend_on_where_the_filter_runs,
    a_split_that_finds_no_place_leaves_no_header_of_a_client,
    a_broken_split_takes_no_header_from_a_healthy_one,
    a_header_that_others_give_a_meaning_is_neither_set_nor_removed,
];
