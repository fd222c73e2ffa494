//! Rollouts that follow a Deployment, and what the Deployment, its Services and their subsets must
//! say for it. What is not among the documents may well be elsewhere: as a problem it is missed
//! only where others of its kind are.

use std::collections::BTreeMap;

use serde_json::Value;
use sluice_core::index::VariantIndex;

use super::findings::{Findings, Planned, resources};
use super::selected_services::{self, Set};
use crate::model::input::Input;
use crate::model::plugin::means;
use crate::model::resources::istio::{DestinationRule, VirtualService};
use crate::model::resources::{Resource, Spec as _, gateway};
use crate::model::service::ServiceRef;
use crate::model::workload::{ROLLOUT_KIND, ROLLOUT_LABEL, VARIANT_LABEL, copy_of};

/// The namespace of a document that names none, as kubectl has it.
const DEFAULT: &str = "default";

/// A Rollout that follows a Deployment.
struct Following<'d> {
    title: String,
    namespace: &'d str,
    deployment: &'d str,
    /// The challenger and the fallback, where its split is among the plugins.
    variants: Option<[String; 2]>,
    /// The fields that name a Service whose selector it sets, with its name.
    set: Vec<(&'static str, &'d str)>,
}

/// A Deployment among the documents.
struct Deployment<'d> {
    title: String,
    namespace: &'d str,
    name: &'d str,
    value: &'d Value,
}

pub(super) fn check(plugins: &[Planned<'_>], documents: &[Input], findings: &mut Findings) {
    let deployments: Vec<Deployment<'_>> = of_kind(documents, "apps", "Deployment")
        .map(Deployment::of)
        .collect();
    let followings: Vec<Following<'_>> = of_kind(documents, "sluice.dev", ROLLOUT_KIND)
        .filter_map(|input| Following::of(input, plugins))
        .collect();
    for following in &followings {
        let is_its = |deployment: &&Deployment<'_>| following.follows(deployment);
        match deployments.iter().find(is_its) {
            Some(deployment) => {
                followed(following, deployment, findings);
                services(following, deployment, documents, findings);
                selected_services::check(&of_rollout(following, deployment), documents, findings);
            }
            None if !deployments.is_empty() => findings.warning(
                &following.title,
                format!(
                    "spec.workload.deployment: Deployment {} is not among these documents",
                    following.deployment
                ),
            ),
            None => {}
        }
    }
    for deployment in &deployments {
        alone(deployment, &followings, findings);
    }
}

fn of_kind<'d>(
    documents: &'d [Input],
    group: &'static str,
    kind: &'static str,
) -> impl Iterator<Item = &'d Input> {
    let is_one = move |input: &&Input| input.kind() == Some(kind) && input.group() == Some(group);
    documents.iter().filter(is_one)
}

fn namespace(input: &Input) -> &str {
    input.namespace().unwrap_or(DEFAULT)
}

fn title(input: &Input) -> String {
    let kind = input.kind().unwrap_or_default();
    format!(
        "{kind} {}/{}",
        namespace(input),
        input.name().unwrap_or("?")
    )
}

impl<'d> Following<'d> {
    /// `None`: it follows nothing.
    fn of(input: &'d Input, plugins: &[Planned<'_>]) -> Option<Self> {
        let spec = input.value.get("spec")?;
        let deployment = spec.pointer("/workload/deployment")?.as_str()?;
        let set = ["activeService", "previewService"].into_iter();
        let set = set.filter_map(|field| Some((field, spec["workload"].get(field)?.as_str()?)));
        Some(Self {
            set: set.collect(),
            title: title(input),
            namespace: namespace(input),
            deployment,
            variants: variants(spec, namespace(input), plugins),
        })
    }

    fn follows(&self, deployment: &Deployment<'_>) -> bool {
        (self.namespace, self.deployment) == (deployment.namespace, deployment.name)
    }

    fn keeps(&self, deployment: &Deployment<'_>) -> bool {
        self.namespace == deployment.namespace && copy_of(self.deployment) == deployment.name
    }
}

/// The Services whose selectors a Rollout sets.
fn of_rollout<'d>(following: &'d Following<'d>, deployment: &'d Deployment<'d>) -> Set<'d> {
    Set {
        rollout: &following.title,
        namespace: following.namespace,
        services: &following.set,
        labels: deployment.value.pointer("/spec/template/metadata/labels"),
    }
}

