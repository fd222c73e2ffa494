//! What was promoted in one namespace, set beside the Deployment of another one: which images Git
//! should say there. Pure.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What a Deployment's pod template should say to have what was promoted elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// The Deployment.
    pub deployment: String,
    /// The namespace in which it was promoted, as it was named.
    pub from: String,
    /// The namespace in which Git should say it, as it was named.
    pub to: String,
    /// The version that was promoted, as the Rollout there calls it.
    pub version: String,
    /// Every container that would get another image.
    pub changes: Vec<Change>,
    /// The patch of the Deployment, strategic-merge or server-side apply: its containers' images.
    pub patch: Value,
}

/// A container that gets another image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The container.
    pub container: String,
    /// The image that it has.
    pub from: String,
    /// The image that it would have.
    pub to: String,
}

/// Where two Deployments are, as people named it.
#[derive(Clone, Copy, Debug)]
pub struct Way<'w> {
    /// Where it was promoted.
    pub from: &'w str,
    /// Where Git should say it.
    pub to: &'w str,
}

/// That two templates have other containers, so that nobody knows which image is for which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Deployment {deployment} has {field} {to} in {to_namespace}, and {from} in {from_namespace}; accepted: the \
     same names in both, in any order"
)]
pub struct OtherContainers {
    deployment: String,
    field: &'static str,
    from: String,
    from_namespace: String,
    to: String,
    to_namespace: String,
}

/// The lists of containers of a pod that have images.
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

/// What a Deployment (as the API server has it) should say to have the template that was promoted.
///
/// # Errors
/// Containers of other names.
pub fn promotion(
    way: Way<'_>,
    version: &str,
    promoted: &Value,
    deployment: &Value,
) -> Result<Promotion, Box<OtherContainers>> {
    let metadata = &deployment["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let present = &deployment["spec"]["template"];
    let (mut changes, mut lists) = (Vec::new(), Map::new());
    for field in CONTAINERS {
        let [wanted, present] = [promoted, present].map(|template| images(template, field));
        if names(&wanted) != names(&present) {
            let [from, to] = [&wanted, &present].map(|images| listed(images));
            return Err(Box::new(OtherContainers {
                deployment: name.to_owned(),
                field,
                from,
                from_namespace: way.from.to_owned(),
                to,
                to_namespace: way.to.to_owned(),
            }));
        }
        for (container, to) in &wanted {
            let from = present.iter().find(|(own, _)| own == container);
            let from = from.map_or("", |(_, image)| image);
            if from != *to {
                changes.push(Change {
                    container: (*container).to_owned(),
                    from: from.to_owned(),
                    to: (*to).to_owned(),
                });
            }
        }
        let list: Vec<Value> = wanted
            .iter()
            .map(|(name, image)| json!({"name": name, "image": image}))
            .collect();
        if !list.is_empty() {
            lists.insert(field.to_owned(), list.into());
        }
    }
    let patch = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "spec": {"template": {"spec": lists}},
    });
    Ok(Promotion {
        deployment: name.to_owned(),
        from: way.from.to_owned(),
        to: way.to.to_owned(),
        version: version.to_owned(),
        changes,
        patch,
    })
}

/// The containers of a list by name, with their images.
fn images<'t>(template: &'t Value, field: &str) -> Vec<(&'t str, &'t str)> {
    let containers = template["spec"][field].as_array().into_iter().flatten();
    let text = |container: &'t Value, name: &str| container[name].as_str().unwrap_or_default();
    containers
        .map(|container| (text(container, "name"), text(container, "image")))
        .collect()
}

fn names<'t>(images: &[(&'t str, &'t str)]) -> std::collections::BTreeSet<&'t str> {
    images.iter().map(|(name, _)| *name).collect()
}

fn listed(images: &[(&str, &str)]) -> String {
    let names: Vec<&str> = images.iter().map(|(name, _)| *name).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Way<'_> = Way {
        from: "stage",
        to: "prod",
    };

    fn template(containers: &[(&str, &str)], init: &[(&str, &str)]) -> Value {
        let list = |of: &[(&str, &str)]| -> Vec<Value> {
            of.iter()
                .map(|(name, image)| json!({"name": name, "image": image, "env": []}))
                .collect()
        };
        json!({"spec": {"containers": list(containers), "initContainers": list(init)}})
    }

    fn prod(template: &Value) -> Value {
        let metadata =
            json!({"name": "web", "namespace": "prod", "uid": "1", "labels": {"a": "b"}});
        json!({"metadata": metadata, "spec": {"replicas": 3, "template": template}})
    }

    #[test]
    fn a_patch_has_the_images_that_were_promoted_and_nothing_else() {
        let promoted = template(
            &[("web", "r/web:v2"), ("log", "r/log:v1")],
            &[("setup", "r/setup:v2")],
        );
        let present = template(
            &[("log", "r/log:v1"), ("web", "r/web:v1")],
            &[("setup", "r/setup:v1")],
        );
        let made = promotion(WAY, "web:v2 (01)", &promoted, &prod(&present)).unwrap();
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "prod"},
            "spec": {"template": {"spec": {
                "containers": [{"name": "web", "image": "r/web:v2"}, {"name": "log", "image": "r/log:v1"}],
                "initContainers": [{"name": "setup", "image": "r/setup:v2"}],
            }}},
        });
        assert_eq!(made.patch, expected);
        let changes: Vec<[&str; 3]> = made
            .changes
            .iter()
            .map(|change| [&*change.container, &*change.from, &*change.to])
            .collect();
        let expected = [
            ["web", "r/web:v1", "r/web:v2"],
            ["setup", "r/setup:v1", "r/setup:v2"],
        ];
        assert_eq!(changes, expected);
        let again = promotion(WAY, "web:v2 (01)", &promoted, &prod(&promoted)).unwrap();
        assert_eq!(again.changes, []);
    }

    #[test]
    fn containers_of_other_names_are_refused() {
        let promoted = template(&[("web", "r/web:v2")], &[]);
        let cases = [
            (
                template(&[("app", "r/web:v1")], &[]),
                "Deployment web has containers app in prod, and web in stage; accepted: the same names in both, in any \
                 order",
            ),
            (
                template(&[("web", "r/web:v1"), ("log", "r/log:v1")], &[]),
                "Deployment web has containers web, log in prod, and web in stage; accepted: the same names in both, \
                 in any order",
            ),
            (
                template(&[("web", "r/web:v1")], &[("setup", "r/setup:v1")]),
                "Deployment web has initContainers setup in prod, and none in stage; accepted: the same names in \
                 both, in any order",
            ),
        ];
        for (present, expected) in cases {
            let error = promotion(WAY, "v2", &promoted, &prod(&present)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
