//! The resources of a split, as one applies them: routes first, the plugin last, so that no request
//! carries a header to a subset that does not exist yet; istiod orders its own pushes, not ours.
//!
//! Pure; called by `sluice render`, which writes them as YAML.

mod names;
pub mod native;
mod plugin;
mod routes;
mod workload;

use serde_json::Value;
use sluice_core::definition::Definition;
use sluice_core::plan::Plan;

use crate::analyze::anonymous::Unserved;
use crate::analyze::claims::asks_for_claims;
use crate::analyze::{self, ProxyKinds, ROOT_NAMESPACE, Surroundings};
use crate::model::input::Input;
use crate::model::plugin::{Kind, Plugin, plugins};
use crate::model::refusal::{Refusal, find_split};
use crate::model::service::ServiceRef;
pub use workload::Followed;

/// How requests reach a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// VirtualService to the subsets of one service, by this label.
    Subsets,
    /// VirtualService to a service of its own for each variant, `<service>-<variant>`.
    Services,
    /// HTTPRoute to the same; it knows no subsets.
    HttpRoute,
}

/// What one wants rendered.
#[derive(Clone, Debug)]
pub struct Request {
    /// The split whose routes are rendered.
    pub split: String,
    /// The module's image, `oci://…`.
    pub image: String,
    /// Its digest: 64 hex digits, with or without `sha256:`.
    pub digest: String,
    /// What is routed to.
    pub service: ServiceRef,
    /// The service's port; needed by HTTPRoute.
    pub port: Option<u16>,
    /// The label that tells the variants' pods apart.
    pub subset_label: String,
    /// Where requests come in, `NAMESPACE/NAME`; none: from callers in the mesh.
    pub gateway: Option<String>,
    /// How requests reach a variant.
    pub routing: Routing,
    /// Which kind the plugin becomes.
    pub kind: Kind,
    /// The plugin's name; none: `sluice`, or for a gateway `sluice-GATEWAY`.
    pub name: Option<String>,
    /// The plugin's namespace, that of the proxies; none: the gateway's, or the service's.
    pub namespace: Option<String>,
    /// Labels of the proxies; none: every proxy of the namespace.
    pub selector: Vec<(String, String)>,
    /// The Deployment, in the service's namespace, that a Rollout of the split is to follow.
    pub workload: Option<String>,
    /// Of which percentage of the fallback's requests the challenger gets a copy, 0 to 100.
    pub mirror: f64,
}

/// The documents to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Those that Envoy must know for some seconds before the others, where the service has traffic
    /// already.
    pub subsets: Option<Value>,
    /// The others, in order.
    pub documents: Vec<Value>,
    /// What makes a Rollout follow a Deployment, if one was named.
    pub followed: Option<Followed>,
    /// Whether the configuration had weights or draws, which belong to `sluice set` and not in Git.
    pub left_weights_out: bool,
    /// Why the split moves nobody as it is rendered, if it does not.
    pub unserved: Option<Unserved>,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The configuration has problems.
    #[error("{plugin}: nothing was rendered\n{}", .problems.join("\n"))]
    Problems {
        /// Where it came from.
        plugin: String,
        /// Each of them.
        problems: Vec<String>,
    },
    /// There is no such split.
    #[error(transparent)]
    NoSplit(#[from] Refusal),
    /// The digest is none.
    #[error("--digest {0:?}: accepted: sha256: and 64 hex digits, as `sluice push` prints it")]
    Digest(String),
    /// The image is in no registry.
    #[error("--image {0:?}: accepted: oci://HOST/REPOSITORY:TAG, as `sluice push` prints it")]
    Image(String),
    /// The gateway has no namespace.
    #[error("--gateway {0:?}: accepted: NAMESPACE/NAME")]
    Gateway(String),
    /// A gateway must know which hosts it serves.
    #[error("splits.{0}.hosts: none; accepted with --gateway: the hosts that the gateway serves")]
    NoHosts(String),
    /// Callers in the mesh have no claims.
    #[error("splits.{0} asks for claims, which only gateways know; accepted: --gateway")]
    ClaimsInMesh(String),
    /// An HTTPRoute needs a port.
    #[error("--gateway-api: an HTTPRoute names its backends' port; accepted: --port N")]
    NoPort,
    /// A Rollout moves one challenger.
    #[error(
        "splits.{split}.variants: {number}; accepted with --workload: two, a fallback and the challenger that the \
         Deployment's pods are"
    )]
    NotTwoVariants {
        /// The split.
        split: String,
        /// How many it has.
        number: usize,
    },
    /// Copies of requests go to one challenger.
    #[error(
        "splits.{split}.variants: {number}; accepted with --mirror: two, a fallback and the challenger that gets the copies"
    )]
    NotOneToMirror {
        /// The split.
        split: String,
        /// How many it has.
        number: usize,
    },
    /// A Rollout, its plugin and its Deployment are in one namespace.
    #[error(
        "--workload {deployment:?}: the plugin is in namespace {plugin}, the Deployment in {service}; accepted: both in \
         one, as a Rollout needs them"
    )]
    Apart {
        /// The Deployment.
        deployment: String,
        /// The plugin's namespace.
        plugin: String,
        /// The service's namespace.
        service: String,
    },
    /// A Deployment has another name.
    #[error("--workload {0:?}: accepted: the name of a Deployment")]
    Deployment(String),
    /// A value has no counterpart in JSON.
    #[error("the resources cannot be written")]
    Unwritable(#[from] serde_json::Error),
}

