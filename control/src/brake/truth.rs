//! What the leading replica does of each brake: the zeros that it stands for are written into the
//! plugin, again and again until they are in force, and what is over for long is deleted. Every
//! replica says how many proxies have heard.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::SignedDuration;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::reflector::Store;
use serde_json::{Value, json};
use sluice_core::allocation::Percent;
use tokio::time::Instant;

use super::desk::Desk;
use super::object::{Brake, Heard, State};
use super::plugin::PluginName;
use super::table::{RELEASED_HOURS, WRITTEN_SECONDS};
use super::watching::brakes;
use crate::cluster::Cluster;
use crate::cluster::plugins::NoPlugin;
use crate::model::reach::Reach;
use crate::model::weights::{Weight, WeightSet};
use crate::operations::Caller;
use crate::operations::abort::{Abort, abort, made};
use crate::store::Store as _;
use crate::store::kubernetes::Kubernetes;

/// How often brakes are looked at. Chosen: what people who wait for a brake notice.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often it is looked whether the zeros of a written brake still stand.
const STANDS_EVERY: Duration = Duration::from_secs(1);

/// How many brakes are written at once, as an abort of several plugins does.
const MAX_WRITTEN_AT_ONCE: usize = 8;

/// The longest pause between two tries of the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long people may wait for the number of proxies that have heard; later it is said as often as
/// the longest pause allows.
const AWAITED: SignedDuration = SignedDuration::from_secs(10);

/// How long it is said how many proxies have heard of a brake that is over.
const SAID: SignedDuration = SignedDuration::from_secs(60);

/// The longest message that is kept, in characters.
const MAX_MESSAGE: usize = 512;

/// What looks after the brakes of a cluster.
#[derive(Debug)]
pub struct Keeper {
    /// The cluster.
    pub cluster: Cluster,
    /// Every Brake.
    pub known: Store<Brake>,
    /// Who asks.
    pub desk: Arc<Desk>,
    /// Who writes.
    pub caller: Caller,
    /// What tells this process from other replicas.
    pub instance: String,
}

/// When something may be tried again, by a brake's id.
#[derive(Debug, Default)]
struct Turns(HashMap<String, (u32, Instant)>);

impl Turns {
    fn is_due(&self, id: &str) -> bool {
        self.0
            .get(id)
            .is_none_or(|(_, again)| *again <= Instant::now())
    }

    /// Whose turn came longest ago first.
    fn again(&self, id: &str) -> Option<Instant> {
        self.0.get(id).map(|(_, again)| *again)
    }

    /// Tried: the next time comes later each time.
    fn tried(&mut self, id: &str) {
        let times = self.0.get(id).map_or(0, |(times, _)| *times);
        let pause = LOOK_EVERY * 2_u32.saturating_pow(times.min(6));
        self.wait(id, times.saturating_add(1), pause.min(LONGEST_PAUSE));
    }

    fn wait(&mut self, id: &str, times: u32, pause: Duration) {
        self.0
            .insert(id.to_owned(), (times, Instant::now() + pause));
    }

    fn forget_others(&mut self, ids: &HashSet<&str>) {
        self.0.retain(|id, _| ids.contains(id.as_str()));
    }
}

/// What was found of a brake's zeros.
enum Found {
    /// They are in force.
    Written,
    /// There is nothing that they could be written to.
    Gone(String),
    /// They are not; why.
    NotYet(String),
}

impl Keeper {
    /// Looks after them; it never ends. Counting does not wait for writes.
    pub async fn keep(self, leads: impl Fn() -> bool) {
        tokio::join!(self.keep_counting(), self.keep_writing(leads));
    }

