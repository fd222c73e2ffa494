//! Our plugins as they are written: what of it costs users or an abort, and whether others on the same
//! proxies may come first.
//!
//! What a configuration may say, and how it goes with the routes, `sluice validate` judges; here is
//! only how many problems it found.

use kube::api::{DynamicObject, ListParams};

use super::codes::Code;
use super::finding::{Finding, Look, count, named};
use super::objects;
use super::query::Ground;
use crate::cluster::authors::{authors, others_fields};
use crate::cluster::custom;
use crate::cluster::plugins::{LivePlugin, Scope};
use crate::model::plugin::Kind;
use crate::model::resources::plugin::{PluginSpec, Scope as Selected};
use crate::operations::validate::{Subject, validate};
use crate::store::AnyStore;
use crate::store::kubernetes::Kubernetes;

/// Both kinds of a plugin.
const KINDS: [custom::Kind; 2] = [
    custom::Kind {
        api_version: "extensions.istio.io/v1alpha1",
        kind: "WasmPlugin",
        plural: "wasmplugins",
    },
    custom::Kind {
        api_version: "extensions.istio.io/v1alpha1",
        kind: "TrafficExtension",
        plural: "trafficextensions",
    },
];

/// Looks at our plugins.
pub async fn look(ground: &Ground<'_>) -> Look {
    let mut look = Look::default();
    if ground.live.is_empty() {
        let place = match ground.query.scope {
            Scope::Namespace(namespace) => format!("namespace {namespace}"),
            Scope::Everywhere => "every namespace".to_owned(),
        };
        let accepted = "a WasmPlugin or TrafficExtension with splits";
        look.find(Finding::new(Code::PluginNone, place, "none", accepted));
        return look;
    }
    for live in ground.live {
        look.join(alone(live));
    }
    look.join(validated(ground).await);
    look.join(beside_others(ground).await);
    look
}

/// What one plugin says.
pub fn alone(live: &LivePlugin) -> Look {
    let mut look = Look::default();
    let place = &live.plugin.source;
    let namespace = live.namespace();
    let validate = format!("sluice validate -n {namespace}");
    match live.plugin.plan_at_home() {
        Err(error) => look.find(
            Finding::new(
                Code::PluginUnreadable,
                place,
                format!("{error:#}"),
                "a configuration that proxies read",
            )
            .mended_by(validate),
        ),
        Ok(plan) if plan.number_of_problems() > 0 => {
            let problems: Vec<String> = plan.problems().iter().map(ToString::to_string).collect();
            look.find(
                Finding::new(
                    Code::PluginProblems,
                    place,
                    format!(
                        "{} problems: {}",
                        plan.number_of_problems(),
                        named(&problems)
                    ),
                    "none",
                )
                .mended_by(validate),
            );
        }
        Ok(_) => {}
    }
    let others = others_fields(
        &live.plugin.config,
        &authors(&live.object.metadata, live.plugin.kind),
    );
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(ToString::to_string).collect();
        let accepted = "weights and draws of sluice's own field managers";
        look.find(Finding::new(
            Code::WeightsOfOthers,
            place,
            named(&others),
            accepted,
        ));
    }
    look.join(fetched(live));
    if look.findings.is_empty() {
        look.praise(format!("{place} is read, pinned and fails open"));
    }
    look
}

