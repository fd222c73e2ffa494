//! Claims of tokens at a gateway: the native module is told of them by a filter before it.

use serde_json::{Value, json};
use sluice_core::bucket::bucket;
use sluice_e2e::wait::until;
use sluice_e2e_istio::api_server::ISSUER;

use super::{filters, installed, wait_for};
use crate::world::World;

/// How many accounts of the cluster are users.
const USERS: usize = 12;

/// Half of everyone, and everybody whose subject begins like that of the first ten.
const CONFIG: &str = "
splits:
  web:
    hosts: [web.example]
    identity: [{claim: sub}]
    rules:
    - {name: first, match: [{claims: {sub: {prefix: 'system:serviceaccount:gw:user-0'}}}]}
";

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: gw}
spec:
  selector: {app: ingress}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, bind: 127.0.3.1, hosts: ['*/web.example']}
";

/// What a user is given: the rule's audience has everyone on the canary.
fn expected(user: usize) -> &'static str {
    let subject = subject(user);
    let is_first = subject.starts_with("system:serviceaccount:gw:user-0");
    match is_first || bucket("web", None, subject.as_bytes()) < 50_000 {
        true => "canary",
        false => "stable",
    }
}

fn subject(user: usize) -> String {
    format!("system:serviceaccount:gw:{}", account(user))
}

fn account(user: usize) -> String {
    format!("user-{}{}", user % 4, user)
}

/// A token for every user, of accounts of the cluster.
async fn tokens(world: &World) -> Vec<String> {
    let kubernetes = &world.chain.kubernetes;
    let mut tokens = Vec::new();
    for user in 0..USERS {
        let account = account(user);
        let made = format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {account}, namespace: gw}}\n"
        );
        kubernetes.apply(&made).await;
        tokens.push(kubernetes.token("gw", &account, ISSUER).await);
    }
    tokens
}

/// Has the gateway check the cluster's own tokens.
async fn check_tokens(world: &World) {
    let kubernetes = &world.chain.kubernetes;
    let keys = hyper::Request::builder()
        .uri("/openid/v1/jwks")
        .body(Vec::new())
        .unwrap();
    let keys = kubernetes.client().request_text(keys).await.unwrap();
    let authentication = json!({
        "apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"name": "tokens", "namespace": "gw"},
        "spec": {
            "selector": {"matchLabels": {"app": "ingress"}},
            "jwtRules": [{"issuer": ISSUER, "jwks": keys}],
        },
    });
    kubernetes.apply(&authentication.to_string()).await;
}

/// What the gateway answers every user; `None` where it does not answer yet.
async fn answers(world: &World, tokens: &[String]) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    for token in tokens {
        let header = format!("authorization: Bearer {token}");
        let answer = world
            .gateway
            .try_get("web.example", &[header.as_bytes()])
            .await;
        let answer = answer.unwrap_or_default();
        answers.push((answer.status, answer.variant()));
    }
    answers
}

pub async fn claims_are_read_by_the_native_module_too(world: &mut World) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(GATEWAY).await;
    check_tokens(world).await;
    let arguments = "--service web.a --port 8080 --gateway gw/gw --selector app=ingress";
    kubernetes
        .apply(&world.render("web", CONFIG, arguments))
        .await;
    world.sluice("set web canary=50 -n gw").await.good();
    world
        .sluice("set web canary=100 --audience first -n gw")
        .await
        .good();
    let tokens = tokens(world).await;
    let wanted: Vec<(u16, String)> = (0..USERS)
        .map(|user| (200, expected(user).to_owned()))
        .collect();
    let variants = |variant: &str| wanted.iter().filter(|(_, own)| own == variant).count();
    assert!(
        variants("canary") > 3 && variants("stable") > 1,
        "{wanted:?}"
    );
    until("the wasm module to decide by claims", async || {
        let answers = answers(world, &tokens).await;
        (answers == wanted)
            .then_some(())
            .ok_or(format!("{answers:?}"))
    })
    .await;
    let library = installed(world, "claims");
    let annotations: Value = json!({
        "sluice.dev/native": "true", "sluice.dev/native-library": library,
    });
    let change = json!({"metadata": {"annotations": annotations}});
    kubernetes
        .merge("WasmPlugin", "gw", "sluice-gw", &change)
        .await
        .unwrap();
    world.sluice("refetch -n gw").await.good();
    let revision = world
        .wanted_revision_of("WasmPlugin", "gw", "sluice-gw")
        .await;
    wait_for(&world.gateway, "gw.sluice-gw", revision).await;
    until("the native filter", async || {
        match filters(&world.gateway).await {
            (0, native) if native > 0 => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
    assert_eq!(answers(world, &tokens).await, wanted);
    // Who brings no token is a newcomer, and keeps what they were given.
    let first = world.gateway.get("web.example", &[]).await;
    let cookie = format!(
        "cookie: {}",
        first.set_cookie().expect("a cookie for a newcomer")
    );
    let second = world.gateway.get("web.example", &[cookie.as_bytes()]).await;
    assert_eq!((second.status, second.variant()), (200, first.variant()));
    world.sluice("abort --all -n gw").await.good();
    until("everybody to be on stable", async || {
        let answers = answers(world, &tokens).await;
        let are_stable = answers
            .iter()
            .all(|answer| *answer == (200, "stable".to_owned()));
        are_stable.then_some(()).ok_or(format!("{answers:?}"))
    })
    .await;
    world.stop_native_proxies();
}
