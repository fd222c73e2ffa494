//! A module that `sluice push` published, pulled by agents, splits users: by every kind of plugin and route.

use std::time::Duration;

use sluice_core::bucket::bucket;
use sluice_e2e::upstream::Upstream;
use sluice_e2e_istio::chain::PROMETHEUS;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::proxy::Proxy;

use crate::world::{World, config, wait_for_revision};

/// The host that the callers in a use.
pub const WEB_A: &str = "web.a.svc.cluster.local:8080";

/// The host that the caller in b uses.
pub const WEB_B: &str = "web.b.svc.cluster.local:8080";

/// Whether a user is among so many percent of everyone.
pub fn is_canary(user: u32, percent: u32) -> bool {
    bucket("web", None, format!("user-{user}").as_bytes()) < percent * 1_000
}

async fn assert_split(proxy: &Proxy, host: &str, percent: u32) {
    for user in 0..200 {
        let cookie = format!("cookie: uid=user-{user}");
        let answer = proxy.get(host, &[cookie.as_bytes()]).await;
        let expected = if is_canary(user, percent) {
            "canary"
        } else {
            "stable"
        };
        assert_eq!(
            (answer.status, answer.variant().as_str()),
            (200, expected),
            "{}: user {user}",
            proxy.pod
        );
    }
}

pub async fn a_pushed_module_splits_users_by_an_ordinary_virtual_service(world: &mut World) {
    let push = format!(
        "push {} {}",
        world.chain.tools.module.display(),
        world.image()
    );
    let again = world.chain.sluice.run_beside(&push).await.good();
    assert!(
        again.out.contains(&world.digest),
        "the same bytes, another digest"
    );
    world
        .chain
        .kubernetes
        .delete("WasmPlugin", "a", "sluice")
        .await;
    world.chain.kubernetes.apply(&world.plugin("a")).await;
    world.wait_for_convergence().await;
    let set = world
        .chain
        .sluice
        .run_beside("set web canary=25 -n a --reason 'first users'")
        .await
        .good();
    assert!(set.out.contains("web everyone canary: 0 -> 25"), "{set:?}");
    world
        .chain
        .sluice
        .run_beside("set web canary=100 --audience staff -n a")
        .await
        .good();
    world.wait_for_convergence().await;
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(25.0));
    for caller in &world.callers {
        assert_split(caller, WEB_A, 25).await;
        let staff = b"cookie: uid=user-1; email=joe@some-company-name.com";
        assert_eq!(caller.get(WEB_A, &[staff]).await.variant(), "canary");
    }
    let history = world
        .chain
        .sluice
        .run_beside("history -n a")
        .await
        .good()
        .out;
    assert!(
        history.contains("web/everyone/canary 0->25") && history.contains("first users"),
        "{history}"
    );
}

