//! What the leading replica does of each brake: the zeros that it stands for are written into the
//! plugin, again and again until they are in force, and what is over for long is deleted. How many
//! proxies have heard, every replica says (`counting`).

mod counting;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::SignedDuration;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::reflector::Store;
use serde_json::{Value, json};
use sluice_core::allocation::Percent;
use tokio::time::Instant;

use super::desk::Desk;
use super::object::{Brake, State};
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

/// How many brakes are written at once. Chosen: twice as many as of one namespace.
const MAX_WRITTEN_AT_ONCE: usize = 16;

/// How many of one namespace, whose webhook may hang.
const MAX_WRITTEN_OF_ONE: usize = 8;

/// How many old brakes are deleted at once. Chosen: those of a bad day, ten thousand, are gone within
/// minutes.
const MAX_DELETED_AT_ONCE: usize = 8;

/// How many of one namespace, in which deletions may hang.
const MAX_DELETED_OF_ONE: usize = 2;

/// The longest pause between two tries of the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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

    /// After a look at one: soon again whether what is written stands.
    fn looked_at(&mut self, brake: &Brake) {
        match brake.state() {
            State::Written => self.wait(brake.id(), 0, STANDS_EVERY),
            _ => self.tried(brake.id()),
        }
    }

    fn wait(&mut self, id: &str, times: u32, pause: Duration) {
        self.0
            .insert(id.to_owned(), (times, Instant::now() + pause));
    }

    fn forget_others(&mut self, ids: &HashSet<&str>) {
        self.0.retain(|id, _| ids.contains(id.as_str()));
    }
}

/// How many brakes may be under way at once.
#[derive(Clone, Copy, Debug)]
struct Most {
    at_once: usize,
    of_one_namespace: usize,
}

const WRITTEN: Most = Most {
    at_once: MAX_WRITTEN_AT_ONCE,
    of_one_namespace: MAX_WRITTEN_OF_ONE,
};

