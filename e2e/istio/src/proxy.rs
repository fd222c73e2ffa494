//! A proxy as Istio runs it: pilot-agent with the real Envoy, its pod object, its certificate from istiod.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use sluice_e2e::client::{Answer, Connection, get};

use crate::chain::{Chain, ISTIOD_XDS};
use crate::process::Process;

/// What kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A caller's sidecar.
    Sidecar,
    /// An ingress gateway.
    Gateway,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Its pod's name.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// Where it takes requests.
    pub address: SocketAddr,
    /// Where its agent serves metrics.
    pub metrics: SocketAddr,
    admin: SocketAddr,
    role: Role,
    number: u8,
    process: Option<Process>,
    folder: PathBuf,
}

impl Proxy {
    /// Starts a proxy and waits until it is ready. `number` makes its addresses: 1 to 99.
    pub async fn start(chain: &Chain, role: Role, namespace: &str, number: u8) -> Self {
        let mut proxy = Self::new(chain, role, namespace, number).await;
        proxy.run(chain).await;
        proxy.wait_until_ready().await;
        proxy
    }

    /// Makes the pod and what the mesh must know of it, and starts nothing.
    pub async fn new(chain: &Chain, role: Role, namespace: &str, number: u8) -> Self {
        let port = |base: u16| SocketAddr::from(([127, 0, 0, 1], base + u16::from(number)));
        let (pod, ip, app) = match role {
            Role::Sidecar => (
                format!("client-{number}"),
                format!("127.0.1.{number}"),
                "client",
            ),
            Role::Gateway => (
                format!("gateway-{number}"),
                "127.0.3.1".to_owned(),
                "ingress",
            ),
        };
        let folder = chain.folder().join(format!("{namespace}-{pod}"));
        std::fs::create_dir_all(folder.join("var/run/secrets/tokens")).unwrap();
        let labels = json!({"app": app, "instance": number.to_string()});
        chain.kubernetes.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": namespace, "labels": labels},
            "spec": {"serviceAccountName": "default", "automountServiceAccountToken": false, "containers": [{"name": "istio-proxy", "image": "proxy"}]},
        }).to_string()).await;
        let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]});
        chain
            .kubernetes
            .set_status("Pod", namespace, &pod, &status)
            .await;
        if role == Role::Sidecar {
            chain.kubernetes.apply(&format!("
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: {pod}, namespace: {namespace}}}
spec:
  workloadSelector: {{labels: {{app: {app}, instance: '{number}'}}}}
  egress:
  - {{port: {{number: 8080, protocol: HTTP, name: http}}, bind: {ip}, captureMode: NONE, hosts: ['./*', 'istio-system/*']}}
")).await;
        }
        Self {
            pod,
            namespace: namespace.to_owned(),
            address: format!("{ip}:8080").parse().unwrap(),
            metrics: port(15200),
            admin: port(15100),
            role,
            number,
            process: None,
            folder,
        }
    }

    /// Starts the agent, as a pod's start does: with no cache of modules.
    pub async fn run(&mut self, chain: &Chain) {
        let folder = &self.folder;
        let token = chain
            .kubernetes
            .token(&self.namespace, "default", "istio-ca")
            .await;
        std::fs::write(folder.join("var/run/secrets/tokens/istio-token"), token).unwrap();
        let root = chain.folder().join("root-cert.pem");
        let app = if self.role == Role::Sidecar {
            "client"
        } else {
            "ingress"
        };
        let config = json!({
            "discoveryAddress": ISTIOD_XDS, "proxyAdminPort": self.admin.port(), "statusPort": self.metrics.port(),
            "concurrency": 1, "binaryPath": chain.tools.envoy, "drainDuration": "1s", "terminationDrainDuration": "0s",
            "extraStatTags": ["sluice_split", "sluice_audience", "sluice_variant", "sluice_source", "sluice_class", "sluice_plugin"],
            "proxyStatsMatcher": {"inclusionPrefixes": ["wasm", "extension_config", "http."]},
        });
        let ip = self.address.ip().to_string();
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "sh",
                "-c",
                "mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && exec \"$@\"",
                "agent",
            ])
            .arg(&chain.tools.pilot_agent)
            .args([
                "proxy",
                if self.role == Role::Sidecar {
                    "sidecar"
                } else {
                    "router"
                },
            ])
            .args([
                "--domain",
                &format!("{}.svc.cluster.local", self.namespace),
                "--proxyLogLevel",
                "warning,wasm:info",
            ])
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("POD_NAME", &self.pod)
            .env("POD_NAMESPACE", &self.namespace)
            .env("INSTANCE_IP", &ip)
            .env("SERVICE_ACCOUNT", "default")
            .env("TRUST_DOMAIN", "cluster.local")
            .env("CA_ADDR", ISTIOD_XDS)
            .env("ISTIOD_SAN", "istiod.istio-system.svc")
            .env("XDS_ROOT_CA", &root)
            .env("CA_ROOT_CA", &root)
            .env("ISTIO_META_CLUSTER_ID", "Kubernetes")
            .env("ISTIO_META_INTERCEPTION_MODE", "NONE")
            .env(
                "ISTIO_METAJSON_LABELS",
                json!({"app": app, "instance": self.number.to_string()}).to_string(),
            )
            .env(
                "ENVOY_STATUS_PORT",
                (15_400 + u16::from(self.number)).to_string(),
            )
            .env(
                "ENVOY_PROMETHEUS_PORT",
                (15_300 + u16::from(self.number)).to_string(),
            )
            .env("WASM_INSECURE_REGISTRIES", crate::chain::REGISTRY)
            .env("ISTIO_BOOTSTRAP", chain.folder().join("bootstrap.json"))
            .env("PROXY_CONFIG", config.to_string());
        self.process = Some(Process::start("proxy", folder, &mut command));
    }

    /// Waits until the agent says that it is ready.
    pub async fn wait_until_ready(&mut self) {
        let metrics = self.metrics;
        let process = self.process.as_mut().unwrap();
        process
            .wait_until("the proxy's readiness", async || {
                fetch(metrics, "/healthz/ready")
                    .await
                    .is_some_and(|answer| answer.status == 200)
            })
            .await;
    }

    /// Ends the agent and Envoy.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// What agent and Envoy logged.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// A new connection to it.
    pub async fn connect(&self) -> Connection {
        Connection::open(self.address).await.unwrap()
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, host: &str, lines: &[&[u8]]) -> Answer {
        self.connect()
            .await
            .send(&get("/", host, lines))
            .await
            .expect("an answer")
    }

    /// A page of Envoy's admin interface.
    pub async fn admin(&self, path: &str) -> String {
        let answer = fetch(self.admin, path).await.unwrap();
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// Waits until something holds, at most 30 s.
    pub async fn wait_for(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !holds(self).await {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "waited 30 s for {what}; {}'s log:\n{}",
                self.pod,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// One GET to an address; `None` when nobody answers.
pub async fn fetch(address: SocketAddr, path: &str) -> Option<Answer> {
    let mut connection = Connection::open(address).await.ok()?;
    connection
        .send(&get(path, "localhost", &[b"connection: close"]))
        .await
}
