//! Who may refuse a change of weights, and with it an abort: admission webhooks that are configured
//! so, and whatever refuses a change that is tried.
//!
//! What is tried changes nothing, and is a dry run. The API server asks its webhooks all the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations,
};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::codes::Code;
use super::finding::{Finding, Look, count, named};
use super::objects::{self, MUTATING, NAMESPACE, VALIDATING};
use super::query::{Ground, has_brake};
use crate::cluster::ClusterError;
use crate::cluster::plugins::{self, LivePlugin, Scope};
use crate::model::plugin::Kind;

/// How long a change may take before that is worth a word. Chosen: ten times what istiod's webhook
/// takes.
const SLOW: Duration = Duration::from_secs(1);

type Labels = BTreeMap<String, String>;

/// One webhook, of either kind of configuration.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The configuration that it is in.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Whether the API server refuses where it does not answer.
    pub is_strict: bool,
    /// The service behind it, or its URL.
    pub service: String,
    rules: Vec<RuleWithOperations>,
    objects: LabelSelector,
    namespaces: LabelSelector,
}

/// Looks at webhooks, and tries a change of each plugin.
pub async fn look(ground: &Ground<'_>) -> Look {
    let mut look = Look::default();
    let mut webhooks = Vec::new();
    let (everywhere, everything) = (Scope::Everywhere, ListParams::default());
    for kind in [&VALIDATING, &MUTATING] {
        match objects::all(ground.cluster, kind, &everywhere, &everything).await {
            Ok(found) if kind.kind == VALIDATING.kind => {
                webhooks.extend(objects::typed(found).into_iter().flat_map(validating));
            }
            Ok(found) => webhooks.extend(objects::typed(found).into_iter().flat_map(mutating)),
            Err(why) => look.miss(format!("{}s", kind.kind), why),
        }
    }
    let mut labels = BTreeMap::new();
    for namespace in ground.namespaces() {
        let found = objects::of_name(ground.cluster, &NAMESPACE, &everywhere, &namespace).await;
        let found = found.unwrap_or_default().into_iter().next();
        let found = found.and_then(|object| object.metadata.labels);
        labels.insert(namespace, found.unwrap_or_default());
    }
    look.join(judge(&webhooks, ground.live, &labels));
    let tried = join_all(ground.examined().iter().map(|live| tried(ground, live))).await;
    for one in tried {
        look.join(one);
    }
    look
}

fn validating(configuration: ValidatingWebhookConfiguration) -> Vec<Webhook> {
    let place = objects::title(&VALIDATING, &configuration.metadata);
    let webhooks = configuration.webhooks.into_iter().flatten();
    webhooks
        .map(|webhook| Webhook {
            place: place.clone(),
            name: webhook.name,
            is_strict: webhook.failure_policy.as_deref() != Some("Ignore"),
            service: service(&webhook.client_config),
            rules: webhook.rules.unwrap_or_default(),
            objects: webhook.object_selector.unwrap_or_default(),
            namespaces: webhook.namespace_selector.unwrap_or_default(),
        })
        .collect()
}

fn mutating(configuration: MutatingWebhookConfiguration) -> Vec<Webhook> {
    let place = objects::title(&MUTATING, &configuration.metadata);
    let webhooks = configuration.webhooks.into_iter().flatten();
    webhooks
        .map(|webhook| Webhook {
            place: place.clone(),
            name: webhook.name,
            is_strict: webhook.failure_policy.as_deref() != Some("Ignore"),
            service: service(&webhook.client_config),
            rules: webhook.rules.unwrap_or_default(),
            objects: webhook.object_selector.unwrap_or_default(),
            namespaces: webhook.namespace_selector.unwrap_or_default(),
        })
        .collect()
}

fn service(config: &WebhookClientConfig) -> String {
    match (&config.service, &config.url) {
        (Some(service), _) => format!("service {}/{}", service.namespace, service.name),
        (None, Some(url)) => crate::model::redacted::url(url),
        (None, None) => "nobody".to_owned(),
    }
}

