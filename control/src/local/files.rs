//! The files that a local Envoy reads: bootstrap, routes and the plugin, each replaced by a rename
//! that Envoy sees.
//!
//! Routes by RDS and the plugin by ECDS from the filesystem: a change reaches Envoy without a
//! restart and without a connection lost, as istiod's push does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};

use super::adapter::{Adapter, extension};
use super::upstream::Upstream;
use crate::files::replace;
use crate::model::native;

/// The labels of the filter's metrics, as Istio's extraStatTags would name them.
const LABELS: [&str; 7] = [
    "sluice_split",
    "sluice_audience",
    "sluice_variant",
    "sluice_source",
    "sluice_class",
    "sluice_plugin",
    "sluice_word",
];

/// The plugin's name in a local Envoy: what `plugin_name` and the label `sluice_plugin` show.
pub const PLUGIN: &str = "dev.sluice";

/// The filter before a native module.
const STATE: &str = "sluice-state";

/// What a local Envoy is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its node id: Istio's begin with `sidecar~`, `router~` or `waypoint~`.
    pub node_id: String,
    /// Its namespace, in the node's metadata.
    pub namespace: Option<String>,
    /// Where requests go.
    pub upstreams: Vec<Upstream>,
    /// HTTP filters before the plugin, such as a JWT filter.
    pub filters_before: Vec<Value>,
    /// Clusters beside those of the upstreams.
    pub clusters: Vec<Value>,
    /// How many proxies before this one are trusted to name the client in X-Forwarded-For.
    pub trusted_hops: u32,
    /// What decides.
    pub adapter: Adapter,
}

/// The folder with Envoy's files.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
    settings: Settings,
}

