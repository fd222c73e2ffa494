//! On which kind of proxy a split is decided, as far as a plugin and what lies around it tell: its
//! pods, its targets, labels and match, the hosts of the split, and the routes that match its
//! header.
//!
//! It matters because only gateways issue the anonymous cookie. Nothing is guessed: where nothing
//! tells, there is no answer. Called by the analysis of identities and cookies, and by `explain`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use sluice_core::plan::{NodeKind, Split};

use super::around::Around;
use super::claims::asks_for_claims;
use super::findings::Planned;
use crate::model::resources::gateway::GATEWAY_NAME;
use crate::model::resources::plugin::{Scope, TargetRef};

/// The label that Istio's charts give the pods of its classic gateways, such as
/// `istio: ingressgateway`.
const CLASSIC_GATEWAY: &str = "istio";

/// Istio's class of waypoints.
const WAYPOINT_CLASS: &str = "istio-waypoint";

/// A kind of proxy, and what tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decider {
    /// Which kind decides. Where gateways and others do, gateways.
    pub kind: NodeKind,
    /// What tells it.
    pub evidence: Evidence,
}

/// What tells on which proxies a split is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The split has services and no hosts: only callers in the mesh use their names.
    Services,
    /// The pods that the plugin selects.
    Pods,
    /// The kind of what the plugin targets.
    Target(String),
    /// The plugin runs on the callee's side only.
    Mode,
    /// A label by which it selects pods.
    Label(String),
    /// The Gateway whose pods it selects.
    Gateway(String),
    /// A route that matches the split's header.
    Route(String),
    /// The split asks for claims, behind the check of tokens.
    Claims,
}

impl fmt::Display for Evidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Services => formatter
                .write_str("the split has services and no hosts, which callers in the mesh use"),
            Self::Pods => formatter.write_str("the pods that its plugin selects say so"),
            Self::Target(kind) => write!(formatter, "its plugin targets a {kind}"),
            Self::Mode => formatter.write_str("its plugin has only mode SERVER"),
            Self::Label(label) => {
                write!(formatter, "its plugin selects pods with the label {label}")
            }
            Self::Gateway(title) => write!(formatter, "its plugin selects the pods of {title}"),
            Self::Route(title) => write!(formatter, "{title} routes by its header there"),
            Self::Claims => formatter.write_str("it asks for claims in phase AUTHZ"),
        }
    }
}

/// What people call a kind of proxy, in the singular.
pub const fn kind_name(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Gateway => "gateway",
        NodeKind::Sidecar => "sidecar",
        NodeKind::Waypoint => "waypoint",
    }
}

/// The kind of proxy that decides a split; `None` where nothing tells.
pub(super) fn decider(plugin: &Planned<'_>, split: &Split, around: &Around<'_>) -> Option<Decider> {
    let scope = plugin.spec.as_ref().map(|spec| &spec.scope);
    let found = |(kind, evidence)| Decider { kind, evidence };
    let by_scope = |judge: fn(&Scope, &Around<'_>) -> Option<(NodeKind, Evidence)>| {
        scope.and_then(|scope| judge(scope, around))
    };
    by_scope(service_target)
        .or_else(|| services(plugin, split))
        .or_else(|| pods(plugin, around))
        .or_else(|| by_scope(gateway_target))
        .or_else(|| by_scope(mode))
        .or_else(|| by_scope(label))
        .or_else(|| gateway(plugin, scope?, around))
        .or_else(|| route(plugin, split, around))
        .or_else(|| claims(scope?, split))
        .map(found)
}

fn service_target(scope: &Scope, _: &Around<'_>) -> Option<(NodeKind, Evidence)> {
    let kind = targeted(scope, &["Service", "ServiceEntry"])?
        .kind
        .clone()?;
    Some((NodeKind::Waypoint, Evidence::Target(kind)))
}

fn gateway_target(scope: &Scope, around: &Around<'_>) -> Option<(NodeKind, Evidence)> {
    let target = targeted(scope, &["Gateway", "GatewayClass"])?;
    let (kind, name) = (
        target.kind.clone()?,
        target.name.as_deref().unwrap_or_default(),
    );
    let is_waypoint = match kind.as_str() {
        "GatewayClass" => name == WAYPOINT_CLASS,
        _ => around.gateways.iter().any(|gateway| {
            gateway.metadata.name.as_deref() == Some(name)
                && gateway.spec.gateway_class_name == WAYPOINT_CLASS
        }),
    };
    let node = if is_waypoint {
        NodeKind::Waypoint
    } else {
        NodeKind::Gateway
    };
    Some((node, Evidence::Target(kind)))
}

