//! The ground of one Rollout in a cluster: its status is a subresource that is written only on what
//! was read, its commands an annotation, its peers those of its namespace.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::bail;
use kube::api::{Api, DynamicObject, ObjectMeta, PostParams};
use kube::core::{ApiResource, TypeMeta};
use serde_json::json;

use super::context::Context;
use super::record;
use crate::cluster::code;
use crate::cluster::pods::names_of;
use crate::cluster::prometheus::Prometheus;
use crate::model::plugin::Kind;
use crate::rollout::analysis::plan;
use crate::rollout::commands::Command;
use crate::rollout::conditions::{reported, written};
use crate::rollout::ground::{Followed, Ground, Happened};
use crate::rollout::look::Looked;
use crate::rollout::manifest::{API_VERSION, KIND};
use crate::rollout::object::Rollout;
use crate::rollout::peers::Summary;
use crate::rollout::proxies::{self, Mesh, Watched};
use crate::rollout::secrets::{OfNamespace, SecretReader};
use crate::rollout::sources::Source;
use crate::rollout::status::{Stage, Status};
use crate::rollout::world::ProxiesSeen;
use crate::store::AnyStore;
use crate::store::kubernetes::Kubernetes;

/// Somebody else wrote the Rollout meanwhile: it is looked at again, and nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("the Rollout was changed meanwhile")]
pub(super) struct Overtaken;

/// This process no longer leads: nothing is done.
#[derive(Debug, thiserror::Error)]
#[error("another controller leads")]
pub(super) struct Deposed;

/// A Rollout in a cluster.
pub(super) struct InCluster {
    context: Arc<Context>,
    store: AnyStore,
    secrets: Arc<dyn SecretReader>,
    /// As it was last read or written.
    rollout: Mutex<Rollout>,
    /// The plugin, once it was seen.
    plugin: Mutex<Option<(Kind, String)>>,
    /// A client for the Prometheus that the Rollout names.
    prometheus: Mutex<Option<(plan::Prometheus, Prometheus)>>,
}

impl InCluster {
    /// Of a Rollout that was just read.
    pub(super) fn new(context: Arc<Context>, rollout: Rollout) -> Self {
        let definition = rollout.definition.as_ref().ok();
        let plugin = definition.and_then(|wants| wants.plugin.clone());
        let cluster = context.cluster.in_namespace(rollout.namespace());
        let secrets = OfNamespace::new(cluster.client().clone(), rollout.namespace());
        Self {
            context,
            store: AnyStore::Kubernetes(Kubernetes::new(cluster, plugin)),
            secrets: Arc::new(secrets),
            rollout: Mutex::new(rollout),
            plugin: Mutex::default(),
            prometheus: Mutex::default(),
        }
    }

    /// Whether it is of this very object, and not of an earlier one of its name.
    pub(super) fn is_of(&self, rollout: &Rollout) -> bool {
        lock(&self.rollout).uid() == rollout.uid()
    }

    /// The Rollout was read again.
    pub(super) fn renew(&self, rollout: Rollout) {
        *lock(&self.rollout) = rollout;
    }

    /// The Rollout as it was last read or written.
    pub(super) fn rollout(&self) -> Rollout {
        lock(&self.rollout).clone()
    }

    /// Writes what is reported where that is not there yet: a status that stays may be of another
    /// spec.
    ///
    /// # Errors
    /// As [`Ground::keep`].
    pub(super) async fn report(&self) -> anyhow::Result<()> {
        let rollout = self.rollout();
        let former = rollout.reported.clone().unwrap_or_default();
        let status = former.status.clone();
        if reported(&rollout, status, self.context.caller.now()) == former {
            return Ok(());
        }
        self.keep(&former.status).await
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
            Err(error) => Err(self.context.cluster.explain(rollout.title(), error).into()),
        }
    }

    /// Remembers a run that ends with this status. That it cannot be costs its history alone.
    async fn remember(&self, rollout: &Rollout, status: &Status) {
        let ended = |status: &Status| {
            let run = status.run.as_ref();
            run.filter(|run| run.stage == Stage::Over)
                .map(|run| run.number)
        };
        let before = rollout.reported.as_ref().ok();
        let before = before.and_then(|former| ended(&former.status));
        let Some(run) = status.run.as_ref().filter(|_| ended(status) != before) else {
            return;
        };
        if run.stage == Stage::Over {
            let client = self.context.cluster.client();
            if record::remember(client, rollout, run).await.is_err() {
                self.context.metrics.unremembered();
            }
        }
    }

    /// The Prometheus that scrapes the proxies: the Rollout's own, or the controller's.
    async fn scraper(&self, rollout: &Rollout) -> anyhow::Result<Option<Prometheus>> {
        let analysis = rollout.definition.as_ref().ok();
        let analysis = analysis.and_then(|definition| definition.analysis.as_ref());
        let Some(named) = analysis.and_then(|analysis| analysis.prometheus.as_ref()) else {
            return Ok(self.context.prometheus.clone());
        };
        Ok(Some(self.client(named).await?))
    }
}