const DELETED: Most = Most {
    at_once: MAX_DELETED_AT_ONCE,
    of_one_namespace: MAX_DELETED_OF_ONE,
};

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
    /// Looks after them; it never ends. Counting does not wait for writes, nor writes for deletions.
    pub async fn keep(&self, leads: impl Fn() -> bool) {
        tokio::join!(
            self.keep_counting(),
            self.keep_writing(&leads),
            self.keep_tidying(&leads),
        );
    }

    async fn keep_writing(&self, leads: impl Fn() -> bool) {
        let is_open = |brake: &Brake| matches!(brake.state(), State::On | State::Written);
        let look_at = |brake| self.look_at(brake);
        self.keep_each(leads, WRITTEN, is_open, look_at, Turns::looked_at)
            .await;
    }

    /// Deletes what nobody needs any more.
    async fn keep_tidying(&self, leads: impl Fn() -> bool) {
        let is_old = |brake: &Brake| self.is_old(brake);
        let delete = |brake| self.delete(brake);
        let tried = |turns: &mut Turns, brake: &Brake| turns.tried(brake.id());
        self.keep_each(leads, DELETED, is_old, delete, tried).await;
    }

    /// Does something with each brake that is one of those, and notes when it is its turn again.
    async fn keep_each<F: Future<Output = Arc<Brake>>>(
        &self,
        leads: impl Fn() -> bool,
        most: Most,
        is_one: impl Fn(&Brake) -> bool,
        act: impl Fn(Arc<Brake>) -> F,
        done: impl Fn(&mut Turns, &Brake),
    ) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut tries = Turns::default();
        let (mut acting, mut under_way) = (FuturesUnordered::new(), Vec::new());
        loop {
            tokio::select! {
                Some(brake) = acting.next(), if !acting.is_empty() => {
                    under_way.retain(|other| !Arc::ptr_eq(other, &brake));
                    done(&mut tries, &brake);
                }
                _ = looks.tick() => {
                    let mut all = self.known.state();
                    tries.forget_others(&ids(&all));
                    all.retain(|brake| is_one(brake));
                    if leads() {
                        for brake in next(&all, &tries, &under_way, most) {
                            under_way.push(Arc::clone(&brake));
                            acting.push(act(brake));
                        }
                    }
                }
            }
        }
    }

    /// Writes the zeros of a brake, or looks whether those written still stand.
    async fn look_at(&self, brake: Arc<Brake>) -> Arc<Brake> {
        match brake.state() {
            State::Written => self.end_if_over(&brake).await,
            _ => self.write_one(&brake).await,
        }
        brake
    }

    async fn write_one(&self, brake: &Brake) {
        let now = self.caller.now().to_string();
        let status = match self.zeros(brake).await {
            Found::Written => json!({"written": now, "message": null}),
            Found::Gone(why) => json!({"written": now, "isOver": true, "message": cut(&why)}),
            Found::NotYet(why) => json!({"message": cut(&why)}),
        };
        self.try_to_note(brake, status).await;
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
            self.try_to_note(brake, json!({"isRaised": true})).await;
        } else if past >= SignedDuration::from_secs(WRITTEN_SECONDS) {
            self.try_to_note(brake, json!({"isOver": true})).await;
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

    /// Whether nobody needs it any more.
    fn is_old(&self, brake: &Brake) -> bool {
        let kept = SignedDuration::from_hours(RELEASED_HOURS);
        let now = self.caller.now();
        let ended = brake.ended();
        let is_past = ended.is_some_and(|ended| now.duration_since(ended) > kept);
        // What a finalizer keeps is deleted already.
        is_past && brake.deleted().is_none()
    }

    async fn delete(&self, brake: Arc<Brake>) -> Arc<Brake> {
        if let Some(name) = brake.metadata.name.as_deref() {
            // Whoever deleted it first has done the same.
            let _ = self
                .api(&brake)
                .delete(name, &DeleteParams::default())
                .await;
        }
        brake
    }

    async fn try_to_note(&self, brake: &Brake, status: Value) {
        // It is noted again with a later look.
        let _ = self.note(brake, status).await;
    }

    /// Notes something in a brake's status.
    async fn note(&self, brake: &Brake, status: Value) -> kube::Result<()> {
        let patch = Patch::Merge(json!({"status": status}));
        let name = brake.metadata.name.as_deref().unwrap_or_default();
        let api = self.api(brake);
        let parameters = PatchParams::default();
        api.patch_status(name, &parameters, &patch).await.map(drop)
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

/// Whose turn is now, beside those that are under way: of the namespaces by turns, those first whose
/// turn came longest ago.
fn next(
    all: &[Arc<Brake>],
    tries: &Turns,
    under_way: &[Arc<Brake>],
    most: Most,
) -> Vec<Arc<Brake>> {
    let mut places: HashMap<Option<&String>, usize> = HashMap::new();
    for brake in under_way {
        *places.entry(brake.metadata.namespace.as_ref()).or_default() += 1;
    }
    let busy: HashSet<&str> = under_way.iter().map(|brake| brake.id()).collect();
    let is_due = |brake: &&Arc<Brake>| tries.is_due(brake.id()) && !busy.contains(brake.id());
    let mut due: Vec<&Arc<Brake>> = all.iter().filter(is_due).collect();
    due.sort_by_key(|brake| tries.again(brake.id()));
    let placed = due.into_iter().filter_map(|brake| {
        let place = places.entry(brake.metadata.namespace.as_ref()).or_default();
        *place += 1;
        (*place <= most.of_one_namespace).then_some((*place, brake))
    });
    let mut placed: Vec<_> = placed.collect();
    placed.sort_by_key(|(place, _)| *place);
    let free = most.at_once.saturating_sub(under_way.len());
    let placed = placed.into_iter().take(free);
    placed.map(|(_, brake)| Arc::clone(brake)).collect()
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
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;
    use kube::runtime::reflector::store::Writer;
    use kube::runtime::watcher;

    use super::*;
    use crate::brake::object::Noted;

    /// A brake of a namespace that is on.
    fn brake((namespace, number): (&str, usize)) -> Arc<Brake> {
        let uid = format!("{namespace}-{number}");
        let brake = serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": uid, "uid": uid},
            "spec": {"plugin": "sluice", "split": "web", "by": "ann"},
        }));
        Arc::new(brake.unwrap())
    }

    fn names(brakes: &[Arc<Brake>]) -> Vec<&str> {
        brakes.iter().map(|brake| brake.id()).collect()
    }

    #[tokio::test]
    async fn a_namespace_whose_writes_hang_holds_up_no_other() {
        let mut all: Vec<Arc<Brake>> = (0..100).map(|number| brake(("a", number))).collect();
        let mut tries = Turns::default();
        let hanging = next(&all, &tries, &[], WRITTEN);
        assert_eq!(hanging.len(), MAX_WRITTEN_OF_ONE);
        assert_eq!(next(&all, &tries, &hanging, WRITTEN), []);
        all.extend([brake(("b", 0)), brake(("b", 1)), brake(("c", 0))]);
        let others = next(&all, &tries, &hanging, WRITTEN);
        assert_eq!(names(&others), ["b-0", "c-0", "b-1"], "by turns");
        tries.tried("b-0");
        assert_eq!(
            names(&next(&all, &tries, &hanging, WRITTEN)),
            ["b-1", "c-0"]
        );
        let full: Vec<Arc<Brake>> = (0..16).map(|number| brake(("d", number))).collect();
        assert_eq!(next(&all, &tries, &full, WRITTEN), []);
    }

    #[tokio::test]
    async fn deletions_that_hang_hold_up_no_zeros() {
        let mut writer = Writer::default();
        let known = writer.as_reader();
        writer.apply_watcher_event(&watcher::Event::Init);
        let old = (0..20).map(|number| brake(("a", number))).map(|brake| {
            let released = Some(Noted {
                at: "2025-12-31T00:00:00Z".to_owned(),
                by: "ann".to_owned(),
            });
            let mut brake = Brake::clone(&brake);
            brake.spec.released = released;
            brake
        });
        let on = std::iter::once(Brake::clone(&brake(("b", 0))));
        for brake in old.chain(on) {
            writer.apply_watcher_event(&watcher::Event::InitApply(brake));
        }
        writer.apply_watcher_event(&watcher::Event::InitDone);
        let asked = Arc::new(tokio::sync::Semaphore::new(0));
        let deletions = Arc::new(AtomicUsize::new(0));
        let (noted, counted) = (Arc::clone(&asked), Arc::clone(&deletions));
        let server = tower::service_fn(move |request: Request<Body>| {
            let (noted, counted) = (Arc::clone(&noted), Arc::clone(&counted));
            async move {
                if request.method() == Method::DELETE {
                    counted.fetch_add(1, Ordering::Relaxed);
                    std::future::pending::<()>().await;
                }
                if request.uri().path().contains("/namespaces/b/") {
                    noted.add_permits(1);
                }
                let none =
                    json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": ""});
                let answer = Body::from(none.to_string().into_bytes());
                let answer = Response::builder().status(404).body(answer);
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        let keeper = Keeper {
            cluster: Cluster::of_client(Client::new(server, "b")),
            known,
            desk: Arc::default(),
            caller: Caller {
                name: "ann".to_owned(),
                clock: || "2026-01-01T00:00:00Z".parse().unwrap(),
            },
            instance: "one".to_owned(),
        };
        tokio::select! {
            () = keeper.keep(|| true) => {}
            written = asked.acquire() => drop(written.unwrap()),
        }
        assert_eq!(deletions.load(Ordering::Relaxed), MAX_DELETED_OF_ONE);
    }

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