pub async fn every_command_knows_the_cluster(world: &mut World) {
    world.fresh_plugin(25).await;
    let said = async |command: &str| world.chain.sluice.run_beside(command).await.good().out;
    let get = said("get web -n a -o json").await;
    assert!(get.contains("\"percent\": 25"), "{get}");
    let diff = said("diff web canary=30 -n a").await;
    assert_eq!(
        diff.trim(),
        "moves 5 % of web's everyone from stable to canary"
    );
    let dry = said("set web canary=30 -n a --dry-run").await;
    assert!(dry.contains("(dry run: nothing was written)"), "{dry}");
    assert_eq!(world.weight("a", "/web/everyone/canary").await, Some(25.0));
    // `web` alone is a name of the service in the plugin's own namespace.
    let explain = said("explain -n a --host web --cookie uid=user-1 --proxy sidecar -o json").await;
    assert!(explain.contains("\"audience\": \"everyone\""), "{explain}");
    let simulate = said("simulate -n a --users 10000").await;
    assert!(simulate.contains("canary"), "{simulate}");
    let validate = said("validate -n a").await;
    // The real routes of the namespace are looked at too: nothing routes checkout's header.
    let expected = "WasmPlugin a/sluice: good\n\
        warning: WasmPlugin a/sluice: splits.checkout: no route among these documents matches x-sluice-checkout\n\
        together: 0 problems, 1 warnings";
    assert_eq!(validate.trim(), expected);
    let refused = world
        .chain
        .sluice
        .run_beside("set wep canary=5 -n a")
        .await
        .ended_with(2)
        .err;
    assert!(
        refused.contains("there is no split \"wep\"; did you mean \"web\"?"),
        "{refused}"
    );
    let refused = world
        .chain
        .sluice
        .run_beside("set web canary=5 --audience stuff -n a")
        .await
        .ended_with(2)
        .err;
    assert!(
        refused.contains("split web has no audience \"stuff\"; did you mean \"staff\"?"),
        "{refused}"
    );
    let unknown = world
        .chain
        .sluice
        .run_beside("status -n a")
        .await
        .good()
        .out;
    assert!(
        unknown.contains("unknown how many of 6 proxies") && unknown.contains("--prometheus"),
        "{unknown}"
    );
    let load = Load::start(&world.caller_addresses(), WEB_A, 1_000, 300);
    let share = async || {
        let status = format!("status -n a --prometheus {PROMETHEUS} -o json");
        let status = world.chain.sluice.run_beside(&status).await.out;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let rows = status["weights"].as_array().unwrap();
        let is_canary = |row: &&serde_json::Value| {
            row["split"] == "web" && row["audience"] == "everyone" && row["variant"] == "canary"
        };
        let row = rows.iter().find(is_canary).unwrap();
        (
            row["percent"].as_f64(),
            row["requests"].as_u64().unwrap_or(0),
        )
    };
    let began = std::time::Instant::now();
    let mut seen = share().await;
    // A quarter of a thousand users, once enough of their requests were scraped.
    while seen.1 < 300 {
        assert!(began.elapsed() < Duration::from_secs(40), "{seen:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        seen = share().await;
    }
    load.end().await;
    assert!(
        seen.0
            .is_some_and(|percent| (20.0..30.0).contains(&percent)),
        "{seen:?}"
    );
    let empty = world
        .chain
        .sluice
        .run_beside("get -n istio-system")
        .await
        .ended_with(2)
        .err;
    assert!(
        empty.contains("namespace istio-system has no plugin of ours"),
        "{empty}"
    );
}

/// What `sluice render` prints for a split of a configuration.
fn render(world: &World, split: &str, config: &str, arguments: &str) -> String {
    let path = world.chain.folder().join("config.yaml");
    std::fs::write(&path, config).unwrap();
    let (image, digest) = (world.image(), &world.digest);
    let arguments = format!(
        "render {split} -f {} --image {image} --digest {digest} {arguments}",
        path.display()
    );
    world.chain.sluice.run(&arguments).good().out
}

pub async fn a_traffic_extension_splits_users_too(world: &mut World) {
    world
        .chain
        .kubernetes
        .delete("WasmPlugin", "a", "sluice")
        .await;
    let rendered = render(
        world,
        "web",
        &config(),
        "--service web.a --kind TrafficExtension --name sluice-te --selector app=client",
    );
    world.chain.kubernetes.apply(&rendered).await;
    let wanted = world
        .wanted_revision_of("TrafficExtension", "a", "sluice-te")
        .await;
    wait_for_revision(&world.callers[0], "a.sluice-te", wanted).await;
    world
        .chain
        .sluice
        .run_beside("set web canary=40 -n a")
        .await
        .good();
    let wanted = world
        .wanted_revision_of("TrafficExtension", "a", "sluice-te")
        .await;
    wait_for_revision(&world.callers[0], "a.sluice-te", wanted).await;
    assert_split(&world.callers[0], WEB_A, 40).await;
    // Both kinds at once: neither is guessed.
    world.chain.kubernetes.apply(&world.plugin("a")).await;
    let both = world
        .chain
        .sluice
        .run_beside("get -n a")
        .await
        .ended_with(2)
        .err;
    assert!(
        both.contains("2 plugins of ours: wasmplugin/sluice, trafficextension/sluice-te"),
        "{both}"
    );
    world
        .chain
        .sluice
        .run_beside("get -n a --plugin trafficextension/sluice-te")
        .await
        .good();
    let near = world
        .chain
        .sluice
        .run_beside("get -n a --plugin sluise")
        .await
        .ended_with(2)
        .err;
    assert!(near.contains("did you mean \"sluice\"?"), "{near}");
    world
        .chain
        .kubernetes
        .delete("TrafficExtension", "a", "sluice-te")
        .await;
}

pub async fn what_render_prints_routes_no_request_to_nowhere(world: &mut World) {
    const LATE: &str = "late.a.svc.cluster.local:8080";
    world
        .chain
        .kubernetes
        .delete("WasmPlugin", "a", "sluice")
        .await;
    let _upstreams = [
        Upstream::start_at(([127, 0, 5, 1], 8080).into(), "stable").await,
        Upstream::start_at(([127, 0, 5, 2], 8080).into(), "canary").await,
    ];
    let mut service = "
apiVersion: v1
kind: Service
metadata: {name: late, namespace: a}
spec: {clusterIP: 127.10.1.5, selector: {app: late}, ports: [{name: http, port: 8080, targetPort: 8080}]}
"
    .to_owned();
    for (variant, host) in [("stable", 1), ("canary", 2)] {
        service += &format!(
            "
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: late-{variant}, namespace: a}}
spec: {{address: 127.0.5.{host}, serviceAccount: default, labels: {{app: late, version: {variant}}}}}
"
        );
    }
    world.chain.kubernetes.apply(&service).await;
    for caller in &world.callers {
        caller
            .wait_for("the service", async |caller| {
                caller.get(LATE, &[]).await.status == 200
            })
            .await;
    }
    let late = "splits: {late: {services: [late.a], identity: [{cookie: uid}]}}";
    let rendered = render(
        world,
        "late",
        late,
        "--service late.a --selector app=client",
    );
    let load = Load::start(&world.caller_addresses(), LATE, 100, 300);
    let (subsets, rest) = rendered
        .split_once("# Where the service has traffic already")
        .unwrap();
    world.chain.kubernetes.apply(subsets).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.chain.kubernetes.apply(&format!("#{rest}")).await;
    world
        .chain
        .sluice
        .run_beside("set late canary=100 -n a")
        .await
        .good();
    // Agents may forward the older configuration last, while they fetch the module.
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.chain.sluice.run_beside("refetch -n a").await.good();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = load.end().await;
    // A new plugin is a new listener: the harness lets the old one drain for 1 s instead of Istio's 45, and then closes
    // connections, a request on its way included (status 0). What must not be is a route to nowhere.
    let failed: Vec<_> = seen
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
    assert_eq!(
        seen.iter()
            .rev()
            .find(|seen| seen.status == 200)
            .map(|seen| seen.variant.as_str()),
        Some("canary")
    );
    world
        .chain
        .kubernetes
        .delete("WasmPlugin", "a", "sluice")
        .await;
    for kind in ["VirtualService", "DestinationRule"] {
        world.chain.kubernetes.delete(kind, "a", "late").await;
    }
}

