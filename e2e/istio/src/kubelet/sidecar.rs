//! The sidecar of a pod that Istio's webhook injected one into: a real agent and its Envoy, with
//! the identity of the pod's account.
//!
//! Nothing is intercepted here, since pods have no network of their own. A `Sidecar` says instead
//! where Envoy listens: at the pod's own address and port for those who call it, with the pod's
//! server behind it at another port of that address; and at an address beside it for what the pod
//! calls itself, which its programs take for their HTTP proxy.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use sluice_e2e::client::fetch;
use tokio::net::TcpStream;

use crate::agent::{Agent, INSTANCE, Ports};
use crate::chain::Chain;
use crate::process::Process;
use crate::tools::Tools;

/// What the webhook calls the container that it adds.
const CONTAINER: &str = "istio-proxy";

/// The variable in which it has the agent ask a pod's server what a kubelet would.
const PROBES: &str = "ISTIO_KUBE_APP_PROBERS";

/// How far behind the port that callers know a pod's server listens.
const BEHIND: u16 = 10_000;

/// The port of the services that pods call.
const PORT: u16 = 8080;

/// Where the ports of this host begin that pods' agents take, and how many each takes: below those
/// that Linux gives to connections.
const FIRST_PORT: u16 = 16_400;
const PORTS: u16 = 4;

/// What sidecars are started from.
#[derive(Clone, Debug)]
pub struct Sidecars {
    tools: Tools,
    shared: PathBuf,
}

impl Sidecars {
    /// Those of a chain's tools, which istiod of that chain tells what to do.
    pub fn of(chain: &Chain) -> Self {
        Self {
            tools: chain.tools.clone(),
            shared: chain.folder().to_owned(),
        }
    }
}

/// The folder of a chain that has a file `NAMESPACE/POD` for each sidecar that is ready: one line, the
/// address where it takes what the pod calls.
pub fn sidecars(chain: &Path) -> PathBuf {
    chain.join("sidecars")
}

/// Which sidecar: that of a pod at an address, whose server callers know at a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sidecar<'a> {
    pub(super) pod: &'a Pod,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
}

/// One that runs while this lives.
#[derive(Debug)]
pub(super) struct Running {
    address: Ipv4Addr,
    port: u16,
    said: PathBuf,
    _process: Process,
}

/// Whether the webhook gave a pod one.
pub(super) fn is_injected(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let mut containers = spec.into_iter().flat_map(|spec| {
        let initial = spec.init_containers.iter().flatten();
        initial.chain(&spec.containers)
    });
    containers.any(|container| container.name == CONTAINER)
}

/// The container that a pod is about.
pub(super) fn application(pod: &Pod) -> &Container {
    let spec = pod.spec.as_ref().expect("a pod has a spec");
    let mut containers = spec.containers.iter();
    let own = containers.find(|container| container.name != CONTAINER);
    own.expect("a pod has a container")
}

/// The name of a pod's account.
pub(super) fn account(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let account = spec.and_then(|spec| spec.service_account_name.clone());
    account.unwrap_or_else(|| "default".to_owned())
}