/// The challenger and the fallback of a Rollout's split.
fn variants(spec: &Value, namespace: &str, plugins: &[Planned<'_>]) -> Option<[String; 2]> {
    let text = |field: &str| spec.get(field).and_then(Value::as_str);
    let is_there = |planned: &&Planned<'_>| {
        let plugin = planned.plugin;
        let name = plugin.name.as_deref().unwrap_or_default();
        let of_kind = format!("{}/{name}", plugin.kind.name());
        let is_named = text("plugin").is_none_or(|named| means(named, &of_kind));
        is_named && plugin.namespace.as_deref().unwrap_or(DEFAULT) == namespace
    };
    let split = plugins.iter().filter(is_there);
    let split = split
        .filter_map(|planned| planned.plan.split_named(text("split")?))
        .next()?;
    let challenger = match (text("challenger"), split.definition.challengers()) {
        (Some(named), _) => named.to_owned(),
        (None, [only]) => only.to_string(),
        (None, _) => return None,
    };
    let fallback = split.definition.variant_name(VariantIndex::FALLBACK);
    Some([challenger, fallback.to_owned()])
}

impl<'d> Deployment<'d> {
    fn of(input: &'d Input) -> Self {
        Self {
            title: title(input),
            namespace: namespace(input),
            name: input.name().unwrap_or("?"),
            value: &input.value,
        }
    }

    /// The labels of its pods.
    fn labels(&self) -> BTreeMap<&'d str, &'d str> {
        labels(self.value.pointer("/spec/template/metadata/labels"))
    }

    fn variant(&self) -> Option<&'d str> {
        self.labels().remove(VARIANT_LABEL)
    }
}

/// Labels as a document has them; what is no text is none.
fn labels(value: Option<&Value>) -> BTreeMap<&str, &str> {
    let labels = value.and_then(Value::as_object).into_iter().flatten();
    let labels = labels.filter_map(|(name, value)| Some((&**name, value.as_str()?)));
    labels.collect()
}

/// What a Deployment that is followed must say.
fn followed(following: &Following<'_>, deployment: &Deployment<'_>, findings: &mut Findings) {
    let (title, rollout) = (&deployment.title, &following.title);
    let path = format!("spec.template.metadata.labels.{VARIANT_LABEL}");
    let found = deployment.variant();
    let challenger = following
        .variants
        .as_ref()
        .map(|[challenger, _]| challenger);
    match (found, challenger) {
        (Some(found), Some(challenger)) if found != challenger => findings.problem(
            title,
            format!("{path}: {found:?}; accepted: {challenger}, as {rollout} moves users to it"),
        ),
        (None, challenger) => {
            let accepted = challenger.map_or("the challenger's name", |name| name);
            findings.problem(
                title,
                format!("{path}: missing; accepted: {accepted}, for {rollout}"),
            );
        }
        _ => {}
    }
    if let Some(replicas) = deployment.value.pointer("/spec/replicas") {
        findings.warning(
            title,
            format!(
                "spec.replicas: {replicas}: {rollout} scales it, and whoever applies this again undoes that; once its \
                 copy has its pods, leave it out"
            ),
        );
    }
}

/// Whether requests can reach both variants of a Deployment that is followed.
fn services(
    following: &Following<'_>,
    deployment: &Deployment<'_>,
    documents: &[Input],
    findings: &mut Findings,
) {
    let services: Vec<&Input> = of_kind(documents, "", "Service")
        .filter(|service| namespace(service) == deployment.namespace)
        .collect();
    let pods = deployment.labels();
    let selects = |service: &&&Input| {
        let mut selector = labels(service.value.pointer("/spec/selector"));
        let is_of_one = selector.remove(VARIANT_LABEL).is_some();
        let is_of_these = selector
            .iter()
            .all(|(name, value)| pods.get(name) == Some(value));
        let is_set = following
            .set
            .iter()
            .any(|(_, name)| service.name() == Some(name));
        !is_of_one && !is_set && !selector.is_empty() && is_of_these
    };
    let of_both: Vec<&Input> = services.iter().filter(selects).copied().collect();
    if of_both.is_empty() && !services.is_empty() {
        findings.problem(
            &deployment.title,
            format!(
                "no Service among these documents selects its pods and those of {}: a selector of labels that both \
                 have, without {VARIANT_LABEL}",
                copy_of(deployment.name)
            ),
        );
    }
    let rules: Vec<Resource<DestinationRule>> = resources(documents, &mut Findings::default());
    let mut has_rules = false;
    for service in &of_both {
        has_rules |= subsets(following, deployment, service, &rules, findings);
    }
    if !of_both.is_empty() {
        apart(following, (has_rules, &services), documents, findings);
    }
}

