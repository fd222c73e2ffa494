//! What these tests share: a controller that runs, Rollouts in namespace a, and what is said to them.

use serde_json::{Value, json};
use sluice::cluster::prometheus::Prometheus;
use sluice_e2e::wait::until;
use sluice_e2e_istio::command::Tool;
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus;

use crate::world::World;

/// What the canary was asked in the last seconds; nothing at all where it was not.
pub const ASKED: &str = "sum(increase(sluice_decisions_total{sluice_variant=\"canary\"}[12s])) > 0";

/// The canary's answers, of which a slow one comes later than it was asked.
const ANSWERED: &str = "sum(increase(sluice_response_time_milliseconds_count\
                        {sluice_variant=\"canary\"}[12s])) > 0";

/// A plugin in a whose canary nobody has asked for a while, nor in an earlier test.
pub async fn quiet_plugin(world: &World) {
    world.new_plugin("a").await;
    let prometheus = Prometheus::new(prometheus::URL).unwrap();
    for (what, query) in [("requests", ASKED), ("answers", ANSWERED)] {
        until(
            &format!("the canary's last {what} to be long ago"),
            async || match prometheus.query(query).await {
                Ok(series) if series.is_empty() => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    }
}

/// A controller of namespace a as the administrator, until it is dropped.
pub fn start(world: &World) -> Process {
    start_as(world, &world.chain.sluice, "controller", "controller -n a")
}

/// One that asks Prometheus which proxies follow.
pub fn start_seeing(world: &World) -> Process {
    let command = format!("controller -n a --prometheus {}", prometheus::URL);
    start_as(world, &world.chain.sluice, "controller", &command)
}

/// One with an account and arguments of its own.
pub fn start_as(world: &World, sluice: &Tool, name: &str, arguments: &str) -> Process {
    // The servers of gates are on loopback here, like everything.
    let mut arguments = format!("{arguments} --lease-seconds 3 --outbound-hosts 127.0.0.1");
    if !arguments.contains("--listen") {
        arguments += " --listen 127.0.0.1:0";
    }
    if !arguments.contains("--brake-listen") {
        arguments += " --brake-listen 127.0.0.1:0";
    }
    Process::start(name, world.chain.folder(), &mut sluice.command(&arguments))
}

/// Changes Git's part of the plugin in a, and waits until every caller runs it.
pub async fn configure(world: &World, config: &Value) {
    let change = json!({"spec": {"pluginConfig": config}});
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .merge("WasmPlugin", "a", "sluice", &change)
        .await
        .unwrap();
    world.wait_for_convergence("a").await;
}

/// Makes a Rollout in a, or changes it.
pub async fn apply(world: &World, name: &str, spec: &Value) {
    apply_in(world, "a", name, spec).await;
}

/// The same in any namespace.
pub async fn apply_in(world: &World, namespace: &str, name: &str, spec: &Value) {
    let rollout = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    });
    let kubernetes = &world.chain.kubernetes;
    kubernetes.try_apply("gitops", &rollout).await.unwrap();
}

/// Its status.
pub async fn status(world: &World, name: &str) -> Value {
    status_in(world, "a", name).await
}

/// The same in any namespace.
pub async fn status_in(world: &World, namespace: &str, name: &str) -> Value {
    let rollout = world.chain.kubernetes.get("Rollout", namespace, name).await;
    rollout.map_or(Value::Null, |rollout| rollout.data["status"].clone())
}

/// Waits until its phase is this one, and gives its status then.
pub async fn wait_for_phase(world: &World, name: &str, phase: &str) -> Value {
    wait_for(world, name, phase, |status| status["phase"] == phase).await
}

/// Waits until its status is so, and gives it.
pub async fn wait_for(
    world: &World,
    name: &str,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    wait_for_in(world, "a", name, what, is_so).await
}

/// The same in any namespace.
pub async fn wait_for_in(
    world: &World,
    namespace: &str,
    name: &str,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    until(&format!("Rollout {name}: {what}"), async || {
        let status = status_in(world, namespace, name).await;
        if is_so(&status) {
            Ok(status)
        } else {
            Err(format!("{status:#}"))
        }
    })
    .await
}

/// Waits until a weight of namespace a is this.
pub async fn wait_for_weight(world: &World, path: &str, percent: f64) {
    until(&format!("{path} to be {percent}"), async || {
        let weight = world.weight("a", path).await;
        if weight == Some(percent) {
            Ok(())
        } else {
            Err(format!("{weight:?}"))
        }
    })
    .await;
}

/// Asks something of it.
pub async fn ask(world: &World, name: &str, number: u64, verb: &str) {
    let commands = json!([{"number": number, "verb": verb, "by": "ann"}]).to_string();
    let change = json!({"metadata": {"annotations": {"sluice.dev/rollout-commands": commands}}});
    let kubernetes = &world.chain.kubernetes;
    kubernetes
        .merge("Rollout", "a", name, &change)
        .await
        .unwrap();
}

/// What a status says in words.
pub fn message(status: &Value) -> &str {
    status["message"].as_str().unwrap_or_default()
}

/// Whether a condition is true, false, or not there.
pub fn condition<'s>(status: &'s Value, kind: &str) -> &'s str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut of_kind = conditions.filter(|condition| condition["type"] == kind);
    of_kind
        .next()
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or("absent")
}

/// Steps of so many percent of everyone, each held for so long.
pub fn ramp(percents: &[u32], hold: &str) -> Value {
    let steps = percents
        .iter()
        .map(|percent| json!({"weight": percent, "hold": hold}));
    steps.collect()
}

/// Weights that last for a second or longer: what a run had by its last change in the history.
pub async fn history(world: &World) -> String {
    world.sluice("history -n a").await.good().out
}
