//! What a Rollout's status says for tools: the three conditions of kstatus
//! (<https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus>), the generation that it is of, and
//! what `kubectl get` shows. Pure.

mod fit;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};
use sluice_core::allocation::Percent;

use super::cut::cut;
use super::definition::Definition;
use super::object::{Reported, Rollout};
use super::status::{Phase, Status};
use fit::fit;

/// The longest message of a condition, in bytes. Chosen: a dozen mistakes of a spec.
const MAX_CONDITION_BYTES: usize = 2_048;

/// What is reported of a Rollout that the engine left in this status.
pub fn reported(rollout: &Rollout, status: Status, now: Timestamp) -> Reported {
    let former = rollout.reported.as_ref().map(|former| &*former.conditions);
    let facts = facts(rollout, &status);
    let generation = rollout.metadata.generation;
    let conditions = facts.into_iter().map(|fact| {
        let former = former.unwrap_or_default().iter();
        let mut former =
            former.filter(|former| former.type_ == fact.kind && former.status == fact.holds());
        let since = former
            .next()
            .map(|former| former.last_transition_time.clone());
        Condition {
            type_: fact.kind.to_owned(),
            status: fact.holds().to_owned(),
            reason: fact.reason,
            message: cut(&fact.message, MAX_CONDITION_BYTES),
            last_transition_time: since.unwrap_or_else(|| Time(to_the_second(now))),
            observed_generation: generation,
        }
    });
    Reported {
        observed_generation: generation,
        conditions: conditions.collect(),
        remembered: rollout
            .reported
            .as_ref()
            .ok()
            .and_then(|former| former.remembered),
        // Whoever looked has looked at these.
        claimed: Vec::new(),
        status,
    }
}

/// The same as the API server keeps it, with what people are shown; where it would be too long,
/// without what is least needed.
pub fn written(reported: &Reported, definition: Option<&Definition>) -> serde_json::Result<Value> {
    let status = &reported.status;
    let mut value = serde_json::to_value(status)?;
    value["observedGeneration"] = json!(reported.observed_generation);
    if let Some(number) = reported.remembered {
        value["remembered"] = json!(number);
    }
    value["conditions"] = serde_json::to_value(&reported.conditions)?;
    if let Some(definition) = definition {
        value["shown"] = shown(definition, status);
    }
    fit(&mut value);
    Ok(value)
}

/// One condition.
struct Fact {
    kind: &'static str,
    is_so: bool,
    reason: String,
    message: String,
}

impl Fact {
    const fn holds(&self) -> &'static str {
        if self.is_so { "True" } else { "False" }
    }
}

fn facts(rollout: &Rollout, status: &Status) -> Vec<Fact> {
    let wrong = wrong(rollout);
    let is_at_rest = is_at_rest(rollout, status);
    let own_reason = match is_quiet(status.phase) && !is_at_rest {
        true => "DeploymentsNotAtRest".to_owned(),
        false => format!("{:?}", status.phase),
    };
    let fact = |kind, is_so: bool, says: &str| Fact {
        kind,
        is_so,
        reason: wrong
            .as_ref()
            .map_or_else(|| own_reason.clone(), |(reason, _)| (*reason).to_owned()),
        // Each message once: with the fact that it explains.
        message: if is_so {
            says.to_owned()
        } else {
            String::new()
        },
    };
    let said = wrong.as_ref().map_or(&*status.message, |(_, why)| why);
    let is_right = wrong.is_none();
    let mut facts = vec![
        fact("Ready", is_right && is_at_rest, said),
        fact(
            "Reconciling",
            is_right && !is_at_rest && !status.phase.is_failure(),
            said,
        ),
        fact("Stalled", !is_right || status.phase.is_failure(), said),
    ];
    if let Err(why) = &rollout.commands {
        facts.push(Fact {
            kind: "CommandsUnreadable",
            is_so: true,
            reason: "Annotation".to_owned(),
            message: why.clone(),
        });
    }
    let services = status.workload.as_ref();
    if let Some(trouble) = services.and_then(|kept| kept.services.trouble.as_ref()) {
        facts.push(Fact {
            kind: "ServicesNotSelected",
            is_so: true,
            reason: "Service".to_owned(),
            message: trouble.clone(),
        });
    }
    facts
}

/// Whether a Rollout in this phase has nothing more to do with weights.
const fn is_quiet(phase: Phase) -> bool {
    matches!(phase, Phase::Idle | Phase::Succeeded | Phase::Released)
}

/// Whether nothing is to be done: of a workload, also with its Deployments. A run that succeeded
/// says nothing of the copy, which may be unable to take its version, or lose its pods weeks later.
fn is_at_rest(rollout: &Rollout, status: &Status) -> bool {
    let definition = rollout.definition.as_ref().ok();
    let follows = definition.is_some_and(|definition| definition.workload.is_some());
    let is_tended = match status.phase {
        // What is handed back nobody tends.
        Phase::Released => true,
        _ if follows => {
            let kept = status.workload.as_ref();
            kept.is_some_and(|kept| kept.is_at_rest)
        }
        _ => true,
    };
    is_quiet(status.phase) && is_tended
}