    async fn keep_writing(&self, leads: impl Fn() -> bool) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let (mut tries, mut deletions) = (Turns::default(), Turns::default());
        loop {
            looks.tick().await;
            let all = self.known.state();
            let ids = ids(&all);
            tries.forget_others(&ids);
            deletions.forget_others(&ids);
            if leads() {
                self.write(&all, &mut tries).await;
                self.tidy(&all, &mut deletions).await;
            }
        }
    }

    /// Writes the zeros of brakes whose turn it is, and looks whether those written still stand.
    async fn write(&self, all: &[Arc<Brake>], tries: &mut Turns) {
        let is_open = |brake: &&Arc<Brake>| matches!(brake.state(), State::On | State::Written);
        let mut due: Vec<&Arc<Brake>> = all.iter().filter(is_open).collect();
        due.retain(|brake| tries.is_due(brake.id()));
        due.sort_by_key(|brake| tries.again(brake.id()));
        due.truncate(MAX_WRITTEN_AT_ONCE);
        let mut looking: futures::stream::FuturesUnordered<_> = due
            .into_iter()
            .map(|brake| async move {
                match brake.state() {
                    State::Written => self.end_if_over(brake).await,
                    _ => self.write_one(brake).await,
                }
                brake
            })
            .collect();
        while let Some(brake) = looking.next().await {
            match brake.state() {
                State::Written => tries.wait(brake.id(), 0, STANDS_EVERY),
                _ => tries.tried(brake.id()),
            }
        }
    }

    async fn write_one(&self, brake: &Brake) {
        let now = self.caller.now().to_string();
        let status = match self.zeros(brake).await {
            Found::Written => json!({"written": now, "message": null}),
            Found::Gone(why) => json!({"written": now, "isOver": true, "message": cut(&why)}),
            Found::NotYet(why) => json!({"message": cut(&why)}),
        };
        self.note(brake, status).await;
    }

    /// A brake whose zeros were written is released by whoever raises a weight again: istiod may push
    /// the former weights alone, and by those a proxy would keep it. Else it is over after a while.
    async fn end_if_over(&self, brake: &Brake) {
        let ended = brake.ended().unwrap_or_default();
        let past = self.caller.now().duration_since(ended);
        let is_raised = match self.store(brake).snapshot().await {
            Ok(snapshot) => is_raised(&snapshot.plugin.config, &reach(brake)),
            // What cannot be read may stand.
            Err(_) => false,
        };
        if is_raised {
            self.note(brake, json!({"isRaised": true})).await;
        } else if past >= SignedDuration::from_secs(WRITTEN_SECONDS) {
            self.note(brake, json!({"isOver": true})).await;
        }
    }

    /// Whether the zeros of a brake are in the plugin: looked at, else written.
    async fn zeros(&self, brake: &Brake) -> Found {
        let (store, reach) = (self.store(brake), reach(brake));
        let snapshot = match store.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) if error.is::<NoPlugin>() => return Found::Gone(error.to_string()),
            Err(error) => return Found::NotYet(format!("{error:#}")),
        };
        let in_force = match made(&snapshot, &reach) {
            Some(in_force) => in_force,
            None => {
                let by = &brake.spec.by;
                let reason = brake.spec.reason.as_ref();
                let reason = reason.map_or_else(
                    || format!("brake by {by}"),
                    |reason| format!("brake by {by}: {reason}"),
                );
                let order = Abort {
                    reach,
                    reason: Some(reason),
                };
                match abort(&store, &self.caller, &order).await {
                    Ok(aborted) => aborted.not_in_force.map_or(Ok(()), Err),
                    Err(error) if error.lacks_split() => return Found::Gone(error.to_string()),
                    Err(error) => {
                        return Found::NotYet(format!("{:#}", anyhow::Error::from(error)));
                    }
                }
            }
        };
        match in_force {
            Ok(()) => Found::Written,
            Err(why) => Found::NotYet(format!("NOT IN FORCE: {why}")),
        }
    }

    async fn keep_counting(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut said: HashMap<String, Heard> = HashMap::new();
        let mut turns = Turns::default();
        loop {
            looks.tick().await;
            let all = self.known.state();
            let ids = ids(&all);
            said.retain(|id, _| ids.contains(id.as_str()));
            turns.forget_others(&ids);
            let mut counted: HashMap<PluginName, Heard> = HashMap::new();
            for brake in all.iter().filter(|brake| self.is_said(brake)) {
                let plugin = brake.plugin();
                let Some(page) = self.desk.page(&plugin) else {
                    continue;
                };
                let count = || self.desk.heard(&plugin, &page.version);
                let heard = *counted.entry(plugin.clone()).or_insert_with(count);
                self.say_heard(brake, heard, &mut said, &mut turns).await;
            }
        }
    }

    fn is_said(&self, brake: &Brake) -> bool {
        let ended = brake.ended();
        ended.is_none_or(|ended| self.caller.now().duration_since(ended) < SAID)
    }

    /// Says how many of this replica's proxies have heard, if that is another number than before.
    async fn say_heard(
        &self,
        brake: &Brake,
        heard: Heard,
        said: &mut HashMap<String, Heard>,
        turns: &mut Turns,
    ) {
        let status = brake.status.as_ref();
        let kept = status.and_then(|status| status.replicas.get(&self.instance));
        let before = said.get(brake.id()).or(kept).copied().unwrap_or_default();
        if heard == before || !turns.is_due(brake.id()) {
            return;
        }
        let replica = json!({"replicas": {self.instance.as_str(): heard}});
        let is_noted = self.note(brake, replica).await;
        if is_noted {
            said.insert(brake.id().to_owned(), heard);
        }
        let created = brake.created().unwrap_or_default();
        let is_awaited = self.caller.now().duration_since(created) < AWAITED;
        let pause = if is_noted && is_awaited {
            LOOK_EVERY
        } else {
            LONGEST_PAUSE
        };
        turns.wait(brake.id(), 0, pause);
    }

    /// Deletes what nobody needs any more.
    async fn tidy(&self, all: &[Arc<Brake>], deletions: &mut Turns) {
        let kept = SignedDuration::from_hours(RELEASED_HOURS);
        let now = self.caller.now();
        for brake in all {
            let is_old = brake
                .ended()
                .is_some_and(|ended| now.duration_since(ended) > kept);
            let name = brake.metadata.name.as_deref();
            if let (true, Some(name)) = (is_old && deletions.is_due(brake.id()), name) {
                // Whoever deleted it first has done the same.
                let _ = self.api(brake).delete(name, &DeleteParams::default()).await;
                deletions.tried(brake.id());
            }
        }
    }

    /// Whether it was noted in a brake's status.
    async fn note(&self, brake: &Brake, status: Value) -> bool {
        let patch = Patch::Merge(json!({"status": status}));
        let name = brake.metadata.name.as_deref().unwrap_or_default();
        let noted = self
            .api(brake)
            .patch_status(name, &PatchParams::default(), &patch)
            .await;
        // It is said again with a later look.
        noted.is_ok()
    }

    fn store(&self, brake: &Brake) -> Kubernetes {
        let plugin = brake.plugin();
        Kubernetes::new(
            self.cluster.in_namespace(&plugin.namespace),
            Some(plugin.name),
        )
    }

    fn api(&self, brake: &Brake) -> Api<Brake> {
        brakes(&self.cluster, brake.metadata.namespace.as_deref())
    }
}

