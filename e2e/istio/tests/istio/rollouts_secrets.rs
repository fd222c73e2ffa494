//! Secrets as a controller reads them.

use serde_json::json;
use sluice::rollout::secrets::{OfNamespace, Place, SecretReader as _, Shape};

use crate::world::World;

pub async fn a_controller_reads_secrets_of_the_namespace_alone(world: &mut World) {
    let secret = |namespace: &str, name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
            "stringData": {"url": "https://hooks.example.com/s3cret\n"},
        })
    };
    for (namespace, name) in [("a", "slack"), ("b", "elsewhere")] {
        let document = secret(namespace, name).to_string();
        world.chain.kubernetes.apply(&document).await;
    }
    let reader = OfNamespace::new(world.chain.kubernetes.client(), "a");
    let of = |name: &str, key: &str| Place::Secret {
        name: name.to_owned(),
        key: key.to_owned(),
    };
    let read = reader.read(&of("slack", "url"), Shape::Line).await.unwrap();
    assert!(!format!("{read:?}").contains("s3cret"));
    let cases = [
        (
            of("slack", "token"),
            "key token of Secret slack: it has no such key",
        ),
        (
            of("elsewhere", "url"),
            "key url of Secret elsewhere: there is no such Secret",
        ),
        (
            Place::File("/etc/passwd".into()),
            "file /etc/passwd: a controller reads Secrets alone",
        ),
        (
            Place::Variable("PATH".to_owned()),
            "variable PATH: a controller reads Secrets alone",
        ),
    ];
    for (place, why) in cases {
        let error = reader
            .read(&place, Shape::Line)
            .await
            .map(drop)
            .unwrap_err();
        assert_eq!(error.to_string(), why);
    }
    world.chain.kubernetes.delete("Secret", "a", "slack").await;
    world
        .chain
        .kubernetes
        .delete("Secret", "b", "elsewhere")
        .await;
}
