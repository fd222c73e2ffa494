//! What the tests share: the chain, the proxies, the versions of a service, and its plugin.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluice_e2e::upstream::Upstream;
use sluice_e2e_istio::chain::{Chain, PROMETHEUS, REGISTRY};
use sluice_e2e_istio::proxy::{Proxy, Role};

/// How many sidecars call the service in namespace a.
const SIDECARS: u8 = 6;

/// Everything.
pub struct World {
    pub chain: Chain,
    /// The callers in namespace a.
    pub callers: Vec<Proxy>,
    /// The caller in namespace b.
    pub other: Proxy,
    /// The ingress gateway.
    pub gateway: Proxy,
    /// The digest of the pushed module.
    pub digest: String,
    _upstreams: Vec<Upstream>,
}

impl World {
    /// Starts the chain, the service in a and b, six callers in a, one in b, and a gateway.
    pub async fn start() -> Self {
        let mut chain = Chain::start().await;
        let digest = push(&chain).await;
        let mut upstreams = Vec::new();
        for (namespace, subnet) in [("a", 2), ("b", 4)] {
            for (variant, host) in [("stable", 1), ("canary", 2)] {
                let address = SocketAddr::from(([127, 0, subnet, host], 8080));
                upstreams.push(Upstream::start_at(address, variant).await);
            }
            chain.kubernetes.apply(&service(namespace, subnet)).await;
        }
        let mut callers = Vec::new();
        for number in 1..=SIDECARS {
            let mut proxy = Proxy::new(&chain, Role::Sidecar, "a", number).await;
            proxy.run(&chain).await;
            callers.push(proxy);
        }
        let other = Proxy::start(&chain, Role::Sidecar, "b", 11).await;
        let gateway = Proxy::start(&chain, Role::Gateway, "gw", 21).await;
        for caller in &mut callers {
            caller.wait_until_ready().await;
        }
        let proxies: Vec<&Proxy> = callers.iter().chain([&other, &gateway]).collect();
        chain.start_prometheus(&proxies).await;
        Self {
            chain,
            callers,
            other,
            gateway,
            digest,
            _upstreams: upstreams,
        }
    }

    /// Ends everything, proxies first; after a failure, says where the logs were.
    pub fn end(self, has_failed: bool) {
        let Self {
            chain,
            callers,
            other,
            gateway,
            ..
        } = self;
        if has_failed {
            let kept = chain.folder().with_file_name("sluice-istio-logs");
            let _ = std::fs::remove_dir_all(&kept);
            std::fs::create_dir_all(&kept).unwrap();
            for log in [
                "istiod.log",
                "kube-apiserver.log",
                "registry-5000.log",
                "prometheus.log",
            ] {
                let _ = std::fs::copy(chain.folder().join(log), kept.join(log));
            }
            for proxy in callers.iter().chain([&other, &gateway]) {
                let _ = std::fs::write(
                    kept.join(format!("{}-{}.log", proxy.namespace, proxy.pod)),
                    proxy.log(),
                );
            }
            println!("logs: {}", kept.display());
        }
        drop((callers, other, gateway));
        drop(chain);
    }

    /// The image that plugins pull.
    pub fn image(&self) -> String {
        format!("oci://{REGISTRY}/sluice:e2e")
    }

    /// Where the callers in a take requests.
    pub fn caller_addresses(&self) -> Vec<SocketAddr> {
        self.callers.iter().map(|caller| caller.address).collect()
    }

    /// Makes namespace a's WasmPlugin new, with weights for everyone, and waits until every caller runs it.
    pub async fn fresh_plugin(&self, canary: u32) {
        self.chain
            .kubernetes
            .delete("WasmPlugin", "a", "sluice")
            .await;
        self.chain.kubernetes.apply(&self.plugin("a")).await;
        self.wait_for_convergence().await;
        self.set("web", canary).await;
        self.wait_for_convergence().await;
    }

    /// `sluice set SPLIT canary=PERCENT` in namespace a.
    pub async fn set(&self, split: &str, canary: u32) {
        self.chain
            .sluice
            .run_beside(&format!("set {split} canary={canary} -n a"))
            .await
            .good();
    }

