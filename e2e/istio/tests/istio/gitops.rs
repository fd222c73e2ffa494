//! What Argo CD and Flux make of Rollouts: the health, the actions and the expressions of the
//! example `12-gitops`, on Rollouts as the API server has them.
//!
//! Argo CD's scripts run in the interpreter that it has, with the libraries that it lends them and
//! no others. Flux's expressions are CEL, which the API server speaks too: a policy that refuses
//! nothing says in a warning what they are of the object that it is shown.

mod lua;

use serde_json::{Value, json};
use sluice_e2e::wait::until;
use sluice_e2e_istio::kubernetes::documents;

use crate::rollouts::controller::{apply, start, wait_for, wait_for_phase, wait_for_weight};
use crate::world::World;
use lua::Argo;

const FLUX: &str =
    include_str!("../../../../wasmplugin/examples/12-gitops/flux/kustomization.yaml");
const PAGE: &str = "../../wasmplugin/examples/12-gitops/README.md";
const WEB: &str = "/web/everyone/canary";

/// The policy that evaluates Flux's expressions.
const POLICY: &str = "flux-health";

/// Waits until a Rollout's phase and the run's stage are these.
async fn wait_for_stage(world: &World, phase: &str, stage: &str) {
    let what = format!("{phase}, {stage}");
    wait_for(world, "web", &what, |status| {
        status["phase"] == phase && status["run"]["stage"] == stage
    })
    .await;
}

async fn rollout(world: &World, name: &str) -> Value {
    let rollout = world.chain.kubernetes.get("Rollout", "a", name).await;
    serde_json::to_value(rollout.expect("a Rollout")).unwrap()
}

/// Has Argo CD run an action of the Rollout `web`, and writes what it changed as Argo CD does.
async fn act(world: &World, argo: &Argo, action: &str) {
    let object = rollout(world, "web").await;
    let commands = argo.act(&object, action).unwrap();
    // Where it was left and is not obeyed yet, another is refused and changes nothing.
    let mut asked = object;
    asked["metadata"]["annotations"]["sluice.dev/rollout-commands"] = json!(commands);
    let number = asked["status"]["handledCommand"].as_u64().unwrap_or(0) + 1;
    let refused = format!("command {number} is still to be obeyed: does a controller run?");
    assert_eq!(argo.act(&asked, "abort"), Err(refused));
    let change = json!({"metadata": {"annotations": {"sluice.dev/rollout-commands": commands}}});
    let kubernetes = &world.chain.kubernetes;
    let merged = kubernetes.merge("Rollout", "a", "web", &change).await;
    merged.unwrap();
    let status = wait_for(
        world,
        "web",
        &format!("{action} to be answered"),
        |status| status["handledCommand"].as_u64() == Some(number),
    )
    .await;
    let answers = status["answers"].as_array().unwrap();
    assert_eq!(
        answers.last().unwrap()["reply"],
        "Obeyed",
        "{action}: {status:#}"
    );
}

/// Installs the policy that says what Flux's expressions are.
async fn say_what_flux_sees(world: &World) {
    let flux = documents(FLUX);
    let [health] = flux[1]["spec"]["healthCheckExprs"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("one entry is expected: {flux:#?}");
    };
    assert_eq!(health["apiVersion"], "sluice.dev/v1alpha1");
    assert_eq!(health["kind"], "Rollout");
    // Flux's expressions see the object's fields as variables; here they are the names of loops.
    let of = |name: &str| {
        let expression = health[name].as_str().unwrap();
        format!("[object.metadata].all(metadata, [object.status].all(status, {expression}))")
    };
    // In the order in which Flux asks.
    let says = format!(
        "{} ? 'it is in progress' : {} ? 'it has failed' : {} ? 'it is current' \
         : 'it is none of them'",
        of("inProgress"),
        of("failed"),
        of("current")
    );
    let rules = json!([{
        "apiGroups": ["sluice.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
        "resources": ["rollouts"],
    }]);
    let validation = json!({"expression": "false", "messageExpression": says});
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {"matchConstraints": {"resourceRules": rules}, "validations": [validation]},
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY},
        "spec": {"policyName": POLICY, "validationActions": ["Warn"]},
    });
    for object in [policy, binding] {
        world.chain.kubernetes.apply(&object.to_string()).await;
    }
}

/// What Flux would say of a Rollout.
async fn flux(world: &World, name: &str) -> String {
    let look = format!("annotate rollout {name} -n a looked=at --dry-run=server");
    until("the policy to say something", async || {
        let said = world.kubectl(&look).await.good();
        let (_, message) = said
            .err
            .split_once(&format!("binding '{POLICY}': "))
            .ok_or_else(|| format!("{said:?}"))?;
        Ok(message.trim().to_owned())
    })
    .await
}

