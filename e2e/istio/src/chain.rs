//! The control plane and its neighbours as one: etcd, the API server, istiod, the registry,
//! Prometheus.
//!
//! Each can be taken away and comes back with [`Chain::restore`]. Proxies are not part of it
//! (`proxy`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{Said, Tool};
use crate::kubernetes::Kubernetes;
use crate::process::Process;
use crate::prometheus::Target;
use crate::tools::Tools;
use crate::{api_server, injection, istiod, prometheus, registry};

/// The namespaces of the tests.
const NAMESPACES: [&str; 6] = ["istio-system", "istio-ingress", "a", "b", "gw", "shop"];

/// Everything but the proxies.
#[derive(Debug)]
pub struct Chain {
    /// The binaries.
    pub tools: Tools,
    /// The API server, as its administrator.
    pub kubernetes: Kubernetes,
    /// `sluice` as the administrator.
    pub sluice: Tool,
    /// kubectl as the administrator.
    pub kubectl: Tool,
    /// What `sluice get` said before there was an Istio.
    pub said_without_istio: Said,
    prometheus: Option<Process>,
    prometheus_targets: Vec<Target>,
    registry: Process,
    istiod: Process,
    istiod_settings: istiod::Settings,
    api_server: Process,
    _etcd: Process,
    folder: tempfile::TempDir,
}

impl Chain {
    /// Starts everything but Prometheus, which needs to know the proxies.
    pub async fn start() -> Self {
        let tools = Tools::from_environment();
        let folder = tempfile::Builder::new()
            .prefix("sluice-istio-")
            .tempdir()
            .unwrap();
        let path = folder.path();
        let kubeconfig = api_server::prepare(path);
        write_bootstrap(&tools, path);
        let etcd = api_server::start_etcd(&tools, path);
        let api_server = api_server::start(&tools, path).await;
        let registry = registry::start(&tools, path).await;
        let sluice = Tool::new(&tools.sluice, &kubeconfig);
        let said_without_istio = sluice.run_beside("get -n a").await;
        let kubernetes = api_server::administrator();
        install_istio(&tools, &kubernetes).await;
        let istiod = istiod::start(&tools, path, &kubernetes, &[]).await;
        Self {
            kubectl: Tool::new(tools.go.join("kubectl"), &kubeconfig),
            kubernetes,
            sluice,
            said_without_istio,
            prometheus: None,
            prometheus_targets: Vec::new(),
            registry,
            istiod,
            istiod_settings: &[],
            api_server,
            _etcd: etcd,
            tools,
            folder,
        }
    }

    /// Where temporary data lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A kubeconfig for a service account of a namespace.
    pub async fn kubeconfig(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self
            .kubernetes
            .token(namespace, account, api_server::ISSUER)
            .await;
        api_server::write_kubeconfig(self.folder(), &format!("{namespace}-{account}"), &token)
    }

    /// Starts a second cluster, of an API server with Istio's definitions and namespace a, until
    /// what is returned is dropped.
    pub async fn second_cluster(&self) -> (Process, Kubernetes) {
        let process = api_server::start_second(&self.tools, self.folder()).await;
        let kubernetes = api_server::second_administrator();
        let crds = std::fs::read_to_string(self.tools.go.join("crds.yaml")).unwrap();
        kubernetes.apply(&crds).await;
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
        kubernetes.apply(namespace).await;
        (process, kubernetes)
    }

    /// Starts again whatever does not run.
    pub async fn restore(&mut self) {
        self.restart_api_server().await;
        let (tools, folder) = (&self.tools, self.folder.path());
        if self.registry.has_ended() {
            self.registry = registry::start(tools, folder).await;
        }
        if self.istiod.has_ended() || !self.istiod_settings.is_empty() {
            self.restart_istiod(&[]).await;
        }
        self.thaw_prometheus();
        if self.prometheus.as_mut().is_some_and(Process::has_ended) {
            self.restart_prometheus().await;
        }
    }

    /// Has Prometheus hang: it takes connections and answers nothing.
    pub fn freeze_prometheus(&mut self) {
        if let Some(prometheus) = &mut self.prometheus {
            prometheus.freeze();
        }
    }

