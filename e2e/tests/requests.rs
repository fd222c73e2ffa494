//! What single requests meet in a real Envoy: hostile bytes, spoofed headers, cookies, protocols.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use sluice_e2e::client::{get, http2, request};
use sluice_e2e::mesh::{Mesh, Options};

const HOST: &str = "shop.example.com";

/// The commonest case, over plain HTTP: half of the company's people, and half of everyone.
fn config() -> Value {
    json!({
        "splits": {"web": {
            "hosts": [HOST],
            "paths": [{"prefix": "/"}],
            "identity": [{"cookie": "uid"}, {"header": "x-user-id"}],
            "rules": [{"name": "staff", "match": [{"cookies": {"email": {"regex": "[^@]+@some-company-name\\.com"}}}]}],
        }},
        "weights": {"web": {"staff": {"canary": 100}, "everyone": {"canary": 50}}},
        "cookie": {"name": "visitor", "secure": false},
    })
}

async fn mesh() -> Mesh {
    Mesh::start(&config(), Options::default()).await
}

// bucket("web", …): alice 56066, bob 45061; at 50 %, bob is on the canary and alice is not.
const ALICE: &[u8] = b"cookie: uid=alice";
const BOB: &[u8] = b"cookie: uid=bob";

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_values_like_any_other() {
    let mesh = mesh().await;
    let lines: [&[u8]; 6] = [
        b"cookie: uid=\xff\xfe\x80",
        b"cookie: \xff=\xfe; uid=\xc3\x28",
        b"x-user-id: \xff\xfe",
        b"cookie: email=\xff@some-company-name.com",
        b"cookie: ;;;=;=\xff;\"",
        b"x-sluice-web: \xff",
    ];
    for line in lines {
        let first = mesh.get("/", HOST, &[line]).await;
        assert_eq!(first.status, 200, "{line:?}");
        assert!(
            ["stable", "canary"].contains(&first.variant().as_str()),
            "{line:?}"
        );
    }
    // The bucket of (web, ff fe) is 30126.
    assert_eq!(
        mesh.get("/", HOST, &[b"cookie: uid=\xff\xfe"])
            .await
            .variant(),
        "canary"
    );
    assert_eq!(
        mesh.metric("sluice_config_valid", &[]).await,
        1.0,
        "the VM lives"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_without_measure_are_survived_and_cut_at_the_limits() {
    let mesh = mesh().await;
    let long = |before: usize| {
        [
            b"cookie: a=".to_vec(),
            vec![b'x'; before],
            b"; uid=bob".to_vec(),
        ]
        .concat()
    };
    assert_eq!(
        mesh.get("/", HOST, &[&long(20_000)]).await.variant(),
        "canary",
        "within 32 KiB"
    );
    let beyond = mesh.get("/", HOST, &[&long(50_000)]).await;
    assert_eq!(beyond.status, 200);
    assert!(
        beyond.set_cookie().is_some(),
        "beyond 32 KiB uid is absent, so an identity is issued"
    );
    let many = |before: usize| {
        [
            b"cookie: ".to_vec(),
            b"a=1; ".repeat(before),
            b"uid=bob".to_vec(),
        ]
        .concat()
    };
    assert_eq!(
        mesh.get("/", HOST, &[&many(179)]).await.set_cookie(),
        None,
        "the 180th cookie is read"
    );
    assert!(
        mesh.get("/", HOST, &[&many(499)])
            .await
            .set_cookie()
            .is_some(),
        "of 500 the last is not"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_cookie_lines_the_first_is_read_and_crumbs_arrive_joined() {
    let mesh = mesh().await;
    assert_eq!(mesh.get("/", HOST, &[BOB, ALICE]).await.variant(), "canary");
    assert_eq!(mesh.get("/", HOST, &[ALICE, BOB]).await.variant(), "stable");
    let crumbs = hyper::Request::get(format!("http://{HOST}/"))
        .header("cookie", "theme=dark")
        .header("cookie", "uid=bob");
    let answer = http2(mesh.address(), crumbs.body(Full::default()).unwrap()).await;
    assert_eq!(answer.headers()["x-variant"], "canary");
    assert!(answer.headers().get("set-cookie").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_s_own_header_never_survives() {
    let mut config = config();
    config["splits"]["web"]["paths"] = json!([{"prefix": "/shop"}]);
    let mesh = Mesh::start(&config, Options::default()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn override_and_inherit_depend_on_where_the_filter_runs() {
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
                ..Options::default()
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

#[tokio::test(flavor = "multi_thread")]
async fn the_email_rule_works_for_cookies_as_browsers_join_them() {
    let mesh = mesh().await;
    for line in [
        "cookie: email=joe@some-company-name.com",
        "cookie: _ga=GA1.2.3; email=joe@some-company-name.com; theme=dark",
        "cookie: theme=dark;email=\"joe@some-company-name.com\"",
    ] {
        assert_eq!(
            mesh.get("/", HOST, &[line.as_bytes()]).await.variant(),
            "canary",
            "{line}"
        );
    }
    let answer = mesh
        .get(
            "/",
            HOST,
            &[b"cookie: uid=alice; notemail=joe@some-company-name.com"],
        )
        .await;
    assert_eq!(answer.variant(), "stable");
}

/// HS256 with the key `sluice-test-secret`; claims iss=test, sub=bob, tier=gold, level=7,
/// roles=[a].
const TOKEN: &str = include_str!("data/token.txt");

fn jwt_filter() -> Value {
    // {"keys":[{"kty":"oct","alg":"HS256","k":base64url("sluice-test-secret")}]}
    let keys = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"c2x1aWNlLXRlc3Qtc2VjcmV0"}]}"#;
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"test": {"issuer": "test", "local_jwks": {"inline_string": keys}, "payload_in_metadata": "payload"}},
            "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [{"provider_name": "test"}, {"allow_missing": {}}]}}}],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_those_that_the_jwt_filter_verified_and_only_strings() {
    let config = json!({
        "splits": {
            "list": {"identity": [{"claim": "roles"}]},
            "number": {"identity": [{"claim": "level"}]},
            "web": {
                "identity": [{"claim": "sub"}],
                "rules": [{"name": "gold", "match": [{"claims": {"tier": {"in": ["gold", "platinum"]}}}]}],
            },
        },
        "weights": {"list": {"everyone": {"canary": 50}}, "number": {"everyone": {"canary": 50}}, "web": {"gold": {"canary": 50}}},
    });
    let mesh = Mesh::start(
        &config,
        Options {
            filters_before: vec![jwt_filter()],
            ..Options::default()
        },
    )
    .await;
    let authorization = format!("authorization: Bearer {}", TOKEN.trim());
    let answer = mesh.get("/", HOST, &[authorization.as_bytes()]).await;
    assert_eq!(
        (answer.status, answer.received("x-sluice-web")),
        (200, vec!["canary".to_owned()]),
        "bob's bucket is 45061"
    );
    mesh.wait_for_metric(
        "sluice_identity_total",
        &[("sluice_split", "web"), ("sluice_source", "claim")],
        1.0,
    )
    .await;
    assert_eq!(
        mesh.metric(
            "sluice_decisions_total",
            &[("sluice_split", "web"), ("sluice_audience", "gold")]
        )
        .await,
        1.0
    );
    for split in ["list", "number"] {
        assert_eq!(
            mesh.metric(
                "sluice_identity_total",
                &[("sluice_split", split), ("sluice_source", "issued")]
            )
            .await,
            1.0,
            "{split}"
        );
    }
    let without = mesh.get("/", HOST, &[]).await;
    assert_eq!(without.received("x-sluice-web"), ["stable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_namespace_is_envoy_s_and_names_services_by_their_bare_name() {
    let config = json!({
        "splits": {"web": {"services": ["web.shop"], "identity": [{"cookie": "uid"}]}},
        "weights": {"web": {"everyone": {"canary": 50}}},
    });
    for (namespace, expected) in [("shop", "canary"), ("other", "")] {
        let options = Options {
            namespace: Some(namespace.to_owned()),
            ..Options::default()
        };
        let mesh = Mesh::start(&config, options).await;
        assert_eq!(
            mesh.get("/", "web", &[BOB]).await.variant(),
            expected,
            "{namespace}"
        );
        assert_eq!(
            mesh.get("/", "web.shop.svc.cluster.local:8080", &[BOB])
                .await
                .variant(),
            "canary",
            "{namespace}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_is_the_one_envoy_trusts_without_the_port() {
    let config = json!({
        "splits": {"web": {"identity": [{"source": "address"}]}},
        "weights": {"web": {"everyone": {"canary": 50}}},
    });
    let plan = sluice_e2e::mesh::plan(&config);
    let mesh = Mesh::start(
        &config,
        Options {
            trusted_hops: 1,
            ..Options::default()
        },
    )
    .await;
    for address in ["203.0.113.9", "203.0.113.10", "2001:db8::1", "2001:db8::2"] {
        let expected = plan.splits()[0]
            .allocation(None)
            .variant(plan.splits()[0].seed.bucket(address.as_bytes()));
        let answer = mesh
            .get(
                "/",
                HOST,
                &[format!("x-forwarded-for: {address}").as_bytes()],
            )
            .await;
        assert_eq!(
            answer.variant(),
            ["stable", "canary"][usize::from(expected)],
            "{address}"
        );
        assert_eq!(answer.set_cookie(), None, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_requests_are_split_and_keep_their_body() {
    let mesh = mesh().await;
    let body = Bytes::from_static(b"\0\0\0\0\x05hello");
    let call = hyper::Request::post(format!("http://{HOST}/count"))
        .header("content-type", "application/grpc");
    let call = call
        .header("x-user-id", "bob")
        .body(Full::new(body))
        .unwrap();
    let answer = http2(mesh.address(), call).await;
    assert_eq!(answer.headers()["x-variant"], "canary");
    assert!(answer.body().starts_with(b"10 "), "{:?}", answer.body());
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_are_split_and_pass_bytes() {
    let mesh = mesh().await;
    let mut connection = mesh.connect().await;
    let lines: [&[u8]; 4] = [
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        BOB,
    ];
    let answer = connection.send(&get("/chat", HOST, &lines)).await.unwrap();
    assert_eq!((answer.status, answer.variant().as_str()), (101, "canary"));
    connection.write(b"\x81\x05hello\xff\x00").await;
    assert_eq!(connection.read_exact(9).await, b"\x81\x05hello\xff\x00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_megabyte_passes_untouched() {
    let mesh = mesh().await;
    let mut connection = mesh.connect().await;
    let body: Vec<u8> = (0..1_000_000_u32)
        .map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let head = request(
        "POST",
        "/count",
        HOST,
        &[b"transfer-encoding: chunked", BOB],
    );
    connection.write(&head).await;
    for chunk in body.chunks(7_777) {
        connection
            .write(format!("{:x}\r\n", chunk.len()).as_bytes())
            .await;
        connection.write(chunk).await;
        connection.write(b"\r\n").await;
    }
    connection.write(b"0\r\n\r\n").await;
    let answer = connection.answer().await.unwrap();
    let mut hash = fnv::FnvHasher::default();
    std::hash::Hasher::write(&mut hash, &body);
    let expected = format!("1000000 {:x}", std::hash::Hasher::finish(&hash));
    assert_eq!(
        (answer.variant(), String::from_utf8(answer.body).unwrap()),
        ("canary".to_owned(), expected)
    );
}
