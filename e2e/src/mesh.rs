//! One Envoy with one of the modules, its upstreams, and what its metrics say.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::local::Upstream as Target;
use sluice::local::adapter::Adapter as Found;
use sluice::local::files::{Files, Settings};
use sluice::local::metrics::{Sample, sum};
use sluice::local::process::{Envoy, find_envoy};
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};
use sluice_core::revision::{Revision, canonical};

use crate::adapter::Adapter;
use crate::client::{Answer, Connection, get};
use crate::upstream::Upstream;

/// The plugin of [`Mesh::configure`].
const PLUGIN: (&str, &str) = ("sluice_plugin", sluice::local::files::PLUGIN);

/// How an Envoy is to be; the defaults are those of `sluice dev`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which adapter decides.
    pub adapter: Adapter,
    /// Its file, in place of the one that is tested.
    pub file: Option<PathBuf>,
    /// Its node id.
    pub node_id: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its workers.
    pub workers: u32,
    /// HTTP filters before the plugin.
    pub filters_before: Vec<Value>,
    /// Clusters beside those of the upstreams.
    pub clusters: Vec<Value>,
    /// Trusted proxies before it.
    pub trusted_hops: u32,
    /// A route configuration in place of the one by the splits' headers. Its cluster is `default`.
    pub routes: Option<Value>,
}

impl Default for Options {
    fn default() -> Self {
        Self::on(Adapter::Wasm)
    }
}

impl Options {
    /// The defaults, with an adapter.
    pub fn on(adapter: Adapter) -> Self {
        Self {
            adapter,
            file: None,
            node_id: "test".to_owned(),
            namespace: None,
            workers: 1,
            filters_before: Vec::new(),
            clusters: Vec::new(),
            trusted_hops: 0,
            routes: None,
        }
    }
}

/// A Lua filter that puts `x-test-claims: name=value,…` where Istio's JWT filter would put verified
/// claims.
pub fn claims_from_header() -> Value {
    let code = r#"
        function envoy_on_request(handle)
          local claims = handle:headers():get("x-test-claims")
          if claims == nil then return end
          local payload = {}
          for name, value in string.gmatch(claims, "([^=,]+)=([^,]*)") do payload[name] = value end
          handle:streamInfo():dynamicMetadata():set("envoy.filters.http.jwt_authn", "payload", payload)
          handle:headers():remove("x-test-claims")
        end"#;
    json!({
        "name": "claims",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": code}},
    })
}

/// A running Envoy with an upstream for each variant of each split, and one for everything else.
#[derive(Debug)]
pub struct Mesh {
    envoy: Envoy,
    files: Files,
    adapter: Adapter,
    address: SocketAddr,
    upstreams: Vec<(String, Upstream)>,
    _folder: tempfile::TempDir,
}

impl Mesh {
    /// Starts Envoy with a configuration.
    pub async fn start(config: &Value, options: Options) -> Self {
        Self::start_with(&canonical(config), config, options).await
    }

