//! What bytes a request may hold: no text, without measure, cookies as clients join them.

use http_body_util::Full;
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::http2;

use crate::{ALICE, BOB, HOST, mesh};

async fn bytes_that_are_no_text_are_values_like_any_other(adapter: Adapter) {
    let mesh = mesh(adapter).await;
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

async fn cookies_without_measure_are_survived_and_cut_at_the_limits(adapter: Adapter) {
    let mesh = mesh(adapter).await;
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

async fn of_several_cookie_lines_the_first_is_read_and_crumbs_arrive_joined(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    assert_eq!(mesh.get("/", HOST, &[BOB, ALICE]).await.variant(), "canary");
    assert_eq!(mesh.get("/", HOST, &[ALICE, BOB]).await.variant(), "stable");
    let crumbs = hyper::Request::get(format!("http://{HOST}/"))
        .header("cookie", "theme=dark")
        .header("cookie", "uid=bob");
    let answer = http2(mesh.address(), crumbs.body(Full::default()).unwrap()).await;
    assert_eq!(answer.headers()["x-variant"], "canary");
    assert!(answer.headers().get("set-cookie").is_none());
}

async fn the_email_rule_works_for_cookies_as_browsers_join_them(adapter: Adapter) {
    let mesh = mesh(adapter).await;
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

sluice_e2e::over_both_adapters![
    bytes_that_are_no_text_are_values_like_any_other,
    cookies_without_measure_are_survived_and_cut_at_the_limits,
    of_several_cookie_lines_the_first_is_read_and_crumbs_arrive_joined,
    the_email_rule_works_for_cookies_as_browsers_join_them,
];