fn ids(all: &[Arc<Brake>]) -> HashSet<&str> {
    all.iter().map(|brake| brake.id()).collect()
}

/// Whether anybody is given one of these challengers.
fn is_raised(config: &Value, reach: &Reach) -> bool {
    let weights = WeightSet::of_config(config);
    let gives =
        |weight: &Weight| matches!(weight, Weight::Percent(percent) if *percent > Percent::ZERO);
    weights
        .iter()
        .any(|(key, weight)| reach.has(key) && gives(weight))
}

fn reach(brake: &Brake) -> Reach {
    Reach {
        challenger: brake.spec.challenger.clone(),
        ..Reach::of_split(&brake.spec.split)
    }
}

fn cut(why: &str) -> String {
    why.chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brake_is_raised_by_a_weight_of_its_challengers_and_by_nothing_else() {
        let of = |weights: Value| json!({"splits": {"web": {}, "api": {}}, "weights": weights});
        let all = Reach::of_split("web");
        let canary = Reach {
            challenger: Some("canary".to_owned()),
            ..all.clone()
        };
        let cases = [
            ("no weights", json!({}), [false, false]),
            (
                "zeros",
                json!({"web": {"everyone": {"canary": 0}}}),
                [false, false],
            ),
            (
                "a rule that has no zero yet",
                json!({"web": {"everyone": {"canary": 0}, "staff": {}}}),
                [false, false],
            ),
            (
                "raised",
                json!({"web": {"staff": {"canary": 0.01}}}),
                [true, true],
            ),
            (
                "another",
                json!({"web": {"everyone": {"blue": 5}}}),
                [true, false],
            ),
            (
                "elsewhere",
                json!({"api": {"everyone": {"canary": 5}}}),
                [false, false],
            ),
        ];
        for (label, weights, expected) in cases {
            let config = of(weights);
            let seen = [&all, &canary].map(|reach| is_raised(&config, reach));
            assert_eq!(seen, expected, "{label}");
        }
    }
}
