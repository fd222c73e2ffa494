//! What proxies say that their guards took out, passed on to who leads: any replica may be asked by a
//! proxy, and writes into the status of the Rollout that moves the challenger of which proxies it was
//! said. That wakes whoever leads, who looks at these proxies and believes them alone.
//!
//! Whoever lies names what they like. So each Rollout is told once a second, and of all of them a
//! replica tells a few in a second.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use kube::runtime::reflector::ObjectRef;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use super::context::Context;
use crate::brake::claims::Claim;
use crate::brake::desk::Desk;
use crate::cluster::code;
use crate::rollout::object::{CLAIMED, MAX_CLAIMED, Rollout};

/// How often one Rollout is told. Chosen: a look at it costs two requests, and this is how often one
/// under way is looked at anyway.
const EACH: Duration = Duration::from_secs(1);

/// How often a replica tells any. Chosen: twenty in a second are no load to an API server.
const ANY: Duration = Duration::from_millis(50);

/// How long telling one may take. Chosen: longer, and Prometheus tells it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is tried to tell one that others write. Chosen: whoever leads writes some times in a row.
const MAX_TELLINGS: usize = 5;

/// Passes on what is said to the service; it never ends.
pub(super) async fn pass_on(context: Arc<Context>, desk: Arc<Desk>) {
    let (mut waiting, mut next) = (Waiting::default(), Instant::now());
    loop {
        let due = waiting.due().map(|due| due.max(next));
        tokio::select! {
            claim = desk.claims().next() => {
                for rollout in moving(&context, &claim) {
                    waiting.add(rollout, claim.pod.to_string(), Instant::now());
                }
            }
            () = sleep_until(due.unwrap_or(next)), if due.is_some() => {
                if let Some((rollout, pods)) = waiting.take(Instant::now()) {
                    // What could not be told is said again, and Prometheus has it too.
                    let _ = timeout(PATIENCE, tell(&context, &rollout, &pods)).await;
                }
                next = Instant::now() + ANY;
            }
        }
    }
}

fn moving(context: &Context, claim: &Claim) -> Vec<ObjectRef<Rollout>> {
    let moved = (&*claim.plugin.name, &*claim.split, &*claim.variant);
    context.index.moving(&claim.plugin.namespace, moved)
}

/// Writes it into the status as that stands, unless somebody else writes it meanwhile.
async fn tell(
    context: &Context,
    rollout: &ObjectRef<Rollout>,
    pods: &BTreeSet<String>,
) -> kube::Result<()> {
    let client = context.cluster.client().clone();
    let namespace = rollout.namespace.as_deref().unwrap_or_default();
    let resource = ApiResource::erase::<Rollout>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    for _ in 0..MAX_TELLINGS {
        let mut object = api.get(&rollout.name).await?;
        let status = object.data.get_mut("status");
        let Some(status) = status.filter(|status| status.is_object()) else {
            return Ok(());
        };
        status[CLAIMED] = json!(pods);
        let parameters = PostParams::default();
        match api
            .replace_status(&rollout.name, &parameters, &object)
            .await
        {
            Err(error) if code(&error) == Some(409) => {}
            written => return written.map(drop),
        }
    }
    Ok(())
}

/// Rollouts that are to be told, and of which pods. There are as many as are under way.
#[derive(Debug, Default)]
struct Waiting(HashMap<ObjectRef<Rollout>, Turn>);

#[derive(Debug)]
struct Turn {
    pods: BTreeSet<String>,
    /// Not before.
    due: Instant,
}

impl Waiting {
    /// One more pod, where there is room.
    fn add(&mut self, rollout: ObjectRef<Rollout>, pod: String, now: Instant) {
        let turn = self.0.entry(rollout).or_insert_with(|| Turn {
            pods: BTreeSet::new(),
            due: now,
        });
        if turn.pods.len() < MAX_CLAIMED {
            turn.pods.insert(pod);
        }
    }

    /// When the next one is to be told.
    fn due(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|turn| !turn.pods.is_empty());
        waiting.map(|turn| turn.due).min()
    }

    /// The one that has waited longest, if it is its turn.
    fn take(&mut self, now: Instant) -> Option<(ObjectRef<Rollout>, BTreeSet<String>)> {
        self.0
            .retain(|_, turn| !turn.pods.is_empty() || turn.due > now);
        let waiting = self.0.iter_mut().filter(|(_, turn)| !turn.pods.is_empty());
        let (rollout, turn) = waiting.min_by_key(|(_, turn)| turn.due)?;
        if turn.due > now {
            return None;
        }
        turn.due = now + EACH;
        Some((rollout.clone(), std::mem::take(&mut turn.pods)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> ObjectRef<Rollout> {
        ObjectRef::new(name).within("shop")
    }

    /// What is taken, as `ROLLOUT: POD POD`.
    fn taken(waiting: &mut Waiting, now: Instant) -> Option<String> {
        let (rollout, pods) = waiting.take(now)?;
        let pods: Vec<String> = pods.into_iter().collect();
        Some(format!("{}: {}", rollout.name, pods.join(" ")))
    }

    #[test]
    fn a_rollout_is_told_at_once_and_then_each_second_of_what_was_said_meanwhile() {
        let (mut waiting, begin) = (Waiting::default(), Instant::now());
        assert_eq!(waiting.due(), None);
        waiting.add(of("web"), "shop/one".to_owned(), begin);
        assert_eq!(waiting.due(), Some(begin));
        assert_eq!(taken(&mut waiting, begin).as_deref(), Some("web: shop/one"));
        assert_eq!(waiting.due(), None);
        for pod in ["shop/one", "shop/two", "shop/one"] {
            waiting.add(of("web"), pod.to_owned(), begin + EACH / 2);
        }
        assert_eq!(waiting.due(), Some(begin + EACH));
        assert_eq!(taken(&mut waiting, begin + EACH / 2), None);
        waiting.add(of("api"), "shop/one".to_owned(), begin + EACH / 2);
        let now = begin + EACH / 2;
        assert_eq!(taken(&mut waiting, now).as_deref(), Some("api: shop/one"));
        let now = begin + EACH;
        let both = "web: shop/one shop/two";
        assert_eq!(taken(&mut waiting, now).as_deref(), Some(both));
    }

    #[test]
    fn of_a_rollout_so_many_pods_are_told_and_of_one_that_is_told_nothing_stays() {
        let (mut waiting, begin) = (Waiting::default(), Instant::now());
        for pod in 0..3 * MAX_CLAIMED {
            waiting.add(of("web"), format!("shop/web-{pod}"), begin);
        }
        let (_, pods) = waiting.take(begin).unwrap();
        assert_eq!(pods.len(), MAX_CLAIMED);
        assert_eq!(waiting.0.len(), 1, "until it may be told again");
        assert!(waiting.take(begin + EACH).is_none());
        assert_eq!(waiting.0.len(), 0);
    }
}
