//! The EnvoyFilter that has a plugin's proxies run the native module instead of the wasm one.
//!
//! It replaces the plugin's filter where istiod has put it, so place, phase, direction and selection
//! stay the plugin's, and where the plugin does not apply nothing happens. The module's
//! configuration comes by an extension configuration of its own for each kind of proxy, so that
//! another weight changes no listener.
//!
//! Pure. Names and patches are those of Istio 1.31 and newer.

use serde_json::{Value, json};
use sluice_core::config::MAX_DOCUMENT_BYTES;
use sluice_core::plan::{Node, Plan};

use super::annotations::Library;
use super::refusal::{MAX_ENVOY_FILTER_BYTES, MAX_NATIVE_CLAIMS, NativeError};
use super::{discovery, module_filter, state_filter};
use crate::model::document;
use crate::model::plugin::Kind;
use crate::model::resources::plugin::Scope;

/// The label of pods that take part: their proxies must see the module's file.
pub const POD_LABEL: &str = "sluice.dev/native";

/// The label of what is written, so that it is found again and nobody else's is touched.
pub const FIELD: (&str, &str) = ("app.kubernetes.io/managed-by", "sluice");

/// What the EnvoyFilter of a plugin is called.
pub fn mirror_name(plugin: &str) -> String {
    format!("{plugin}-native")
}

/// A plugin that is to be native.
#[derive(Clone, Debug)]
pub struct NativePlugin<'a> {
    /// Its kind; a bare configuration is none.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Where it runs.
    pub scope: Scope,
    /// Its configuration, with weights.
    pub config: &'a Value,
    /// What `sluice refetch` wrote on it last: another value makes proxies try again.
    pub pushed: Option<&'a str>,
}

/// The kinds of proxies, each of which has a configuration of its own: the module is told by its
/// name where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxies {
    Sidecar,
    Gateway,
    Waypoint,
}

impl Proxies {
    const ALL: [Self; 3] = [Self::Sidecar, Self::Gateway, Self::Waypoint];

    const fn word(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Gateway => "gateway",
            Self::Waypoint => "waypoint",
        }
    }
}

/// Istio's contexts, each with its kind of proxies.
const CONTEXTS: [(&str, Proxies, Side); 4] = [
    ("SIDECAR_OUTBOUND", Proxies::Sidecar, Side::Client),
    ("SIDECAR_INBOUND", Proxies::Sidecar, Side::Server),
    ("GATEWAY", Proxies::Gateway, Side::Client),
    ("WAYPOINT", Proxies::Waypoint, Side::Server),
];

/// For which traffic a context's filters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl<'a> NativePlugin<'a> {
    /// `shop.sluice`: how the module calls it.
    fn plugin(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    /// What istiod calls the plugin's filter.
    fn filter(&self) -> String {
        let translated = match self.kind {
            Kind::TrafficExtension => "",
            Kind::WasmPlugin | Kind::Bare => "~istio-translated-wasmplugin",
        };
        format!(
            "extensions.istio.io/trafficextension/{}{translated}",
            self.plugin()
        )
    }

    /// What the native filter, and its configuration, is called in a kind of proxies.
    fn native(&self, proxies: Proxies) -> String {
        format!("sluice.dev/native/{}~{}", self.plugin(), proxies.word())
    }

    /// Where istiod puts the plugin's filter, as far as the plugin says.
    fn contexts(&self) -> Vec<(&'static str, Proxies)> {
        let targets = self.scope.targets();
        let is_of = |kinds: [&str; 2]| {
            let mut kind = targets.iter().filter_map(|target| target.kind.as_deref());
            kind.any(|kind| kinds.contains(&kind))
        };
        let is_gateways = is_of(["Gateway", "GatewayClass"]);
        let applies = |proxies: Proxies| match proxies {
            _ if targets.is_empty() => proxies != Proxies::Waypoint,
            Proxies::Sidecar => false,
            Proxies::Gateway => is_gateways,
            Proxies::Waypoint => is_gateways || is_of(["Service", "ServiceEntry"]),
        };
        let contexts = CONTEXTS.into_iter();
        let contexts =
            contexts.filter(|(_, proxies, side)| applies(*proxies) && self.is_for(*side));
        contexts
            .map(|(context, proxies, _)| (context, proxies))
            .collect()
    }

    fn is_for(&self, side: Side) -> bool {
        let excluded = match side {
            Side::Client => "SERVER",
            Side::Server => "CLIENT",
        };
        let matches = &self.scope.matches;
        let mut modes = matches.iter().map(|matched| matched.mode.as_deref());
        matches.is_empty() || modes.any(|mode| mode != Some(excluded))
    }

    /// A patch of the HTTP filters, at the place of the plugin's.
    fn patch(&self, context: &str, operation: &str, value: Value) -> Value {
        let filter = json!({
            "name": "envoy.filters.network.http_connection_manager",
            "subFilter": {"name": self.filter()},
        });
        json!({
            "applyTo": "HTTP_FILTER",
            "match": {"context": context, "listener": {"filterChain": {"filter": filter}}},
            "patch": {"operation": operation, "value": value},
        })
    }

    /// The reference to the configuration. While a proxy that starts waits for it, it serves
    /// nothing; what cannot be loaded is no filter at all.
    fn reference(&self, proxies: Proxies) -> Value {
        let source = json!({
            "ads": {}, "initial_fetch_timeout": "2s", "resource_api_version": "V3",
        });
        json!({"name": self.native(proxies), "config_discovery": discovery(source)})
    }

    fn configuration(&self, proxies: Proxies, library: &Library, config: &str) -> Value {
        let name = format!("{}~{}", self.plugin(), proxies.word());
        let filter = match library {
            Library::File(path) => {
                module_filter(json!({"local": {"filename": path}}), &name, config)
            }
            Library::Fetched {
                uri,
                sha256,
                cluster,
            } => {
                let uri = json!({"uri": uri, "cluster": cluster, "timeout": "30s"});
                let source = json!({"remote": {"http_uri": uri, "sha256": sha256}});
                let mut filter = module_filter(source, &name, config);
                // Else only filters of a proxy's own files wait for it.
                filter["dynamic_module_config"]["nack_on_cache_miss"] = json!(true);
                filter
            }
        };
        json!({
            "applyTo": "EXTENSION_CONFIG",
            "patch": {
                "operation": "ADD",
                "value": {"name": self.native(proxies), "typed_config": filter},
            },
        })
    }
}

