//! Splits that find no place on a host: their headers do not reach the upstream.

use serde_json::{Map, Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::mesh::{Mesh, Options};

/// So many splits, each with the hosts that `hosts` gives for its number.
fn splits(number: usize, hosts: impl Fn(usize) -> Vec<String>) -> Map<String, Value> {
    let split = |number: usize| (format!("s{number:03}"), json!({"hosts": hosts(number)}));
    (0..number).map(split).collect()
}

async fn mesh(adapter: Adapter, splits: Map<String, Value>) -> Mesh {
    Mesh::start(&json!({ "splits": splits }), Options::on(adapter)).await
}

async fn of_a_thousand_splits_of_a_host_no_header_of_a_client_survives(adapter: Adapter) {
    let mesh = mesh(adapter, splits(1_000, |_| vec!["a.org".to_owned()])).await;
    let lines: [&[u8]; 6] = [
        b"x-sluice-s015: spoofed",
        b"x-sluice-s016: spoofed",
        b"X-Sluice-S999: spoofed",
        b"x-other: kept",
        b"x-sluice-s999: again",
        b"x-sluice-s: kept",
    ];
    let answer = mesh.get("/", "a.org", &lines).await;
    let expected: [(&str, &[&str]); 5] = [
        ("x-sluice-s015", &["stable"]),
        ("x-sluice-s016", &[]),
        ("x-sluice-s999", &[]),
        ("x-other", &["kept"]),
        ("x-sluice-s", &["kept"]),
    ];
    for (header, values) in expected {
        assert_eq!(answer.received(header), values, "{header}");
    }
    let elsewhere = mesh.get("/", "b.org", &lines).await;
    assert_eq!(elsewhere.received("x-sluice-s016"), ["spoofed"]);
}

async fn a_header_name_that_is_no_text_is_refused_before_the_filter_reads_names(adapter: Adapter) {
    let mesh = mesh(adapter, splits(1_000, |_| vec!["a.org".to_owned()])).await;
    let answer = mesh.get("/", "a.org", &[b"x-\xff: a"]).await;
    assert_eq!(answer.status, 400);
    let answer = mesh.get("/", "a.org", &[b"x-sluice-s016: \xff"]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("x-sluice-s016"), [""; 0]);
}

async fn a_split_without_room_for_its_hosts_leaves_no_header_of_a_client(adapter: Adapter) {
    let hosts = |split: usize| {
        (0..64)
            .map(move |host| format!("h{host}.s{split}.org"))
            .collect()
    };
    let mut splits = splits(126, hosts);
    splits.insert("web".into(), json!({"hosts": ["a.org", "b.org"]}));
    let mesh = mesh(adapter, splits).await;
    let lines: [&[u8]; 2] = [b"x-sluice-s125: spoofed", b"x-sluice-web: spoofed"];
    for host in ["h7.s125.org", "a.org"] {
        let answer = mesh.get("/", host, &lines).await;
        assert_eq!(answer.received("x-sluice-s125"), [""; 0], "{host}");
        let web = if host == "a.org" { "stable" } else { "spoofed" };
        assert_eq!(answer.received("x-sluice-web"), [web], "{host}");
    }
}

sluice_e2e::over_both_adapters![
    of_a_thousand_splits_of_a_host_no_header_of_a_client_survives,
    a_header_name_that_is_no_text_is_refused_before_the_filter_reads_names,
    a_split_without_room_for_its_hosts_leaves_no_header_of_a_client,
];
