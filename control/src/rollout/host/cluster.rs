//! Rollouts of a cluster in the foreground: kept in ConfigMaps, and run by the process that holds the
//! Lease, where no controller runs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::bail;
use futures::future::join_all;
use kube::api::DynamicObject;
use parking_lot::Mutex;

use super::{Hopeless, Tell, until_the_end, wanted};
use crate::cluster::Cluster;
use crate::cluster::prometheus::Prometheus;
use crate::operations::Caller;
use crate::rollout::analysis::plan;
use crate::rollout::commands::Command;
use crate::rollout::definition::Definition;
use crate::rollout::engine::LOOK_EVERY;
use crate::rollout::ground::{Followed, Ground, Happened};
use crate::rollout::hold::{self, Hold, run_by};
use crate::rollout::kept::Kept;
use crate::rollout::kept_maps;
use crate::rollout::look::Looked;
use crate::rollout::manifest::Manifest;
use crate::rollout::mesh::{InMesh, Scraped};
use crate::rollout::outbound::Outbound;
use crate::rollout::outline::{CheckLine, StepLine};
use crate::rollout::peers::Summary;
use crate::rollout::rollouts::{ClusterRollouts, Found, Hosting};
use crate::rollout::runner::Runner;
use crate::rollout::secrets::{OfBoth, SecretReader};
use crate::rollout::sources::Source;
use crate::rollout::status::Status;
use crate::rollout::watch;
use crate::store::AnyStore;

/// Where Rollouts are run, and as whom.
pub struct Place<'p> {
    /// The cluster, and the namespace of Rollouts that name none.
    pub cluster: Cluster,
    /// Who scrapes the proxies.
    pub scraped: Scraped,
    /// A name that no other process has.
    pub own_name: String,
    /// How somebody is told what is waited for.
    pub note: &'p (dyn Fn(&str) + Send + Sync),
}

/// Runs Rollouts until each has ended, and answers how each did, in order; `None` if it was stopped
/// before.
///
/// # Errors
/// When a controller or another process runs one, or what is kept of one cannot be read or kept.
pub async fn run(
    place: &Place<'_>,
    caller: &Caller,
    manifests: &[Manifest],
    tell: &Tell<'_>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Option<Vec<Status>>> {
    let mut holds = Vec::with_capacity(manifests.len());
    let ended = tokio::select! {
        ended = held(place, caller, manifests, tell, &mut holds) => ended.map(Some),
        () = stop => Ok(None),
    };
    join_all(
        holds
            .into_iter()
            .filter_map(|hold| Some(Arc::into_inner(hold)?.release())),
    )
    .await;
    ended
}

async fn held(
    place: &Place<'_>,
    caller: &Caller,
    manifests: &[Manifest],
    tell: &Tell<'_>,
    holds: &mut Vec<Arc<Hold>>,
) -> anyhow::Result<Vec<Status>> {
    let mut clusters = Vec::with_capacity(manifests.len());
    for Manifest {
        name, namespace, ..
    } in manifests
    {
        let cluster = &place.cluster;
        let cluster = cluster.in_namespace(namespace.as_deref().unwrap_or(cluster.namespace()));
        let rollouts = ClusterRollouts::of_namespace(cluster.clone());
        if rollouts.has_resource(name).await? {
            hold::refuse_beside_a_controller(&cluster, name).await?;
        }
        clusters.push(cluster);
    }
    let all = clusters.iter().zip(manifests);
    let taken = all.map(|(cluster, manifest)| {
        Hold::take(cluster, &manifest.name, &place.own_name, place.note)
    });
    let mut refused = None;
    for taken in join_all(taken).await {
        match taken {
            Ok(hold) => holds.push(Arc::new(hold)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    let mut neighbours: BTreeMap<String, Arc<Neighbours>> = BTreeMap::new();
    let mut runners = Vec::with_capacity(manifests.len());
    for ((cluster, manifest), hold) in clusters.into_iter().zip(manifests).zip(holds) {
        let namespace = cluster.namespace().to_owned();
        let neighbours = neighbours
            .entry(namespace)
            .or_insert_with(|| Arc::new(Neighbours::of(cluster.clone())));
        let shared = (Arc::clone(neighbours), Arc::clone(hold));
        runners.push(runner(place, cluster, manifest, shared, tell).await?);
    }
    // Each knows its neighbours and what was asked of it before it does anything.
    for neighbours in neighbours.values() {
        neighbours.look().await?;
    }
    let looking = join_all(neighbours.values().map(|neighbours| neighbours.look_on()));
    let ended = runners
        .iter_mut()
        .map(|runner| until_the_end(runner, caller));
    tokio::select! {
        ended = join_all(ended) => ended.into_iter().collect(),
        _ = looking => bail!("nobody looks at the neighbours any more"),
    }
}

async fn runner<'r>(
    place: &Place<'_>,
    cluster: Cluster,
    manifest: &Manifest,
    (neighbours, hold): (Arc<Neighbours>, Arc<Hold>),
    tell: &'r Tell<'r>,
) -> anyhow::Result<Runner<InCluster<'r>>> {
    let (name, definition) = (manifest.name.clone(), manifest.definition.clone());
    let namespace = cluster.namespace();
    let map = kept_maps::get(&cluster, namespace, &name).await;
    let map = map.map_err(|error| kept_maps::explained(&cluster, &name, error))?;
    let kept = map.as_ref().map(kept_maps::kept).transpose()?;
    let status = wanted(&definition, kept.map(|kept| kept.status));
    let secrets = Arc::new(OfBoth::new(cluster.client().clone(), namespace));
    // While a run is under way its own plugin, whatever the spec says.
    let plugin = status.under_way().and_then(|run| run.plugin.clone());
    let plugin = plugin.or_else(|| definition.plugin.clone());
    let scraped = place.scraped.clone();
    let ground = InCluster {
        mesh: InMesh::new(cluster.clone(), plugin, secrets, scraped),
        cluster,
        own_name: place.own_name.clone(),
        summary: Summary::of(&name, &definition),
        definition: definition.clone(),
        map: Mutex::new(map),
        neighbours,
        hold,
        tell,
    };
    // Others of a group wait for it from now on.
    ground.keep(&status).await?;
    let outbound = Outbound::new()?;
    Ok(Runner::new(ground, name, definition, status, outbound))
}

/// The other Rollouts of a namespace, and what people asked of ours, as they were seen last.
struct Neighbours {
    rollouts: ClusterRollouts,
    seen: Mutex<Vec<Found>>,
}

impl Neighbours {
    fn of(cluster: Cluster) -> Self {
        Self {
            rollouts: ClusterRollouts::of_namespace(cluster),
            seen: Mutex::default(),
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        *self.seen.lock() = self.rollouts.kept().await?.found;
        Ok(())
    }

    /// Looks again and again; what could not be read stays as it was.
    async fn look_on(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let _ = self.look().await;
        }
    }
}

/// A Rollout that is kept in a ConfigMap.
struct InCluster<'c> {
    mesh: InMesh,
    cluster: Cluster,
    own_name: String,
    summary: Summary,
    definition: Definition,
    /// What is kept, as it was last read or written.
    map: Mutex<Option<DynamicObject>>,
    neighbours: Arc<Neighbours>,
    hold: Arc<Hold>,
    tell: &'c Tell<'c>,
}

