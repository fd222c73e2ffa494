//! What a host in the foreground knows of a Rollout's split in a cluster: its store, who can tell of
//! its proxies, and what its plugin is called.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::analysis::plan;
use super::ground::Followed;
use super::look::Looked;
use super::proxies::{self, Mesh, Seen};
use super::secrets::SecretReader;
use super::sources::Source;
use crate::cluster::Cluster;
use crate::cluster::pods::names_of;
use crate::cluster::prometheus::Prometheus;
use crate::model::plugin::Kind;
use crate::store::AnyStore;
use crate::store::kubernetes::Kubernetes;

/// Who scrapes the proxies, where a Rollout names no other.
#[derive(Clone, Debug)]
pub struct Scraped {
    /// The Prometheus.
    pub prometheus: Option<Prometheus>,
    /// Istio's root namespace.
    pub root_namespace: String,
}

/// The split of one Rollout, in a cluster.
pub struct InMesh {
    namespace: String,
    store: AnyStore,
    secrets: Arc<dyn SecretReader>,
    scraped: Scraped,
    /// The plugin, once it was seen.
    plugin: Mutex<Option<(Kind, String)>>,
    /// A client for the Prometheus that the Rollout names.
    prometheus: Mutex<Option<(plan::Prometheus, Prometheus)>>,
}

impl InMesh {
    /// Of a Rollout of the cluster's namespace.
    pub fn new(
        cluster: Cluster,
        plugin: Option<String>,
        secrets: Arc<dyn SecretReader>,
        scraped: Scraped,
    ) -> Self {
        Self {
            namespace: cluster.namespace().to_owned(),
            store: AnyStore::Kubernetes(Kubernetes::new(cluster, plugin)),
            secrets,
            scraped,
            plugin: Mutex::default(),
            prometheus: Mutex::default(),
        }
    }

    /// The store of the split.
    pub const fn store(&self) -> &AnyStore {
        &self.store
    }

    /// What reads the secrets that the Rollout names.
    pub fn secrets(&self) -> Arc<dyn SecretReader> {
        Arc::clone(&self.secrets)
    }

    /// The namespace and name of the plugin.
    pub fn plugin(&self) -> [String; 2] {
        let name = lock(&self.plugin).as_ref().map(|(_, name)| name.clone());
        [self.namespace.clone(), name.unwrap_or_default()]
    }

    /// What the filter's metrics call the plugin.
    pub fn plugin_names(&self) -> Vec<String> {
        let plugin = lock(&self.plugin).clone();
        let names = plugin.map(|(kind, name)| names_of(kind, &self.namespace, &name));
        names.into_iter().flatten().collect()
    }

    /// Where observations come from while the Rollout names no Prometheus; the host says how else
    /// one is named.
    ///
    /// # Errors
    /// When none is.
    pub fn own_source(&self, named_by: &str) -> Result<Source, String> {
        let prometheus = self.scraped.prometheus.clone();
        let prometheus = prometheus.ok_or_else(|| {
            format!("no Prometheus is named: by spec.analysis.prometheus, or by {named_by}")
        })?;
        Ok(Source::of_prometheus(prometheus, None))
    }

    /// Which proxies follow, and what their guards took out; by the Prometheus that the Rollout names,
    /// or else the host's.
    pub async fn proxies(
        &self,
        looked: &Looked,
        named: Option<anyhow::Result<Prometheus>>,
    ) -> Followed {
        if let Some(snapshot) = &looked.snapshot {
            let name = snapshot.plugin.name.clone().unwrap_or_default();
            *lock(&self.plugin) = Some((snapshot.plugin.kind, name));
        }
        let Some(watched) = looked.watched() else {
            return Followed::not_asked();
        };
        let prometheus = match (named, &self.scraped.prometheus) {
            (Some(Ok(prometheus)), _) => prometheus,
            (Some(Err(error)), _) => return Followed::of(Seen::Unknown(format!("{error:#}"))),
            (None, Some(prometheus)) => prometheus.clone(),
            // Whoever named none goes by time alone.
            (None, None) => return Followed::of(Seen::Nobody),
        };
        let mesh = Mesh {
            prometheus: Some(&prometheus),
            root_namespace: &self.scraped.root_namespace,
        };
        Followed::of(proxies::proxies(&self.store, mesh, watched).await)
    }

    /// The client that was kept for a Prometheus that the Rollout names, unless its secret was denied.
    pub fn kept_client(&self, named: &plan::Prometheus) -> Option<Prometheus> {
        let kept = lock(&self.prometheus).clone();
        let good = kept.filter(|(of, client)| of == named && !client.was_denied());
        good.map(|(_, client)| client)
    }

    /// Keeps one for the next time.
    pub fn keep_client(&self, named: &plan::Prometheus, client: &Prometheus) {
        *lock(&self.prometheus) = Some((named.clone(), client.clone()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
