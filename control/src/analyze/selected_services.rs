//! The Services whose selectors a Rollout sets: whether they are such as it can set. What is not
//! among the documents may well be elsewhere, and is missed only where other Services are.

use serde_json::Value;

use super::findings::{Findings, resources};
use crate::model::input::Input;
use crate::model::resources::Resource;
use crate::model::resources::istio::DestinationRule;
use crate::model::selected_service::{selected, selects_others, unusable};
use crate::model::service::ServiceRef;
use crate::model::workload::VARIANT_LABEL;

/// Those of one Rollout.
pub(super) struct Set<'d> {
    /// The Rollout, as findings call it.
    pub(super) rollout: &'d str,
    /// Its namespace.
    pub(super) namespace: &'d str,
    /// The fields of its workload that name one, with the name.
    pub(super) services: &'d [(&'static str, &'d str)],
    /// The labels of its Deployment's pods.
    pub(super) labels: Option<&'d Value>,
}

pub(super) fn check(set: &Set<'_>, documents: &[Input], findings: &mut Findings) {
    let is_service = |input: &&Input| {
        let is_one = input.kind() == Some("Service") && input.group() == Some("");
        is_one && input.namespace().unwrap_or("default") == set.namespace
    };
    let services: Vec<&Input> = documents.iter().filter(is_service).collect();
    for (field, name) in set.services {
        let named = services.iter().find(|service| service.name() == Some(name));
        match named {
            Some(service) => one(set, name, &service.value, documents, findings),
            None if !services.is_empty() => findings.warning(
                set.rollout,
                format!("spec.workload.{field}: Service {name} is not among these documents"),
            ),
            None => {}
        }
    }
}

fn one(set: &Set<'_>, name: &str, service: &Value, documents: &[Input], findings: &mut Findings) {
    let title = format!("Service {}/{name}", set.namespace);
    let rollout = set.rollout;
    let others = || selects_others(service, set.labels?);
    if let Some(why) = unusable(service).or_else(others) {
        findings.problem(&title, format!("{why}; {rollout} sets its selector"));
    }
    if selected(service).is_some() {
        let text = format!(
            "spec.selector.{VARIANT_LABEL}: {rollout} sets it, and whoever applies this again undoes that; leave it out"
        );
        findings.warning(&title, text);
    }
    let rules: Vec<Resource<DestinationRule>> = resources(documents, &mut Findings::default());
    let has_subsets = |rule: &&Resource<DestinationRule>| {
        let host = ServiceRef::of_host(&rule.spec.host, rule.namespace());
        let is_of_it =
            host.is_some_and(|host| host.name == name && host.namespace == set.namespace);
        let mut subsets = rule.spec.subsets.iter();
        is_of_it && subsets.any(|subset| subset.labels.contains_key(VARIANT_LABEL))
    };
    if let Some(rule) = rules.iter().find(has_subsets) {
        let text = format!(
            "spec.subsets: by {VARIANT_LABEL}, so {title} must have the pods of both variants; {rollout} gives it those of \
             one: name another Service there"
        );
        findings.problem(&rule.title(), text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SERVICES: &str = "
kind: Service
apiVersion: v1
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}}
---
kind: Service
apiVersion: v1
metadata: {name: web-active, namespace: shop}
spec: {selector: {app: web}}
---
kind: DestinationRule
apiVersion: networking.istio.io/v1
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: stable, labels: {sluice.dev/variant: stable}}]}
";

    fn found(yaml: &str) -> Findings {
        let documents = crate::model::input::parse("f", yaml).unwrap();
        let labels = json!({"app": "web", "sluice.dev/variant": "canary"});
        let set = Set {
            rollout: "Rollout shop/web",
            namespace: "shop",
            services: &[("activeService", "web-active")],
            labels: Some(&labels),
        };
        let mut findings = Findings::default();
        check(&set, &documents, &mut findings);
        findings
    }

    #[test]
    fn a_service_of_both_variants_without_subsets_may_be_set() {
        assert_eq!(found(SERVICES), Findings::default());
    }

    #[test]
    fn a_service_that_cannot_be_set_is_a_problem() {
        let active = "name: web-active, namespace: shop}\nspec: {selector: {app: web}}";
        let cases = [
            (
                active,
                "name: web-active, namespace: shop}\nspec: {clusterIP: None, selector: {app: web}}",
                "Service shop/web-active: is headless: its clients keep the addresses of pods that are not to serve them \
                 any more; Rollout shop/web sets its selector",
            ),
            (
                active,
                "name: web-active, namespace: shop}\nspec: {selector: {app: api}}",
                "Service shop/web-active: selects app: api, which the template's pods do not have; Rollout shop/web sets \
                 its selector",
            ),
            (
                "host: web,",
                "host: web-active.shop.svc.cluster.local,",
                "DestinationRule shop/web: spec.subsets: by sluice.dev/variant, so Service shop/web-active must have the \
                 pods of both variants; Rollout shop/web gives it those of one: name another Service there",
            ),
        ];
        for (text, other, expected) in cases {
            assert!(SERVICES.contains(text), "{text}");
            let found = found(&SERVICES.replace(text, other));
            assert_eq!(found.problems, [expected]);
            assert_eq!(found.warnings, [""; 0]);
        }
    }

    #[test]
    fn a_service_that_is_missing_or_that_git_would_set_back_is_warned_of() {
        let cases = [
            (
                "name: web-active,",
                "name: web-other,",
                "Rollout shop/web: spec.workload.activeService: Service web-active is not among these documents",
            ),
            (
                "name: web-active, namespace: shop}\nspec: {selector: {app: web}}",
                "name: web-active, namespace: shop}\nspec: {selector: {app: web, sluice.dev/variant: stable}}",
                "Service shop/web-active: spec.selector.sluice.dev/variant: Rollout shop/web sets it, and whoever applies \
                 this again undoes that; leave it out",
            ),
        ];
        for (text, other, expected) in cases {
            assert!(SERVICES.contains(text), "{text}");
            let found = found(&SERVICES.replace(text, other));
            assert_eq!(found.warnings, [expected]);
            assert_eq!(found.problems, [""; 0]);
        }
        assert_eq!(found("{}"), Findings::default());
    }
}
