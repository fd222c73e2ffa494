//! A module that `sluice push` published, pulled by agents, splits users: by every kind of plugin
//! and route.

use sluice_e2e::wait::until;
use sluice_e2e_istio::load::{Load, Seen};
use sluice_e2e_istio::prometheus;

use crate::late::{
    CONFIG, LATE, start_late_service, wait_for_canary_everywhere,
    wait_for_convergence_with_refetch, wait_for_subsets,
};
use crate::users::{WEB_A, WEB_B, assert_split, variant};
use crate::world::{World, config, revision, wait_for_revision};

pub async fn a_pushed_module_splits_users_by_an_ordinary_virtual_service(world: &mut World) {
    let module = world.chain.tools.module.display();
    let push = format!("push {module} {}", world.image());
    let again = world.sluice(&push).await.good();
    assert!(
        again.out.contains(&world.digest),
        "the same bytes, another digest"
    );
    world.new_plugin("a").await;
    let set = world
        .sluice("set web canary=25 -n a --reason 'first users'")
        .await
        .good();
    assert!(set.out.contains("web everyone canary: 0 -> 25"), "{set:?}");
    world
        .sluice("set web canary=100 --audience staff -n a")
        .await
        .good();
    world.wait_for_convergence("a").await;
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(25.0));
    for caller in &world.callers {
        assert_split(caller, WEB_A, 25).await;
        let staff = b"cookie: uid=user-1; email=joe@some-company-name.com";
        assert_eq!(caller.get(WEB_A, &[staff]).await.variant(), "canary");
    }
    let history = world.sluice("history -n a").await.good().out;
    assert!(
        history.contains("web/everyone/canary 0->25") && history.contains("first users"),
        "{history}"
    );
}

/// Applies a TrafficExtension `sluice-te` in a, and waits until the first caller runs it.
async fn apply_extension(world: &World) {
    let rendered = world.render(
        "web",
        &config(),
        "--service web.a --kind TrafficExtension --name sluice-te --selector app=client",
    );
    world.chain.kubernetes.apply(&rendered).await;
    wait_for_extension(world).await;
}

async fn wait_for_extension(world: &World) {
    let wanted = world
        .wanted_revision_of("TrafficExtension", "a", "sluice-te")
        .await;
    wait_for_revision(&world.callers[0], "a.sluice-te", wanted).await;
}

pub async fn a_traffic_extension_splits_users_too(world: &mut World) {
    apply_extension(world).await;
    world.sluice("set web canary=40 -n a").await.good();
    wait_for_extension(world).await;
    assert_split(&world.callers[0], WEB_A, 40).await;
}

pub async fn of_two_plugins_none_is_guessed(world: &mut World) {
    apply_extension(world).await;
    world.chain.kubernetes.apply(&world.plugin("a")).await;
    let both = world.sluice("get -n a").await.ended_with(2).err;
    assert!(
        both.contains("2 plugins of ours: wasmplugin/sluice, trafficextension/sluice-te"),
        "{both}"
    );
    world
        .sluice("get -n a --plugin trafficextension/sluice-te")
        .await
        .good();
    let near = world
        .sluice("get -n a --plugin sluise")
        .await
        .ended_with(2)
        .err;
    assert!(near.contains("did you mean \"sluice\"?"), "{near}");
}

pub async fn what_render_prints_routes_no_request_to_nowhere(world: &mut World) {
    start_late_service(world).await;
    let rendered = world.render("late", CONFIG, "--service late.a --selector app=client");
    let (subsets, rest) = rendered
        .split_once("# Where the service has traffic already")
        .unwrap();
    let load = Load::start(&world.caller_addresses(), LATE, 100, 300);
    world.chain.kubernetes.apply(subsets).await;
    wait_for_subsets(world).await;
    world.chain.kubernetes.apply(&format!("#{rest}")).await;
    world.sluice("set late canary=100 -n a").await.good();
    wait_for_convergence_with_refetch(world).await;
    wait_for_canary_everywhere(world, &load).await;
    let seen = load.end().await;
    // A new plugin is a new listener: the harness lets the old one drain for 1 s instead of Istio's
    // 45, and then closes connections, a request on its way included (status 0). What must not be
    // is a route to nowhere.
    let failed: Vec<&Seen> = seen
        .iter()
        .filter(|seen| seen.status != 200 && seen.status != 0)
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {}: {:?}",
        failed.len(),
        seen.len(),
        failed[0]
    );
}

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: gw}
spec:
  selector: {app: ingress}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, bind: 127.0.3.1, hosts: ['*/web.example']}
";

/// What `render` prints for the gateway.
fn render_for_gateway(world: &World) -> String {
    world.render(
        "web",
        "splits: {web: {hosts: [web.example]}}",
        "--service web.a --port 8080 --gateway gw/gw --selector app=ingress",
    )
}

/// Makes the gateway, with a split of the web in a.
async fn start_gateway(world: &World) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(GATEWAY).await;
    kubernetes.apply(&render_for_gateway(world)).await;
}

/// Waits until the gateway runs what its plugin wants.
async fn wait_for_gateway(world: &World) {
    let plugin = ("WasmPlugin", "gw", "sluice-gw");
    let wanted = world.wanted_revision_of(plugin.0, plugin.1, plugin.2).await;
    wait_for_revision(&world.gateway, "gw.sluice-gw", wanted).await;
}

