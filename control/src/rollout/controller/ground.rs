//! The ground of one Rollout in a cluster: its status is a subresource that is written only on what
//! was read, its commands an annotation, its peers those of its namespace.

use std::sync::Arc;

use anyhow::bail;
use kube::api::{Api, DynamicObject, ObjectMeta, PostParams};
use kube::core::{ApiResource, TypeMeta};
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use serde_json::json;

use super::context::Context;
use super::record;
use crate::cluster::code;
use crate::cluster::prometheus::Prometheus;
use crate::rollout::analysis::plan;
use crate::rollout::commands::Command;
use crate::rollout::conditions::{reported, written};
use crate::rollout::definition::Definition;
use crate::rollout::ground::{Followed, Ground, Happened};
use crate::rollout::look::Looked;
use crate::rollout::manifest::{API_VERSION, KIND};
use crate::rollout::mesh::InMesh;
use crate::rollout::object::{Reported, Rollout};
use crate::rollout::peers::Summary;
use crate::rollout::secrets::{OfNamespace, SecretReader};
use crate::rollout::sources::Source;
use crate::rollout::status::{Run, Status};
use crate::rollout::workload::Workload;
use crate::rollout::workload::cluster::Deployments;
use crate::rollout::workload::next;
use crate::rollout::workload::seen::{Asked, WorkloadSeen};
use crate::rollout::workload::selectors::Selectors;
use crate::rollout::workload::services::{self, Selection};
use crate::rollout::world::{Failure, means};
use crate::store::AnyStore;

/// Somebody else wrote the Rollout meanwhile: it is looked at again, and nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("the Rollout was changed meanwhile")]
pub(super) struct Overtaken;

/// This process no longer leads: nothing is done.
#[derive(Debug, thiserror::Error)]
#[error("another controller leads")]
pub(super) struct Deposed;

/// The API server takes no such status: it will take none when it is tried again, until somebody
/// does something about it.
#[derive(Debug, thiserror::Error)]
#[error("the status is refused, and the run goes nowhere: {0}")]
pub(super) struct Unkept(String);

/// A Rollout in a cluster.
pub(super) struct InCluster {
    context: Arc<Context>,
    mesh: InMesh,
    /// Those of its workload, if it has one.
    deployments: Deployments,
    /// Those of its Services.
    selectors: Selectors,
    /// The plugin that the mesh's store is of, as it is named.
    target: Option<String>,
    /// As it was last read or written.
    rollout: Mutex<Rollout>,
    /// The spec that a run goes by, and the run's number.
    spec: Mutex<Option<(u64, Arc<str>)>>,
}

impl InCluster {
    /// Of a Rollout that was just read.
    pub(super) fn new(context: Arc<Context>, rollout: Rollout) -> Self {
        let target = target(&rollout);
        let cluster = context.cluster.in_namespace(rollout.namespace());
        let secrets = Arc::new(OfNamespace::new(
            cluster.client().clone(),
            rollout.namespace(),
        ));
        let scraped = context.scraped.clone();
        let ground = Self {
            context,
            deployments: Deployments::of(cluster.clone(), rollout.name()),
            selectors: Selectors::of(cluster.clone(), rollout.name()),
            mesh: InMesh::new(cluster, target.clone(), secrets, scraped),
            target,
            rollout: Mutex::new(rollout.clone()),
            spec: Mutex::default(),
        };
        ground.note_spec(&rollout);
        ground
    }

    /// Whether it is of this very object, and not of an earlier one of its name.
    pub(super) fn is_of(&self, rollout: &Rollout) -> bool {
        self.rollout.lock().uid() == rollout.uid()
    }

    /// Whether its store is of the plugin that the Rollout moves now.
    pub(super) fn is_on(&self, rollout: &Rollout) -> bool {
        let named = target(rollout);
        match (&self.target, &named) {
            (Some(own), Some(named)) => means(own, named) || means(named, own),
            (own, named) => own == named || (own.is_none() && rollout.is_under_way()),
        }
    }

    /// The Rollout was read again; it moves the same plugin.
    pub(super) fn renew(&mut self, rollout: Rollout) {
        self.note_spec(&rollout);
        let target = target(&rollout);
        if self.target != target {
            self.mesh.aim(target.clone());
            self.target = target;
        }
        *self.rollout.lock() = rollout;
    }

    /// The Rollout as it was last read or written.
    pub(super) fn rollout(&self) -> Rollout {
        self.rollout.lock().clone()
    }

