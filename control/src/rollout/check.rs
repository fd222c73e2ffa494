//! Trying an analysis before anything moves: every query is asked once, and said with what came of
//! it, what it would decide, and which checks can be made to lie.

use jiff::Timestamp;
use serde::Serialize;

use super::analysis::plan::{Basis, Check, Plan, Role, Subject};
use super::analysis::{self, Context, Exposures, Memory, Standing, State};
use super::definition::Definition;
use super::look::{self, Variants, look};
use super::manifest::Manifest;
use super::observation::Reading;
use super::peers::Summary;
use super::secrets::SecretReader;
use super::sources::{Asked, Observed, Purpose, Round, Source, Target};
use super::watch::client;
use super::world::SplitSeen;
use crate::store::Store;

/// Where a Rollout is, for those who observe it.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts {
    /// The plugin's namespace and name; empty of a directory.
    pub plugin: [String; 2],
    /// What the filter's metrics call the plugin.
    pub plugin_names: Vec<String>,
}

/// What came of trying an analysis; serialized, it is the JSON of `sluice rollout check`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// The Rollout.
    pub rollout: String,
    /// Each check.
    pub checks: Vec<CheckTried>,
    /// What was asked of Prometheus for the checks that have no query of their own.
    pub asked: Vec<QueryTried>,
    /// What is likely a mistake.
    pub warnings: Vec<String>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckTried {
    /// What is known of it: its name, what it says, its value, and so on.
    #[serde(flatten)]
    pub state: State,
    /// The same in a sentence.
    pub line: String,
    /// Its own query, as it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Whether it could not be measured.
    pub is_broken: bool,
    /// Whether it takes part in the decision.
    pub decides: bool,
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueryTried {
    /// As it was asked.
    pub query: String,
    /// What went wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Tried {
    /// Whether no check that decides fails, and every query could be asked.
    pub fn is_good(&self) -> bool {
        let is_wrong = |check: &CheckTried| {
            check.is_broken || check.decides && check.state.standing == Standing::Fail
        };
        !self.checks.iter().any(is_wrong) && self.asked.iter().all(|asked| asked.trouble.is_none())
    }
}

/// Tries a Rollout's analysis.
///
/// # Errors
/// When there is none, its split is not there, or its source cannot be made.
pub async fn check(
    store: &impl Store,
    manifest: &Manifest,
    whereabouts: Whereabouts,
    secrets: &dyn SecretReader,
    own_source: Option<Source>,
    now: Timestamp,
) -> anyhow::Result<Tried> {
    let definition = &manifest.definition;
    let name = &manifest.name;
    let Some(plan) = &definition.analysis else {
        anyhow::bail!("Rollout {name} has no analysis: nothing would be asked");
    };
    let looked = look(
        store,
        &look::Subject::wanted(&Summary::of(name, definition)),
    )
    .await;
    let (filters_plan, variants) = match (looked.plan, looked.variants, looked.seen) {
        (Some(plan), Some(variants), _) => (plan, variants),
        (_, _, SplitSeen::Missing { what: why } | SplitSeen::Unknown { why }) => {
            anyhow::bail!("Rollout {name}: {why}")
        }
        _ => anyhow::bail!("Rollout {name}: its split cannot be read"),
    };
    let mut source = match (&plan.prometheus, own_source) {
        (Some(server), _) => {
            Source::of_prometheus(client(server, secrets).await?, plan.istio.clone())
        }
        (None, Some(source)) => source,
        (None, None) => anyhow::bail!(
            "Rollout {name}: spec.analysis.prometheus is missing; in a cluster, only a Prometheus knows what \
             proxies answer"
        ),
    };
    let target = target(manifest, &variants, whereabouts);
    let checks: Vec<&Check> = plan.checks.iter().collect();
    let round = Round {
        at: now,
        converged: now.checked_sub(plan.window).unwrap_or(now),
        since: None,
        plan: &filters_plan,
        checks: &checks,
        window: plan.window,
        interval: plan.interval,
    };
    let observed = source.observe(&target, &round).await;
    let context = Context {
        plan,
        step: 0,
        steps: definition.steps.len(),
        exposures: exposures(definition),
    };
    let judged = analysis::judge(context, &Memory::default(), &observed.observation);
    let mut tried = tried(plan, &judged.memory, observed);
    tried.rollout.clone_from(name);
    tried.warnings = warnings(plan, filters_plan.response_metrics());
    Ok(tried)
}

/// What the variants will have at the first step that gives users to both: nothing has moved yet.
fn exposures(definition: &Definition) -> Exposures {
    let weights = definition.steps.iter();
    let mut weights = weights.map(|step| step.weight.as_f64() / 100.0);
    let challenger = weights.find(|weight| *weight > 0.0 && *weight < 1.0);
    let challenger = challenger.unwrap_or(1.0);
    Exposures {
        challenger,
        fallback: 1.0 - challenger,
    }
}

fn target(manifest: &Manifest, variants: &Variants, whereabouts: Whereabouts) -> Target {
    let definition = &manifest.definition;
    let [namespace, plugin] = whereabouts.plugin;
    Target {
        namespace,
        plugin,
        split: definition.split.clone(),
        audience: definition
            .steps
            .first()
            .map_or_else(String::new, |step| step.audience.clone()),
        challenger: variants.challenger.clone(),
        fallback: variants.fallback.clone(),
        version: definition.version.clone(),
        plugin_names: whereabouts.plugin_names,
    }
}

fn tried(plan: &Plan, memory: &Memory, observed: Observed) -> Tried {
    let Observed { observation, asked } = observed;
    let (own, shared): (Vec<Asked>, Vec<Asked>) = asked
        .into_iter()
        .partition(|asked| matches!(asked.purpose, Purpose::Check(_)));
    let are_arms_broken = matches!(observation.arms, Reading::Error(_));
    let check = |check: &Check| {
        let purpose = Purpose::Check(check.name.clone());
        let query = own.iter().find(|asked| asked.purpose == purpose);
        let state = memory.state(&check.name).cloned().unwrap_or_default();
        let reading = observation.queries.get(&check.name);
        CheckTried {
            line: state.line(check),
            state,
            query: query.map(|asked| asked.query.clone()),
            is_broken: match check.subject {
                Subject::Query(_) => matches!(reading, Some(Reading::Error(_))),
                _ => are_arms_broken,
            },
            decides: check.role == Role::Decides,
        }
    };
    Tried {
        rollout: String::new(),
        checks: plan.checks.iter().map(check).collect(),
        asked: shared
            .into_iter()
            .map(|Asked { query, trouble, .. }| QueryTried { query, trouble })
            .collect(),
        warnings: Vec::new(),
    }
}

/// What is likely a mistake of an analysis.
fn warnings(plan: &Plan, response_metrics: bool) -> Vec<String> {
    let can_lie = |check: &&Check| {
        check.basis == Basis::Fallback
            && matches!(check.subject, Subject::SuccessRate | Subject::ErrorRate)
    };
    let lying = plan.checks.iter().filter(can_lie).map(|check| {
        let name = &check.name;
        format!(
            "{name} compares requests with the fallback's: a few users who always fail and come back often can make \
             it lie; failedUsers counts each of them once"
        )
    });
    let is_counted_by_filter = |check: &Check| match check.subject {
        Subject::Query(_) => false,
        Subject::FailedUsers | Subject::SampleRatio => true,
        _ => plan.istio.is_none(),
    };
    let needs_filter = plan.checks.iter().any(is_counted_by_filter);
    let uncounted = (needs_filter && !response_metrics).then(|| {
        "the plugin's responseMetrics is off: its filter counts neither responses nor users"
            .to_owned()
    });
    lying.chain(uncounted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sluice_core::decode::Decode as _;

    fn plan(checks: &serde_json::Value) -> Plan {
        let mut problems = Vec::new();
        let written = super::super::resource::Analysis::decode(
            "a",
            &json!({ "checks": checks }),
            &mut problems,
        );
        let plan = analysis::plan::checked("a", &written.unwrap(), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        plan.unwrap()
    }

    #[test]
    fn comparisons_of_requests_and_metrics_that_are_off_are_warned_of() {
        let lies = json!([{"name": "errors", "metric": "errorRate", "against": "fallback", "fail": "> +1pp"}]);
        let users = json!([{"name": "users", "metric": "failedUsers", "against": "fallback", "fail": "> +50%"}]);
        let query = json!([{"name": "own", "query": "up", "fail": "< 1"}]);
        let lie = "errors compares requests with the fallback's: a few users who always fail and come back often can \
                   make it lie; failedUsers counts each of them once";
        let off =
            "the plugin's responseMetrics is off: its filter counts neither responses nor users";
        let cases = [
            (&lies, true, vec![lie]),
            (&lies, false, vec![lie, off]),
            (&users, true, vec![]),
            (&users, false, vec![off]),
            (&query, false, vec![]),
        ];
        for (checks, response_metrics, expected) in cases {
            assert_eq!(
                warnings(&plan(checks), response_metrics),
                expected,
                "{checks}"
            );
        }
    }
}