/// What the page's table says of a state: the health, and the actions by name.
fn table(state: &str) -> (String, String) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<&str> = cells.split(" | ").collect();
        let [states, health, actions] = cells[..] else {
            return None;
        };
        let states = states.split(", ");
        let has_it = states
            .map(|state| state.replace('`', ""))
            .any(|own| own == state);
        has_it.then(|| (health.to_owned(), actions.to_owned()))
    });
    let rows: Vec<_> = rows.collect();
    let [(health, actions)] = &rows[..] else {
        panic!("{PAGE}: rows of {state}: {rows:?}");
    };
    let mut actions: Vec<&str> = actions.split(", ").filter(|name| *name != "none").collect();
    actions.sort_unstable();
    (health.clone(), actions.join(" "))
}

/// Asserts what is made of a Rollout as it is now: Argo CD's health and what it begins to say, the
/// actions that may be taken, as the page has them, and Flux's word.
async fn assert_seen(world: &World, argo: &Argo, name: &str, expected: [&str; 4]) {
    let object = rollout(world, name).await;
    let [health, message, actions, word] = expected;
    let (found, said) = argo.health(&object);
    assert_eq!(found, health, "{said}: {object:#}");
    assert!(said.starts_with(message), "{said}");
    assert_eq!(argo.actions(&object), actions, "{said}");
    let status = &object["status"];
    let state = match (status["phase"].as_str(), status["run"]["stage"].as_str()) {
        (Some("Progressing"), Some("Approval")) => "Approval",
        (phase, _) => phase.expect("a phase"),
    };
    assert_eq!(
        table(state),
        (health.to_owned(), actions.to_owned()),
        "{state}"
    );
    assert_eq!(flux(world, name).await, word, "{said}");
}

pub async fn argo_cd_and_flux_know_how_a_rollout_does_and_its_actions_are_obeyed(
    world: &mut World,
) {
    world.new_plugin("a").await;
    say_what_flux_sees(world).await;
    let argo = Argo::new(world);
    let mut spec = json!({
        "split": "web", "version": "v2", "onHandEdit": "abort",
        "steps": [{"weight": 10, "approval": true}, {"weight": 50, "hold": "60s"}, {"weight": 100}],
    });
    apply(world, "web", &spec).await;
    let unseen = rollout(world, "web").await;
    let nobody = (
        "Progressing".to_owned(),
        "no controller has seen this version of it yet".to_owned(),
    );
    assert_eq!(argo.health(&unseen), nobody);
    assert_eq!(argo.actions(&unseen), "");

    let _controller = start(world);
    let lost = json!({"split": "shop", "version": "v2", "preset": "emergency"});
    apply(world, "shop", &lost).await;
    wait_for_phase(world, "shop", "Waiting").await;
    let waiting = [
        "Progressing",
        "Waiting: the plugin has no split shop",
        "",
        "it is in progress",
    ];
    assert_seen(world, &argo, "shop", waiting).await;

    wait_for_stage(world, "Progressing", "Approval").await;
    let held = "abort approve pause promote-full skip";
    let approval = [
        "Suspended",
        "Progressing: step 1 waits for",
        held,
        "it is in progress",
    ];
    assert_seen(world, &argo, "web", approval).await;
    act(world, &argo, "approve").await;
    wait_for_weight(world, WEB, 50.0).await;
    wait_for_stage(world, "Progressing", "Holding").await;
    let holding = [
        "Progressing",
        "Progressing: ",
        "abort pause promote-full skip",
        "it is in progress",
    ];
    assert_seen(world, &argo, "web", holding).await;
    act(world, &argo, "pause").await;
    let paused = [
        "Suspended",
        "Paused: paused by Argo CD",
        "abort promote-full resume skip",
        "it is in progress",
    ];
    assert_seen(world, &argo, "web", paused).await;
    act(world, &argo, "resume").await;
    act(world, &argo, "promote-full").await;
    wait_for_phase(world, "web", "Succeeded").await;
    assert_seen(
        world,
        &argo,
        "web",
        ["Healthy", "Succeeded: ", "finish", "it is current"],
    )
    .await;

    // What Git says next is not what a controller has seen.
    let mut newer = rollout(world, "web").await;
    newer["metadata"]["generation"] = json!(newer["metadata"]["generation"].as_u64().unwrap() + 1);
    assert_eq!(argo.health(&newer), nobody);
    spec["version"] = json!("v3");
    apply(world, "web", &spec).await;
    wait_for_phase(world, "web", "Blocked").await;
    assert_seen(
        world,
        &argo,
        "web",
        ["Suspended", "Blocked: ", "finish", "it is in progress"],
    )
    .await;
    act(world, &argo, "finish").await;
    wait_for_stage(world, "Progressing", "Approval").await;
    act(world, &argo, "abort").await;
    wait_for_phase(world, "web", "Aborted").await;
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
    assert_seen(
        world,
        &argo,
        "web",
        ["Degraded", "Aborted: ", "retry", "it has failed"],
    )
    .await;
    act(world, &argo, "retry").await;
    wait_for_stage(world, "Progressing", "Approval").await;
    act(world, &argo, "skip").await;
    wait_for_weight(world, WEB, 50.0).await;
    world.sluice("set web canary=20 -n a").await.good();
    wait_for_phase(world, "web", "RolledBack").await;
    assert_seen(
        world,
        &argo,
        "web",
        ["Degraded", "RolledBack: ", "retry", "it has failed"],
    )
    .await;
}