    /// Writes what is reported where that is not there yet: a status that stays may be of another
    /// spec. A run that is over is remembered first, since nothing of it changes any more.
    ///
    /// # Errors
    /// As [`Ground::keep`].
    pub(super) async fn report(&self) -> anyhow::Result<()> {
        let former = self.rollout().reported.unwrap_or_default();
        self.remember(&former).await;
        let rollout = self.rollout();
        let status = former.status.clone();
        if reported(&rollout, status, self.context.caller.now()) == former {
            return Ok(());
        }
        self.keep(&former.status).await
    }

    /// The Rollout as the watch has it, where that is newer: what people ask for meanwhile.
    fn watched(&self) -> Option<Arc<Rollout>> {
        let own = self.rollout.lock();
        let watched = self.context.watched.get(&ObjectRef::from_obj(&*own))?;
        (watched.uid() == own.uid() && watched.version() > own.version()).then_some(watched)
    }

    async fn write(&self, rollout: &Rollout, status: &Status) -> anyhow::Result<Rollout> {
        let next = reported(rollout, status.clone(), self.context.caller.now());
        let metadata = ObjectMeta {
            name: rollout.metadata.name.clone(),
            namespace: rollout.metadata.namespace.clone(),
            uid: rollout.metadata.uid.clone(),
            resource_version: rollout.metadata.resource_version.clone(),
            ..ObjectMeta::default()
        };
        let object = DynamicObject {
            types: Some(TypeMeta {
                api_version: API_VERSION.to_owned(),
                kind: KIND.to_owned(),
            }),
            metadata,
            data: json!({"status": written(&next, rollout.definition.as_ref().ok())?}),
        };
        let client = self.context.cluster.client().clone();
        let resource = ApiResource::erase::<Rollout>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(client, rollout.namespace(), &resource);
        let parameters = PostParams::default();
        match api
            .replace_status(rollout.name(), &parameters, &object)
            .await
        {
            Ok(answer) => Ok(serde_json::from_value(serde_json::to_value(answer)?)?),
            Err(error) if matches!(code(&error), Some(404 | 409)) => Err(Overtaken.into()),
            Err(error) => {
                let is_lasting = matches!(code(&error), Some(400 | 401 | 403 | 413 | 422));
                let error = self.context.cluster.explain(rollout.title(), error);
                match is_lasting {
                    true => Err(Unkept(error.to_string()).into()),
                    false => Err(error.into()),
                }
            }
        }
    }

    /// Remembers a run that is over, once. That it cannot be costs its history alone.
    async fn remember(&self, former: &Reported) {
        let Some(run) = former.to_remember() else {
            return;
        };
        let client = self.context.cluster.client();
        let spec = self.spec.lock().clone().filter(|(of, _)| *of == run.number);
        let spec = spec.map(|(_, spec)| spec);
        let made = record::remember(client, &self.rollout(), run, spec.as_deref()).await;
        match made {
            Ok(()) => {
                if let Ok(reported) = &mut self.rollout.lock().reported {
                    reported.remembered = Some(run.number);
                }
            }
            Err(_) => self.context.metrics.unremembered(),
        }
    }

    /// Notes the spec that a run goes by, as long as it is of the run's version.
    fn note_spec(&self, rollout: &Rollout) {
        let reported = rollout.reported.as_ref().ok();
        let run = reported.and_then(|reported| reported.status.under_way());
        let wants = rollout.definition.as_ref().ok();
        let is_of = |run: &Run| {
            wants.is_some_and(|wants| wants.workload.is_some() || wants.version == run.version)
        };
        if let (Some(run), Some(spec)) = (run, &rollout.spec)
            && is_of(run)
        {
            *self.spec.lock() = Some((run.number, Arc::clone(spec)));
        }
    }

    /// The spec that its last run went by, for who goes on in its place.
    pub(super) fn take_spec(&self, other: &Self) {
        let mut own = self.spec.lock();
        if own.is_none() {
            own.clone_from(&other.spec.lock());
        }
    }
}

impl Ground for InCluster {
    type Store = AnyStore;

    fn store(&self) -> &AnyStore {
        self.mesh.store()
    }