/// How its module is fetched, and what happens when it is not.
fn fetched(live: &LivePlugin) -> Look {
    let mut look = Look::default();
    let place = &live.plugin.source;
    let Ok(module) = spec(&live.object, live.plugin.kind).map(|spec| spec.module) else {
        return look;
    };
    let inside = match live.plugin.kind {
        Kind::TrafficExtension => ".wasm",
        _ => "",
    };
    let url = module.url.as_deref().unwrap_or_default();
    let is_pinned =
        module.sha256.is_some_and(|digest| !digest.is_empty()) || url.contains("@sha256:");
    if !is_pinned {
        let (found, accepted) = (format!("{url} without a digest"), "a digest");
        look.find(Finding::new(Code::PluginUnpinned, place, found, accepted));
    }
    if module.fail_strategy.as_deref() != Some("FAIL_OPEN") {
        let found = module.fail_strategy.as_deref();
        let found = found.unwrap_or("FAIL_CLOSE, the default");
        let finding = Finding::new(
            Code::PluginFailsClosed,
            place,
            format!("failStrategy {found}"),
            "FAIL_OPEN",
        );
        look.find(finding.mended_by(format!("spec{inside}.failStrategy: FAIL_OPEN")));
    }
    if module.image_pull_policy.as_deref() == Some("Always") {
        let (found, accepted) = ("imagePullPolicy Always", "IfNotPresent, with a digest");
        look.find(Finding::new(
            Code::PluginPullsAlways,
            place,
            found,
            accepted,
        ));
    }
    look
}

/// What `sluice validate` says of them together.
async fn validated(ground: &Ground<'_>) -> Look {
    let mut look = Look::default();
    let root = ground.query.root_namespace;
    let stores = ground.examined().iter().map(|live| {
        let cluster = ground.cluster.in_namespace(live.namespace());
        AnyStore::Kubernetes(Kubernetes::listed(cluster, live.clone()))
    });
    let stores: Vec<AnyStore> = stores.collect();
    let subject = Subject::of_stores(&stores, root).await;
    let report = subject.and_then(|subject| validate(&subject, &[], root));
    match report {
        Ok(report) => {
            let places: Vec<String> = ground
                .examined()
                .iter()
                .map(|live| live.plugin.source.clone())
                .collect();
            let (problems, warnings) = (&report.problems, &report.warnings);
            let command = match ground.query.scope {
                Scope::Namespace(namespace) => format!("sluice validate -n {namespace}"),
                Scope::Everywhere => "sluice validate -A".to_owned(),
            };
            let said = [
                (Code::PluginsDoNotFit, problems, "problem", "problems"),
                (Code::PluginDoubts, warnings, "warning", "warnings"),
            ];
            for (code, said, one, many) in said {
                if !said.is_empty() {
                    let found = format!("{}: {}", count(said.len(), one, many), named(said));
                    let finding = Finding::new(code, named(&places), found, "none");
                    look.find(finding.mended_by(&command));
                }
            }
        }
        Err(error) => look.miss("routes around the plugins", format!("{error:#}")),
    }
    look
}

/// Where another plugin has the same place in the order of the same proxies.
async fn beside_others(ground: &Ground<'_>) -> Look {
    let mut look = Look::default();
    let mut all = Vec::new();
    for kind in &KINDS {
        let everything = ListParams::default();
        match objects::all(ground.cluster, kind, ground.query.scope, &everything).await {
            Ok(objects) => all.extend(objects.into_iter().map(|object| (kind, object))),
            Err(why) => look.miss(format!("{}s beside ours", kind.kind), why),
        }
    }
    for live in ground.live {
        let Ok(own) = spec(&live.object, live.plugin.kind) else {
            continue;
        };
        let same = all.iter().filter(|(_, object)| {
            let is_ours = ground
                .live
                .iter()
                .any(|ours| ours.object.metadata.uid == object.metadata.uid);
            let namespace = object.metadata.namespace.as_deref();
            let scope = Selected::read(&object.data).unwrap_or_default();
            !is_ours && namespace == Some(live.namespace()) && is_same_place(&own.scope, &scope)
        });
        let same: Vec<String> = same
            .map(|(kind, object)| objects::title(kind, &object.metadata))
            .collect();
        if !same.is_empty() {
            let phase = own.scope.phase.as_deref().unwrap_or("no phase");
            look.find(Finding::new(
                Code::PluginOrderOpen,
                &live.plugin.source,
                format!(
                    "{phase} and priority {} also of {}",
                    priority(&own.scope),
                    named(&same)
                ),
                "another priority of one of them",
            ));
        }
    }
    look
}

