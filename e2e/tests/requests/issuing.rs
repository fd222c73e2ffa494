//! The anonymous cookie: who gets it, who must not, and what becomes of the response.

use sluice_e2e::client::{get, request};
use sluice_e2e::mesh::{Mesh, Options};

use crate::{ALICE, HOST, config, mesh};

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_keeps_on_the_second_page_what_the_first_page_drew() {
    let mesh = mesh().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_issued_cookie_makes_the_response_private() {
    let mesh = mesh().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_not_issued_where_it_would_do_harm() {
    let mesh = mesh().await;
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
                ..Options::default()
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
