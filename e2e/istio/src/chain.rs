//! The control plane and its neighbours: etcd, the API server, istiod, a registry, Prometheus.
//!
//! How they are started without containers was worked out once and is written down with each argument that matters.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::command::{Said, Tool};
use crate::kubernetes::Kubernetes;
use crate::process::Process;
use crate::proxy::{Proxy, fetch};

/// The API server.
pub const API: &str = "https://127.0.0.1:6443";
/// istiod's secured discovery.
pub const ISTIOD_XDS: &str = "127.0.0.1:15012";
/// The registry.
pub const REGISTRY: &str = "127.0.0.1:5000";
/// Prometheus.
pub const PROMETHEUS: &str = "http://127.0.0.1:9090";

const ADMIN_TOKEN: &str = "admintoken";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Cluster IPs within 127.0.0.0/8 are real addresses here: the webhook's service needs no kube-proxy.
const ISTIOD_WEBHOOK: &str = "127.10.0.5:443";

/// Where the binaries are.
#[derive(Debug)]
pub struct Tools {
    go: PathBuf,
    debian: PathBuf,
    /// Envoy.
    pub envoy: PathBuf,
    /// Istio's agent.
    pub pilot_agent: PathBuf,
    /// The filter's module.
    pub module: PathBuf,
}

impl Tools {
    /// From the environment that `make e2e-istio` sets.
    pub fn from_environment() -> Self {
        let path = |name: &str| -> PathBuf {
            let value = std::env::var_os(name)
                .unwrap_or_else(|| panic!("{name} is not set: run `make e2e-istio`"));
            std::path::absolute(PathBuf::from(value)).unwrap()
        };
        let go = path("GO_BIN");
        // The agent starts what it is told to start by its real name.
        let envoy = path("ENVOY").canonicalize().unwrap();
        Self {
            pilot_agent: go.join("pilot-agent"),
            go,
            debian: path("DEBIAN_BIN"),
            envoy,
            module: path("SLUICE_MODULE"),
        }
    }
}

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
    pub said_without_istio: Option<Said>,
    prometheus: Option<Process>,
    registry: Option<Process>,
    istiod: Option<Process>,
    api: Option<Process>,
    _etcd: Process,
    folder: tempfile::TempDir,
}

impl Chain {
    /// Starts everything.
    pub async fn start() -> Self {
        let tools = Tools::from_environment();
        let folder = tempfile::Builder::new()
            .prefix("sluice-istio-")
            .tempdir()
            .unwrap();
        let path = folder.path();
        keys(path);
        let kubeconfig = write_kubeconfig(path, "admin", ADMIN_TOKEN);
        let mut bootstrap = std::fs::read_to_string(tools.go.join("envoy_bootstrap.json")).unwrap();
        bootstrap = bootstrap.replace("{{ .wildcard }}", "{{ .localhost }}");
        std::fs::write(path.join("bootstrap.json"), bootstrap).unwrap();
        let etcd = etcd(&tools, path);
        let mut chain = Self {
            kubernetes: Kubernetes::new(API, ADMIN_TOKEN),
            sluice: Tool::new(std::env::var_os("SLUICE").expect("SLUICE"), &kubeconfig),
            kubectl: Tool::new(tools.go.join("kubectl"), &kubeconfig),
            said_without_istio: None,
            prometheus: None,
            registry: None,
            istiod: None,
            api: None,
            _etcd: etcd,
            tools,
            folder,
        };
        chain.start_api().await;
        chain.start_registry().await;
        chain.said_without_istio = Some(chain.sluice.run_beside("get -n a").await);
        chain.install_istio().await;
        chain.start_istiod().await;
        chain
    }

    /// Where temporary data lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A kubeconfig for a service account of a namespace.
    pub async fn kubeconfig(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.kubernetes.token(namespace, account, ISSUER).await;
        write_kubeconfig(self.folder(), &format!("{namespace}-{account}"), &token)
    }

    /// Starts the API server.
    pub async fn start_api(&mut self) {
        let folder = self.folder();
        let mut command = Command::new(self.tools.go.join("kube-apiserver"));
        let in_folder = |name: &str| folder.join(name).display().to_string();
        command.args([
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--secure-port=6443",
            "--service-cluster-ip-range=127.10.0.0/16",
            "--authorization-mode=RBAC",
            &format!("--cert-dir={}", in_folder("api-certificates")),
            &format!("--token-auth-file={}", in_folder("tokens.csv")),
            &format!("--service-account-issuer={ISSUER}"),
            &format!("--service-account-key-file={}", in_folder("accounts.pub")),
            &format!(
                "--service-account-signing-key-file={}",
                in_folder("accounts.key")
            ),
            &format!("--api-audiences={ISSUER},istio-ca"),
            // Endpoints on loopback are refused, and nobody makes service accounts' objects here.
            "--endpoint-reconciler-type=none",
            "--disable-admission-plugins=ServiceAccount",
        ]);
        let mut api = Process::start("kube-apiserver", folder, &mut command);
        let kubernetes = self.kubernetes.clone();
        api.wait_until("the API server's readiness", async || {
            kubernetes.is_ready().await
        })
        .await;
        self.api = Some(api);
    }