impl InCluster<'_> {
    /// Whether this process is still the one that runs it: asked last before anything is kept, and so
    /// before any weight but zero is set.
    fn check_hold(&self) -> anyhow::Result<()> {
        if self.hold.is_held() {
            return Ok(());
        }
        let name = &self.summary.name;
        match self.hold.lost_to() {
            Some(other) => bail!(Hopeless(run_by(name, &other))),
            None => bail!("the Lease of Rollout {name} could not be renewed in time"),
        }
    }
}

impl Ground for InCluster<'_> {
    type Store = AnyStore;

    fn store(&self) -> &AnyStore {
        self.mesh.store()
    }

    async fn keep(&self, status: &Status) -> anyhow::Result<()> {
        self.check_hold()?;
        let definition = &self.definition;
        let kept = Kept {
            rollout: self.summary.clone(),
            steps: definition.steps.iter().map(StepLine::of).collect(),
            checks: CheckLine::all(definition.analysis.as_ref(), status),
            status: status.clone(),
        };
        let read = self.map.lock().clone();
        let namespace = self.cluster.namespace();
        let keeping = kept_maps::keep(
            &self.cluster,
            namespace,
            read.as_ref(),
            &kept,
            &self.own_name,
        );
        let map = keeping.await?;
        *self.map.lock() = Some(map);
        Ok(())
    }

    fn commands(&self) -> anyhow::Result<Vec<Command>> {
        self.check_hold()?;
        let seen = self.neighbours.seen.lock();
        let mut found = seen.iter();
        let own = found.find(|found| {
            found.runner == Hosting::Foreground && found.rollout.name == self.summary.name
        });
        Ok(own.map_or_else(Vec::new, |own| own.waiting.clone()))
    }

    fn others(&self) -> anyhow::Result<Vec<(Summary, Status)>> {
        let seen = self.neighbours.seen.lock();
        let others = seen.iter();
        Ok(others
            .map(|found| (found.rollout.clone(), found.status.clone()))
            .collect())
    }

    async fn proxies(&self, looked: &Looked) -> Followed {
        let named = self.definition.prometheus();
        let client = named.map(|named| self.client(named));
        self.mesh.proxies(looked, client).await
    }

    fn plugin(&self) -> [String; 2] {
        self.mesh.plugin()
    }

    fn plugin_names(&self) -> Vec<String> {
        self.mesh.plugin_names()
    }

    fn uid(&self) -> String {
        let map = self.map.lock().clone();
        map.and_then(|map| map.metadata.uid).unwrap_or_default()
    }

    fn secrets(&self) -> Arc<dyn SecretReader> {
        self.mesh.secrets()
    }

    async fn client(&self, named: &plan::Prometheus) -> anyhow::Result<Prometheus> {
        let secrets = self.mesh.secrets();
        let make = watch::client(named, &*secrets);
        self.mesh.client(named, make).await
    }

    fn own_source(&self) -> Result<Source, String> {
        self.mesh.own_source("--prometheus")
    }

    fn tell(&self, happened: &Happened<'_>) {
        (self.tell)(happened);
    }
}
