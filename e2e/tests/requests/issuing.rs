//! The anonymous cookie: who gets it, who must not, and what becomes of the response.

use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::{get, request};
use sluice_e2e::mesh::{Mesh, Options};

use crate::{ALICE, HOST, config, mesh};

async fn a_newcomer_keeps_on_the_second_page_what_the_first_page_drew(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let first = mesh.get("/", HOST, &[]).await;
        let cookie = first.set_cookie().expect("a cookie");
        let attributes = first.header("set-cookie").unwrap();
        assert!(
            attributes.ends_with("; Path=/; Max-Age=15552000; HttpOnly; SameSite=Lax"),
            "{attributes}"
        );
        assert_eq!(
            (first.headers("set-cookie").len(), cookie.len()),
            (1, "visitor=".len() + 22)
        );
        let second = mesh
            .get("/", HOST, &[format!("cookie: {cookie}").as_bytes()])
            .await;
        assert_eq!(
            (second.variant(), second.set_cookie()),
            (first.variant(), None)
        );
        seen.insert(cookie);
    }
    assert_eq!(seen.len(), 40, "every newcomer is another user");
}

async fn an_issued_cookie_makes_the_response_private(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    let control = async |path: &str, lines: &[&[u8]]| {
        mesh.get(path, HOST, lines).await.headers("cache-control")
    };
    assert_eq!(control("/", &[]).await, ["private"]);
    assert_eq!(control("/public", &[]).await, ["private, max-age=60"]);
    assert_eq!(control("/no-store", &[]).await, ["private, no-store"]);
    assert_eq!(
        control("/public", &[ALICE]).await,
        ["public, max-age=60"],
        "without a new cookie it stays"
    );
}

async fn no_shared_cache_may_keep_a_page_that_sets_a_cookie(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    let cases: [(&[&str], &str, &[&str]); 9] = [
        (
            &["cache-control: public, s-maxage = 5, max-age=6"],
            "cache-control",
            &["private, max-age=6"],
        ),
        (
            &["cache-control: private=\"x, y\", no-store"],
            "cache-control",
            &["private, no-store"],
        ),
        (
            &[
                "cache-control: max-age=6",
                "Cache-Control: s-maxage=600, x-own=1",
            ],
            "cache-control",
            &["private, max-age=6, x-own=1"],
        ),
        (
            &[
                "cdn-cache-control: max-age=600",
                "CDN-Cache-Control: public",
            ],
            "cdn-cache-control",
            &["no-store"],
        ),
        (
            &["cloudflare-cdn-cache-control: max-age=600"],
            "cloudflare-cdn-cache-control",
            &["no-store"],
        ),
        (
            &["surrogate-control: max-age=600, content=\"ESI/1.0\""],
            "surrogate-control",
            &["no-store, content=\"ESI/1.0\""],
        ),
        (
            &["edge-control: cache-maxage=1d"],
            "edge-control",
            &["no-store"],
        ),
        (&["x-accel-expires: 3600"], "x-accel-expires", &["0"]),
        (&["set-cookie: theirs=1"], "surrogate-control", &[]),
    ];
    for (lines, header, expected) in cases {
        let answer_with = lines
            .iter()
            .map(|line| format!("x-answer-with: {line}").into_bytes());
        let sent: Vec<Vec<u8>> = answer_with.chain([b"x: y".to_vec()]).collect();
        let sent: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        let newcomer = mesh.get("/", HOST, &sent).await;
        assert!(
            newcomer
                .headers("set-cookie")
                .iter()
                .any(|set| set.starts_with("visitor="))
        );
        assert_eq!(newcomer.headers(header), expected, "{lines:?}");
        assert!(
            newcomer
                .header("cache-control")
                .unwrap()
                .starts_with("private"),
            "{lines:?}"
        );
        let known: Vec<&[u8]> = sent.iter().copied().chain([ALICE]).collect();
        let known = mesh.get("/", HOST, &known).await;
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name = name.to_ascii_lowercase();
            let kept = known.headers(&name);
            assert!(kept.iter().any(|kept| kept.contains(value)), "{line}");
        }
    }
}

async fn a_cookie_is_not_issued_where_it_would_do_harm(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    let quiet: [(&str, Vec<u8>); 4] = [
        (
            "preflight",
            request(
                "OPTIONS",
                "/",
                HOST,
                &[b"access-control-request-method: PUT"],
            ),
        ),
        (
            "gRPC",
            request(
                "POST",
                "/",
                HOST,
                &[b"content-type: application/grpc", b"content-length: 0"],
            ),
        ),
        (
            "sub-resource",
            get("/", HOST, &[b"sec-fetch-mode: no-cors"]),
        ),
        (
            "everybody gets the same",
            get("/", HOST, &[b"cookie: email=joe@some-company-name.com"]),
        ),
    ];
    for (label, bytes) in quiet {
        let answer = mesh.send(&bytes).await;
        assert_eq!(
            (answer.header("set-cookie"), answer.header("cache-control")),
            (None, None),
            "{label}"
        );
        assert_eq!(
            answer.variant(),
            if label == "everybody gets the same" {
                "canary"
            } else {
                "stable"
            },
            "{label}"
        );
    }
    assert!(
        mesh.get("/", HOST, &[b"sec-fetch-mode: navigate"])
            .await
            .set_cookie()
            .is_some()
    );
    for node in [
        "sidecar~10.0.0.1~a.b~b.svc.cluster.local",
        "waypoint~10.0.0.1~a.b~b.svc.cluster.local",
    ] {
        let mesh = Mesh::start(
            &config(),
            Options {
                node_id: node.to_owned(),
                ..Options::on(adapter)
            },
        )
        .await;
        let answer = mesh.get("/", HOST, &[]).await;
        assert_eq!(
            (answer.variant().as_str(), answer.set_cookie()),
            ("stable", None),
            "{node}"
        );
    }
}

sluice_e2e::over_both_adapters![
    a_newcomer_keeps_on_the_second_page_what_the_first_page_drew,
    an_issued_cookie_makes_the_response_private,
    no_shared_cache_may_keep_a_page_that_sets_a_cookie,
    a_cookie_is_not_issued_where_it_would_do_harm,
];
