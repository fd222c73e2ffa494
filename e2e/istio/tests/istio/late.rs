//! A service that has traffic before it is split, and what proxies make of its resources.

use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;

use crate::world::{World, revision, versions};

/// A service that has traffic before it is split.
pub const LATE: &str = "late.a.svc.cluster.local:8080";

pub async fn start_late_service(world: &World) {
    let versions = versions("late", "a", "127.10.1.5", 5);
    world.chain.kubernetes.apply(&versions).await;
    for caller in &world.callers {
        caller
            .wait_for("the service", async |caller| {
                let status = caller.try_get(LATE, &[]).await.unwrap_or_default().status;
                (status == 200).then_some(()).ok_or(status.to_string())
            })
            .await;
    }
}

/// Waits until every caller knows the endpoints of the service's subsets.
pub async fn wait_for_subsets(world: &World) {
    for caller in &world.callers {
        caller
            .wait_for("the subsets", async |caller| {
                let clusters = caller.admin("/clusters").await;
                let has = |subset: &str, address: &str| {
                    clusters.contains(&format!("|{subset}|late.a.svc.cluster.local::{address}:"))
                };
                (has("stable", "127.0.5.1") && has("canary", "127.0.5.2"))
                    .then_some(())
                    .ok_or(clusters)
            })
            .await;
    }
}

/// The split of that service.
pub const CONFIG: &str = "splits: {late: {services: [late.a], identity: [{cookie: uid}]}}";

/// Waits until every caller runs the plugin's revision. Agents may forward the older of two
/// configurations last, while they fetch the module (istio/istio#53865), so that it is pushed again
/// and again.
pub async fn wait_for_convergence_with_refetch(world: &World) {
    let wanted = world.wanted_revision("a").await;
    until("every caller to run the wanted revision", async || {
        let mut behind = Vec::new();
        for caller in &world.callers {
            if revision(caller, "a.sluice").await != wanted {
                behind.push(&caller.pod);
            }
        }
        if behind.is_empty() {
            return Ok(());
        }
        world.sluice("refetch -n a").await.good();
        Err(format!("{behind:?} do not"))
    })
    .await;
}

/// Waits until the canary is what each caller was answered by last.
pub async fn wait_for_canary_everywhere(world: &World, load: &Load) {
    until("the canary to answer last, everywhere", async || {
        let seen = load.seen();
        let last = |proxy: usize| {
            let answers = seen.iter().rev();
            let mut answers = answers.filter(|seen| seen.proxy == proxy && seen.status == 200);
            answers.next().map(|seen| seen.variant.clone())
        };
        let last: Vec<_> = (0..world.callers.len()).map(last).collect();
        let are_canary = last
            .iter()
            .all(|variant| variant.as_deref() == Some("canary"));
        are_canary.then_some(()).ok_or(format!("{last:?}"))
    })
    .await;
}

/// Takes the split away again: the plugin, the routes, and when no proxy uses them the subsets.
pub async fn forget_split(world: &World) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes.delete("WasmPlugin", "a", "sluice").await;
    kubernetes.delete("VirtualService", "a", "late").await;
    for caller in &world.callers {
        caller
            .wait_for("no route to the subsets", async |caller| {
                let routes = caller
                    .admin("/config_dump?resource=dynamic_route_configs")
                    .await;
                let has = routes.contains("|canary|late.a.svc.cluster.local");
                (!has).then_some(()).ok_or("there is one".to_owned())
            })
            .await;
    }
    kubernetes.delete("DestinationRule", "a", "late").await;
    for caller in &world.callers {
        caller
            .wait_for("no subset", async |caller| {
                let clusters = caller.admin("/clusters").await;
                let has = clusters.contains("|canary|late.a.svc.cluster.local::");
                (!has).then_some(()).ok_or("there is one".to_owned())
            })
            .await;
    }
}
