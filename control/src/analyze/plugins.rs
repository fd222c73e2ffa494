//! Plugins by themselves, and beside each other on the same proxies.

use super::claims::asks_for_claims;
use super::findings::{Findings, Planned};
use super::proxies::are_disjoint;
use crate::model::resources::plugin::{Module, Scope};

/// What Istio makes of a match without a mode, and of no match at all.
const DEFAULT_MODE: &str = "CLIENT_AND_SERVER";

pub(super) fn alone(plugin: &Planned<'_>, findings: &mut Findings) {
    let Some(spec) = &plugin.spec else { return };
    module(&plugin.title, &spec.module, findings);
    scope(plugin, &spec.scope, findings);
    let config = spec.module.plugin_config.as_ref();
    let has_weights = config.is_some_and(|config| config.get("weights").is_some());
    let from_one_file = !plugin.plugin.source.contains(" + ");
    if has_weights && from_one_file {
        findings.warning(
            &plugin.title,
            "weights beside the splits: whoever applies this again undoes what `sluice` did \
             since, an abort too; leave weights to `sluice set`",
        );
    }
}

fn module(title: &str, module: &Module, findings: &mut Findings) {
    // A patch of weights only has no module.
    if module.url.is_none() && module.fail_strategy.is_none() {
        return;
    }
    let url = module.url.as_deref().unwrap_or_default();
    if url.starts_with("file://") {
        findings.warning(
            title,
            "a file:// module: agents do not handle it, so every edit of the resource, also of a \
             label, makes new VMs",
        );
    } else if module.sha256.as_deref().is_none_or(str::is_empty) && !url.contains("@sha256:") {
        findings.warning(
            title,
            format!(
                "{url} is not pinned: whoever pushes that tag runs code in every proxy; add \
                 the sha256 that `sluice push` printed"
            ),
        );
    }
    match module.fail_strategy.as_deref() {
        Some("FAIL_OPEN") => {}
        strategy => findings.warning(
            title,
            format!(
                "failStrategy {}: where the module cannot be fetched, every request is answered \
                 403; accepted: FAIL_OPEN",
                strategy.unwrap_or("FAIL_CLOSE, the default")
            ),
        ),
    }
}

/// Match mode and phase against what the splits ask for.
fn scope(plugin: &Planned<'_>, scope: &Scope, findings: &mut Findings) {
    let title = &plugin.title;
    let is_for = |kinds: [&str; 2]| {
        let mut targets = scope.targets().into_iter();
        targets.any(|target| {
            target
                .kind
                .as_deref()
                .is_some_and(|kind| kinds.contains(&kind))
        })
    };
    let is_waypoint = is_for(["Service", "ServiceEntry"]);
    let is_gateway = is_for(["Gateway", "GatewayClass"]);
    let modes = modes(scope);
    let is_client = modes.iter().any(|mode| *mode != "SERVER");
    let is_server = modes.iter().any(|mode| *mode != "CLIENT");
    if is_waypoint && !is_server {
        findings.problem(
            title,
            "mode CLIENT never matches on a waypoint; accepted with such targetRefs: SERVER",
        );
    }
    if !is_waypoint && !is_client {
        findings.problem(
            title,
            "mode SERVER runs where the route is chosen already; accepted: CLIENT (callers and \
             gateways), or targetRefs to a service with a waypoint",
        );
    }
    if !is_waypoint && !is_gateway && is_client && is_server {
        findings.warning(
            title,
            "no match mode: it runs on the callee's side too, for nothing; add match: [{mode: \
             CLIENT}]",
        );
    }
    for split in plugin
        .plan
        .splits()
        .iter()
        .filter(|split| asks_for_claims(&split.definition))
    {
        let name = &split.definition.name;
        if scope.phase.as_deref() == Some("AUTHN") {
            findings.problem(
                title,
                format!(
                    "splits.{name} asks for claims, which phase AUTHN runs before; accepted: AUTHZ"
                ),
            );
        } else if !is_gateway && !is_waypoint {
            findings.warning(
                title,
                format!(
                    "splits.{name} asks for claims, which only gateways and waypoints know; a \
                     caller's sidecar has none"
                ),
            );
        }
    }
}

fn modes(scope: &Scope) -> Vec<&str> {
    if scope.matches.is_empty() {
        return vec![DEFAULT_MODE];
    }
    let modes = scope.matches.iter().map(|traffic| traffic.mode.as_deref());
    modes.map(|mode| mode.unwrap_or(DEFAULT_MODE)).collect()
}

/// Two plugins on the same proxies.
pub(super) fn together(plugins: &[Planned<'_>], root_namespace: &str, findings: &mut Findings) {
    for (index, one) in plugins.iter().enumerate() {
        for other in plugins.iter().skip(index + 1) {
            let (Some(here), Some(there)) = (scope_of(one), scope_of(other)) else {
                continue;
            };
            let share_a_namespace = share_a_namespace(one, other, root_namespace);
            if !share_a_namespace || !share_proxies(here, there) {
                continue;
            }
            shared_headers(one, other, findings);
            if here.phase == there.phase && here.priority == there.priority {
                findings.warning(
                    &one.title,
                    format!(
                        "phase and priority are those of {}, on the same proxies: which runs \
                         first depends on their age",
                        other.title
                    ),
                );
            }
        }
    }
}

fn scope_of<'p>(plugin: &'p Planned<'_>) -> Option<&'p Scope> {
    plugin.spec.as_ref().map(|spec| &spec.scope)
}

fn shared_headers(one: &Planned<'_>, other: &Planned<'_>, findings: &mut Findings) {
    for split in one.plan.splits() {
        let header = &split.definition.header;
        let same = other
            .plan
            .splits()
            .iter()
            .find(|candidate| candidate.definition.header == *header);
        if let Some(same) = same {
            findings.problem(
                &one.title,
                format!(
                    "splits.{} sets {header}, and so does splits.{} of {}, which runs on the \
                     same proxies: the one that runs last wins; accepted: one plugin, or headers \
                     of their own",
                    split.definition.name, same.definition.name, other.title
                ),
            );
        }
    }
}

/// Whether both run in some namespace; a plugin of the root namespace runs in every one.
fn share_a_namespace(one: &Planned<'_>, other: &Planned<'_>, root_namespace: &str) -> bool {
    let namespace = |plugin: &Planned<'_>| plugin.plugin.namespace.clone().unwrap_or_default();
    let (here, there) = (namespace(one), namespace(other));
    here == there || here == root_namespace || there == root_namespace
}

/// Whether some proxy of a namespace may run both.
fn share_proxies(one: &Scope, other: &Scope) -> bool {
    one.targets() == other.targets() && !are_disjoint(&one.labels(), &other.labels())
}
