//! One look at a Rollout: whether there is anything to do, and then a run as far as it goes.
//!
//! A Rollout that does something keeps its runner from look to look, with what only a process knows:
//! messages on their way, what gates said, a local figure. Its status is read anew each time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;

use super::context::Context;
use super::ground::{Deposed, InCluster, Overtaken, Unkept};
use super::turns::{NoTurn, Turn};
use crate::rollout::conditions::reported;
use crate::rollout::definition::Definition;
use crate::rollout::engine::{self, EventKind};
use crate::rollout::object::Rollout;
use crate::rollout::peers::Summary;
use crate::rollout::runner::Runner;
use crate::rollout::stand_in::held;
use crate::rollout::status::{Phase, Status};

/// How long one look may take in all. Chosen: a few requests of which each takes its longest.
const MAX_LOOK_SECONDS: u64 = 120;

/// How often one that waits is looked at although nothing changed. Chosen: changes of plugins and of
/// other Rollouts are told at once; this is for what nobody tells.
const WAITING: Duration = Duration::from_secs(60);

/// How often the Deployments of a workload are looked at that is at rest. Chosen: whoever changes an
/// image waits for its pods longer; and what it costs are four small reads.
const DEPLOYMENTS: Duration = Duration::from_secs(5);

/// How long another definition waits for the messages that are on their way.
const LAST_LETTERS: Duration = Duration::from_secs(5);

/// How long one that failed is left alone: at first, and at most. Chosen: an API server that
/// restarts is back within seconds, and a rollback must not wait.
const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// How soon one is looked at again that somebody else has just written.
const AGAIN: Duration = Duration::from_millis(20);

/// How soon one comes again while another one of its split is looked at, and while so many of its
/// namespace are. Chosen: what people do not notice; and what a thousand that wait cost little at.
const SHARED: Duration = Duration::from_millis(50);
const CROWDED: Duration = Duration::from_millis(250);

/// What looks.
pub(super) struct Looker {
    pub(super) context: Arc<Context>,
    runners: Mutex<HashMap<ObjectRef<Rollout>, Runner<InCluster>>>,
    failures: Mutex<HashMap<ObjectRef<Rollout>, u32>>,
}

/// Why a look at a Rollout failed.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(super) struct Failed(anyhow::Error);

/// One look at a Rollout that changed, or is due.
pub(super) async fn look(cached: Arc<Rollout>, looker: Arc<Looker>) -> Result<Action, Failed> {
    let context = &looker.context;
    context.index.note(&cached);
    let named = ObjectRef::from_obj(&*cached);
    if !context.leads() {
        looker.forget(&named);
        return Ok(Action::await_change());
    }
    if !is_due(&cached, context.caller.now()) {
        return Ok(Action::await_change());
    }
    let began = Instant::now();
    let patience = Duration::from_secs(MAX_LOOK_SECONDS);
    let looked = tokio::time::timeout(patience, looker.look(&cached)).await;
    let looked =
        looked.unwrap_or_else(|_| Err(anyhow::anyhow!("not done within {MAX_LOOK_SECONDS} s")));
    let action = match looked {
        Err(error) if error.is::<Overtaken>() => Ok(Action::requeue(AGAIN)),
        Err(error) if error.is::<Deposed>() => Ok(Action::await_change()),
        looked => looked.map_err(Failed),
    };
    context.metrics.looked(began.elapsed(), action.is_ok());
    if action.is_ok() {
        looker.failures.lock().remove(&named);
    }
    action
}

/// When a look is tried again that failed.
pub(super) fn after_failure(rollout: Arc<Rollout>, _: &Failed, looker: Arc<Looker>) -> Action {
    let mut failures = looker.failures.lock();
    let count = failures.entry(ObjectRef::from_obj(&*rollout)).or_default();
    *count = count.saturating_add(1);
    let pause = MIN_PAUSE.saturating_mul(1 << (*count).min(16));
    Action::requeue(pause.min(MAX_PAUSE))
}

