//! What tells the pods of a Rollout's two Deployments apart: which Services select them, which subsets
//! of those Services name one variant, and which routes pass the split by. Pure.
//!
//! A label alone proves nothing: other Deployments of the namespace have variants of the same names.

use serde_json::{Map, Value};

use crate::model::resources::gateway;
use crate::model::resources::istio;
use crate::model::workload::VARIANT_LABEL;

/// Which of a Rollout's pods a Service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selects {
    /// Those of both variants.
    Both,
    /// The copy's alone.
    Fallback,
    /// The Deployment's alone.
    Challenger,
}

/// The pods of one Rollout.
#[derive(Clone, Debug)]
pub(super) struct Named<'n> {
    /// The namespace of all of it.
    pub(super) namespace: &'n str,
    /// The labels that the copy's pods have.
    pub(super) labels: &'n Map<String, Value>,
    /// The variant of the copy's pods.
    pub(super) fallback: &'n str,
    /// The variant of the Deployment's.
    pub(super) challenger: &'n str,
}

/// A Service that selects some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selecting {
    /// Its name.
    pub(super) name: String,
    /// Which.
    pub(super) selects: Selects,
    /// Whether somebody said that routes of another namespace lead there.
    pub(super) is_led: bool,
}

impl Selecting {
    /// Whether such routes lead to the copy's pods alone.
    pub(super) fn is_led_from_elsewhere(&self) -> bool {
        self.is_led && self.selects == Selects::Fallback
    }
}

/// The subsets of one DestinationRule by what they select.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subsets {
    /// The DestinationRule.
    pub(super) rule: String,
    /// Its host.
    pub(super) host: String,
    /// Whether that is known to be a Service which selects pods of both.
    pub(super) is_of_both: bool,
    /// Whether that may be something else than a Service, of which nobody knows what it selects.
    pub(super) is_unknown: bool,
    /// The subset of the copy's pods.
    pub(super) fallback: Option<String>,
    /// The subset of the Deployment's.
    pub(super) challenger: Option<String>,
    /// Whether somebody said that routes of another namespace lead there.
    pub(super) is_led: bool,
}

impl Subsets {
    /// Whether such routes lead to the copy's pods alone.
    pub(super) const fn is_led_from_elsewhere(&self) -> bool {
        self.is_led && self.is_of_both && self.fallback.is_some()
    }
}