/// The EnvoyFilter of a plugin.
///
/// # Errors
/// What of the plugin native proxies cannot have.
pub fn envoy_filter(plugin: &NativePlugin<'_>, library: &Library) -> Result<Value, NativeError> {
    let unreadable = |error: &dyn std::fmt::Display| NativeError::Unreadable(error.to_string());
    let read = document::read(plugin.config).map_err(|error| unreadable(&error))?;
    let plan = Plan::build(&read, &Node::default(), None);
    let state = state_filter(&plan);
    let claims = state.as_ref().map_or(0, claims);
    if claims > MAX_NATIVE_CLAIMS {
        return Err(NativeError::TooManyClaims(claims));
    }
    let config = serde_json::to_string(plugin.config).map_err(|error| unreadable(&error))?;
    let mark = plugin.pushed.map(mark).unwrap_or_default();
    // The longest document that proxies read needs no mark to be one.
    let config = match config.len() + mark.len() > MAX_DOCUMENT_BYTES {
        true => config,
        false => config + &mark,
    };
    let contexts = plugin.contexts();
    let mut patches = Vec::new();
    for (context, proxies) in &contexts {
        if let Some(config) = &state {
            let name = format!("sluice.dev/noted/{}", plugin.plugin());
            let filter = json!({"name": name, "typed_config": config});
            patches.push(plugin.patch(context, "INSERT_BEFORE", filter));
        }
        patches.push(plugin.patch(context, "REPLACE", plugin.reference(*proxies)));
    }
    let is_there = |proxies: &Proxies| contexts.iter().any(|(_, other)| other == proxies);
    let kinds = Proxies::ALL.into_iter().filter(is_there);
    patches.extend(kinds.map(|proxies| plugin.configuration(proxies, library, &config)));
    let mut spec = json!({"configPatches": patches});
    if plugin.scope.targets().is_empty() {
        spec["workloadSelector"] = json!({"labels": {POD_LABEL: "true"}});
    } else {
        spec["targetRefs"] = json!(plugin.scope.targets());
    }
    let filter = json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": {
            "name": mirror_name(plugin.name), "namespace": plugin.namespace,
            "labels": {FIELD.0: FIELD.1},
        },
        "spec": spec,
    });
    match filter.to_string().len() {
        length if length > MAX_ENVOY_FILTER_BYTES => Err(NativeError::TooLong(length)),
        _ => Ok(filter),
    }
}

/// White space behind a configuration, which no reader of JSON sees. Envoy passes over a
/// configuration that it was given before, also where it could not take it: of a module that was
/// not there yet, it must be given another one.
fn mark(pushed: &str) -> String {
    // FNV-1a of 32 bits, folded to 16 as its authors do it.
    let hash = pushed.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let hash = hash >> 16 ^ hash;
    let bits = (0..16).map(|bit| hash >> bit & 1);
    bits.map(|bit| if bit == 1 { '\t' } else { ' ' }).collect()
}

fn claims(state: &Value) -> usize {
    let values = state["on_request_headers"].as_array().into_iter().flatten();
    let keys = values.filter_map(|value| value["object_key"].as_str());
    keys.filter(|key| key.starts_with("sluice.claim.")).count()
}

#[cfg(test)]
mod tests;