    /// Ends the API server as a crash would.
    pub fn kill_api(&mut self) {
        self.api.take().unwrap().kill();
    }

    /// Starts the registry.
    pub async fn start_registry(&mut self) {
        self.registry = Some(self.registry_at(REGISTRY, json!(null)).await);
    }

    /// Starts another registry that asks for a login: user `ann`, password `secret`.
    pub async fn start_closed_registry(&self, address: &str) -> Process {
        let path = self.folder().join("htpasswd");
        std::fs::write(
            &path,
            "ann:$2b$04$0nzEHCBcA3IipY5EDTNxRujtpHWjYqaocvQOSkBmuooFIFU1K0qkK\n",
        )
        .unwrap();
        self.registry_at(address, json!({"htpasswd": {"realm": "e2e", "path": path}}))
            .await
    }

    async fn registry_at(&self, address: &str, auth: serde_json::Value) -> Process {
        let name = format!("registry-{}", address.rsplit(':').next().unwrap());
        let mut config = json!({
            "version": 0.1, "log": {"level": "warn"}, "http": {"addr": address},
            "storage": {"filesystem": {"rootdirectory": self.folder().join(&name)}, "delete": {"enabled": true}},
        });
        if !auth.is_null() {
            config["auth"] = auth;
        }
        let path = self.folder().join(format!("{name}.yaml"));
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = Command::new(self.tools.debian.join("docker-registry"));
        let mut registry = Process::start(&name, self.folder(), command.arg("serve").arg(path));
        let address = address.parse().unwrap();
        registry
            .wait_until("the registry", async || {
                fetch(address, "/v2/").await.is_some()
            })
            .await;
        registry
    }

    /// Ends the registry.
    pub fn stop_registry(&mut self) {
        self.registry = None;
    }

    async fn install_istio(&self) {
        let crds = std::fs::read_to_string(self.tools.go.join("crds.yaml")).unwrap();
        self.kubernetes.apply(&crds).await;
        for namespace in ["istio-system", "a", "b", "gw"] {
            self.kubernetes
                .apply(&format!(
                    "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"
                ))
                .await;
            let account = format!(
                "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {namespace}}}}}"
            );
            self.kubernetes.apply(&account).await;
        }
        self.kubernetes.apply(WEBHOOK).await;
    }

