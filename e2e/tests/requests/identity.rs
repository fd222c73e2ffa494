//! Identities that Envoy vouches for: claims of a verified token, the address that it trusts.

use serde_json::{Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::mesh::{Mesh, Options};

use crate::HOST;

/// HS256 with the key `sluice-test-secret`; claims iss=test, sub=bob, tier=gold, level=7,
/// roles=[a].
const TOKEN: &str = include_str!("../data/token.txt");

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

async fn claims_are_those_that_the_jwt_filter_verified_and_only_strings(adapter: Adapter) {
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
            ..Options::on(adapter)
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

async fn the_address_is_the_one_envoy_trusts_without_the_port(adapter: Adapter) {
    let config = json!({
        "splits": {"web": {"identity": [{"source": "address"}]}},
        "weights": {"web": {"everyone": {"canary": 50}}},
    });
    let plan = sluice_e2e::mesh::plan(&config);
    let mesh = Mesh::start(
        &config,
        Options {
            trusted_hops: 1,
            ..Options::on(adapter)
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

sluice_e2e::over_both_adapters![
    claims_are_those_that_the_jwt_filter_verified_and_only_strings,
    the_address_is_the_one_envoy_trusts_without_the_port,
];