/// Whether two plugins of a namespace may meet on a proxy, at the same phase and priority.
fn is_same_place(own: &Selected, other: &Selected) -> bool {
    let phase = |scope: &Selected| scope.phase.clone().unwrap_or_default();
    let meets = own.labels().iter().all(|(name, value)| {
        let others = other.labels();
        others.get(name).is_none_or(|theirs| theirs == value)
    });
    let is_of_pods = |scope: &Selected| scope.targets().is_empty();
    phase(own) == phase(other)
        && priority(own) == priority(other)
        && meets
        && is_of_pods(own) == is_of_pods(other)
}

fn priority(scope: &Selected) -> i64 {
    scope.priority.unwrap_or(0)
}

fn spec(object: &DynamicObject, kind: Kind) -> Result<PluginSpec, ()> {
    PluginSpec::read(kind, &object.data).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plugin(spec: Value) -> LivePlugin {
        let object = json!({"metadata": {"name": "sluice", "namespace": "a"}, "spec": spec});
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        LivePlugin::of(object, Kind::WasmPlugin).unwrap()
    }

    fn codes(spec: Value) -> Vec<&'static str> {
        let look = alone(&plugin(spec));
        look.findings
            .iter()
            .map(|found| found.code.as_str())
            .collect()
    }

    fn with(field: &str, value: Value) -> Value {
        let mut spec = json!({
            "url": "oci://r/s:1", "sha256": "0".repeat(64), "failStrategy": "FAIL_OPEN",
            "pluginConfig": {"splits": {"web": {}}},
        });
        spec[field] = value;
        spec
    }

    #[test]
    fn what_a_plugin_says_is_judged() {
        let twice = json!({"splits": {"web": {"hosts": 5}}});
        let rows: [(&str, Value, &[&str]); 8] = [
            ("good", with("phase", json!("AUTHN")), &[]),
            ("no pin", with("sha256", json!("")), &["plugin-unpinned"]),
            (
                "pinned by the url",
                with("url", json!("oci://r/s@sha256:00")),
                &[],
            ),
            (
                "closed",
                with("failStrategy", json!("FAIL_CLOSE")),
                &["plugin-fails-closed"],
            ),
            (
                "default",
                with("failStrategy", Value::Null),
                &["plugin-fails-closed"],
            ),
            (
                "always",
                with("imagePullPolicy", json!("Always")),
                &["plugin-pulls-always"],
            ),
            (
                "another version",
                with("pluginConfig", json!({"version": 2, "splits": {}})),
                &["plugin-unreadable"],
            ),
            (
                "a problem",
                with("pluginConfig", twice),
                &["plugin-problems"],
            ),
        ];
        for (label, spec, expected) in rows {
            assert_eq!(codes(spec), expected, "{label}");
        }
    }

    #[test]
    fn plugins_that_may_meet_at_one_place_are_told() {
        let scope = |value: Value| Selected::read(&json!({"spec": value})).unwrap();
        let labels = |app: &str| json!({"matchLabels": {"app": app}});
        let rows = [
            ("both everywhere", json!({}), json!({}), true),
            ("another phase", json!({"phase": "AUTHN"}), json!({}), false),
            ("another priority", json!({"priority": 1}), json!({}), false),
            ("an explicit zero", json!({"priority": 0}), json!({}), true),
            (
                "other pods",
                json!({"selector": labels("a")}),
                json!({"selector": labels("b")}),
                false,
            ),
            (
                "all pods",
                json!({"selector": labels("a")}),
                json!({}),
                true,
            ),
        ];
        for (label, own, other, expected) in rows {
            assert_eq!(
                is_same_place(&scope(own), &scope(other)),
                expected,
                "{label}"
            );
        }
    }
}