/// Which webhooks stand between a plugin and an abort.
pub fn judge(
    webhooks: &[Webhook],
    live: &[LivePlugin],
    namespaces: &BTreeMap<String, Labels>,
) -> Look {
    let mut look = Look::default();
    for webhook in webhooks.iter().filter(|webhook| webhook.is_strict) {
        let guards = |live: &&LivePlugin| guards(webhook, live, namespaces);
        let guarded: Vec<&LivePlugin> = live.iter().filter(guards).collect();
        let exposed = guarded.iter().filter(|live| !has_brake(live));
        let exposed: Vec<&str> = exposed.map(|live| live.plugin.source.as_str()).collect();
        let (name, service) = (&webhook.name, &webhook.service);
        if !exposed.is_empty() {
            look.find(Finding::new(
                Code::WebhookGuardsAborts,
                &webhook.place,
                format!(
                    "{name} ({service}), failurePolicy Fail, guards {} without a brake",
                    named(&exposed)
                ),
                "a brake in each of them, or failurePolicy Ignore",
            ));
        } else if !guarded.is_empty() {
            let plugins = count(guarded.len(), "plugin", "plugins");
            look.praise(format!("{plugins} behind {name} with a brake"));
        }
    }
    look
}

fn guards(webhook: &Webhook, live: &LivePlugin, namespaces: &BTreeMap<String, Labels>) -> bool {
    let plural = plugins::resource(live.plugin.kind).plural;
    let has = |list: &Option<Vec<String>>, wanted: &[&str]| {
        let mut list = list.iter().flatten();
        list.any(|item| wanted.contains(&item.as_str()))
    };
    let matches = |rule: &RuleWithOperations| {
        has(&rule.operations, &["*", "UPDATE"])
            && has(&rule.api_groups, &["*", "extensions.istio.io"])
            && has(&rule.api_versions, &["*", "v1alpha1"])
            && has(&rule.resources, &["*", "*/*", &plural])
    };
    let nothing = Labels::new();
    let own = live.object.metadata.labels.as_ref().unwrap_or(&nothing);
    // Of a namespace whose labels are not known, every webhook is taken for its guard.
    let is_selected = match namespaces.get(live.namespace()) {
        Some(labels) => selects(&webhook.namespaces, labels),
        None => true,
    };
    webhook.rules.iter().any(matches) && selects(&webhook.objects, own) && is_selected
}

/// Whether a selector takes something with these labels.
fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let mut equal = selector.match_labels.iter().flatten();
    let mut expressions = selector.match_expressions.iter().flatten();
    equal.all(|(name, value)| labels.get(name) == Some(value))
        && expressions.all(|expression| {
            let value = labels.get(&expression.key);
            let values = expression.values.as_deref().unwrap_or_default();
            let is_in = value.is_some_and(|value| values.contains(value));
            match expression.operator.as_str() {
                "In" => is_in,
                "NotIn" => !is_in,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => true,
            }
        })
}

/// Tries a change that changes nothing.
async fn tried(ground: &Ground<'_>, live: &LivePlugin) -> Look {
    let parameters = PatchParams {
        dry_run: true,
        field_manager: Some("sluice-doctor".to_owned()),
        ..PatchParams::default()
    };
    let nothing = match live.plugin.kind {
        Kind::TrafficExtension => json!({"spec": {"wasm": {"pluginConfig": {}}}}),
        _ => json!({"spec": {"pluginConfig": {}}}),
    };
    let patch: Patch<&Value> = Patch::Merge(&nothing);
    let began = Instant::now();
    let answer = plugins::patch(ground.cluster, live, &parameters, &patch).await;
    let doing = format!("a change of {} that changes nothing", live.plugin.source);
    let answer = answer.map_err(|error| ground.cluster.explain(doing, error));
    judge_try(&live.plugin.source, answer.map(drop), began.elapsed())
}

/// What a try and the time that it took say.
fn judge_try(place: &str, answer: Result<(), ClusterError>, took: Duration) -> Look {
    let mut look = Look::default();
    let accepted = "a change that is taken";
    match answer {
        Ok(()) if took > SLOW => {
            let found = format!(
                "a change that changes nothing took {:.1} s",
                took.as_secs_f64()
            );
            look.find(Finding::new(
                Code::AdmissionSlow,
                place,
                found,
                "at most a second",
            ));
        }
        Ok(()) => look.praise(format!("a change of {place} is taken")),
        Err(ClusterError::NoWebhook { message, .. }) => {
            look.find(Finding::new(
                Code::WebhookRefusesNow,
                place,
                message,
                accepted,
            ));
        }
        Err(ClusterError::Refused { message, .. }) => {
            look.find(Finding::new(Code::ChangeRefused, place, message, accepted));
        }
        // Who may not change it is told so among the rights.
        Err(ClusterError::Forbidden { .. }) => {}
        Err(error) => look.miss(format!("a change of {place}"), error),
    }
    look
}

#[cfg(test)]
mod tests;
