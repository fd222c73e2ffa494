//! What lies around plugins, read once for all of them: routes by the header that they match, the
//! Gateways of both kinds, and the kinds of the pods that the plugins select.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::plan::NodeKind;

use super::findings::{Findings, Planned, resources};
use super::routes::{http_route, virtual_service};
use crate::model::input::Input;
use crate::model::resources::plugin::Scope;
use crate::model::resources::{Resource, gateway, istio};

/// The kinds of the proxies that plugins select, by the plugins' sources; what is not known is not
/// there.
pub type ProxyKinds = BTreeMap<String, Vec<NodeKind>>;

/// What is known of what lies around plugins.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The documents that plugins, routes, subsets and Gateways stand in.
    pub documents: &'a [Input],
    /// The kinds of the proxies that plugins select, as far as a cluster tells.
    pub proxies: &'a ProxyKinds,
    /// Istio's: a plugin in it runs in every namespace.
    pub root_namespace: &'a str,
}

/// The same, read.
pub(super) struct Around<'d> {
    /// Routes by the header that they match, in lower case.
    pub(super) routed: BTreeMap<String, Vec<Routed>>,
    /// The Gateways of Istio.
    pub(super) classic_gateways: Vec<Resource<istio::Gateway>>,
    /// The Gateways of the Gateway API.
    pub(super) gateways: Vec<Resource<gateway::Gateway>>,
    /// The HTTPRoutes.
    pub(super) http_routes: Vec<Resource<gateway::HttpRoute>>,
    pub(super) proxies: &'d ProxyKinds,
    /// A plugin in it runs in every namespace.
    pub(super) root_namespace: &'d str,
}

/// A route that matches a header.
pub(super) struct Routed {
    pub(super) title: String,
    /// Whether it is one for callers in the mesh.
    pub(super) is_for_mesh: bool,
    /// The namespaces of the gateways at which it applies.
    pub(super) gateway_namespaces: BTreeSet<String>,
}

impl<'d> Around<'d> {
    /// Says which Gateway has a field of another type; of the routes, the check of the routes does.
    pub(super) fn read(surroundings: &Surroundings<'d>, findings: &mut Findings) -> Self {
        let documents = surroundings.documents;
        let silent = &mut Findings::default();
        let services: Vec<Resource<istio::VirtualService>> = resources(documents, silent);
        let http_routes: Vec<Resource<gateway::HttpRoute>> = resources(documents, silent);
        let mut routed: BTreeMap<String, Vec<Routed>> = BTreeMap::new();
        let mut add = |headers: BTreeSet<String>, route: &dyn Fn() -> Routed| {
            for header in headers {
                routed.entry(header).or_default().push(route());
            }
        };
        for service in &services {
            add(virtual_service::headers(service).collect(), &|| {
                of_service(service)
            });
        }
        for route in &http_routes {
            add(http_route::headers(route).collect(), &|| of_route(route));
        }
        Self {
            routed,
            classic_gateways: resources(documents, findings),
            gateways: resources(documents, findings),
            http_routes,
            proxies: surroundings.proxies,
            root_namespace: surroundings.root_namespace,
        }
    }

    /// The HTTPRoutes that match a header, which is in lower case.
    pub(super) fn http_routes_by(
        &self,
        header: &str,
    ) -> impl Iterator<Item = &Resource<gateway::HttpRoute>> {
        let routes = self.http_routes.iter();
        routes.filter(move |route| http_route::headers(route).any(|theirs| theirs == header))
    }

    /// Whether a plugin runs on pods that serve a Gateway of Istio's. Those may lie in another
    /// namespace than the Gateway; then only labels that both name tell.
    pub(super) fn is_served_by(
        &self,
        plugin: &Planned<'_>,
        scope: &Scope,
        gateway: &Resource<istio::Gateway>,
    ) -> bool {
        let selector = &gateway.spec.selector;
        let labels = scope.labels();
        let is_same = |(label, value): (&&str, &&str)| {
            selector.get(*label).map(String::as_str) == Some(*value)
        };
        let contradicts = |(label, value): (&&str, &&str)| {
            selector.get(*label).is_some_and(|theirs| theirs != value)
        };
        let own = plugin.plugin.namespace.as_deref();
        let is_near =
            own.is_none_or(|own| own == gateway.namespace() || own == self.root_namespace);
        let targets_others = !scope.targets().is_empty();
        !targets_others
            && !labels.iter().any(contradicts)
            && (is_near || labels.iter().any(is_same))
    }
}

fn of_service(service: &Resource<istio::VirtualService>) -> Routed {
    let gateways = &service.spec.gateways;
    let named = gateways.iter().filter(|gateway| *gateway != "mesh");
    let namespace = |gateway: &String| match gateway.split_once('/') {
        Some((namespace, _)) => namespace.to_owned(),
        None => service.namespace().to_owned(),
    };
    Routed {
        title: service.title(),
        is_for_mesh: gateways.is_empty() || gateways.iter().any(|gateway| gateway == "mesh"),
        gateway_namespaces: named.map(namespace).collect(),
    }
}

fn of_route(route: &Resource<gateway::HttpRoute>) -> Routed {
    let parents = &route.spec.parent_refs;
    let gateways = parents.iter().filter(|parent| parent.is_gateway());
    let namespace = |parent: &gateway::ParentRef| {
        let own = || route.namespace().to_owned();
        parent.namespace.clone().unwrap_or_else(own)
    };
    Routed {
        title: route.title(),
        is_for_mesh: parents.iter().any(|parent| !parent.is_gateway()),
        gateway_namespaces: gateways.map(namespace).collect(),
    }
}