fn targeted<'s>(scope: &'s Scope, kinds: &[&str]) -> Option<&'s TargetRef> {
    let mut targets = scope.targets().into_iter();
    targets.find(|target| {
        target
            .kind
            .as_deref()
            .is_some_and(|kind| kinds.contains(&kind))
    })
}

/// A gateway is called by the hosts of its clients, never by a service's own names.
fn services(plugin: &Planned<'_>, split: &Split) -> Option<(NodeKind, Evidence)> {
    let split = plugin
        .plugin
        .config
        .get("splits")?
        .get(&*split.definition.name)?;
    let has = |field: &str| {
        let list = split.get(field).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    (has("services") && !has("hosts")).then_some((NodeKind::Sidecar, Evidence::Services))
}

fn pods(plugin: &Planned<'_>, around: &Around<'_>) -> Option<(NodeKind, Evidence)> {
    let kinds = around.proxies.get(&plugin.plugin.source)?;
    let first_of = [NodeKind::Gateway, NodeKind::Sidecar, NodeKind::Waypoint];
    let kind = first_of.into_iter().find(|kind| kinds.contains(kind))?;
    Some((kind, Evidence::Pods))
}

fn mode(scope: &Scope, _: &Around<'_>) -> Option<(NodeKind, Evidence)> {
    let is_server = |mode: Option<&str>| mode == Some("SERVER");
    let modes = || scope.matches.iter().map(|traffic| traffic.mode.as_deref());
    let is_only = !scope.matches.is_empty() && modes().all(is_server);
    is_only.then_some((NodeKind::Sidecar, Evidence::Mode))
}

fn label(scope: &Scope, _: &Around<'_>) -> Option<(NodeKind, Evidence)> {
    let labels = scope.labels();
    let known = |name: &str| labels.get(name).map(|value| format!("{name}={value}"));
    let label = known(CLASSIC_GATEWAY).or_else(|| known(GATEWAY_NAME))?;
    Some((NodeKind::Gateway, Evidence::Label(label)))
}

fn gateway(
    plugin: &Planned<'_>,
    scope: &Scope,
    around: &Around<'_>,
) -> Option<(NodeKind, Evidence)> {
    let mut classic = around.classic_gateways.iter();
    let found = classic.find(|gateway| {
        !scope.labels().is_empty() && around.is_served_by(plugin, scope, gateway)
    })?;
    Some((NodeKind::Gateway, Evidence::Gateway(found.title())))
}

/// The routes that match the split's header: at gateways of the plugin's namespace, or for callers
/// in the mesh. Gateways elsewhere tell nothing: their pods may be anywhere.
fn route(plugin: &Planned<'_>, split: &Split, around: &Around<'_>) -> Option<(NodeKind, Evidence)> {
    let routes = around.routed.get(&*split.definition.header)?;
    let here = |namespace: &String| {
        plugin
            .plugin
            .namespace
            .as_ref()
            .is_none_or(|own| own == namespace || own == around.root_namespace)
    };
    let at_gateway = routes
        .iter()
        .find(|route| route.gateway_namespaces.iter().any(here));
    let in_mesh = || routes.iter().find(|route| route.is_for_mesh);
    let found = at_gateway
        .map(|route| (NodeKind::Gateway, route))
        .or_else(|| Some((NodeKind::Sidecar, in_mesh()?)));
    found.map(|(kind, route)| (kind, Evidence::Route(route.title.clone())))
}

fn claims(scope: &Scope, split: &Split) -> Option<(NodeKind, Evidence)> {
    let is_behind = scope.phase.as_deref() == Some("AUTHZ");
    let asks = is_behind && asks_for_claims(&split.definition);
    asks.then_some((NodeKind::Gateway, Evidence::Claims))
}

/// Whether pods of one selection may be pods of another: no pod has two values of one label.
pub(super) fn are_disjoint(one: &BTreeMap<&str, &str>, other: &BTreeMap<&str, &str>) -> bool {
    one.iter()
        .any(|(label, value)| other.get(label).is_some_and(|theirs| theirs != value))
}
