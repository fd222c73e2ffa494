//! Which of several controllers leads: an election by a Lease (`coordination.k8s.io/v1`), with the
//! rules of client-go's leader election.
//!
//! A candidate believes no other's clock. It counts from when it saw the record change, and takes
//! over when that lies as long ago as the record lasts. Who leads gives up before that, when it could
//! not renew in time, whatever the API server does meanwhile. Every write names the version of the
//! record that it replaces, so of two who write one is refused. Why no crate does it: those that
//! exist are made for kube 1 and 4.
//!
//! [`decision`] decides; here it is done.

pub mod decision;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tower::util::rng::{HasherRng, Rng as _};

use crate::cluster;
use decision::{Decision, Record, Seen, decide};

/// The Lease that says which controller leads.
pub const CONTROLLER: &str = "sluice-controller";

/// The annotation of a Lease with the version of the sluice that wrote it and, behind a space, its
/// identity: a holder that writes none leaves the one of the holder before it.
pub const VERSION: &str = "sluice.dev/version";

/// The version that the holder of a Lease says of itself; `None` where it says none.
pub fn version_of_holder(lease: &Lease) -> Option<&str> {
    let said = lease.metadata.annotations.as_ref()?.get(VERSION)?;
    let (version, whose) = said.split_once(' ')?;
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (whose == holder).then_some(version)
}

/// The times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a record lasts that nobody renews: whole seconds.
    pub lasts: Duration,
    /// How long a leader leads without having renewed; shorter than `lasts`.
    pub renews_within: Duration,
    /// How long anybody waits before the next try.
    pub retries_every: Duration,
}

/// Those of Kubernetes' own controllers.
impl Default for Timing {
    fn default() -> Self {
        Self {
            lasts: Duration::from_secs(15),
            renews_within: Duration::from_secs(10),
            retries_every: Duration::from_secs(2),
        }
    }
}

/// Where a candidate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It leads.
    Leads {
        /// Until when, unless it renews before.
        until: Instant,
    },
    /// It does not lead.
    Waits {
        /// Who does, as far as is known.
        holder: Option<String>,
        /// Why the record could not be read or written.
        trouble: Option<String>,
    },
}

impl Standing {
    /// Before anything is known.
    pub const fn unknown() -> Self {
        Self::Waits {
            holder: None,
            trouble: None,
        }
    }

    /// Whether it leads at a time. Who is about to change something asks again: a process that stood
    /// still does not know yet that it no longer leads.
    pub fn leads_at(&self, now: Instant) -> bool {
        matches!(self, Self::Leads { until } if now < *until)
    }
}

/// One candidate.
#[derive(Clone)]
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    /// What was seen of the record before it takes part.
    known: Option<Seen>,
}

/// A record that is ours, and when its last renewal began.
struct Held {
    lease: Lease,
    renewed: Instant,
}

/// Why a renewal was none.
enum Setback {
    /// Somebody else holds the record.
    Lost,
    /// Nobody knows yet.
    Unclear,
}

