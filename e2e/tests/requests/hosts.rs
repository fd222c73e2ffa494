//! On which hosts a split applies.

use serde_json::json;
use sluice_e2e::mesh::{Mesh, Options};

use crate::BOB;

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