    async fn keep(&self, status: &Status) -> anyhow::Result<()> {
        let rollout = self.rollout();
        if !self.context.leads() {
            bail!(Deposed);
        }
        let former = rollout.reported.as_ref();
        let was_under_way = former.is_ok_and(|former| former.status.phase.is_under_way());
        let after = self.write(&rollout, status).await?;
        if let Ok(former) = former {
            let now = self.context.caller.now();
            self.context.metrics.went_on(&former.status, status, now);
        }
        self.context.index.note(&after);
        self.note_spec(&after);
        if was_under_way && !status.phase.is_under_way() {
            // Others may have waited for its end.
            self.context.poke(rollout.namespace(), None);
        }
        *self.rollout.lock() = after;
        Ok(())
    }

    fn commands(&self) -> anyhow::Result<Vec<Command>> {
        // Asked last before anything is done.
        if !self.context.leads() {
            bail!(Deposed);
        }
        let watched = self.watched();
        let commands = watched.map(|watched| watched.commands.clone());
        let commands = commands.unwrap_or_else(|| self.rollout.lock().commands.clone());
        Ok(commands.unwrap_or_default())
    }

    fn others(&self) -> anyhow::Result<Vec<(Summary, Status)>> {
        let rollout = self.rollout();
        let Ok(definition) = &rollout.definition else {
            return Ok(Vec::new());
        };
        let own = Summary::of(rollout.name(), definition);
        let mut others = self.context.index.others(rollout.namespace(), &own);
        others.retain(|(other, _)| self.context.is_there(rollout.namespace(), &other.name));
        Ok(others)
    }

    async fn proxies(&self, looked: &Looked) -> Followed {
        let rollout = self.rollout();
        let named = rollout.definition.as_ref().ok();
        let named = named.and_then(Definition::prometheus);
        let client = named.map(|named| self.client(named));
        self.mesh.proxies(looked, client).await
    }

    async fn claimed(&self, looked: &Looked) -> Option<String> {
        let pods = self.rollout().claimed();
        if pods.is_empty() {
            return None;
        }
        let tripped = self.mesh.tripped_at_once(looked, &pods).await;
        self.context.metrics.claimed(tripped.is_some());
        tripped
    }

    fn is_claimed(&self) -> bool {
        self.watched()
            .is_some_and(|watched| !watched.claimed().is_empty())
    }

    async fn workload(
        &self,
        workload: &Workload,
        looked: &Looked,
        asked: Asked<'_>,
    ) -> WorkloadSeen {
        self.deployments
            .look(workload, looked.variants.as_ref(), asked)
            .await
    }

    async fn tend(&self, action: &next::Action) -> Result<(), Failure> {
        if !self.context.leads() {
            return Err(Failure::Untended(Deposed.to_string()));
        }
        self.deployments.act(action).await
    }

    async fn services(&self, workload: &Workload, looked: &Looked) -> services::Seen {
        let labels = self.deployments.labels();
        self.selectors
            .look(&workload.services, looked.variants.as_ref(), labels)
            .await
    }

    async fn select(&self, selection: &Selection) -> Result<(), Failure> {
        if !self.context.leads() {
            return Err(Failure::Unselected(Deposed.to_string()));
        }
        self.selectors.select(selection).await
    }

    fn plugin(&self) -> [String; 2] {
        self.mesh.plugin()
    }

    fn plugin_names(&self) -> Vec<String> {
        self.mesh.plugin_names()
    }

    fn uid(&self) -> String {
        self.rollout.lock().uid().to_owned()
    }

    fn secrets(&self) -> Arc<dyn SecretReader> {
        self.mesh.secrets()
    }

    async fn client(&self, named: &plan::Prometheus) -> anyhow::Result<Prometheus> {
        let namespace = self.rollout.lock().namespace().to_owned();
        let secrets = self.mesh.secrets();
        let make = self.context.servers.client(&namespace, named, &*secrets);
        self.mesh.client(named, make).await
    }

    fn own_source(&self) -> Result<Source, String> {
        self.mesh.own_source("--prometheus of the controller")
    }

    fn tell(&self, happened: &Happened<'_>) {
        self.context.events.tell(&self.rollout.lock(), happened);
        self.context.metrics.happened(happened.event);
    }
}

/// The plugin that a Rollout moves: while a run is under way the run's own, whatever the spec says.
fn target(rollout: &Rollout) -> Option<String> {
    let reported = rollout.reported.as_ref().ok();
    let run = reported.and_then(|reported| reported.status.under_way());
    let definition = rollout.definition.as_ref().ok();
    let named = definition.and_then(|wants| wants.plugin.clone());
    run.and_then(|run| run.plugin.clone()).or(named)
}