/// Whether there is anything to do or to say.
fn is_due(rollout: &Rollout, now: Timestamp) -> bool {
    if rollout.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let Ok(former) = &rollout.reported else {
        // A status that is none is left for people to look at; a new one would begin a run anew.
        return false;
    };
    let is_reported = reported(rollout, former.status.clone(), now) == *former;
    let wants = rollout.definition.as_ref().ok();
    let is_wanted = wants.is_some_and(|wants| has_work(wants, &former.status, now));
    let is_to_remember = former.to_remember().is_some();
    if wants.is_some_and(|wants| wants.workload.is_some()) {
        // Whether there is anything to do, its Deployments say.
        return true;
    }
    !is_reported || is_wanted || is_to_remember || rollout.is_asked()
}

fn has_work(definition: &Definition, status: &Status, now: Timestamp) -> bool {
    let wants = engine::wants(definition, status, now);
    wants != engine::Wants::default() || status.messages.next().is_some()
}

impl Looker {
    /// Of a controller.
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            runners: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Forgets what is only kept from look to look.
    pub(super) fn forget(&self, named: &ObjectRef<Rollout>) {
        self.runners.lock().remove(named);
        self.failures.lock().remove(named);
    }

    /// Runs a Rollout as far as it goes, while no other one of its split is run.
    async fn look(&self, cached: &Rollout) -> anyhow::Result<Action> {
        let context = &self.context;
        let _turn = match self.turn(cached) {
            Ok(turn) => turn,
            Err(NoTurn::Shared) => return Ok(Action::requeue(SHARED)),
            Err(NoTurn::Crowded) => return Ok(Action::requeue(CROWDED)),
        };
        let named = ObjectRef::from_obj(cached);
        let Some(rollout) = self.read(cached).await? else {
            self.forget(&named);
            return Ok(Action::await_change());
        };
        context.index.note(&rollout);
        if !is_due(&rollout, context.caller.now()) {
            return Ok(Action::await_change());
        }
        let (Ok(definition), Ok(former)) = (&rollout.definition, &rollout.reported) else {
            InCluster::new(Arc::clone(context), rollout)
                .report()
                .await?;
            return Ok(Action::await_change());
        };
        let (definition, status) = (definition.clone(), former.status.clone());
        let is_to_remember = former.to_remember().is_some();
        let mut runner = self.runner(&named, rollout, definition, status).await?;
        if is_to_remember {
            // Before another run takes its place; that it cannot be costs its history alone.
            let _ = runner.ground.report().await;
        }
        let pause = runner.turns(&context.caller).await;
        if let Err(error) = &pause
            && error.is::<Unkept>()
        {
            context.metrics.unkept();
            runner.trouble(&context.caller, EventKind::Unkept, error);
        }
        let reported = runner.ground.report().await;
        let has_workload = runner.definition.workload.is_some();
        let waits = matches!(runner.status.phase, Phase::Waiting | Phase::Blocked);
        // Of Deployments it is remembered what was read seldom.
        if has_workload || !matches!(pause, Ok(None)) {
            self.runners.lock().insert(named, runner);
        }
        reported?;
        Ok(match pause? {
            None if has_workload => Action::requeue(DEPLOYMENTS),
            None => Action::await_change(),
            Some(_) if waits && !has_workload => Action::requeue(WAITING),
            Some(pause) => Action::requeue(pause),
        })
    }