    /// A WasmPlugin for the callers of a namespace: everyone by `uid`, and a rule for staff; no weights.
    pub fn plugin(&self, namespace: &str) -> String {
        let (image, sha256) = (self.image(), self.digest.trim_start_matches("sha256:"));
        format!(
            "
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {{name: sluice, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: client}}}}
  url: {image}
  sha256: {sha256}
  imagePullPolicy: IfNotPresent
  phase: AUTHN
  match: [{{mode: CLIENT}}]
  failStrategy: FAIL_OPEN
  pluginConfig:
{CONFIG}"
        )
    }

    /// What `sluice status` says of namespace a.
    pub async fn status(&self) -> String {
        self.chain
            .sluice
            .run_beside(&format!("status -n a --prometheus {PROMETHEUS}"))
            .await
            .out
    }

    /// Waits until `sluice status` says something of namespace a, at most 40 s: Prometheus must see it first.
    pub async fn wait_for_status(&self, text: &str) {
        let began = Instant::now();
        loop {
            let status = self.status().await;
            if status.contains(text) {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(40),
                "waited 40 s for {text:?} in\n{status}"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Waits until every caller in a runs the revision that its plugin wants.
    pub async fn wait_for_convergence(&self) {
        let wanted = self.wanted_revision("a").await;
        for caller in &self.callers {
            wait_for_revision(caller, "a.sluice", wanted).await;
        }
    }

    /// The revision gauge that a namespace's WasmPlugin leads to.
    pub async fn wanted_revision(&self, namespace: &str) -> u64 {
        self.wanted_revision_of("WasmPlugin", namespace, "sluice")
            .await
    }

    /// The revision gauge that a plugin leads to.
    pub async fn wanted_revision_of(&self, kind: &str, namespace: &str, name: &str) -> u64 {
        let found = self
            .chain
            .kubernetes
            .get(kind, namespace, name)
            .await
            .unwrap();
        let spec = &found.data["spec"];
        let config = spec
            .get("pluginConfig")
            .unwrap_or_else(|| &spec["wasm"]["pluginConfig"]);
        sluice_core::revision::Revision::of(config).as_gauge()
    }

    /// One weight of a namespace's WasmPlugin, as the API server has it.
    pub async fn weight(&self, namespace: &str, path: &str) -> Option<f64> {
        let found = self
            .chain
            .kubernetes
            .get("WasmPlugin", namespace, "sluice")
            .await
            .unwrap();
        found.data["spec"]["pluginConfig"]["weights"]
            .pointer(path)?
            .as_f64()
    }
}

/// Waits until a proxy's filter runs a revision of a plugin.
pub async fn wait_for_revision(proxy: &Proxy, plugin: &str, wanted: u64) {
    proxy
        .wait_for("the wanted revision", async |proxy| {
            revision(proxy, plugin).await == wanted
        })
        .await;
}

/// The splits of the tests' plugins.
pub const CONFIG: &str = "    splits:
      web:
        services: [web.a, web.b]
        identity: [{cookie: uid}]
        rules:
        - name: staff
          match: [{cookies: {email: {regex: '[^@]+@some-company-name\\.com'}}}]
      checkout:
        services: [checkout.a]
";

/// The same as a file.
pub fn config() -> String {
    CONFIG
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n")
        .collect()
}

/// The revision of a plugin that a proxy's filter runs; 0 when it never ran one. A plugin that is gone leaves its gauge.
pub async fn revision(proxy: &Proxy, plugin: &str) -> u64 {
    let stats = proxy.admin("/stats?filter=sluice_config_revision").await;
    let of_plugin = stats.lines().filter(|line| {
        let name = line
            .split("sluice_plugin=.=")
            .nth(1)
            .and_then(|rest| rest.split(";.;").next())
            .unwrap_or_default();
        name.split('~').next() == Some(plugin)
    });
    of_plugin
        .filter_map(|line| line.rsplit_once(": ")?.1.parse().ok())
        .max()
        .unwrap_or(0)
}

async fn push(chain: &Chain) -> String {
    let arguments = format!(
        "push {} oci://{REGISTRY}/sluice:e2e",
        chain.tools.module.display()
    );
    let said = chain.sluice.run_beside(&arguments).await.good();
    said.out
        .lines()
        .find(|line| line.starts_with("sha256:"))
        .expect("a digest")
        .to_owned()
}

fn service(namespace: &str, subnet: u8) -> String {
    let host = format!("web.{namespace}.svc.cluster.local");
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec: {{clusterIP: 127.10.0.1{subnet}, selector: {{app: web}}, ports: [{{name: http, port: 8080, targetPort: 8080}}]}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-stable, namespace: {namespace}}}
spec: {{address: 127.0.{subnet}.1, serviceAccount: default, labels: {{app: web, version: stable}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-canary, namespace: {namespace}}}
spec: {{address: 127.0.{subnet}.2, serviceAccount: default, labels: {{app: web, version: canary}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web, namespace: {namespace}}}
spec:
  host: {host}
  subsets:
  - {{name: stable, labels: {{version: stable}}}}
  - {{name: canary, labels: {{version: canary}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: {namespace}}}
spec:
  hosts: [{host}]
  http:
  - match: [{{headers: {{x-sluice-web: {{exact: canary}}}}}}]
    route: [{{destination: {{host: {host}, subset: canary}}}}]
  - route: [{{destination: {{host: {host}, subset: stable}}}}]
"
    )
}