    /// Starts istiod, with its debounce as it is.
    pub async fn start_istiod(&mut self) {
        let folder = self.folder();
        std::fs::write(folder.join("mesh.yaml"), MESH).unwrap();
        let mut command = Command::new(self.tools.go.join("pilot-discovery"));
        command
            .arg("discovery")
            .args([
                "--kubeconfig",
                &folder.join("admin.kubeconfig").display().to_string(),
            ])
            .args([
                "--meshConfig",
                &folder.join("mesh.yaml").display().to_string(),
            ])
            .args([
                "--registries",
                "Kubernetes",
                "--clusterID",
                "Kubernetes",
                "--ctrlz_port",
                "0",
            ])
            .args([
                "--httpAddr",
                "127.0.0.1:18080",
                "--grpcAddr",
                "127.0.0.1:15010",
                "--secureGRPCAddr",
                ISTIOD_XDS,
            ])
            .args([
                "--httpsAddr",
                ISTIOD_WEBHOOK,
                "--monitoringAddr",
                "127.0.0.1:15014",
            ])
            .current_dir(folder)
            // Filters that only Istio's own build of Envoy has.
            .env("PILOT_ENABLE_ALPN_FILTER", "false")
            .env("PILOT_ENABLE_METADATA_EXCHANGE", "false")
            .env("ENABLE_LEADER_ELECTION", "false")
            .env("INJECTION_WEBHOOK_CONFIG_NAME", "")
            .env(
                "VALIDATION_WEBHOOK_CONFIG_NAME",
                "istio-validator-istio-system",
            )
            // Without it, the webhook's caBundle is never filled in.
            .env("REVISION", "default")
            .env("POD_NAME", "istiod-0")
            .env("POD_NAMESPACE", "istio-system")
            .env("AUDIENCE", "istio-ca")
            .env("TOKEN_ISSUER", ISSUER);
        let mut istiod = Process::start("istiod", folder, &mut command);
        let ready = "127.0.0.1:18080".parse().unwrap();
        istiod
            .wait_until("istiod's readiness", async || {
                fetch(ready, "/ready")
                    .await
                    .is_some_and(|answer| answer.status == 200)
            })
            .await;
        let root = folder.join("root-cert.pem");
        let kubernetes = self.kubernetes.clone();
        istiod
            .wait_until("istiod's root certificate", async || {
                let Some(map) = kubernetes.get("ConfigMap", "a", "istio-ca-root-cert").await else {
                    return false;
                };
                let certificate = map.data["data"]["root-cert.pem"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                std::fs::write(&root, &certificate).unwrap();
                !certificate.is_empty()
            })
            .await;
        self.istiod = Some(istiod);
    }

    /// Ends istiod.
    pub fn stop_istiod(&mut self) {
        self.istiod = None;
    }

    /// What istiod logged.
    pub fn istiod_log(&self) -> String {
        self.istiod.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Starts Prometheus on these proxies, with the labels that Istio's own scrape configuration gives.
    pub async fn start_prometheus(&mut self, proxies: &[&Proxy]) {
        let target = |proxy: &&Proxy| json!({"targets": [proxy.metrics], "labels": {"namespace": proxy.namespace, "pod": proxy.pod}});
        let targets: Vec<_> = proxies.iter().map(target).collect();
        let config = json!({
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s"},
            "scrape_configs": [{"job_name": "kubernetes-pods", "metrics_path": "/stats/prometheus", "static_configs": targets}],
        });
        let path = self.folder().join("prometheus.yaml");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = Command::new(self.tools.debian.join("prometheus"));
        command
            .args([
                "--web.listen-address",
                PROMETHEUS.trim_start_matches("http://"),
            ])
            .args(["--config.file", &path.display().to_string()])
            .args([
                "--storage.tsdb.path",
                &self.folder().join("prometheus").display().to_string(),
            ]);
        let mut prometheus = Process::start("prometheus", self.folder(), &mut command);
        let address = PROMETHEUS.trim_start_matches("http://").parse().unwrap();
        prometheus
            .wait_until("Prometheus", async || {
                fetch(address, "/-/ready")
                    .await
                    .is_some_and(|answer| answer.status == 200)
            })
            .await;
        self.prometheus = Some(prometheus);
    }
}

fn etcd(tools: &Tools, folder: &Path) -> Process {
    let mut command = Command::new(tools.go.join("etcd"));
    command.args([
        "--data-dir",
        &folder.join("etcd").display().to_string(),
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]);
    Process::start("etcd", folder, &mut command)
}

fn keys(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let status = Command::new("openssl")
            .args(arguments)
            .current_dir(folder)
            .output()
            .expect("openssl")
            .status;
        assert!(status.success(), "openssl {arguments:?}");
    };
    openssl(&["genrsa", "-out", "accounts.key", "2048"]);
    openssl(&[
        "rsa",
        "-in",
        "accounts.key",
        "-pubout",
        "-out",
        "accounts.pub",
    ]);
    std::fs::write(
        folder.join("tokens.csv"),
        format!("{ADMIN_TOKEN},admin,admin-uid,\"system:masters\"\n"),
    )
    .unwrap();
}

fn write_kubeconfig(folder: &Path, name: &str, token: &str) -> PathBuf {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": {"server": API, "certificate-authority": folder.join("api-certificates/apiserver.crt")}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": name, "namespace": "a"}}],
    });
    let path = folder.join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

const MESH: &str = "
rootNamespace: istio-system
trustDomain: cluster.local
enableAutoMtls: false
accessLogFile: ''
enablePrometheusMerge: false
defaultProviders: {}
extensionProviders: []
defaultConfig:
  discoveryAddress: 127.0.0.1:15012
  controlPlaneAuthPolicy: MUTUAL_TLS
";

const WEBHOOK: &str = "
apiVersion: v1
kind: Service
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod}}
spec: {clusterIP: 127.10.0.5, ports: [{name: https-webhook, port: 443, targetPort: 443}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: istio-validator-istio-system, labels: {app: istiod, istio.io/rev: default}}
webhooks:
- name: rev.validation.istio.io
  clientConfig: {service: {name: istiod, namespace: istio-system, path: /validate, port: 443}}
  rules:
  - {operations: [CREATE, UPDATE], apiGroups: [security.istio.io, networking.istio.io, telemetry.istio.io, extensions.istio.io], apiVersions: ['*'], resources: ['*']}
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
";
