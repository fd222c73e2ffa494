//! What the tests share: the chain, the proxies, the versions of a service, and its plugin.

mod resources;
mod restore;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use sluice::local::metrics::parse;
use sluice_core::revision::Revision;
use sluice_e2e::upstream::Upstream;
use sluice_e2e::wait::until;
use sluice_e2e_istio::chain::Chain;
use sluice_e2e_istio::command::Said;
use sluice_e2e_istio::prometheus::Target;
use sluice_e2e_istio::proxy::{Proxy, Role};
use sluice_e2e_istio::{prometheus, registry};

pub use resources::{config, versions};

use crate::users::{WEB_A, WEB_B};

/// How many sidecars call the service in namespace a.
const SIDECARS: u8 = 6;

/// How many of them run the native module where the plugin is native.
pub const NATIVE: u8 = 3;

/// Those whose logs are kept after a failure, besides the proxies.
const PROCESSES: [&str; 5] = [
    "istiod",
    "kube-apiserver",
    "kube-controller-manager",
    "registry-5000",
    "prometheus",
];

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
    upstreams: Vec<(&'static str, Upstream)>,
}

impl World {
    /// Starts the chain, the service in a and b, six callers in a, one in b, and a gateway.
    pub async fn start() -> Self {
        let chain = Chain::start().await;
        let digest = push(&chain).await;
        let rollouts = chain.sluice.run_beside("crds").await.good().out;
        chain.kubernetes.apply(&rollouts).await;
        let mut upstreams = Vec::new();
        // In a, in b, and those of `late`.
        for subnet in [2, 4, 5] {
            for (variant, host) in [("stable", 1), ("canary", 2)] {
                let address = SocketAddr::from(([127, 0, subnet, host], 8080));
                upstreams.push((variant, Upstream::start_at(address, variant).await));
            }
        }
        chain.kubernetes.apply(&resources::services()).await;
        let mut callers = Vec::new();
        for number in 1..=SIDECARS {
            let mut proxy = match number <= NATIVE {
                true => Proxy::new_native(&chain, Role::Sidecar, "a", number).await,
                false => Proxy::new(&chain, Role::Sidecar, "a", number).await,
            };
            proxy.run(&chain).await;
            callers.push(proxy);
        }
        let other = Proxy::start(&chain, Role::Sidecar, "b", 11).await;
        let mut gateway = Proxy::new_native(&chain, Role::Gateway, "gw", 21).await;
        gateway.restore(&chain).await;
        for caller in &mut callers {
            caller.wait_until_ready().await;
        }
        let mut world = Self {
            chain,
            callers,
            other,
            gateway,
            digest,
            upstreams,
        };
        world.start_prometheus().await;
        world
    }

    /// Starts Prometheus on the world's own proxies, if it does not scrape just these.
    async fn start_prometheus(&mut self) {
        let targets = self.targets();
        if self.chain.prometheus_targets() != targets {
            self.chain.start_prometheus(&targets).await;
        }
    }

    /// What Prometheus scrapes of the world's own proxies.
    pub fn targets(&self) -> Vec<Target> {
        let proxies = self.callers.iter().chain([&self.other, &self.gateway]);
        proxies.map(Proxy::target).collect()
    }

    /// Lets the servers of a variant answer everything with a status; with 0, as they are asked.
    pub fn fail(&self, variant: &str, status: u16) {
        self.fail_one_in(1, variant, status);
    }

    /// The same for one in so many answers.
    pub fn fail_one_in(&self, one_in: u64, variant: &str, status: u16) {
        for upstream in self.servers(variant) {
            upstream.one_in.store(one_in, Ordering::Relaxed);
            upstream.status.store(status, Ordering::Relaxed);
        }
    }

    /// Lets the servers of a variant take so many milliseconds for every answer.
    pub fn delay(&self, variant: &str, milliseconds: u64) {
        for upstream in self.servers(variant) {
            upstream.delay.store(milliseconds, Ordering::Relaxed);
        }
    }

    fn servers(&self, variant: &str) -> impl Iterator<Item = &Upstream> {
        let of_variant = self
            .upstreams
            .iter()
            .filter(move |(own, _)| *own == variant);
        of_variant.map(|(_, upstream)| upstream)
    }

    /// Ends everything, proxies first; after a failure, says where the logs were kept.
    pub fn end(self, has_failed: bool) {
        if has_failed {
            self.keep_logs();
        }
        let Self {
            chain,
            callers,
            other,
            gateway,
            ..
        } = self;
        drop((callers, other, gateway));
        drop(chain);
    }

    fn keep_logs(&self) {
        let kept = self
            .chain
            .folder()
            .with_file_name(format!("sluice-istio-logs-{}", std::process::id()));
        std::fs::create_dir_all(&kept).unwrap();
        for name in PROCESSES {
            let log = format!("{name}.log");
            let _ = std::fs::copy(self.chain.folder().join(&log), kept.join(&log));
        }
        for proxy in self.callers.iter().chain([&self.other, &self.gateway]) {
            let log = kept.join(format!("{}-{}.log", proxy.namespace, proxy.pod));
            let _ = std::fs::write(log, proxy.log());
        }
        println!("logs: {}", kept.display());
    }

    /// What `sluice` says as the administrator.
    pub async fn sluice(&self, arguments: &str) -> Said {
        self.chain.sluice.run_beside(arguments).await
    }

    /// What kubectl says as the administrator.
    pub async fn kubectl(&self, arguments: &str) -> Said {
        self.chain.kubectl.run_beside(arguments).await
    }

    /// The image that plugins pull.
    pub fn image(&self) -> String {
        format!("oci://{}/sluice:e2e", registry::ADDRESS)
    }