impl Files {
    /// The files of a new Envoy in `folder`; writes its bootstrap. Routes and plugin must follow
    /// before it starts.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn new(folder: &Path, settings: Settings) -> anyhow::Result<Self> {
        let files = Self {
            folder: folder.to_owned(),
            settings,
        };
        write(&files.bootstrap_path(), &files.bootstrap())?;
        Ok(files)
    }

    /// The bootstrap's path.
    pub fn bootstrap_path(&self) -> PathBuf {
        self.folder.join("bootstrap.json")
    }

    /// Delivers routes for the splits of a plan.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn deliver_routes(&self, plan: &Plan) -> anyhow::Result<()> {
        let routes = json!({
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": "sluice",
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": self.routes(plan)}],
        });
        write(
            &self.folder.join("rds.json"),
            &json!({"resources": [routes]}),
        )
    }

    /// Delivers a plugin configuration: any bytes, as istiod would.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn deliver_plugin(&self, configuration: &str) -> anyhow::Result<()> {
        self.deliver_plugin_to(&self.settings.adapter, configuration)
    }

    /// The same to another file of the adapter, as an upgrade does.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn deliver_plugin_to(&self, adapter: &Adapter, configuration: &str) -> anyhow::Result<()> {
        // First, so that nobody is decided without a claim that the new configuration names.
        if adapter.needs_state() {
            self.deliver_state(configuration)?;
        }
        let file = adapter.extension("sluice", PLUGIN, configuration);
        write(&self.folder.join("ecds.json"), &file)
    }

    /// Delivers the filter before a native module. Of a configuration that cannot be read, the last
    /// good one stays, and so does this filter.
    fn deliver_state(&self, configuration: &str) -> anyhow::Result<()> {
        let path = self.folder.join("ecds-state.json");
        let former = std::fs::read_to_string(&path).ok();
        let filter = match Document::read(configuration.as_bytes()) {
            Ok(document) => {
                let plan = Plan::build(&document, &Node::default(), None);
                native::state_filter(&plan).unwrap_or_else(native::no_filter)
            }
            Err(_) if former.is_some() => return Ok(()),
            Err(_) => native::no_filter(),
        };
        let resource = extension(STATE, &filter);
        match former == Some(resource.to_string()) {
            true => Ok(()),
            false => write(&path, &resource),
        }
    }

    /// The challengers' routes by their header, each split's fallback, and the default.
    fn routes(&self, plan: &Plan) -> Vec<Value> {
        let mut routes = Vec::new();
        let served = self
            .settings
            .upstreams
            .iter()
            .filter_map(|upstream| Some((upstream, upstream.serves.as_ref()?)));
        for (upstream, (split, variant)) in served {
            let Some(split) = plan.split_named(split) else {
                continue;
            };
            let header =
                json!({"name": *split.definition.header, "string_match": {"exact": variant}});
            routes.push(json!({"match": {"prefix": "/", "headers": [header]}, "route": {"cluster": upstream.cluster(), "timeout": "0s"}}));
        }
        let has_default = self
            .settings
            .upstreams
            .iter()
            .any(|upstream| upstream.serves.is_none());
        routes.push(if has_default {
            json!({"match": {"prefix": "/"}, "route": {"cluster": "default", "timeout": "0s"}})
        } else {
            let text = "sluice dev: no split with an upstream applies to this request\n";
            json!({"match": {"prefix": "/"}, "direct_response": {"status": 404, "body": {"inline_string": text}}})
        });
        routes
    }

    fn bootstrap(&self) -> Value {
        let settings = &self.settings;
        let namespace = settings
            .namespace
            .as_ref()
            .map(|namespace| json!({"NAMESPACE": namespace}))
            .unwrap_or(json!({}));
        let clusters = settings.upstreams.iter().map(cluster);
        let clusters = clusters.chain(settings.clusters.iter().cloned());
        let tag =
            |label: &&str| json!({"tag_name": label, "regex": format!(r"({label}=\.=(.*?);\.;)")});
        json!({
            "node": {"id": settings.node_id, "cluster": "sluice", "metadata": namespace},
            "admin": {"address": socket(([127, 0, 0, 1], 0).into())},
            // The native module's metrics then have the names of the WebAssembly module's.
            "layered_runtime": {"layers": [{"name": "sluice", "static_layer": {native::STRIPS_PREFIX: true}}]},
            "stats_config": {"stats_tags": LABELS.iter().map(tag).collect::<Vec<_>>()},
            "static_resources": {
                "listeners": [self.listener()],
                "clusters": clusters.collect::<Vec<_>>(),
            },
        })
    }

    fn listener(&self) -> Value {
        let settings = &self.settings;
        let from_file = |name: &str| json!({"path_config_source": {"path": self.folder.join(name)}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let mut filters = settings.filters_before.clone();
        let adapter = &settings.adapter;
        if adapter.needs_state() {
            let discovery = native::discovery(from_file("ecds-state.json"));
            filters.push(json!({"name": STATE, "config_discovery": discovery}));
        }
        let discovery = adapter.discovery(from_file("ecds.json"));
        filters.push(json!({"name": "sluice", "config_discovery": discovery}));
        filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }));
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "sluice",
            "use_remote_address": true,
            "xff_num_trusted_hops": settings.trusted_hops,
            // Envoy's default is 60 KiB; gateways that allow more must be survived too.
            "max_request_headers_kb": 96,
            "common_http_protocol_options": {"max_headers_count": 1000},
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "http_filters": filters,
            "rds": {"route_config_name": "sluice", "config_source": from_file("rds.json")},
        });
        json!({
            "name": "sluice",
            "address": socket(settings.listen),
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
        })
    }
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// Speaks to the upstream what the client speaks: HTTP/2 for HTTP/2, as gRPC needs.
fn cluster(upstream: &Upstream) -> Value {
    let protocols = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
    });
    let endpoint = json!({"endpoint": {"address": socket(upstream.address)}});
    json!({
        "name": upstream.cluster(),
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocols},
        // The defaults (1,024 requests at once) would answer 503 to a load test.
        "circuit_breakers": {"thresholds": [{"max_connections": 65_536, "max_pending_requests": 65_536, "max_requests": 65_536}]},
        "load_assignment": {"cluster_name": upstream.cluster(), "endpoints": [{"lb_endpoints": [endpoint]}]},
    })
}

fn write(path: &Path, value: &Value) -> anyhow::Result<()> {
    let json = serde_json::to_string(value)?;
    replace(path, json.as_bytes()).context("Envoy's configuration")
}