impl Ground for InCluster {
    type Store = AnyStore;

    fn store(&self) -> &AnyStore {
        &self.store
    }

    async fn keep(&self, status: &Status) -> anyhow::Result<()> {
        let rollout = self.rollout();
        if !self.context.leads() {
            bail!(Deposed);
        }
        self.remember(&rollout, status).await;
        let former = rollout.reported.as_ref();
        let was_under_way = former.is_ok_and(|former| former.status.phase.is_under_way());
        let after = self.write(&rollout, status).await?;
        self.context.index.note(&after);
        if was_under_way && !status.phase.is_under_way() {
            // Others may have waited for its end.
            self.context.poke(rollout.namespace(), None);
        }
        *lock(&self.rollout) = after;
        Ok(())
    }

    fn commands(&self) -> anyhow::Result<Vec<Command>> {
        // Asked last before anything is done.
        if !self.context.leads() {
            bail!(Deposed);
        }
        Ok(self.rollout().commands.unwrap_or_default())
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
        if let Some(snapshot) = &looked.snapshot {
            let name = snapshot.plugin.name.clone().unwrap_or_default();
            *lock(&self.plugin) = Some((snapshot.plugin.kind, name));
        }
        let rollout = self.rollout();
        let (Ok(definition), Some(variants)) = (&rollout.definition, &looked.variants) else {
            return Followed::not_asked();
        };
        let prometheus = match self.scraper(&rollout).await {
            Ok(Some(prometheus)) => prometheus,
            // Whoever named none goes by time alone.
            Ok(None) => return Followed::of(proxies::Seen::Nobody),
            Err(error) => {
                let why = format!("{error:#}");
                let seen = ProxiesSeen::Unknown { why };
                return Followed {
                    seen,
                    tripped: None,
                };
            }
        };
        let run = rollout.reported.as_ref().ok();
        let run = run.and_then(|reported| reported.status.run.as_ref());
        let step = definition.steps.get(run.map_or(0, |run| run.step));
        let watched = Watched {
            split: &definition.split,
            audience: step.map_or("", |step| &*step.audience),
            challenger: &variants.challenger,
        };
        let mesh = Mesh {
            prometheus: Some(&prometheus),
            root_namespace: &self.context.root_namespace,
        };
        Followed::of(proxies::proxies(&self.store, mesh, watched).await)
    }

    fn plugin(&self) -> [String; 2] {
        let name = lock(&self.plugin).as_ref().map(|(_, name)| name.clone());
        [
            lock(&self.rollout).namespace().to_owned(),
            name.unwrap_or_default(),
        ]
    }

    fn plugin_names(&self) -> Vec<String> {
        let namespace = lock(&self.rollout).namespace().to_owned();
        let plugin = lock(&self.plugin).clone();
        let names = plugin.map(|(kind, name)| names_of(kind, &namespace, &name));
        names.into_iter().flatten().collect()
    }

    fn uid(&self) -> String {
        lock(&self.rollout).uid().to_owned()
    }

    fn secrets(&self) -> Arc<dyn SecretReader> {
        Arc::clone(&self.secrets)
    }

    async fn client(&self, named: &plan::Prometheus) -> anyhow::Result<Prometheus> {
        let kept = lock(&self.prometheus).clone();
        let is_good = |of: &plan::Prometheus, kept: &Prometheus| of == named && !kept.was_denied();
        if let Some((_, client)) = kept.filter(|(of, client)| is_good(of, client)) {
            return Ok(client);
        }
        let namespace = self.rollout().namespace().to_owned();
        let servers = &self.context.servers;
        let client = servers.client(&namespace, named, &*self.secrets).await?;
        *lock(&self.prometheus) = Some((named.clone(), client.clone()));
        Ok(client)
    }

    fn own_source(&self) -> Result<Source, String> {
        let prometheus = self.context.prometheus.clone();
        let prometheus = prometheus.ok_or(
            "no Prometheus is named: by spec.analysis.prometheus, or by --prometheus of the controller",
        )?;
        Ok(Source::of_prometheus(prometheus, None))
    }

    fn tell(&self, happened: &Happened<'_>) {
        self.context.events.tell(&lock(&self.rollout), happened);
        self.context.metrics.happened(happened.event);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