    /// Where the callers in a take requests.
    pub fn caller_addresses(&self) -> Vec<SocketAddr> {
        self.callers.iter().map(|caller| caller.address).collect()
    }

    /// The callers of a namespace, and the host that they call.
    fn callers_of(&self, namespace: &str) -> (&[Proxy], &'static str) {
        match namespace {
            "a" => (&self.callers, WEB_A),
            _ => (std::slice::from_ref(&self.other), WEB_B),
        }
    }

    /// Makes a namespace's WasmPlugin, without weights, and waits until every caller runs it; it
    /// must not be there yet.
    pub async fn new_plugin(&self, namespace: &str) {
        self.chain.kubernetes.apply(&self.plugin(namespace)).await;
        // A filter's gauge outlives it: an earlier test may have left this very revision.
        let (callers, host) = self.callers_of(namespace);
        for caller in callers {
            restore::wait_for_filter(caller, host).await;
        }
        self.wait_for_convergence(namespace).await;
    }

    /// The same with a weight of web's canary for everyone.
    pub async fn fresh_plugin(&self, namespace: &str, canary: u32) {
        self.new_plugin(namespace).await;
        self.sluice(&format!("set web canary={canary} -n {namespace}"))
            .await
            .good();
        self.wait_for_convergence(namespace).await;
    }

    /// `sluice set SPLIT canary=PERCENT` in namespace a.
    pub async fn set(&self, split: &str, canary: u32) {
        self.sluice(&format!("set {split} canary={canary} -n a"))
            .await
            .good();
    }

    /// A WasmPlugin for the callers of a namespace: everyone by `uid`, and a rule for staff; no
    /// weights.
    pub fn plugin(&self, namespace: &str) -> String {
        resources::plugin(namespace, &self.image(), &self.digest)
    }

    /// What `sluice render` prints for a split of a configuration.
    pub fn render(&self, split: &str, config: &str, arguments: &str) -> String {
        let path = self.chain.folder().join("config.yaml");
        std::fs::write(&path, config).unwrap();
        let (file, image, digest) = (path.display(), self.image(), &self.digest);
        let command =
            format!("render {split} -f {file} --image {image} --digest {digest} {arguments}");
        self.chain.sluice.run(&command).good().out
    }

    /// Waits until `sluice status` of namespace a says all of this; Prometheus must have scraped it
    /// first.
    pub async fn wait_for_status(&self, texts: &[&str]) -> Said {
        let command = format!("status -n a --prometheus {}", prometheus::URL);
        until(&format!("{texts:?}"), async || {
            let said = self.sluice(&command).await;
            let is_said = texts.iter().all(|text| said.out.contains(text));
            is_said.then(|| said.clone()).ok_or(said.out)
        })
        .await
    }

    /// Waits until every caller in a namespace runs the revision that its WasmPlugin wants.
    pub async fn wait_for_convergence(&self, namespace: &str) {
        let wanted = self.wanted_revision(namespace).await;
        for caller in self.callers_of(namespace).0 {
            wait_for_revision(caller, &format!("{namespace}.sluice"), wanted).await;
        }
    }

    /// The revision gauge that a namespace's WasmPlugin leads to.
    pub async fn wanted_revision(&self, namespace: &str) -> u64 {
        self.wanted_revision_of("WasmPlugin", namespace, "sluice")
            .await
    }

    /// The revision gauge that a plugin leads to.
    pub async fn wanted_revision_of(&self, kind: &str, namespace: &str, name: &str) -> u64 {
        let kubernetes = &self.chain.kubernetes;
        let plugin = kubernetes.get(kind, namespace, name).await.unwrap();
        let spec = &plugin.data["spec"];
        let config = spec
            .get("pluginConfig")
            .unwrap_or_else(|| &spec["wasm"]["pluginConfig"]);
        Revision::of(config).as_gauge()
    }

    /// One weight of a namespace's WasmPlugin, as the API server has it.
    pub async fn weight(&self, namespace: &str, path: &str) -> Option<f64> {
        let kubernetes = &self.chain.kubernetes;
        let plugin = kubernetes.get("WasmPlugin", namespace, "sluice").await?;
        let weights = &plugin.data["spec"]["pluginConfig"]["weights"];
        weights.pointer(path)?.as_f64()
    }
}

/// Waits until a proxy's filter runs a revision of a plugin.
pub async fn wait_for_revision(proxy: &Proxy, plugin: &str, wanted: u64) {
    proxy
        .wait_for("the wanted revision", async |proxy| {
            match revision(proxy, plugin).await {
                found if found == wanted => Ok(()),
                found => Err(format!("{found} instead of {wanted}")),
            }
        })
        .await;
}

/// The revision of a plugin that a proxy's filter runs; 0 when it never ran one. A plugin that is
/// gone leaves its gauge.
pub async fn revision(proxy: &Proxy, plugin: &str) -> u64 {
    let stats = "/stats/prometheus?filter=sluice_config_revision";
    let samples = parse(&proxy.admin(stats).await).into_iter();
    let revision = "sluice_config_revision";
    let of_plugin = samples.filter(|sample| {
        let name = sample.label("sluice_plugin");
        sample.name == revision && name.split('~').next() == Some(plugin)
    });
    of_plugin
        .map(|sample| sample.value as u64)
        .max()
        .unwrap_or(0)
}

async fn push(chain: &Chain) -> String {
    let module = chain.tools.module.display();
    let push = format!("push {module} oci://{}/sluice:e2e", registry::ADDRESS);
    let said = chain.sluice.run_beside(&push).await.good();
    said.out
        .lines()
        .find(|line| line.starts_with("sha256:"))
        .expect("a digest")
        .to_owned()
}