/// Says where nothing at all sends requests to one variant and not to the other, beside whether the
/// Services of both have DestinationRules, and all Services.
fn apart(
    following: &Following<'_>,
    (has_rules, services): (bool, &[&Input]),
    documents: &[Input],
    findings: &mut Findings,
) {
    let Some([_, fallback]) = &following.variants else {
        return;
    };
    let is_of_fallback = |service: &&Input| {
        let mut selector = labels(service.value.pointer("/spec/selector"));
        selector.remove(VARIANT_LABEL) == Some(fallback)
    };
    let is_named = has_rules || services.iter().any(is_of_fallback);
    let kinds = [VirtualService::KIND, gateway::HttpRoute::KIND];
    let is_route = |input: &Input| input.kind().is_some_and(|kind| kinds.contains(&kind));
    let missing = match (is_named, documents.iter().any(is_route)) {
        (true, true) => return,
        (true, false) => {
            let without = "without one every request meets either version, whatever the weight";
            format!("no VirtualService or HTTPRoute: {without}")
        }
        (false, _) => format!(
            "no subset of a DestinationRule and no Service with the label {VARIANT_LABEL}: {fallback}: \
             no run begins before there is one"
        ),
    };
    findings.warning(
        &following.title,
        format!("among these documents is {missing}"),
    );
}

/// Whether a Service has a DestinationRule; says which variants have no subset there.
fn subsets(
    following: &Following<'_>,
    deployment: &Deployment<'_>,
    service: &Input,
    rules: &[Resource<DestinationRule>],
    findings: &mut Findings,
) -> bool {
    let name = service.name().unwrap_or_default();
    let is_of_service = |rule: &&Resource<DestinationRule>| {
        let host = ServiceRef::of_host(&rule.spec.host, rule.namespace());
        host.is_some_and(|host| host.name == name && host.namespace == namespace(service))
    };
    let rules: Vec<_> = rules.iter().filter(is_of_service).collect();
    let Some(rule) = rules.first() else {
        return false;
    };
    for variant in following.variants.iter().flatten() {
        let mut subsets = rules.iter().flat_map(|rule| &rule.spec.subsets);
        let has_one = subsets.any(|subset| {
            subset
                .labels
                .get(VARIANT_LABEL)
                .is_some_and(|label| label == variant)
        });
        if !has_one {
            findings.problem(
                &rule.title(),
                format!(
                    "spec.subsets: none with the label {VARIANT_LABEL}: {variant}, by which {} tells pods of {} apart",
                    following.title, deployment.title
                ),
            );
        }
    }
    true
}

/// What is likely a mistake in a Deployment whoever follows it.
fn alone(deployment: &Deployment<'_>, followings: &[Following<'_>], findings: &mut Findings) {
    let made = labels(deployment.value.pointer("/metadata/labels"));
    if made.contains_key(ROLLOUT_LABEL) {
        return;
    }
    if let Some(following) = followings
        .iter()
        .find(|following| following.keeps(deployment))
    {
        let text = format!(
            "{} keeps a copy of Deployment {} by this name; leave it out of Git",
            following.title, following.deployment
        );
        return findings.problem(&deployment.title, text);
    }
    let is_followed = followings
        .iter()
        .any(|following| following.follows(deployment));
    if let Some(variant) = deployment.variant().filter(|_| !is_followed) {
        let text = format!(
            "its pods have {VARIANT_LABEL}: {variant}, and no Rollout among these documents follows it"
        );
        findings.warning(&deployment.title, text);
    }
}

#[cfg(test)]
mod tests;