    /// Its turn; one whose spec is no Rollout only says so, and needs none.
    fn turn(&self, cached: &Rollout) -> Result<Option<Turn<'_>>, NoTurn> {
        let Ok(definition) = &cached.definition else {
            return Ok(None);
        };
        let summary = Summary::of(cached.name(), definition);
        let reported = cached.reported.as_ref();
        let is_under_way = reported.is_ok_and(|former| former.status.under_way().is_some());
        let takes_long = is_under_way || definition.workload.is_some();
        let turns = &self.context.turns;
        turns
            .take(cached.namespace(), summary, takes_long, Instant::now())
            .map(Some)
    }

    /// The Rollout as it is: what is acted on must not be older than what this process, or another
    /// one, wrote.
    async fn read(&self, cached: &Rollout) -> anyhow::Result<Option<Rollout>> {
        let cluster = &self.context.cluster;
        let api: Api<Rollout> = Api::namespaced(cluster.client().clone(), cached.namespace());
        let read = api.get_opt(cached.name()).await;
        Ok(read.map_err(|error| cluster.explain(cached.title(), error))?)
    }

    /// The runner that was kept, on what was just read; a new one for another definition.
    async fn runner(
        &self,
        named: &ObjectRef<Rollout>,
        mut rollout: Rollout,
        mut definition: Definition,
        status: Status,
    ) -> anyhow::Result<Runner<InCluster>> {
        let kept = self.runners.lock().remove(named);
        let kept = kept.filter(|kept| kept.ground.is_of(&rollout));
        let (rollout, status, former) = match kept {
            None => (rollout, status, None),
            Some(mut kept) => {
                let is_on = kept.ground.is_on(&rollout);
                if !definition.mistakes.is_empty() {
                    // What was right last is still known here.
                    definition = held(&kept.definition, &definition.mistakes);
                    rollout.definition = Ok(definition.clone());
                }
                kept.ground.renew(rollout);
                kept.status = status;
                if kept.definition == definition && is_on {
                    return Ok(kept);
                }
                kept.last_letters(&self.context.caller, LAST_LETTERS)
                    .await?;
                (kept.ground.rollout(), kept.status, Some(kept.ground))
            }
        };
        let name = rollout.name().to_owned();
        let ground = InCluster::new(Arc::clone(&self.context), rollout);
        if let Some(former) = former {
            ground.take_spec(&former);
        }
        let outbound = self.context.outbound.clone();
        Ok(Runner::new(ground, name, definition, status, outbound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rollout(metadata: Value, spec: Value, status: Value) -> Rollout {
        let mut rollout = json!({"metadata": metadata, "spec": spec, "status": status});
        rollout["metadata"]["name"] = json!("web");
        rollout["metadata"]["generation"] = json!(1);
        serde_json::from_value(rollout).unwrap()
    }

    #[test]
    fn only_those_with_something_to_do_or_to_say_are_looked_at() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let spec =
            |version: &str| json!({"split": "web", "version": version, "preset": "emergency"});
        let run = json!({
            "number": 1, "version": "v1", "began": now, "since": now, "step": 0, "stage": "Over",
            "weights": {}, "wanted": {},
        });
        let ended = |generation: i64| {
            let fresh = rollout(
                json!({}),
                spec("v1"),
                json!({"phase": "Succeeded", "run": run}),
            );
            let status = fresh.reported.clone().unwrap().status;
            let told = reported(&fresh, status, now);
            let mut value = crate::rollout::conditions::written(&told, None).unwrap();
            value["observedGeneration"] = json!(generation);
            value["remembered"] = json!(1);
            value
        };
        let mut unremembered = ended(1);
        unremembered["remembered"] = json!(null);
        let mut claimed = ended(1);
        claimed["claimed"] = json!(["shop/web-1"]);
        let mut under_way = ended(1);
        under_way["phase"] = json!("Paused");
        under_way["run"]["stage"] = json!("Holding");
        let asked = json!([{"number": 1, "verb": "retry", "by": "ann"}]).to_string();
        let asked = json!({"annotations": {"sluice.dev/rollout-commands": asked}});
        let deleted = json!({"deletionTimestamp": "2026-11-21T10:00:00Z"});
        let cases = [
            (
                "it was never seen",
                json!({}),
                spec("v1"),
                json!(null),
                true,
            ),
            ("its run ended", json!({}), spec("v1"), ended(1), false),
            (
                "its run ended and has no revision",
                json!({}),
                spec("v1"),
                unremembered,
                true,
            ),
            (
                "something was said of proxies",
                json!({}),
                spec("v1"),
                claimed,
                true,
            ),
            (
                "a wrong spec, and a run under way",
                json!({}),
                json!({"split": "web"}),
                under_way,
                true,
            ),
            (
                "nobody said so of this spec",
                json!({}),
                spec("v1"),
                ended(0),
                true,
            ),
            ("another version", json!({}), spec("v2"), ended(1), true),
            ("somebody asked", asked, spec("v1"), ended(1), true),
            (
                "a wrong spec, not said yet",
                json!({}),
                json!({}),
                ended(1),
                true,
            ),
            ("it goes away", deleted, spec("v2"), ended(1), false),
            (
                "a status that is none",
                json!({}),
                spec("v2"),
                json!({"phase": 5}),
                false,
            ),
        ];
        for (label, metadata, spec, status, expected) in cases {
            assert_eq!(
                is_due(&rollout(metadata, spec, status), now),
                expected,
                "{label}"
            );
        }
    }
}
