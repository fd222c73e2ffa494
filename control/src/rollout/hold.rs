//! Which process runs a Rollout of a cluster in the foreground: the one that holds its Lease. And
//! whether a controller might run it instead.
//!
//! Whoever died holds its Lease until that has run out; whoever lives renews it meanwhile, and so
//! another process knows within seconds that it is not needed.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::kept_maps::{map_name, refused};
use super::lease::decision::{Decision, Record, Seen, decide};
use super::lease::{CONTROLLER, Candidate, Standing, Timing};
use crate::cluster::{Cluster, code, words};

/// How often a Lease is looked at that another holds.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the first try to take a Lease may take. Chosen: the API server's own patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most Leases of controllers that are looked at. Chosen: one a namespace that has its own.
const MAX_CONTROLLERS: u32 = 100;

/// A Rollout's Lease, as long as this is kept.
#[derive(Debug)]
pub struct Hold {
    standing: watch::Receiver<Standing>,
    own_name: String,
    /// Dropped, it ends the task.
    done: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Hold {
    /// Makes this process the one that runs a Rollout.
    ///
    /// # Errors
    /// When another one does, or the Lease cannot be had.
    pub async fn take(
        cluster: &Cluster,
        rollout: &str,
        own_name: &str,
        note: &(dyn Fn(&str) + Send + Sync),
    ) -> anyhow::Result<Self> {
        let seen = wait_for_the_dead(cluster, rollout, own_name, note).await?;
        let (client, namespace) = (cluster.client().clone(), cluster.namespace());
        let timing = Timing::default();
        let candidate = Candidate::new(client, namespace, &map_name(rollout), own_name, timing);
        let candidate = candidate.knowing(Some(seen));
        let (told, standing) = watch::channel(Standing::unknown());
        let (done, mut ended) = watch::channel(false);
        let task = tokio::spawn(async move {
            let ended = async {
                // It fails when the hold is dropped, which ends it too.
                let _ = ended.wait_for(|is_done| *is_done).await;
            };
            candidate.run(&told, ended).await;
        });
        let mut hold = Self {
            standing,
            own_name: own_name.to_owned(),
            done,
            task,
        };
        hold.won(rollout).await?;
        Ok(hold)
    }

    async fn won(&mut self, rollout: &str) -> anyhow::Result<()> {
        let decided = self.standing.wait_for(|standing| match standing {
            Standing::Leads { .. } => true,
            Standing::Waits { holder, trouble } => holder.is_some() || trouble.is_some(),
        });
        let decided = tokio::time::timeout(PATIENCE, decided).await;
        let decided = decided.with_context(|| format!("Lease {}: no answer", map_name(rollout)))?;
        match &*decided? {
            Standing::Leads { .. } => Ok(()),
            Standing::Waits {
                trouble: Some(trouble),
                ..
            } => bail!(
                "Lease {}: {trouble}; `sluice rollout run` needs what the Role in \
                 wasmplugin/controller/foreground.yaml allows",
                map_name(rollout)
            ),
            Standing::Waits { holder, .. } => {
                let holder = holder.as_deref().unwrap_or_default();
                Err(run_by(rollout, holder))
            }
        }
    }

    /// Whether this process may act, just now.
    pub fn is_held(&self) -> bool {
        self.standing.borrow().leads_at(Instant::now())
    }

    /// The other process that runs the Rollout now, if one was seen to.
    pub fn lost_to(&self) -> Option<String> {
        match &*self.standing.borrow() {
            Standing::Waits {
                holder: Some(holder),
                ..
            } if *holder != self.own_name => Some(holder.clone()),
            _ => None,
        }
    }

    /// Hands the Lease over, so that another process need not wait.
    pub async fn release(self) {
        self.done.send_replace(true);
        let _ = self.task.await;
    }
}

/// What is said where another process runs a Rollout.
pub fn run_by(rollout: &str, holder: &str) -> anyhow::Error {
    let lease = map_name(rollout);
    anyhow::anyhow!("Rollout {rollout} is run by another process, {holder} (Lease {lease})")
}

/// Waits until a Lease that nobody renews any more has run out.
async fn wait_for_the_dead(
    cluster: &Cluster,
    rollout: &str,
    own_name: &str,
    note: &(dyn Fn(&str) + Send + Sync),
) -> anyhow::Result<Seen> {
    let (leases, name) = (leases(cluster), map_name(rollout));
    let lasts = Timing::default().lasts;
    let mut seen: Option<Seen> = None;
    loop {
        let lease = leases.get_opt(&name).await;
        let lease = lease.map_err(|error| refused(cluster, format!("Lease {name}"), error))?;
        let record = lease.as_ref().map(Record::of);
        let holder = record.as_ref().and_then(|record| record.holder.clone());
        let is_first = seen.is_none();
        let former = seen.as_ref().and_then(|seen| seen.record.clone());
        let now = Seen::next(seen, record.clone(), Instant::now());
        let Decision::Wait(_) = decide(&now, Instant::now(), own_name, lasts) else {
            return Ok(now);
        };
        let holder = holder.unwrap_or_default();
        if is_first {
            note(&format!(
                "Rollout {rollout}: waiting to see whether {holder}, which holds Lease {name}, still runs it"
            ));
        } else if former != record {
            return Err(run_by(rollout, &holder));
        }
        seen = Some(now);
        sleep(LOOK_EVERY).await;
    }
}

/// Which process runs a Rollout, by the clocks of both.
///
/// # Errors
/// The API server's.
pub async fn holder(
    cluster: &Cluster,
    namespace: &str,
    rollout: &str,
) -> kube::Result<Option<String>> {
    let leases = leases(&cluster.in_namespace(namespace));
    let lease = leases.get_opt(&map_name(rollout)).await?;
    let now = Timestamp::now();
    Ok(lease.and_then(|lease| holder_at(&Record::of(&lease), now)))
}

/// Who holds a record that has not run out.
fn holder_at(record: &Record, now: Timestamp) -> Option<String> {
    let lasts = record.lasts.unwrap_or(Timing::default().lasts);
    let until = record
        .renewed?
        .checked_add(SignedDuration::try_from(lasts).ok()?);
    record
        .holder
        .clone()
        .filter(|_| until.is_ok_and(|until| now < until))
}

/// Refuses where a controller runs: a resource of the Rollout's name exists, and two would move the
/// same weights.
///
/// # Errors
/// Why it is refused.
pub async fn refuse_beside_a_controller(cluster: &Cluster, rollout: &str) -> anyhow::Result<()> {
    let instead = format!(
        "`sluice rollout start {rollout}` asks a controller; `kubectl delete rollout {rollout} -n {}` leaves it to \
         `sluice rollout run`",
        cluster.namespace()
    );
    let own = ListParams::default()
        .fields(&format!("metadata.name={CONTROLLER}"))
        .limit(MAX_CONTROLLERS);
    let everywhere: Api<Lease> = Api::all(cluster.client().clone());
    let listed = match everywhere.list(&own).await {
        Ok(listed) => listed.items,
        Err(error) if code(&error) == Some(403) => bail!(
            "the cluster has a Rollout {rollout}, and whether a controller runs it is not known, since Leases may \
             not be listed; {instead}"
        ),
        Err(error) => bail!(
            "the cluster has a Rollout {rollout}, and whether a controller runs it is not known: {}; {instead}",
            words(&error)
        ),
    };
    let now = Timestamp::now();
    for lease in &listed {
        if let Some(holder) = holder_at(&Record::of(lease), now) {
            let namespace = lease.metadata.namespace.as_deref().unwrap_or_default();
            bail!(
                "the cluster has a Rollout {rollout}, which a controller runs: {holder} of namespace {namespace}; \
                 {instead}"
            );
        }
    }
    Ok(())
}

fn leases(cluster: &Cluster) -> Api<Lease> {
    Api::namespaced(cluster.client().clone(), cluster.namespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_has_run_out_is_held_by_nobody() {
        let renewed: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let record = |holder: Option<&str>, lasts| Record {
            holder: holder.map(str::to_owned),
            lasts,
            renewed: Some(renewed),
            transitions: None,
        };
        let five = Some(Duration::from_secs(5));
        let cases = [
            ("held", record(Some("ann"), five), 4, Some("ann")),
            ("run out", record(Some("ann"), five), 5, None),
            (
                "it does not say for how long",
                record(Some("ann"), None),
                14,
                Some("ann"),
            ),
            ("handed over", record(None, five), 0, None),
            (
                "never renewed",
                Record {
                    renewed: None,
                    ..record(Some("ann"), five)
                },
                0,
                None,
            ),
        ];
        for (label, record, after, expected) in cases {
            let now = renewed + SignedDuration::from_secs(after);
            assert_eq!(holder_at(&record, now).as_deref(), expected, "{label}");
        }
    }
}
