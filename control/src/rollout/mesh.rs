//! What whoever runs a Rollout of a cluster knows of its split: its store, who can tell of its
//! proxies, and what its plugin is called.

use std::sync::Arc;

use parking_lot::Mutex;

use super::analysis::plan;
use super::ground::Followed;
use super::look::Looked;
use super::proxies::{self, Mesh, Seen};
use super::secrets::SecretReader;
use super::sources::Source;
use crate::brake::claims::PodName;
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

    /// Goes on with the plugin as it is named now, such as by its kind, once it was found.
    pub fn aim(&mut self, plugin: Option<String>) {
        if let AnyStore::Kubernetes(store) = &self.store {
            let store = Kubernetes::new(store.cluster().clone(), plugin);
            self.store = AnyStore::Kubernetes(store);
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
        let name = self.plugin.lock().as_ref().map(|(_, name)| name.clone());
        [self.namespace.clone(), name.unwrap_or_default()]
    }

    /// What the filter's metrics call the plugin.
    pub fn plugin_names(&self) -> Vec<String> {
        let plugin = self.plugin.lock().clone();
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

    /// Which proxies follow, and what their guards took out; by a client for the Prometheus that the
    /// Rollout names, or else the host's.
    pub async fn proxies(
        &self,
        looked: &Looked,
        named: Option<impl Future<Output = anyhow::Result<Prometheus>>>,
    ) -> Followed {
        if let Some(snapshot) = &looked.snapshot {
            let name = snapshot.plugin.name.clone().unwrap_or_default();
            *self.plugin.lock() = Some((snapshot.plugin.kind, name));
        }
        let Some(watched) = looked.watched() else {
            return Followed::not_asked();
        };
        let prometheus = match named {
            Some(client) => client.await.map(Some),
            None => Ok(self.scraped.prometheus.clone()),
        };
        let prometheus = match prometheus {
            Ok(Some(prometheus)) => prometheus,
            // Whoever named none goes by time alone.
            Ok(None) => return Followed::of(Seen::Nobody),
            Err(error) => return Followed::of(Seen::Unknown(format!("{error:#}"))),
        };
        let mesh = Mesh {
            prometheus: Some(&prometheus),
            root_namespace: &self.scraped.root_namespace,
        };
        Followed::of(proxies::proxies(&self.store, mesh, watched).await)
    }

    /// What the guard of one of these pods took out of the split, as it says itself, in words.
    pub async fn tripped_at_once(&self, looked: &Looked, pods: &[PodName]) -> Option<String> {
        let AnyStore::Kubernetes(store) = &self.store else {
            return None;
        };
        let root_namespace = &self.scraped.root_namespace;
        let tripped = proxies::tripped_at_once(store, root_namespace, &looked.split, pods).await;
        tripped.map(|tripped| tripped.to_string())
    }

    /// The client for a Prometheus that the Rollout names: the last one, or one that is made anew
    /// where there is none or its secret was denied.
    ///
    /// # Errors
    /// When none can be made.
    pub async fn client(
        &self,
        named: &plan::Prometheus,
        make: impl Future<Output = anyhow::Result<Prometheus>>,
    ) -> anyhow::Result<Prometheus> {
        let kept = self.prometheus.lock().clone();
        let is_good = |of: &plan::Prometheus, kept: &Prometheus| of == named && !kept.was_denied();
        if let Some((_, client)) = kept.filter(|(of, client)| is_good(of, client)) {
            return Ok(client);
        }
        let client = make.await?;
        *self.prometheus.lock() = Some((named.clone(), client.clone()));
        Ok(client)
    }
}