impl Candidate {
    /// A candidate for the Lease `name`. Its identity must be its own: that of two processes of one
    /// name differs.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        timing: Timing,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            timing,
            known: None,
        }
    }

    /// The same, which has seen the record already: it need not wait once more until that runs out.
    pub fn knowing(mut self, seen: Option<Seen>) -> Self {
        self.known = seen;
        self
    }

    /// Takes part until `ended`, then hands the record over, so that another leads at once. `ended`
    /// comes when whatever a leader does has stopped.
    pub async fn run(&self, standing: &watch::Sender<Standing>, ended: impl Future<Output = ()>) {
        let part = async {
            loop {
                let held = self.win(standing).await;
                self.lead(held, standing).await;
                standing.send_replace(Standing::unknown());
            }
        };
        tokio::select! {
            () = part => {}
            () = ended => {}
        }
        standing.send_replace(Standing::unknown());
        let _ = timeout(self.timing.renews_within, self.hand_over()).await;
    }

    /// Waits for the record, and takes it.
    async fn win(&self, standing: &watch::Sender<Standing>) -> Held {
        let mut chance = HasherRng::new();
        let mut seen = self.known.clone();
        loop {
            let (holder, trouble) = match self.campaign(&mut seen).await {
                Ok(Some(held)) => return held,
                Ok(None) => {
                    let record = seen.as_ref().and_then(|seen| seen.record.as_ref());
                    (record.and_then(|record| record.holder.clone()), None)
                }
                Err(error) => (None, Some(cluster::words(&error))),
            };
            standing.send_replace(Standing::Waits { holder, trouble });
            // As client-go's, longer by chance by up to a fifth.
            sleep(
                self.timing
                    .retries_every
                    .mul_f64(1.0 + 0.2 * chance.next_f64()),
            )
            .await;
        }
    }

    /// Looks once, and takes the record when it may.
    async fn campaign(&self, seen: &mut Option<Seen>) -> kube::Result<Option<Held>> {
        let patience = self.timing.renews_within;
        let read = timeout(patience, self.leases.get_opt(&self.name)).await;
        let lease = read.unwrap_or_else(|_| Err(late()))?;
        let now = Seen::next(seen.take(), lease.as_ref().map(Record::of), Instant::now());
        let decision = decide(&now, Instant::now(), &self.identity, self.timing.lasts);
        *seen = Some(now);
        let renewed = Instant::now();
        match decision {
            Decision::Wait(_) => Ok(None),
            Decision::Take | Decision::Renew => {
                let written = timeout(patience, self.write(lease, &self.identity)).await;
                match written.unwrap_or_else(|_| Err(late())) {
                    Ok(lease) => Ok(Some(Held { lease, renewed })),
                    // Another was faster.
                    Err(error) if cluster::code(&error) == Some(409) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Leads for as long as the record is renewed in time.
    async fn lead(&self, mut held: Held, standing: &watch::Sender<Standing>) {
        loop {
            let until = held.renewed + self.timing.renews_within;
            standing.send_replace(Standing::Leads { until });
            sleep_until(until.min(held.renewed + self.timing.retries_every)).await;
            match timeout_at(until, self.renew(&held.lease)).await {
                Ok(Some(renewed)) => held = renewed,
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Renews, however often it takes; `None`: somebody else holds the record.
    async fn renew(&self, lease: &Lease) -> Option<Held> {
        let mut lease = lease.clone();
        loop {
            let renewed = Instant::now();
            match self.try_to_renew(&mut lease).await {
                Ok(lease) => return Some(Held { lease, renewed }),
                Err(Setback::Lost) => return None,
                Err(Setback::Unclear) => sleep(self.timing.retries_every).await,
            }
        }
    }

    async fn try_to_renew(&self, lease: &mut Lease) -> Result<Lease, Setback> {
        // One more time for each way in which the record may not be what was read.
        for _ in 0..3 {
            let error = match self.write(Some(lease.clone()), &self.identity).await {
                Ok(lease) => return Ok(lease),
                Err(error) => error,
            };
            if !matches!(cluster::code(&error), Some(404 | 409)) {
                return Err(Setback::Unclear);
            }
            // Somebody wrote another field of it, or a write of ours whose answer was lost; or it
            // was deleted, or taken.
            match self.leases.get_opt(&self.name).await {
                Ok(Some(now)) if Record::of(&now).holder.as_ref() == Some(&self.identity) => {
                    *lease = now;
                }
                Ok(Some(_)) => return Err(Setback::Lost),
                Ok(None) => lease.metadata.resource_version = None,
                Err(_) => return Err(Setback::Unclear),
            }
        }
        Err(Setback::Unclear)
    }

    /// Writes a record that `holder` holds, in the place of the version that was read, or as the
    /// first.
    async fn write(&self, lease: Option<Lease>, holder: &str) -> kube::Result<Lease> {
        let parameters = PostParams::default();
        let now = MicroTime(Timestamp::now());
        let mut lease = lease.unwrap_or_default();
        lease.metadata.name = Some(self.name.clone());
        let version = format!("{} {holder}", env!("CARGO_PKG_VERSION"));
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert(VERSION.to_owned(), version);
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(holder) {
            let transitions = spec.lease_transitions.unwrap_or(-1);
            spec.lease_transitions = Some(transitions.saturating_add(1));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(holder.to_owned());
        spec.lease_duration_seconds = i32::try_from(self.timing.lasts.as_secs()).ok();
        spec.renew_time = Some(now);
        match lease.metadata.resource_version {
            Some(_) => self.leases.replace(&self.name, &parameters, &lease).await,
            None => {
                // What a deleted one had is not asked for again.
                lease.metadata.uid = None;
                self.leases.create(&parameters, &lease).await
            }
        }
    }

    /// Empties the record, if it is ours.
    async fn hand_over(&self) -> kube::Result<()> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            return Ok(());
        };
        if Record::of(&lease).holder.as_ref() == Some(&self.identity) {
            self.write(Some(lease), "").await?;
        }
        Ok(())
    }
}

fn late() -> kube::Error {
    let error = std::io::Error::from(std::io::ErrorKind::TimedOut);
    kube::Error::Service(error.into())
}
