//! What tells a pod template from others, and what of it a copy gets. Pure.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::model::workload::VARIANT_LABEL;
use crate::rollout::cut::cut;

/// How much of an image's name stands in a version, in bytes. Chosen: with the hash it fits a version.
const IMAGE_BYTES: usize = 96;

/// A template in words: the first container's image, without its registry, and a hash of the whole
/// template. The label of the variant does not count, so that a copy has the version of its original.
pub fn version(template: &Value) -> String {
    let mut template = template.clone();
    if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
        labels.remove(VARIANT_LABEL);
    }
    let hash = Sha256::digest(canonical(&template).to_string());
    let hash: String = hash
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let image = template.pointer("/spec/containers/0/image");
    let image = image.and_then(Value::as_str).unwrap_or("no image");
    let image = image.rsplit('/').next().unwrap_or(image);
    format!("{} ({hash})", cut(image, IMAGE_BYTES))
}

/// The same without what says nothing: `null`, and maps and lists that are empty, come and go between
/// versions of an API server.
fn canonical(value: &Value) -> Value {
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), canonical(value)));
            // An emptyDir is empty and says something all the same.
            let fields = fields.filter(|(name, value)| name == "emptyDir" || says_something(value));
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// The variant that a template says its pods are of.
pub fn variant(template: &Value) -> Option<&str> {
    let labels = template.pointer("/metadata/labels")?;
    labels.get(VARIANT_LABEL)?.as_str()
}

/// The template for pods of another variant.
pub fn with_variant(template: &Value, variant: &str) -> Value {
    let mut template = template.clone();
    if !template["metadata"]["labels"].is_object() {
        template["metadata"]["labels"] = json!({});
    }
    template["metadata"]["labels"][VARIANT_LABEL] = json!(variant);
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(image: &str) -> Value {
        json!({
            "metadata": {"labels": {"app": "web", "sluice.dev/variant": "canary"}, "creationTimestamp": null},
            "spec": {"containers": [{"name": "web", "image": image, "resources": {}}], "volumes": [
                {"name": "tmp", "emptyDir": {}},
            ]},
        })
    }

    #[test]
    fn a_version_is_the_image_and_a_hash_of_everything() {
        let of = |image: &str| version(&template(image));
        assert_eq!(
            of("registry.example.com/shop/web:v2"),
            of("registry.example.com/shop/web:v2")
        );
        assert!(of("registry.example.com/shop/web:v2").starts_with("web:v2 ("));
        assert_ne!(of("a/web:v2"), of("b/web:v2"), "the registry counts");
        assert!(of(&"w".repeat(300)).len() <= 128);
    }

    #[test]
    fn a_copy_has_the_version_of_its_original() {
        let original = template("web:v2");
        let copy = with_variant(&original, "stable");
        assert_eq!(variant(&copy), Some("stable"));
        assert_eq!(variant(&original), Some("canary"));
        assert_eq!(version(&copy), version(&original));
    }

    #[test]
    fn what_says_nothing_makes_no_other_version() {
        let mut other = template("web:v2");
        other["metadata"]["creationTimestamp"].take();
        other["spec"]["containers"][0]["resources"].take();
        other["spec"]["hostAliases"] = json!([]);
        assert_eq!(version(&other), version(&template("web:v2")));
        other["spec"]["volumes"][0] = json!({"name": "tmp"});
        assert_ne!(version(&other), version(&template("web:v2")));
    }
}