pub async fn a_gateway_issues_a_cookie_and_keeps_its_promise(world: &mut World) {
    start_gateway(world).await;
    wait_for_gateway(world).await;
    world.sluice("set web canary=50 -n gw").await.good();
    wait_for_gateway(world).await;
    let gateway = &world.gateway;
    gateway
        .wait_for("the route", async |gateway| {
            let answer = gateway.try_get("web.example", &[]).await;
            let status = answer.unwrap_or_default().status;
            (status == 200).then_some(()).ok_or(status.to_string())
        })
        .await;
    let mut counts = [0, 0];
    for _ in 0..100 {
        let first = gateway.get("web.example", &[]).await;
        let set_cookie = first.set_cookie().expect("a cookie for a newcomer");
        let cookie = format!("cookie: {set_cookie}");
        let second = gateway.get("web.example", &[cookie.as_bytes()]).await;
        assert_eq!((first.status, first.variant()), (200, second.variant()));
        counts[usize::from(first.variant() == "canary")] += 1;
    }
    // 50 of 100, within five sigma.
    assert!(counts[1] > 25 && counts[1] < 75, "{counts:?}");
}

pub async fn a_gateway_without_tls_is_named_and_its_lost_cookies_are_seen(world: &mut World) {
    const WARNING: &str = "Gateway gw/gw: spec.servers[0]: takes requests of split web without TLS";
    start_gateway(world).await;
    world.sluice("set web canary=50 -n gw").await.good();
    wait_for_gateway(world).await;
    let validate = world.sluice("validate -n gw").await.good().out;
    assert!(validate.contains(WARNING), "{validate}");
    let status = format!("status -n gw --prometheus {} --window 6s", prometheus::URL);
    // Clients that keep no cookie.
    until("status to see that cookies are dropped", async || {
        for _ in 0..200 {
            world.gateway.try_get("web.example", &[]).await;
        }
        let said = world.sluice(&status).await.out;
        let is_seen = said.contains("splits.web: clients drop the anonymous cookie");
        is_seen.then_some(()).ok_or(said)
    })
    .await;
    let marked = GATEWAY.replace(
        "namespace: gw}",
        "namespace: gw, annotations: {sluice.dev/tls: in-front}}",
    );
    world.chain.kubernetes.apply(&marked).await;
    let validate = world.sluice("validate -n gw").await.good().out;
    assert!(!validate.contains(WARNING), "{validate}");
}

pub async fn what_a_gateway_no_longer_needs_is_deleted_without_the_meshs(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    world.chain.kubernetes.apply(GATEWAY).await;
    let rendered = render_for_gateway(world);
    let path = world.chain.folder().join("gateway.yaml");
    std::fs::write(&path, rendered).unwrap();
    let file = path.display();
    world
        .kubectl(&format!("apply --server-side -f {file}"))
        .await
        .good();
    wait_for_gateway(world).await;
    world.kubectl(&format!("delete -f {file}")).await.good();
    for (kind, name) in [("DestinationRule", "web"), ("VirtualService", "web")] {
        let kept = world.chain.kubernetes.get(kind, "a", name).await;
        assert!(kept.is_some(), "{kind} a/{name} was deleted");
    }
    // Once the gateway routes no longer, the deletions have arrived there; so have they at the
    // callers, which istiod pushes at the same time and which would answer 503 without subsets.
    world
        .gateway
        .wait_for("the end of the route", async |gateway| {
            let answer = gateway.try_get("web.example", &[]).await;
            let status = answer.unwrap_or_default().status;
            (status != 200).then_some(()).ok_or(status.to_string())
        })
        .await;
    for caller in &world.callers {
        assert_split(caller, WEB_A, 25).await;
    }
}

/// A service for each version, as HTTPRoutes need them.
const VERSIONS_IN_B: &str = "
apiVersion: v1
kind: Service
metadata: {name: web-stable, namespace: b}
spec: {clusterIP: 127.10.1.3, selector: {app: web, version: stable}, ports: [{name: http, port: 8080, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-canary, namespace: b}
spec: {clusterIP: 127.10.1.4, selector: {app: web, version: canary}, ports: [{name: http, port: 8080, targetPort: 8080}]}
";

pub async fn an_http_route_splits_users_too(world: &mut World) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(VERSIONS_IN_B).await;
    kubernetes.delete("VirtualService", "b", "web").await;
    let rendered = world.render(
        "web",
        &config(),
        "--service web.b --gateway-api --port 8080",
    );
    kubernetes.apply(&rendered).await;
    world.wait_for_convergence("b").await;
    world.sluice("set web canary=30 -n b").await.good();
    world.wait_for_convergence("b").await;
    assert_split(&world.other, WEB_B, 30).await;
}

/// How many configurations the proxy in b was given, once that has stood still for a second: Envoy
/// counts one when every worker has it, a little after the first one runs it.
async fn settled_updates(world: &World) -> String {
    let mut last = String::new();
    until("b's configuration to stand still", async || {
        let path = "/stats?filter=extension_config_discovery.*config_reload$";
        let updates = world.other.admin(path).await;
        if updates == last {
            return Ok(updates);
        }
        last = updates.clone();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Err(updates)
    })
    .await
}

pub async fn a_namespace_does_not_notice_another_ones_changes(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    world.fresh_plugin("b", 30).await;
    let wanted = world.wanted_revision("b").await;
    let before = settled_updates(world).await;
    let load = Load::start(&[world.other.address], WEB_B, 500, 200);
    for percent in [20, 40, 60, 80, 5] {
        world.set("web", percent).await;
        world.wait_for_convergence("a").await;
    }
    for seen in load.end().await {
        assert_eq!(
            (seen.status, seen.variant.as_str()),
            (200, variant(seen.user, 30)),
            "user {} of b",
            seen.user
        );
    }
    assert_eq!(
        settled_updates(world).await,
        before,
        "b's proxies were given another configuration"
    );
    assert_eq!(revision(&world.other, "b.sluice").await, wanted);
}
