//! The split's header: a client's own, and one that names a variant outright or is kept.

use serde_json::json;
use sluice_e2e::mesh::{Mesh, Options};

use crate::{ALICE, BOB, HOST, config};

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
