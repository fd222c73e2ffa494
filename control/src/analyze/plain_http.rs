//! Gateways that take requests of a split's hosts without TLS, where clients drop the anonymous
//! cookie because it is Secure (RFC 6265bis, section 5.7): then every request draws a new user.
//!
//! Behind a balancer that ends TLS this is right, so it is a warning, and an annotation on the
//! Gateway says that there is one.

use sluice_core::config::Anonymous;
use sluice_core::hosts::Hosts;
use sluice_core::plan::{NodeKind, Split};

use super::around::Around;
use super::findings::{Findings, Planned};
use super::proxies::decider;
use crate::model::resources::gateway::{GATEWAY_NAME, Listener};
use crate::model::resources::istio::Server;
use crate::model::resources::plugin::Scope;
use crate::model::resources::{Resource, Spec, gateway, istio};

/// The annotation on a Gateway that silences the warning.
const TLS: &str = "sluice.dev/tls";
/// Its value.
const IN_FRONT: &str = "in-front";

/// The protocols in which requests come without TLS.
const PLAIN: [&str; 3] = ["HTTP", "HTTP2", "GRPC"];

pub(super) fn check(plugins: &[Planned<'_>], around: &Around<'_>, findings: &mut Findings) {
    for plugin in plugins {
        let is_secure = plugin.plan.cookie().attributes.as_deref();
        if !is_secure.is_some_and(|attributes| attributes.contains("; Secure")) {
            continue;
        }
        let Some(spec) = &plugin.spec else { continue };
        let splits = issuing(plugin, around);
        for gateway in around
            .classic_gateways
            .iter()
            .filter(|gateway| is_unmarked(gateway))
        {
            if around.is_served_by(plugin, &spec.scope, gateway) {
                classic(plugin, &splits, gateway, findings);
            }
        }
        for gateway in around
            .gateways
            .iter()
            .filter(|gateway| is_unmarked(gateway))
        {
            if is_of(plugin, &spec.scope, gateway, around.root_namespace) {
                newer(plugin, &splits, gateway, around, findings);
            }
        }
    }
}

/// The splits that a plugin may issue the cookie for.
fn issuing<'p>(plugin: &'p Planned<'_>, around: &Around<'_>) -> Vec<&'p Split> {
    let splits = plugin.plan.splits().iter().filter(|split| {
        let definition = &split.definition;
        definition.anonymous == Anonymous::IssueCookie && !definition.is_broken()
    });
    let at_gateway = |split: &&Split| {
        decider(plugin, split, around).is_none_or(|decider| decider.kind == NodeKind::Gateway)
    };
    splits.filter(at_gateway).collect()
}

fn is_unmarked<S: Spec>(gateway: &Resource<S>) -> bool {
    let annotations = gateway.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(TLS)).map(String::as_str) != Some(IN_FRONT)
}

fn classic(
    plugin: &Planned<'_>,
    splits: &[&Split],
    gateway: &Resource<istio::Gateway>,
    findings: &mut Findings,
) {
    for (index, server) in gateway
        .spec
        .servers
        .iter()
        .enumerate()
        .filter(|(_, server)| is_plain(server))
    {
        let hosts = server
            .hosts
            .iter()
            .map(|host| host.split_once('/').map_or(host.as_str(), |(_, host)| host));
        let hosts: Vec<&str> = hosts.collect();
        let served = served(splits, &hosts);
        let mend = "tls: {httpsRedirect: true}";
        warn(
            plugin,
            &served,
            &gateway.title(),
            &format!("spec.servers[{index}]"),
            mend,
            findings,
        );
    }
}

fn is_plain(server: &Server) -> bool {
    let redirects = server.tls.as_ref().is_some_and(|tls| tls.https_redirect);
    !redirects && is_plain_protocol(&server.port.protocol)
}

fn is_plain_protocol(protocol: &str) -> bool {
    PLAIN
        .iter()
        .any(|plain| protocol.eq_ignore_ascii_case(plain))
}