impl Sidecar<'_> {
    /// The resource that says where it listens.
    pub(super) fn resource(self) -> Value {
        let listener = |number: u16, bind: &Ipv4Addr| {
            json!({
                "port": {"number": number, "protocol": "HTTP", "name": "http"},
                "bind": bind, "captureMode": "NONE",
            })
        };
        let mut ingress = listener(self.port, &self.address);
        ingress["defaultEndpoint"] = json!(format!("0.0.0.0:{}", self.port + BEHIND));
        let mut egress = listener(PORT, egress(self.address).ip());
        egress["hosts"] = json!(["*/*"]);
        let owner = json!({
            "apiVersion": "v1", "kind": "Pod", "name": self.pod.name_any(), "uid": self.pod.uid(),
        });
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
            "metadata": {
                "name": self.pod.name_any(), "namespace": self.pod.namespace(),
                "ownerReferences": [owner],
            },
            "spec": {
                "workloadSelector": {"labels": {INSTANCE: self.instance()}},
                "ingress": [ingress], "egress": [egress],
            },
        })
    }

    /// Starts it with a token of the pod's account.
    pub(super) fn start(self, sidecars: &Sidecars, token: &str) -> Running {
        let (name, namespace) = (self.pod.name_any(), self.pod.namespace());
        let namespace = namespace.unwrap_or_default();
        let folder = sidecars.shared.join(format!("{namespace}-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        Agent::write_token(&folder, token);
        let mut labels = json!(self.pod.labels());
        labels[INSTANCE] = json!(self.instance());
        let agent = Agent {
            node_type: "sidecar",
            namespace: &namespace,
            pod: &name,
            account: &account(self.pod),
            ip: self.address.into(),
            labels: &labels,
            ports: ports(self.address),
        };
        let mut command = agent.command(&sidecars.tools, &sidecars.shared, &folder);
        command.envs(probes(self.pod).map(|probes| (PROBES, probes)));
        Running {
            address: self.address,
            port: self.port,
            said: self::sidecars(&sidecars.shared)
                .join(&namespace)
                .join(&name),
            _process: Process::start("proxy", &folder, &mut command),
        }
    }

    /// The value of the label that its `Sidecar` alone has: an address is given once.
    fn instance(self) -> String {
        self.address.to_string()
    }
}

impl Running {
    /// Where the pod's server listens.
    pub(super) const fn behind(&self) -> u16 {
        self.port + BEHIND
    }

    /// Where its agent answers.
    pub(super) fn status(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], ports(self.address).metrics))
    }

    /// What the pod's programs are told.
    pub(super) fn variables(&self) -> [(&'static str, String); 2] {
        let proxy = format!("http://{}", egress(self.address));
        [("PORT", self.behind().to_string()), ("http_proxy", proxy)]
    }

    /// Whether it is ready and takes requests for the pod; then it is said where it takes those of
    /// the pod.
    pub(super) async fn is_ready(&self) -> bool {
        let answer = fetch(self.status(), "/healthz/ready").await;
        let is_ready = answer.is_some_and(|answer| answer.status == 200);
        let known = SocketAddrV4::new(self.address, self.port);
        for address in [known, egress(self.address)] {
            if !is_ready || TcpStream::connect(address).await.is_err() {
                return false;
            }
        }
        std::fs::create_dir_all(self.said.parent().unwrap()).unwrap();
        std::fs::write(&self.said, format!("{}\n", egress(self.address))).unwrap();
        true
    }
}

/// What the agent is to ask in the place of the kubelet, as the webhook wrote it, at the ports where the
/// pod's server listens here.
fn probes(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let containers = spec.init_containers.iter().flatten();
    let mut variables = containers
        .chain(&spec.containers)
        .flat_map(|container| container.env.iter().flatten());
    let written = variables.find(|variable| variable.name == PROBES)?;
    let mut probes: Value = serde_json::from_str(written.value.as_ref()?).unwrap();
    for probe in probes.as_object_mut()?.values_mut() {
        let port = probe.pointer_mut("/httpGet/port")?;
        *port = json!(port.as_u64()? + u64::from(BEHIND));
    }
    Some(probes.to_string())
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.said);
    }
}

/// Where a pod's sidecar takes what the pod calls.
fn egress(pod: Ipv4Addr) -> SocketAddrV4 {
    let [_, _, high, low] = pod.octets();
    SocketAddrV4::new(Ipv4Addr::from([10, 78, high, low]), PORT)
}

fn ports(pod: Ipv4Addr) -> Ports {
    let [_, _, high, low] = pod.octets();
    let first = FIRST_PORT + PORTS * u16::from_be_bytes([high, low]);
    Ports {
        admin: first,
        metrics: first + 1,
        envoy_metrics: first + 2,
        envoy_status: first + 3,
    }
}