/// Why a Rollout cannot be run at all.
fn wrong(rollout: &Rollout) -> Option<(&'static str, String)> {
    match &rollout.definition {
        Ok(definition) if definition.mistakes.is_empty() => {}
        Ok(held) => {
            let stands = "the spec is wrong: the run stands still until it is right; an abort, the guard and the checks \
                          of the last spec that was right still take its users back";
            let said = format!("{stands}\n{}", held.mistakes.join("\n"));
            return Some(("InvalidSpec", said));
        }
        Err(mistakes) => return Some(("InvalidSpec", mistakes.join("\n"))),
    }
    let why = rollout.reported.as_ref().err()?;
    Some(("InvalidStatus", why.clone()))
}

/// What `kubectl get` shows.
fn shown(definition: &Definition, status: &Status) -> Value {
    let mut shown = of_run(definition, status).unwrap_or_else(|| json!({}));
    if let Some(version) = version(definition, status) {
        shown["version"] = json!(version);
    }
    shown
}

/// The version that is wanted; of a workload, what its run brings, else what serves everybody.
fn version<'v>(definition: &'v Definition, status: &'v Status) -> Option<&'v String> {
    let of_run = status.under_way().and_then(|run| run.version.as_ref());
    let promoted = status.workload.as_ref();
    let promoted = promoted.and_then(|kept| kept.promoted.as_ref());
    definition.version.as_ref().or(of_run).or(promoted)
}

fn of_run(definition: &Definition, status: &Status) -> Option<Value> {
    let run = status.run.as_ref()?;
    let step = definition.steps.get(run.step)?;
    let weights = if status.phase.is_under_way() {
        &run.wanted
    } else {
        &run.weights
    };
    let weight = weights
        .get(&step.audience)
        .copied()
        .unwrap_or(Percent::ZERO);
    let weight = if status.phase.is_failure() {
        Percent::ZERO
    } else {
        weight
    };
    Some(json!({
        "step": format!("{}/{}", run.step + 1, definition.steps.len()),
        "weight": format!("{weight}% of {}", step.audience),
    }))
}

/// Conditions have times to the second.
fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is Ready, Reconciling and Stalled; reason and message of the first that is so.
    fn said(spec: Value, status: Value) -> ([bool; 3], String, String) {
        let rollout = json!({"metadata": {"name": "web"}, "spec": spec});
        let rollout: Rollout = serde_json::from_value(rollout).unwrap();
        let status: Status = serde_json::from_value(status).unwrap();
        let conditions = reported(&rollout, status, Timestamp::UNIX_EPOCH).conditions;
        let holds = ["Ready", "Reconciling", "Stalled"].map(|kind| {
            let mut of_kind = conditions
                .iter()
                .filter(|condition| condition.type_ == kind);
            of_kind.next().unwrap().status == "True"
        });
        let so = conditions
            .into_iter()
            .find(|condition| condition.status == "True");
        let so = so.unwrap();
        (holds, so.reason, so.message)
    }

    #[test]
    fn a_rollout_of_a_workload_is_ready_only_while_its_deployments_are_at_rest() {
        let of_version = json!({"split": "web", "version": "v1", "preset": "emergency"});
        let following =
            json!({"split": "web", "workload": {"deployment": "web"}, "preset": "emergency"});
        let (ready, reconciling) = ([true, false, false], [false, true, false]);
        let stalled = [false, false, true];
        let (at_rest, busy) = (
            json!({"isAtRest": true}),
            json!({"promoted": "web:v1 (01)"}),
        );
        let none = Value::Null;
        let unrest = "DeploymentsNotAtRest";
        let cases = [
            (
                "no workload",
                &of_version,
                "Succeeded",
                &none,
                ready,
                "Succeeded",
            ),
            // The spec had one once.
            (
                "a former workload",
                &of_version,
                "Idle",
                &busy,
                ready,
                "Idle",
            ),
            ("at rest", &following, "Idle", &at_rest, ready, "Idle"),
            (
                "promoted",
                &following,
                "Succeeded",
                &at_rest,
                ready,
                "Succeeded",
            ),
            (
                "not promoted",
                &following,
                "Succeeded",
                &busy,
                reconciling,
                unrest,
            ),
            ("pods gone", &following, "Idle", &busy, reconciling, unrest),
            ("not seen", &following, "Idle", &none, reconciling, unrest),
            (
                "a run",
                &following,
                "Progressing",
                &busy,
                reconciling,
                "Progressing",
            ),
            (
                "failed",
                &following,
                "RolledBack",
                &busy,
                stalled,
                "RolledBack",
            ),
            (
                "handed back",
                &following,
                "Released",
                &busy,
                ready,
                "Released",
            ),
        ];
        for (label, spec, phase, workload, holds, reason) in cases {
            let mut status = json!({"phase": phase, "message": "0 of 10 pods are ready"});
            if !workload.is_null() {
                status["workload"] = workload.clone();
            }
            let message = "0 of 10 pods are ready".to_owned();
            let expected = (holds, reason.to_owned(), message);
            assert_eq!(said(spec.clone(), status), expected, "{label}");
        }
    }
}