impl Named<'_> {
    /// Which of the pods a Service selects; `None`: none of them.
    pub(super) fn selects(&self, service: &Value) -> Option<Selects> {
        let selector = service.pointer("/spec/selector")?.as_object()?;
        let mut others = selector.iter().filter(|(name, _)| *name != VARIANT_LABEL);
        if selector.is_empty() || !others.all(|(name, value)| self.labels.get(name) == Some(value))
        {
            return None;
        }
        match selector.get(VARIANT_LABEL) {
            None => Some(Selects::Both),
            Some(variant) if variant == self.fallback => Some(Selects::Fallback),
            Some(variant) if variant == self.challenger => Some(Selects::Challenger),
            Some(_) => None,
        }
    }

    /// What the subsets of a DestinationRule select; `None`: pods that cannot be these, or no variant.
    pub(super) fn subsets(
        &self,
        name: &str,
        rule: &Value,
        services: &[Selecting],
    ) -> Option<Subsets> {
        let host = rule.pointer("/spec/host")?.as_str()?;
        let is_of_both = services.iter().any(|service| {
            service.selects == Selects::Both && is_host_of(host, &service.name, self.namespace)
        });
        let subset_of = |variant: &str| {
            let subsets = rule.pointer("/spec/subsets")?.as_array()?;
            let subset = subsets.iter().find(|subset| self.has(subset, variant))?;
            Some(
                subset["name"]
                    .as_str()
                    .unwrap_or("without a name")
                    .to_owned(),
            )
        };
        let subsets = Subsets {
            rule: name.to_owned(),
            host: host.to_owned(),
            is_of_both,
            is_unknown: !is_of_both && !is_of_a_service(host),
            fallback: subset_of(self.fallback),
            challenger: subset_of(self.challenger),
            is_led: false,
        };
        let is_any = subsets.fallback.is_some() || subsets.challenger.is_some();
        is_any.then_some(subsets)
    }

    /// Whether a subset has the pods of a variant.
    fn has(&self, subset: &Value, variant: &str) -> bool {
        let Some(labels) = subset["labels"].as_object() else {
            return false;
        };
        let mut others = labels.iter().filter(|(name, _)| *name != VARIANT_LABEL);
        labels
            .get(VARIANT_LABEL)
            .is_some_and(|label| label == variant)
            && others.all(|(name, value)| self.labels.get(name) == Some(value))
    }

    /// Whether a VirtualService sends somebody to the copy's pods alone.
    pub(super) fn leads(
        &self,
        service: &istio::VirtualService,
        services: &[Selecting],
        subsets: &[Subsets],
    ) -> bool {
        let to = service.http.iter().flat_map(|route| &route.route);
        let mut to = to.filter(|to| to.weight != Some(0.0));
        to.any(|to| {
            let destination = &to.destination;
            let host = destination.host.as_deref().unwrap_or_default();
            match destination.subset.as_deref() {
                None => self.is_of(Selects::Fallback, host, services),
                Some(subset) => subsets.iter().any(|known| {
                    let is_its = known.is_of_both && known.fallback.as_deref() == Some(subset);
                    is_its && is_same_host(host, &known.host, self.namespace)
                }),
            }
        })
    }

    /// The same of an HTTPRoute.
    pub(super) fn leads_by_gateway(
        &self,
        route: &gateway::HttpRoute,
        services: &[Selecting],
    ) -> bool {
        let mut to = route.rules.iter().flat_map(|rule| &rule.backend_refs);
        to.any(|to| self.is_backend(Selects::Fallback, to, services))
    }

    /// Whether a backend that gets requests is a Service of these pods.
    fn is_backend(
        &self,
        pods: Selects,
        backend: &gateway::BackendRef,
        services: &[Selecting],
    ) -> bool {
        let namespace = backend.namespace.as_deref();
        let is_here = namespace.is_none_or(|namespace| namespace == self.namespace);
        let is_service = backend.kind.as_deref().is_none_or(|kind| kind == "Service");
        let is_used = backend.weight != Some(0);
        is_here && is_service && is_used && self.is_of(pods, &backend.name, services)
    }

    /// The route of a VirtualService by which every request goes to the Deployment, whatever the split
    /// decided: its number, from 1, and where it goes.
    pub(super) fn passing(
        &self,
        service: &istio::VirtualService,
        services: &[Selecting],
        subsets: &[Subsets],
    ) -> Option<(usize, String)> {
        let leads = |host: &str, subset: Option<&str>| match subset {
            Some(subset) => subsets.iter().any(|one| {
                let is_its = one.is_of_both && one.challenger.as_deref() == Some(subset);
                is_its && is_same_host(host, &one.host, self.namespace)
            }),
            None => self.is_of(Selects::Challenger, host, services),
        };
        let mut routes = service.http.iter().enumerate();
        routes.find_map(|(at, route)| {
            let is_for_all = route.matches.is_empty() || route.matches.iter().any(takes_all);
            let mut to = route.route.iter().filter(|to| to.weight != Some(0.0));
            let to = to.find(|to| {
                let to = &to.destination;
                let subset = to.subset.as_deref();
                to.host.as_deref().is_some_and(|host| leads(host, subset))
            });
            let to = &to.filter(|_| is_for_all)?.destination;
            let what = match &to.subset {
                Some(subset) => format!("subset {subset}"),
                None => to.host.clone().unwrap_or_default(),
            };
            Some((at + 1, what))
        })
    }

    /// The same of an HTTPRoute.
    pub(super) fn passing_by_gateway(
        &self,
        route: &gateway::HttpRoute,
        services: &[Selecting],
    ) -> Option<(usize, String)> {
        let mut rules = route.rules.iter().enumerate();
        rules.find_map(|(at, rule)| {
            let is_for_all = rule.matches.is_empty() || rule.matches.iter().any(takes_all_paths);
            let mut to = rule.backend_refs.iter();
            let to = to.find(|to| self.is_backend(Selects::Challenger, to, services))?;
            is_for_all.then(|| (at + 1, to.name.clone()))
        })
    }

    fn is_of(&self, pods: Selects, host: &str, services: &[Selecting]) -> bool {
        services.iter().any(|service| {
            let is_its = service.selects == pods;
            is_its && is_host_of(host, &service.name, self.namespace)
        })
    }
}

/// Whether an alternative asks for nothing that a request may lack.
fn takes_all(alternative: &istio::HttpMatch) -> bool {
    let asks = !alternative.headers.is_empty()
        || !alternative.query_params.is_empty()
        || !alternative.without_headers.is_empty();
    let mut others = alternative.others.iter();
    !asks
        && others.all(|(field, value)| match &**field {
            "uri" => value["prefix"] == "/",
            "gateways" | "ignoreUriCase" => true,
            _ => false,
        })
}

/// The same of an HTTPRoute's.
fn takes_all_paths(alternative: &gateway::Match) -> bool {
    let mut others = alternative.others.iter();
    alternative.headers.is_empty()
        && others.all(|(field, value)| {
            field == "path"
                && value["value"] == "/"
                && matches!(value["type"].as_str(), None | Some("PathPrefix"))
        })
}