    fn thaw_prometheus(&mut self) {
        if let Some(prometheus) = &mut self.prometheus {
            prometheus.go_on();
        }
    }

    /// Ends the API server as a crash would.
    pub fn kill_api_server(&mut self) {
        self.api_server.kill();
    }

    /// Starts the API server again, if it does not run.
    pub async fn restart_api_server(&mut self) {
        if self.api_server.has_ended() {
            self.api_server = api_server::start(&self.tools, self.folder.path()).await;
        }
    }

    /// Ends the registry.
    pub fn stop_registry(&mut self) {
        self.registry.stop();
    }

    /// Ends istiod.
    pub fn stop_istiod(&mut self) {
        self.istiod.stop();
    }

    /// Has istiod hang: it takes connections and answers nothing.
    pub fn freeze_istiod(&mut self) {
        self.istiod.freeze();
    }

    /// Ends Prometheus.
    pub fn stop_prometheus(&mut self) {
        if let Some(prometheus) = &mut self.prometheus {
            prometheus.stop();
        }
    }

    /// Starts Prometheus again on the pods that it had, with what it had stored.
    pub async fn restart_prometheus(&mut self) {
        let targets = self.prometheus_targets.clone();
        self.start_prometheus(&targets).await;
    }

    /// Ends istiod, if it runs, and starts it with other settings.
    pub async fn restart_istiod(&mut self, settings: istiod::Settings) {
        self.istiod.stop();
        let (tools, folder) = (&self.tools, self.folder.path());
        self.istiod = istiod::start(tools, folder, &self.kubernetes, settings).await;
        self.istiod_settings = settings;
    }

    /// How much CPU time istiod has used since it was started.
    pub fn istiod_cpu(&self) -> Duration {
        self.istiod.cpu()
    }

    /// Starts another registry that asks for a login: user `ann`, password `secret`.
    pub async fn start_closed_registry(&self, address: &str) -> Process {
        registry::start_closed(address, &self.tools, self.folder()).await
    }

    /// Starts Prometheus on these pods.
    pub async fn start_prometheus(&mut self, targets: &[Target]) {
        // Two of them cannot have one store.
        self.prometheus = None;
        let started = prometheus::start(prometheus::URL, targets, &self.tools, self.folder());
        self.prometheus = Some(started.await);
        self.prometheus_targets = targets.to_vec();
    }

    /// The pods that Prometheus scrapes.
    pub fn prometheus_targets(&self) -> &[Target] {
        &self.prometheus_targets
    }

    /// Starts Prometheus on these pods, with nothing of what it had stored.
    pub async fn start_prometheus_anew(&mut self, targets: &[Target]) {
        self.prometheus = None;
        let _ = std::fs::remove_dir_all(self.folder().join("prometheus"));
        self.start_prometheus(targets).await;
    }

    /// Starts another Prometheus, which scrapes Envoy's own port of these pods.
    pub async fn start_prometheus_of_envoys(&self, targets: &[Target]) -> Process {
        let folder = self.folder().join("envoys");
        std::fs::create_dir_all(&folder).unwrap();
        prometheus::start(prometheus::ENVOYS_URL, targets, &self.tools, &folder).await
    }
}

/// Istio's own bootstrap for Envoy. Its metrics are at every address of the tests' namespace, as they are
/// at every address of a pod's.
fn write_bootstrap(tools: &Tools, folder: &Path) {
    let bootstrap = tools.go.join("envoy_bootstrap.json");
    std::fs::copy(bootstrap, folder.join("bootstrap.json")).unwrap();
}

async fn install_istio(tools: &Tools, kubernetes: &Kubernetes) {
    let crds = std::fs::read_to_string(tools.go.join("crds.yaml")).unwrap();
    kubernetes.apply(&crds).await;
    for namespace in NAMESPACES {
        let resources = format!(
            "
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: default, namespace: {namespace}}}
"
        );
        kubernetes.apply(&resources).await;
    }
    kubernetes.apply(istiod::WEBHOOK).await;
    injection::install(&tools.go, kubernetes).await;
}