pub async fn a_gateway_issues_a_cookie_and_keeps_its_promise(world: &mut World) {
    let gateway = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: gw}
spec:
  selector: {app: ingress}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, bind: 127.0.3.1, hosts: ['*/web.example']}
";
    world.chain.kubernetes.apply(gateway).await;
    let rendered = render(
        world,
        "web",
        "splits: {web: {hosts: [web.example]}}",
        "--service web.a --port 8080 --gateway gw/gw --selector app=ingress",
    );
    world.chain.kubernetes.apply(&rendered).await;
    wait_for_revision(
        &world.gateway,
        "gw.sluice",
        world.wanted_revision("gw").await,
    )
    .await;
    world
        .chain
        .sluice
        .run_beside("set web canary=50 -n gw")
        .await
        .good();
    wait_for_revision(
        &world.gateway,
        "gw.sluice",
        world.wanted_revision("gw").await,
    )
    .await;
    let mut counts = [0, 0];
    for _ in 0..100 {
        let first = world.gateway.get("web.example", &[]).await;
        let cookie = format!(
            "cookie: {}",
            first.set_cookie().expect("a cookie for a newcomer")
        );
        let second = world.gateway.get("web.example", &[cookie.as_bytes()]).await;
        assert_eq!((first.status, first.variant()), (200, second.variant()));
        counts[usize::from(first.variant() == "canary")] += 1;
    }
    // 50 of 100, within five sigma.
    assert!(counts[1] > 25 && counts[1] < 75, "{counts:?}");
}

pub async fn an_http_route_splits_users_too(world: &mut World) {
    let services: String = [("stable", 3), ("canary", 4)]
        .map(|(variant, at)| {
            format!(
                "
---
apiVersion: v1
kind: Service
metadata: {{name: web-{variant}, namespace: b}}
spec: {{clusterIP: 127.10.1.{at}, selector: {{app: web, version: {variant}}}, ports: [{{name: http, port: 8080, targetPort: 8080}}]}}
"
            )
        })
        .concat();
    world.chain.kubernetes.apply(&services).await;
    world
        .chain
        .kubernetes
        .delete("VirtualService", "b", "web")
        .await;
    let rendered = render(
        world,
        "web",
        &config(),
        "--service web.b --gateway-api --port 8080",
    );
    world.chain.kubernetes.apply(&rendered).await;
    wait_for_revision(&world.other, "b.sluice", world.wanted_revision("b").await).await;
    world
        .chain
        .sluice
        .run_beside("set web canary=30 -n b")
        .await
        .good();
    wait_for_revision(&world.other, "b.sluice", world.wanted_revision("b").await).await;
    assert_split(&world.other, WEB_B, 30).await;
}
