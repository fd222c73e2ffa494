//! Istio's agent as an injected pod runs it: its command, its environment, its certificate from
//! istiod.
//!
//! What a proxy is for, and what the mesh must know of it, is not decided here: proxies that a test
//! starts (`proxy`) and those of a kubelet's pods (`kubelet/sidecar.rs`) start their agent by this.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::tools::Tools;
use crate::{istiod, registry};

/// Runs its arguments with a `/var/lib` of their own: no agent finds the modules that another one
/// has fetched.
const WITH_EMPTY_CACHE: &str =
    "mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && exec \"$@\"";

/// The label of a workload's `Sidecar` that no two pods have.
pub(crate) const INSTANCE: &str = "instance";

/// What tells one agent from another.
#[derive(Debug)]
pub(crate) struct Agent<'a> {
    /// `sidecar` or `router`.
    pub(crate) node_type: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) account: &'a str,
    pub(crate) ip: IpAddr,
    /// Labels of its pod, and those that only the agent says.
    pub(crate) labels: &'a Value,
    pub(crate) ports: Ports,
}

/// Where an agent and its Envoy listen: a pod's own on a real node, and one pod's of many here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) admin: u16,
    pub(crate) metrics: u16,
    pub(crate) envoy_metrics: u16,
    pub(crate) envoy_status: u16,
}

impl Agent<'_> {
    /// Writes what an agent finds in its folder.
    pub(crate) fn write_token(folder: &Path, token: &str) {
        let tokens = folder.join("var/run/secrets/tokens");
        std::fs::create_dir_all(&tokens).unwrap();
        std::fs::write(tokens.join("istio-token"), token).unwrap();
    }

    /// The command in its folder; `shared` has what istiod publishes, and the bootstrap.
    pub(crate) fn command(&self, tools: &Tools, shared: &Path, folder: &Path) -> Command {
        let root = shared.join("root-cert.pem");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", WITH_EMPTY_CACHE, "agent"])
            .arg(&tools.pilot_agent)
            .args(["proxy", self.node_type])
            .args(["--domain", &format!("{}.svc.cluster.local", self.namespace)])
            .args(["--proxyLogLevel", "warning,wasm:info"])
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("POD_NAME", self.pod)
            .env("POD_NAMESPACE", self.namespace)
            // As `proxyMetadata` sets it: what Envoy fetches by itself is kept there.
            .env("TMPDIR", "/var/lib/istio/data")
            .env("INSTANCE_IP", self.ip.to_string())
            .env("SERVICE_ACCOUNT", self.account)
            .env("TRUST_DOMAIN", "cluster.local")
            .env("CA_ADDR", istiod::XDS)
            .env("ISTIOD_SAN", "istiod.istio-system.svc")
            .env("XDS_ROOT_CA", &root)
            .env("CA_ROOT_CA", &root)
            .env("ISTIO_META_CLUSTER_ID", "Kubernetes")
            .env("ISTIO_META_INTERCEPTION_MODE", "NONE")
            .env("ISTIO_METAJSON_LABELS", self.labels.to_string())
            .env("ENVOY_STATUS_PORT", self.ports.envoy_status.to_string())
            .env(
                "ENVOY_PROMETHEUS_PORT",
                self.ports.envoy_metrics.to_string(),
            )
            .env("WASM_INSECURE_REGISTRIES", registry::ADDRESS)
            .env("ISTIO_BOOTSTRAP", shared.join("bootstrap.json"))
            .env("PROXY_CONFIG", self.proxy_config(tools).to_string());
        command
    }

    fn proxy_config(&self, tools: &Tools) -> Value {
        let tags = [
            "split", "audience", "variant", "source", "class", "plugin", "word",
        ];
        json!({
            "discoveryAddress": istiod::XDS,
            "proxyAdminPort": self.ports.admin, "statusPort": self.ports.metrics,
            "concurrency": 1, "binaryPath": tools.envoy,
            "drainDuration": "1s", "terminationDrainDuration": "0s",
            "extraStatTags": tags.map(|tag| format!("sluice_{tag}")),
            "proxyStatsMatcher": {"inclusionPrefixes": ["wasm", "extension_config", "http."]},
        })
    }
}