    /// Starts Envoy with any document, and routes for the splits of `routes`.
    pub async fn start_with(document: &str, routes: &Value, options: Options) -> Self {
        let plan = plan(routes);
        let mut upstreams = vec![("default".to_owned(), Upstream::start("").await)];
        let mut targets = vec![Target {
            serves: None,
            address: upstreams[0].1.address,
        }];
        for split in plan.splits() {
            for variant in split.definition.variants.iter() {
                let upstream = Upstream::start(variant).await;
                let target = Target {
                    serves: Some((split.definition.name.to_string(), variant.to_string())),
                    address: upstream.address,
                };
                upstreams.push((target.cluster(), upstream));
                targets.push(target);
            }
        }
        let folder = tempfile::Builder::new()
            .prefix("sluice-e2e-")
            .tempdir()
            .unwrap();
        let settings = Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            node_id: options.node_id,
            namespace: options.namespace,
            upstreams: targets,
            filters_before: options.filters_before,
            clusters: options.clusters,
            trusted_hops: options.trusted_hops,
            adapter: options.adapter.at(options.file),
        };
        let files = Files::new(folder.path(), settings).unwrap();
        files.deliver_routes(&plan).unwrap();
        if let Some(mut routes) = options.routes {
            let kind = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
            routes["@type"] = json!(kind);
            routes["name"] = json!("sluice");
            let delivered = json!({"resources": [routes]}).to_string();
            std::fs::write(folder.path().join("rds.json"), delivered).unwrap();
        }
        files.deliver_plugin(document).unwrap();
        let envoy = Envoy::start(
            &sluice(),
            &envoy_binary(),
            &files.bootstrap_path(),
            options.workers,
        )
        .await
        .unwrap();
        let address = envoy.admin().listener().await.unwrap();
        Self {
            envoy,
            files,
            adapter: options.adapter,
            address,
            upstreams,
            _folder: folder,
        }
    }

    /// Where Envoy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where Envoy's admin interface listens, whose `/stats/prometheus` Prometheus scrapes.
    pub fn admin(&self) -> SocketAddr {
        self.envoy.admin().address()
    }

    /// Envoy's process id.
    pub fn envoy_id(&self) -> u32 {
        self.envoy.id()
    }

    /// Asks Envoy to end, as Kubernetes does; how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut kill = Command::new("kill");
        let kill = kill.arg(self.envoy.id().to_string()).status();
        assert!(kill.unwrap().success());
        for _ in 0..200 {
            if let Some(status) = self.envoy.ended() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Envoy does not end");
    }

    /// What Envoy logged.
    pub fn log(&self) -> String {
        self.envoy.log()
    }

    /// How many requests an upstream (`split/variant`, `default`) answered.
    pub fn answered(&self, upstream: &str) -> u64 {
        self.upstream(upstream).requests.load(Ordering::Relaxed)
    }

    /// Lets an upstream answer everything with a status.
    pub fn fail(&self, upstream: &str, status: u16) {
        self.upstream(upstream)
            .status
            .store(status, Ordering::Relaxed);
    }

    /// Lets an upstream take its time for every answer.
    pub fn delay(&self, upstream: &str, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).unwrap();
        self.upstream(upstream)
            .delay
            .store(delay, Ordering::Relaxed);
    }

    fn upstream(&self, name: &str) -> &Upstream {
        let mut named = self.upstreams.iter().filter(|(own, _)| own == name);
        &named.next().unwrap().1
    }

    /// A new connection to Envoy.
    pub async fn connect(&self) -> Connection {
        Connection::open(self.address).await.unwrap()
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, path: &str, host: &str, lines: &[&[u8]]) -> Answer {
        self.send(&get(path, host, lines)).await
    }

    /// Any bytes on a connection of their own.
    pub async fn send(&self, bytes: &[u8]) -> Answer {
        self.connect().await.send(bytes).await.expect("an answer")
    }

    /// Delivers a configuration and waits until every worker has it.
    pub async fn configure(&self, config: &Value) {
        let revision = Revision::of(config);
        let before = self.updates().await;
        self.deliver(&canonical(config));
        self.wait_for("the configuration to be in force", async || {
            let samples = self.samples().await;
            self.updates().await > before
                && sum(&samples, "sluice_config_revision", &[PLUGIN]) == revision.as_gauge() as f64
        })
        .await;
    }

    /// Delivers any document, and waits for nothing.
    pub fn deliver(&self, document: &str) {
        self.files.deliver_plugin(document).unwrap();
    }

    /// Delivers a document to another module, as an upgrade does: new VMs, or a library under another
    /// name. `what` differs from the former ones'.
    pub fn replace_module(&self, document: &str, what: &str) {
        let path = self.files.bootstrap_path().with_file_name("ecds.json");
        match self.adapter.found() {
            Found::Wasm(_) => {
                self.files.deliver_plugin(document).unwrap();
                let delivered = std::fs::read(&path).unwrap();
                let mut delivered: Value = serde_json::from_slice(&delivered).unwrap();
                let kind = "type.googleapis.com/google.protobuf.StringValue";
                delivered["resources"][0]["typed_config"]["config"]["vm_config"]["configuration"] =
                    json!({"@type": kind, "value": what});
                sluice::files::replace(&path, delivered.to_string().as_bytes()).unwrap();
            }
            Found::Native(library) => {
                let copy = path.with_file_name(format!("libsluice-{what}.so"));
                std::fs::copy(library, &copy).unwrap();
                self.deliver_to(copy, document);
            }
        }
    }

    /// Delivers a document to the adapter in another file, and waits for nothing.
    pub fn deliver_to(&self, file: PathBuf, document: &str) {
        let adapter = self.adapter.at(Some(file));
        self.files.deliver_plugin_to(&adapter, document).unwrap();
    }

    /// An HTTP filter with the module, for [`Options::filters_before`].
    pub fn plugin(adapter: Adapter, name: &str, config: &Value) -> Value {
        let filter = adapter.found().filter(name, &canonical(config));
        json!({"name": name, "typed_config": filter})
    }

    /// How many plugin configurations Envoy has taken; it counts one when every worker has it.
    pub async fn updates(&self) -> u64 {
        self.discovered("config_reload").await
    }

    /// How many plugin configurations Envoy has refused.
    pub async fn refusals(&self) -> u64 {
        self.discovered("(config_fail|update_rejected)").await
    }

    async fn discovered(&self, counters: &str) -> u64 {
        let filter = format!(r"extension_config_discovery.*\.sluice\.{counters}$");
        let path = format!("/stats?filter={filter}");
        let text = self.envoy.admin().get(&path).await.unwrap();
        text.lines()
            .filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok())
            .sum()
    }

    /// The filter's metrics now.
    pub async fn samples(&self) -> Vec<Sample> {
        self.envoy.admin().samples().await.unwrap()
    }

    /// A counter's or gauge's sum over the samples with these labels.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        sum(&self.samples().await, name, labels)
    }

    /// Waits until a metric has a value; counters are flushed each second.
    pub async fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], expected: f64) {
        let began = Instant::now();
        let mut seen = f64::NAN;
        while began.elapsed() < Duration::from_secs(10) {
            seen = self.metric(name, labels).await;
            if seen == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut samples = self.samples().await;
        samples.retain(|sample| sample.name.starts_with("sluice_"));
        panic!("{name} {labels:?} is {seen}, expected {expected}; all: {samples:#?}");
    }

    /// Waits until something holds, at most 20 s.
    pub async fn wait_for(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !holds().await {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "waited 20 s for {what}; the log:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Envoy's resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.envoy_id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }
}

/// The plan of a configuration, on the default node.
pub fn plan(config: &Value) -> Plan {
    Plan::build(
        &Document::from_value(config.clone()).unwrap(),
        &Node::default(),
        None,
    )
}

/// The `sluice` binary: `SLUICE`, or the one built beside this test.
pub fn sluice() -> PathBuf {
    if let Some(path) = std::env::var_os("SLUICE") {
        return path.into();
    }
    let program = std::env::current_exe().unwrap();
    let found = program
        .ancestors()
        .take(3)
        .map(|folder| folder.join("sluice"))
        .find(|path| path.is_file());
    found.expect("the sluice binary: run `cargo build -p sluice` first, or set SLUICE")
}

/// The Envoy binary: `ENVOY`, or the checkout's.
pub fn envoy_binary() -> PathBuf {
    find_envoy(std::env::var_os("ENVOY").as_deref().map(Path::new)).unwrap()
}