/// A gateway by its name.
struct Gateway<'r> {
    namespace: &'r str,
    name: &'r str,
}

/// A request that can be fulfilled.
struct Rendering<'r> {
    request: &'r Request,
    split: &'r Definition,
    /// Whether any split of the configuration asks for claims.
    asks_for_claims: bool,
    /// The split's hosts, as the configuration has them.
    hosts: Vec<String>,
    /// 64 hex digits.
    sha256: &'r str,
    gateway: Option<Gateway<'r>>,
}

/// The resources of a split of a plugin, of which `plan` is the plan.
///
/// # Errors
/// What is wrong with the configuration, or with the request for it.
pub fn render(plugin: &Plugin, plan: &Plan, request: &Request) -> Result<Rendered, RenderError> {
    let rendering = Rendering::of(plugin, plan, request)?;
    let (config, left_weights_out) = without_weights(&plugin.config);
    let routes = match request.routing {
        Routing::HttpRoute => rendering.http_route().to_document()?,
        _ => rendering.virtual_service().to_document()?,
    };
    let subsets = match request.routing {
        Routing::Subsets => Some(rendering.destination_rule().to_document()?),
        _ => None,
    };
    let documents = vec![routes, rendering.plugin(config)?];
    Ok(Rendered {
        unserved: unserved(&request.split, &documents),
        subsets,
        documents,
        followed: rendering.followed(),
        left_weights_out,
    })
}

/// Judges what is rendered as `validate` would judge its file.
fn unserved(split: &str, documents: &[Value]) -> Option<Unserved> {
    let input = |value: &Value| Input {
        source: "the rendered resources".to_owned(),
        value: value.clone(),
    };
    let documents: Vec<Input> = documents.iter().map(input).collect();
    let surroundings = Surroundings {
        documents: &documents,
        proxies: &ProxyKinds::new(),
        root_namespace: ROOT_NAMESPACE,
    };
    let plugins = plugins(documents.clone()).ok()?;
    let unserved = analyze::unserved(&plugins, &surroundings);
    unserved
        .into_iter()
        .find(|unserved| unserved.split == split)
}

/// In Git, weights and draws would undo an abort.
fn without_weights(config: &Value) -> (Value, bool) {
    let mut config = config.clone();
    let fields = config.as_object_mut();
    let had_any = fields.is_some_and(|fields| {
        let [weights, draws] = ["weights", "draws"].map(|field| fields.remove(field));
        weights.is_some() || draws.is_some()
    });
    (config, had_any)
}

impl<'r> Rendering<'r> {
    fn of(plugin: &Plugin, plan: &'r Plan, request: &'r Request) -> Result<Self, RenderError> {
        if !plan.problems().is_empty() {
            return Err(RenderError::Problems {
                plugin: plugin.source.clone(),
                problems: plan.problems().iter().map(ToString::to_string).collect(),
            });
        }
        let split = &find_split(plan, &request.split)?.definition;
        let sha256 = sha256(&request.digest)?;
        if !request.image.starts_with("oci://") {
            return Err(RenderError::Image(request.image.clone()));
        }
        let rendering = Self {
            request,
            split,
            asks_for_claims: plan
                .splits()
                .iter()
                .any(|split| asks_for_claims(&split.definition)),
            hosts: hosts(plugin, &request.split),
            sha256,
            gateway: request.gateway.as_deref().map(gateway).transpose()?,
        };
        rendering.check()?;
        Ok(rendering)
    }

    /// Whether what is asked for goes together.
    fn check(&self) -> Result<(), RenderError> {
        let name = || self.request.split.clone();
        if self.gateway.is_some() && self.hosts.is_empty() {
            return Err(RenderError::NoHosts(name()));
        }
        if self.gateway.is_none() && asks_for_claims(self.split) {
            return Err(RenderError::ClaimsInMesh(name()));
        }
        if self.request.routing == Routing::HttpRoute && self.request.port.is_none() {
            return Err(RenderError::NoPort);
        }
        if self.request.mirror > 0.0 && self.split.variants.len() != 2 {
            return Err(RenderError::NotOneToMirror {
                split: name(),
                number: self.split.variants.len(),
            });
        }
        match &self.request.workload {
            Some(deployment) => self.check_workload(deployment),
            None => Ok(()),
        }
    }
}

/// A split's hosts as the configuration has them, also those with a wildcard.
fn hosts(plugin: &Plugin, split: &str) -> Vec<String> {
    let split = plugin
        .config
        .get("splits")
        .and_then(|splits| splits.get(split));
    let hosts = split.and_then(|split| split.get("hosts")?.as_array());
    let hosts = hosts.into_iter().flatten().filter_map(Value::as_str);
    hosts.map(str::to_owned).collect()
}

fn sha256(digest: &str) -> Result<&str, RenderError> {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.len() == 64 && hex.bytes().all(is_hex) {
        Ok(hex)
    } else {
        Err(RenderError::Digest(digest.to_owned()))
    }
}

fn gateway(named: &str) -> Result<Gateway<'_>, RenderError> {
    match named.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(Gateway { namespace, name })
        }
        _ => Err(RenderError::Gateway(named.to_owned())),
    }
}

#[cfg(test)]
mod tests;