/// Whether a host of a route or a rule in a namespace is a Service of that namespace: by its short
/// name, a longer one, or a wildcard that has it.
fn is_host_of(host: &str, service: &str, namespace: &str) -> bool {
    if let Some(suffix) = host.strip_prefix('*') {
        return format!("{service}.{namespace}.svc.cluster.local").ends_with(suffix);
    }
    let Some(rest) = host.strip_prefix(service) else {
        return false;
    };
    let rest = rest
        .strip_prefix('.')
        .map(|rest| rest.strip_prefix(namespace));
    match rest {
        None => host.len() == service.len(),
        Some(None) => false,
        Some(Some(domain)) => matches!(domain, "" | ".svc") || domain.starts_with(".svc."),
    }
}

/// Whether a host can be nothing but a Service of some namespace.
fn is_of_a_service(host: &str) -> bool {
    let is_full = host.contains(".svc.") || host.ends_with(".svc");
    !host.starts_with('*') && (is_full || !host.contains('.'))
}

/// Whether two hosts of one namespace's resources mean one Service.
pub(super) fn is_same_host(one: &str, other: &str, namespace: &str) -> bool {
    let name = one.split('.').next().unwrap_or(one);
    one == other || (is_host_of(one, name, namespace) && is_host_of(other, name, namespace))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels() -> Map<String, Value> {
        let labels = json!({"app": "web", VARIANT_LABEL: "stable"});
        serde_json::from_value(labels).unwrap()
    }

    const fn named(labels: &Map<String, Value>) -> Named<'_> {
        Named {
            namespace: "shop",
            labels,
            fallback: "stable",
            challenger: "canary",
        }
    }

    fn selecting(name: &str, selects: Selects) -> Selecting {
        Selecting {
            name: name.to_owned(),
            selects,
            is_led: false,
        }
    }

    #[test]
    fn a_service_selects_these_pods_by_every_label_of_its_selector() {
        let labels = labels();
        let cases = [
            (json!({"app": "web"}), Some(Selects::Both)),
            (
                json!({"app": "web", VARIANT_LABEL: "stable"}),
                Some(Selects::Fallback),
            ),
            (json!({VARIANT_LABEL: "canary"}), Some(Selects::Challenger)),
            (json!({"app": "web", VARIANT_LABEL: "blue"}), None),
            (json!({"app": "api", VARIANT_LABEL: "stable"}), None),
            (json!({"app": "web", "tier": "front"}), None),
            (json!({}), None),
            (Value::Null, None),
        ];
        for (selector, expected) in cases {
            let service = json!({"spec": {"selector": selector}});
            assert_eq!(named(&labels).selects(&service), expected, "{selector}");
        }
    }

    #[test]
    fn a_subset_counts_where_its_host_is_a_service_of_these_pods() {
        let labels = labels();
        let services = [
            selecting("web", Selects::Both),
            selecting("web-canary", Selects::Challenger),
        ];
        let stable = json!({VARIANT_LABEL: "stable"});
        let cases = [
            ("web", stable.clone(), Some(true)),
            ("web.shop", stable.clone(), Some(true)),
            ("web.shop.svc", stable.clone(), Some(true)),
            ("web.shop.svc.cluster.local", stable.clone(), Some(true)),
            ("web.shop.svc.example.org", stable.clone(), Some(true)),
            ("*.shop.svc.cluster.local", stable.clone(), Some(true)),
            ("*.bank.svc.cluster.local", stable.clone(), Some(false)),
            ("web.bank.svc.cluster.local", stable.clone(), Some(false)),
            ("web2", stable.clone(), Some(false)),
            ("api", stable.clone(), Some(false)),
            ("web-canary", stable, Some(false)),
            (
                "web",
                json!({VARIANT_LABEL: "stable", "app": "web"}),
                Some(true),
            ),
            (
                "web",
                json!({VARIANT_LABEL: "stable", "version": "v1"}),
                None,
            ),
            ("web", json!({"app": "web"}), None),
        ];
        let unknown = ["web.example.org", "*.example.org", "web.bank"];
        for (host, label, expected) in cases {
            let rule =
                json!({"spec": {"host": host, "subsets": [{"name": "old", "labels": label}]}});
            let found = named(&labels).subsets("rule", &rule, &services);
            let found = found.map(|found| (found.is_of_both, found.fallback));
            let expected = expected.map(|is_of_both| (is_of_both, Some("old".to_owned())));
            assert_eq!(found, expected, "{host} {label}");
        }
        for host in unknown {
            let subset = json!({"name": "old", "labels": {VARIANT_LABEL: "stable"}});
            let rule = json!({"spec": {"host": host, "subsets": [subset]}});
            let found = named(&labels).subsets("rule", &rule, &services).unwrap();
            assert_eq!(
                (found.is_of_both, found.is_unknown),
                (false, true),
                "{host}"
            );
        }
    }

    #[test]
    fn a_route_passes_the_split_by_where_every_request_goes_to_the_deployment() {
        let labels = labels();
        let services = [
            selecting("web", Selects::Both),
            selecting("web-canary", Selects::Challenger),
            selecting("web-stable", Selects::Fallback),
        ];
        let subsets = [Subsets {
            rule: "web".to_owned(),
            host: "web.shop.svc.cluster.local".to_owned(),
            is_of_both: true,
            is_unknown: false,
            fallback: Some("old".to_owned()),
            challenger: Some("new".to_owned()),
            is_led: false,
        }];
        let to = |subset: &str| json!([{"destination": {"host": "web", "subset": subset}}]);
        let decided =
            json!({"match": [{"headers": {"x-split": {"exact": "canary"}}}], "route": to("new")});
        let cases = [
            (json!([decided, {"route": to("old")}]), None, true),
            (json!([decided, {"route": to("new")}]), Some(2), false),
            (
                json!([{"match": [{"uri": {"prefix": "/"}}], "route": to("new")}]),
                Some(1),
                false,
            ),
            (
                json!([{"match": [{"uri": {"prefix": "/preview"}}], "route": to("new")}]),
                None,
                false,
            ),
            (
                json!([{"match": [{"sourceLabels": {"app": "test"}}], "route": to("new")}]),
                None,
                false,
            ),
            (
                json!([{"route": [{"destination": {"host": "api", "subset": "new"}}]}]),
                None,
                false,
            ),
            (
                json!([{"route": [{"destination": {"host": "api", "subset": "old"}}]}]),
                None,
                false,
            ),
            (
                json!([{"route": [{"destination": {"host": "web-canary"}}]}]),
                Some(1),
                false,
            ),
            (
                json!([{"route": [{"destination": {"host": "web-stable.shop.svc.cluster.local"}}]}]),
                None,
                true,
            ),
            (
                json!([{"route": [{"destination": {"host": "web"}}]}]),
                None,
                false,
            ),
            (
                json!([{"route": [
                    {"destination": {"host": "web", "subset": "old"}, "weight": 100},
                    {"destination": {"host": "web", "subset": "new"}, "weight": 0},
                ]}]),
                None,
                true,
            ),
            (
                json!([{"route": [
                    {"destination": {"host": "web", "subset": "old"}, "weight": 0},
                    {"destination": {"host": "web"}, "weight": 100},
                ]}]),
                None,
                false,
            ),
        ];
        for (http, expected, leads) in cases {
            let service: istio::VirtualService =
                serde_json::from_value(json!({"hosts": ["web"], "http": http})).unwrap();
            let found = named(&labels).passing(&service, &services, &subsets);
            assert_eq!(found.map(|(at, _)| at), expected, "{http}");
            let found = named(&labels).leads(&service, &services, &subsets);
            assert_eq!(found, leads, "{http}");
        }
        let by_gateway = [
            (
                // As the API server fills it in.
                json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [
                    {"kind": "Service", "name": "web-canary", "weight": 1},
                ]}]),
                Some(1),
                false,
            ),
            (
                json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/preview"}}], "backendRefs": [
                    {"name": "web-canary"},
                ]}]),
                None,
                false,
            ),
            (
                json!([{"backendRefs": [{"name": "web-stable"}, {"name": "web-canary", "weight": 0}]}]),
                None,
                true,
            ),
            (
                json!([{"backendRefs": [{"name": "web-canary", "namespace": "bank"}]}]),
                None,
                false,
            ),
            (
                json!([{"backendRefs": [{"name": "web-canary"}]}]),
                Some(1),
                false,
            ),
            (
                json!([{"backendRefs": [{"name": "web-stable"}]}]),
                None,
                true,
            ),
            (
                json!([{"matches": [{"headers": [{"name": "x", "value": "canary"}]}], "backendRefs": [
                    {"name": "web-canary"},
                ]}]),
                None,
                false,
            ),
        ];
        for (rules, expected, leads) in by_gateway {
            let route: gateway::HttpRoute =
                serde_json::from_value(json!({"rules": rules})).unwrap();
            let found = named(&labels).passing_by_gateway(&route, &services);
            assert_eq!(found.map(|(at, _)| at), expected, "{rules}");
            let found = named(&labels).leads_by_gateway(&route, &services);
            assert_eq!(found, leads, "{rules}");
        }
    }
}