/// Whether a plugin runs on the pods that Istio makes for a Gateway, which are in its namespace.
fn is_of(
    plugin: &Planned<'_>,
    scope: &Scope,
    gateway: &Resource<gateway::Gateway>,
    root_namespace: &str,
) -> bool {
    let name = gateway.metadata.name.as_deref();
    let is_near = plugin
        .plugin
        .namespace
        .as_deref()
        .is_none_or(|own| own == gateway.namespace() || own == root_namespace);
    let targets = scope.targets();
    let labels = scope.labels();
    let is_meant = if targets.is_empty() {
        labels.is_empty() || labels.get(GATEWAY_NAME).copied() == name
    } else {
        targets.iter().any(|target| {
            target.kind.as_deref() == Some("Gateway") && target.name.as_deref() == name
        })
    };
    is_near && is_meant
}

fn newer(
    plugin: &Planned<'_>,
    splits: &[&Split],
    gateway: &Resource<gateway::Gateway>,
    around: &Around<'_>,
    findings: &mut Findings,
) {
    for (index, listener) in gateway.spec.listeners.iter().enumerate() {
        if !is_plain_protocol(&listener.protocol) {
            continue;
        }
        let hosts: Vec<&str> = listener.hostname.as_deref().into_iter().collect();
        let mut served = served(splits, &hosts);
        served.retain(|split| is_routed(split, gateway, listener, around));
        let mend = "an HTTPRoute there that only redirects";
        warn(
            plugin,
            &served,
            &gateway.title(),
            &format!("spec.listeners[{index}]"),
            mend,
            findings,
        );
    }
}

/// Whether a route that matches the split's header is attached to a listener; also where no such
/// route is known, because then nothing says that the listener only redirects.
fn is_routed(
    split: &Split,
    gateway: &Resource<gateway::Gateway>,
    listener: &Listener,
    around: &Around<'_>,
) -> bool {
    let routes = around.http_routes_by(&split.definition.header);
    let mut parents = routes
        .flat_map(|route| {
            route
                .spec
                .parent_refs
                .iter()
                .map(move |parent| (route, parent))
        })
        .filter(|(route, parent)| {
            let namespace = parent.namespace.as_deref().unwrap_or(route.namespace());
            parent.is_gateway()
                && Some(parent.name.as_str()) == gateway.metadata.name.as_deref()
                && namespace == gateway.namespace()
        })
        .map(|(_, parent)| parent)
        .peekable();
    let is_unknown = parents.peek().is_none();
    is_unknown
        || parents.any(|parent| {
            parent
                .section_name
                .as_ref()
                .is_none_or(|name| *name == listener.name)
                && parent.port.is_none_or(|port| port == listener.port)
        })
}

/// The splits that decide for some host of a port; no hosts are every host.
fn served<'s>(splits: &[&'s Split], hosts: &[&str]) -> Vec<&'s Split> {
    let any = |split: &Split| match &split.definition.hosts {
        Hosts::Every => true,
        Hosts::These(own) => {
            let meets = |host: &&str| own.iter().any(|own| may_meet(&own.to_string(), host));
            !own.is_empty() && (hosts.is_empty() || hosts.iter().any(meets))
        }
    };
    splits.iter().copied().filter(|split| any(split)).collect()
}

/// Whether some host is one of both, of which either may begin with a wildcard.
fn may_meet(one: &str, other: &str) -> bool {
    let below = |name: &str, pattern: &str| match pattern.strip_prefix('*') {
        Some(suffix) => name.trim_start_matches('*').ends_with(suffix),
        None => name == pattern,
    };
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    below(&one, &other) || below(&other, &one)
}

fn warn(
    plugin: &Planned<'_>,
    splits: &[&Split],
    title: &str,
    path: &str,
    mend: &str,
    findings: &mut Findings,
) {
    let Some((first, others)) = splits.split_first() else {
        return;
    };
    let first = &first.definition.name;
    let splits = match others.len() {
        0 => format!("split {first}"),
        more => format!("split {first} and {more} more"),
    };
    findings.warning(
        title,
        format!(
            "{path}: takes requests of {splits} without TLS, and {} issues the cookie {} there, \
             which is Secure: clients drop it, and every request draws a new user. Accepted: \
             {mend}; or cookie: {{name: sluice, secure: false}}; or, where a balancer in front \
             ends TLS, the annotation {TLS}: {IN_FRONT} on the Gateway",
            plugin.title,
            plugin.plan.cookie().name
        ),
    );
}

#[cfg(test)]
mod tests;
