//! A Service whose selector a Rollout sets, so that it has the pods of one variant: what such a
//! Service must be. Pure.
//!
//! `sluice validate` asks it of manifests, a controller of what a cluster has: in the same words.

use serde_json::Value;

use super::workload::VARIANT_LABEL;

/// The annotation of a Service whose selector a Rollout sets: the Rollout's name.
pub const SELECTED_BY: &str = "sluice.dev/selected-by";

/// The longest name of a Service, in bytes: it is a label of a domain name (RFC 1035).
pub const MAX_SERVICE_NAME_BYTES: usize = 63;

/// The variant that a Service's selector names; `service` is the whole object.
pub fn selected(service: &Value) -> Option<&str> {
    service
        .pointer("/spec/selector")?
        .get(VARIANT_LABEL)?
        .as_str()
}

/// The labels that a Service selects besides the variant's, by name and value.
pub fn selector(service: &Value) -> impl Iterator<Item = (&str, &str)> {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let labels = selector.into_iter().flatten();
    let labels = labels.filter(|(name, _)| *name != VARIANT_LABEL);
    labels.filter_map(|(name, value)| Some((&**name, value.as_str()?)))
}

/// Why a Service cannot have the pods of one variant after those of the other, in words that follow
/// its name; `None`: it can.
pub fn unusable(service: &Value) -> Option<String> {
    let spec = &service["spec"];
    if spec["type"] == "ExternalName" {
        return Some("is an ExternalName: it has no pods".to_owned());
    }
    if spec["clusterIP"] == "None" {
        return Some(
            "is headless: its clients keep the addresses of pods that are not to serve them any more".to_owned(),
        );
    }
    if selector(service).next().is_none() {
        return Some(format!(
            "has no selector besides {VARIANT_LABEL}: it may have anybody's pods"
        ));
    }
    None
}

/// Why a Service does not have the pods of a template with these labels, in words that follow its
/// name; `None`: it has.
pub fn selects_others(service: &Value, labels: &Value) -> Option<String> {
    let mut others =
        selector(service).filter(|(name, value)| labels.get(name) != Some(&Value::from(*value)));
    let (name, value) = others.next()?;
    Some(format!(
        "selects {name}: {value}, which the template's pods do not have"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_that_can_have_the_pods_of_either_variant_is_an_ordinary_one() {
        let usable = [
            json!({"selector": {"app": "web"}}),
            json!({"selector": {"app": "web", "sluice.dev/variant": "stable"}, "clusterIP": "10.0.0.1"}),
        ];
        for spec in usable {
            assert_eq!(unusable(&json!({"spec": spec})), None);
        }
        let cases = [
            (
                json!({"type": "ExternalName", "externalName": "example.com"}),
                "is an ExternalName: it has no pods",
            ),
            (
                json!({"clusterIP": "None", "selector": {"app": "web"}}),
                "is headless: its clients keep the addresses of pods that are not to serve them any more",
            ),
            (
                json!({}),
                "has no selector besides sluice.dev/variant: it may have anybody's pods",
            ),
            (
                json!({"selector": {"sluice.dev/variant": "stable"}}),
                "has no selector besides sluice.dev/variant: it may have anybody's pods",
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(unusable(&json!({"spec": spec})).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_service_selects_labels_of_the_template_whatever_the_variant() {
        let service = json!({"spec": {"selector": {"app": "web", "sluice.dev/variant": "stable"}}});
        assert_eq!(selected(&service), Some("stable"));
        let labels = json!({"app": "web", "tier": "front", "sluice.dev/variant": "canary"});
        assert_eq!(selects_others(&service, &labels), None);
        assert_eq!(
            selects_others(&service, &json!({"app": "api"})).as_deref(),
            Some("selects app: web, which the template's pods do not have")
        );
    }
}
