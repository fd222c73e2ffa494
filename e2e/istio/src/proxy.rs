//! A proxy as Istio runs it: pilot-agent with the real Envoy, its pod object, its certificate from
//! istiod.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use sluice_e2e::client::{Answer, Connection, fetch, get};
use sluice_e2e::wait::until;

use crate::agent::{Agent, INSTANCE, Ports};
use crate::chain::Chain;
use crate::kubernetes::Kubernetes;
use crate::process::Process;
use crate::prometheus::Target;

/// What kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A caller's sidecar.
    Sidecar,
    /// An ingress gateway.
    Gateway,
    /// The sidecar of `sluice controller`, for the proxies that ask it.
    Controller,
}

/// The number of the tests' own ingress gateway; others are as Istio's chart installs them.
pub const GATEWAY: u8 = 21;

/// Where proxies ask a controller, as it is shipped.
const BRAKE_PORT: u16 = 8085;

/// Where the controller behind a [`Role::Controller`] is to answer.
pub const BEHIND: &str = "127.0.0.1:18085";

impl Role {
    /// The label `app` of its pod.
    fn app(self) -> &'static str {
        match self {
            Self::Sidecar => "client",
            Self::Gateway => "ingress",
            Self::Controller => "sluice-controller",
        }
    }

    /// What the agent calls it.
    fn node_type(self) -> &'static str {
        match self {
            Self::Sidecar | Self::Controller => "sidecar",
            Self::Gateway => "router",
        }
    }

    /// The pod's name, and where it takes requests.
    fn pod(self, number: u8) -> (String, String) {
        match self {
            Self::Sidecar => (format!("client-{number}"), format!("127.0.1.{number}:8080")),
            // That of the tests' own namespace, and others.
            Self::Gateway if number == GATEWAY => {
                (format!("gateway-{number}"), "127.0.3.1:8080".to_owned())
            }
            Self::Gateway => (format!("gateway-{number}"), format!("127.0.3.{number}:80")),
            Self::Controller => (
                format!("controller-{number}"),
                format!("127.0.7.{number}:{BRAKE_PORT}"),
            ),
        }
    }
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
    /// Where its Envoy serves metrics of its own.
    pub envoy_metrics: SocketAddr,
    admin: SocketAddr,
    role: Role,
    number: u8,
    takes_native: bool,
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
        let proxy = Self::named(chain, role, namespace, number);
        proxy.declare(&chain.kubernetes).await;
        proxy
    }

    /// The same of one whose label has it run the native module, where a plugin is native.
    pub async fn new_native(chain: &Chain, role: Role, namespace: &str, number: u8) -> Self {
        let mut proxy = Self::named(chain, role, namespace, number);
        proxy.takes_native = true;
        proxy.declare(&chain.kubernetes).await;
        proxy
    }

    fn named(chain: &Chain, role: Role, namespace: &str, number: u8) -> Self {
        let port = |base: u16| SocketAddr::from(([127, 0, 0, 1], base + u16::from(number)));
        let (pod, address) = role.pod(number);
        let folder = chain.folder().join(format!("{namespace}-{pod}"));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            pod,
            namespace: namespace.to_owned(),
            address: address.parse().unwrap(),
            metrics: port(15200),
            envoy_metrics: port(15300),
            admin: port(15100),
            role,
            number,
            takes_native: false,
            process: None,
            folder,
        }
    }

    fn labels(&self) -> Value {
        let mut labels = json!({"app": self.role.app(), INSTANCE: self.number.to_string()});
        if self.role == Role::Gateway && self.number != GATEWAY {
            // As Istio's chart labels the release `istio-ingress`.
            labels["istio"] = json!("ingress");
        }
        if self.takes_native {
            labels["sluice.dev/native"] = json!("true");
        }
        labels
    }

    /// Whether it runs the native module where a plugin is native.
    pub const fn takes_native(&self) -> bool {
        self.takes_native
    }

    /// Makes the pod, and for a sidecar where it listens.
    async fn declare(&self, kubernetes: &Kubernetes) {
        match self.role {
            Role::Sidecar => {
                self.declare_pod(kubernetes).await;
                self.import(kubernetes, &[8080]).await;
            }
            Role::Gateway => self.declare_pod(kubernetes).await,
            Role::Controller => self.declare_controller(kubernetes).await,
        }
    }

    async fn declare_pod(&self, kubernetes: &Kubernetes) {
        let (pod, namespace, ip) = (&self.pod, &self.namespace, self.address.ip());
        // As Istio's injection writes it.
        let arguments = ["proxy", self.role.node_type()];
        let metrics = self.envoy_metrics.port();
        let ports = json!([{"name": "http-envoy-prom", "containerPort": metrics}]);
        let container =
            json!({"name": "istio-proxy", "image": "proxy", "args": arguments, "ports": ports});
        let resource = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "namespace": namespace, "labels": self.labels()},
            "spec": {
                "serviceAccountName": "default", "automountServiceAccountToken": false, "containers": [container],
            },
        });
        kubernetes.apply(&resource.to_string()).await;
        let conditions = json!([{"type": "Ready", "status": "True"}]);
        let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions});
        kubernetes.set_status("Pod", namespace, pod, &status).await;
    }

    /// Has a sidecar listen for its application on these ports, and know services of them alone.
    pub async fn import(&self, kubernetes: &Kubernetes, ports: &[u16]) {
        let listener = |port: &u16| {
            json!({
                "port": {"number": port, "protocol": "HTTP", "name": format!("http-{port}")},
                "bind": self.address.ip(), "captureMode": "NONE",
                "hosts": ["./*", "istio-system/*", "sluice/*"],
            })
        };
        let egress: Vec<Value> = ports.iter().map(listener).collect();
        self.declare_sidecar(kubernetes, &json!({"egress": egress}))
            .await;
    }

    /// Has it take requests for the controller, as istiod is told of workloads without a pod: one
    /// of the same address would be taken for the same workload.
    async fn declare_controller(&self, kubernetes: &Kubernetes) {
        let listener = |number: u16| {
            json!({
                "port": {"number": number, "protocol": "HTTP", "name": "http-brakes"},
                "bind": self.address.ip(), "captureMode": "NONE",
            })
        };
        let (mut ingress, mut egress) = (listener(BRAKE_PORT), listener(BRAKE_PORT + 1));
        ingress["defaultEndpoint"] = json!(BEHIND);
        egress["hosts"] = json!(["./*"]);
        let listeners = json!({"ingress": [ingress], "egress": [egress]});
        self.declare_sidecar(kubernetes, &listeners).await;
        let labels = json!({"app": self.role.app(), "security.istio.io/tlsMode": "istio"});
        let entry = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
            "metadata": {"name": self.pod, "namespace": self.namespace},
            "spec": {
                "address": self.address.ip(), "ports": {"http-brakes": BRAKE_PORT},
                "serviceAccount": "default", "labels": labels,
            },
        });
        kubernetes.apply(&entry.to_string()).await;
    }

    async fn declare_sidecar(&self, kubernetes: &Kubernetes, listeners: &Value) {
        let mut sidecar = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
            "metadata": {"name": self.pod, "namespace": self.namespace},
            "spec": listeners,
        });
        sidecar["spec"]["workloadSelector"] = json!({"labels": self.labels()});
        kubernetes.apply(&sidecar.to_string()).await;
    }

    /// Starts the agent, as a pod's start does: with no cache of modules.
    pub async fn run(&mut self, chain: &Chain) {
        let token = chain
            .kubernetes
            .token(&self.namespace, "default", "istio-ca")
            .await;
        Agent::write_token(&self.folder, &token);
        let mut command = self.agent(chain);
        self.process = Some(Process::start("proxy", &self.folder, &mut command));
    }

    /// The agent's command.
    fn agent(&self, chain: &Chain) -> Command {
        let port = |base: u16| base + u16::from(self.number);
        let agent = Agent {
            node_type: self.role.node_type(),
            namespace: &self.namespace,
            pod: &self.pod,
            account: "default",
            ip: self.address.ip(),
            labels: &self.labels(),
            ports: Ports {
                admin: self.admin.port(),
                metrics: self.metrics.port(),
                envoy_metrics: self.envoy_metrics.port(),
                envoy_status: port(15400),
            },
        };
        agent.command(&chain.tools, chain.folder(), &self.folder)
    }

    /// Waits until the agent says that it is ready.
    pub async fn wait_until_ready(&mut self) {
        let metrics = self.metrics;
        let process = self.process.as_mut().expect("a proxy that was started");
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

    /// Starts it again if it does not run, and waits until it is ready.
    pub async fn restore(&mut self, chain: &Chain) {
        if self.process.as_mut().is_none_or(Process::has_ended) {
            self.run(chain).await;
        }
        self.wait_until_ready().await;
    }

    /// What Prometheus must know to scrape it.
    pub fn target(&self) -> Target {
        Target {
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            metrics: self.metrics,
        }
    }

    /// What a Prometheus must know that scrapes Envoy's own port.
    pub fn envoy_target(&self) -> Target {
        Target {
            metrics: self.envoy_metrics,
            ..self.target()
        }
    }

    /// What agent and Envoy logged.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, host: &str, lines: &[&[u8]]) -> Answer {
        self.try_get(host, lines).await.expect("an answer")
    }

    /// The same; `None` when there is no answer, as may be while its listener changes.
    pub async fn try_get(&self, host: &str, lines: &[&[u8]]) -> Option<Answer> {
        let mut connection = Connection::open(self.address).await.ok()?;
        connection.send(&get("/", host, lines)).await
    }

    /// A page of Envoy's admin interface.
    pub async fn admin(&self, path: &str) -> String {
        let answer = fetch(self.admin, path).await.unwrap();
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// Waits until a look at it gives `Ok`; when that takes too long, fails with what was seen
    /// last, and its log.
    pub async fn wait_for(
        &self,
        what: &str,
        mut look: impl AsyncFnMut(&Self) -> Result<(), String>,
    ) {
        until(what, async || {
            let seen = look(self).await;
            seen.map_err(|seen| format!("{seen}; {}'s log:\n{}", self.pod, self.log()))
        })
        .await;
    }
}
