//! What accounts may do: whoever asks, and the controller's.
//!
//! The API server is asked (SelfSubjectAccessReview, SubjectAccessReview); no Role is read for that.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview};
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReviewSpec, SubjectAccessReview};
use kube::Api;
use kube::api::PostParams;

use super::codes::Code;
use super::finding::{Finding, Look};
use super::policies;
use super::query::Ground;
use crate::cluster::words;
use crate::model::plugin::Kind;

/// How many reviews are asked for at once. Chosen: an API server queues more.
const MAX_REVIEWS_AT_ONCE: usize = 16;

/// A right: verb, API group, resource with a subresource behind a slash.
pub type Right = (&'static str, &'static str, &'static str);

/// What people do, and the rights that it needs in the plugin's namespace; `PLUGINS` stands for the
/// kinds of our plugins.
const PURPOSES: &[(&str, &[Right])] = &[
    (
        "set, abort and everything else that reads or writes weights",
        &[
            ("get", "extensions.istio.io", PLUGINS),
            ("list", "extensions.istio.io", PLUGINS),
            ("patch", "extensions.istio.io", PLUGINS),
        ],
    ),
    (
        "history and rollback",
        &[
            ("get", "apps", "controllerrevisions"),
            ("list", "apps", "controllerrevisions"),
            ("create", "apps", "controllerrevisions"),
            ("delete", "apps", "controllerrevisions"),
        ],
    ),
    ("status", &[("get", "", "pods"), ("list", "", "pods")]),
    (
        "an abort past istiod",
        &[
            ("get", "sluice.dev", "brakes"),
            ("list", "sluice.dev", "brakes"),
            ("create", "sluice.dev", "brakes"),
            ("patch", "sluice.dev", "brakes"),
        ],
    ),
];

/// Stands for the kinds of our plugins.
const PLUGINS: &str = "PLUGINS";

/// What a controller needs in the namespaces of its Rollouts (wasmplugin/controller/cluster.yaml).
pub const OF_CONTROLLER: &[Right] = &[
    ("get", "sluice.dev", "rollouts"),
    ("list", "sluice.dev", "rollouts"),
    ("watch", "sluice.dev", "rollouts"),
    ("update", "sluice.dev", "rollouts/status"),
    ("list", "sluice.dev", "brakes"),
    ("watch", "sluice.dev", "brakes"),
    ("create", "sluice.dev", "brakes"),
    ("delete", "sluice.dev", "brakes"),
    ("patch", "sluice.dev", "brakes/status"),
    ("get", "extensions.istio.io", PLUGINS),
    ("list", "extensions.istio.io", PLUGINS),
    ("watch", "extensions.istio.io", PLUGINS),
    ("patch", "extensions.istio.io", PLUGINS),
    ("get", "apps", "controllerrevisions"),
    ("list", "apps", "controllerrevisions"),
    ("create", "apps", "controllerrevisions"),
    ("delete", "apps", "controllerrevisions"),
    ("create", "events.k8s.io", "events"),
    ("patch", "events.k8s.io", "events"),
    ("get", "", "pods"),
    ("list", "", "pods"),
];

/// What it needs where its Lease is.
pub const OF_LEADER: &[Right] = &[
    ("create", "coordination.k8s.io", "leases"),
    ("get", "coordination.k8s.io", "leases"),
    ("update", "coordination.k8s.io", "leases"),
];

/// Who is asked about; `None`: whoever asks.
pub type Account<'a> = Option<(&'a str, &'a str)>;

/// Looks at the rights of whoever asks, and at the policies.
pub async fn look(ground: &Ground<'_>) -> Look {
    let mut look = Look::default();
    let mut namespaces: Vec<Option<String>> = ground.namespaces().into_iter().map(Some).collect();
    if namespaces.is_empty() {
        namespaces.push(None);
    }
    for (purpose, rights) in PURPOSES {
        let mut lacking: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut reviews = Vec::new();
        for namespace in &namespaces {
            reviews.extend(resolved(rights, ground).map(|right| (namespace.as_deref(), right)));
        }
        match asked(ground, None, &reviews).await {
            Ok(missing) => {
                for (namespace, (verb, group, resource)) in missing {
                    let place = namespace.map_or("every namespace".to_owned(), str::to_owned);
                    let lack = lacking.entry(place).or_default();
                    lack.push(format!("{verb} {resource}{}", of_group(group)));
                }
            }
            Err(why) => look.miss(format!("your rights for {purpose}"), why),
        }
        for (namespace, lack) in &lacking {
            look.find(Finding::new(
                Code::RightMissing,
                format!("your account in {namespace}"),
                format!("{purpose}: you may not {}", lack.join(", ")),
                "the rights of the Role sluice-weights (wasmplugin/base/rbac.yaml)",
            ));
        }
        if lacking.is_empty() && look.findings.is_empty() {
            look.praise(format!("you may do what {purpose} needs"));
        }
    }
    look.join(policies::look(ground).await);
    look
}

/// The rights that an account lacks of these, in a namespace or in all.
///
/// # Errors
/// Why the API server does not say, in words.
pub async fn lacking(
    ground: &Ground<'_>,
    account: (&str, &str),
    namespace: Option<&str>,
    rights: &[Right],
) -> Result<Vec<String>, String> {
    let reviews = resolved(rights, ground).map(|right| (namespace, right));
    let missing = asked(ground, Some(account), &reviews.collect::<Vec<_>>()).await?;
    let shown = |(_, (verb, group, resource)): (Option<&str>, Right)| {
        format!("{verb} {resource}{}", of_group(group))
    };
    Ok(missing.into_iter().map(shown).collect())
}

fn of_group(group: &str) -> String {
    match group {
        "" => String::new(),
        group => format!(".{group}"),
    }
}

/// With the resources of the kinds that our plugins have in the place of `PLUGINS`.
fn resolved<'r>(rights: &'r [Right], ground: &Ground<'_>) -> impl Iterator<Item = Right> + use<'r> {
    let has = |kind| ground.live.iter().any(|live| live.plugin.kind == kind);
    let mut kinds = Vec::new();
    if has(Kind::WasmPlugin) || ground.live.is_empty() {
        kinds.push("wasmplugins");
    }
    if has(Kind::TrafficExtension) {
        kinds.push("trafficextensions");
    }
    rights.iter().flat_map(move |&(verb, group, resource)| {
        let resources = match resource {
            PLUGINS => kinds.clone(),
            other => vec![other],
        };
        resources
            .into_iter()
            .map(move |resource| (verb, group, resource))
    })
}

/// Those of the rights that an account does not have.
async fn asked<'n>(
    ground: &Ground<'_>,
    account: Account<'_>,
    reviews: &[(Option<&'n str>, Right)],
) -> Result<Vec<(Option<&'n str>, Right)>, String> {
    let ask = |(namespace, right)| async move {
        let is_allowed = is_allowed(ground, account, namespace, right).await?;
        Ok::<_, String>((!is_allowed).then_some((namespace, right)))
    };
    let answers = futures::stream::iter(reviews.iter().copied().map(ask));
    let answers: Vec<_> = answers.buffered(MAX_REVIEWS_AT_ONCE).collect().await;
    let answers: Result<Vec<_>, String> = answers.into_iter().collect();
    Ok(answers?.into_iter().flatten().collect())
}

async fn is_allowed(
    ground: &Ground<'_>,
    account: Account<'_>,
    namespace: Option<&str>,
    (verb, group, resource): Right,
) -> Result<bool, String> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    // The name of the one Lease that a Role may allow.
    let is_lease = resource == "leases" && verb != "create";
    let attributes = ResourceAttributes {
        namespace: namespace.map(str::to_owned),
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        name: is_lease.then(|| crate::rollout::lease::CONTROLLER.to_owned()),
        ..ResourceAttributes::default()
    };
    let client = ground.cluster.client().clone();
    let parameters = PostParams::default();
    let answer = match account {
        None => {
            let spec = SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            };
            let review = SelfSubjectAccessReview {
                spec,
                ..SelfSubjectAccessReview::default()
            };
            let api: Api<SelfSubjectAccessReview> = Api::all(client);
            let created = api.create(&parameters, &review).await;
            created.map(|review| review.status)
        }
        Some((of, name)) => {
            let spec = SubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                user: Some(format!("system:serviceaccount:{of}:{name}")),
                groups: Some(vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{of}"),
                    "system:authenticated".to_owned(),
                ]),
                ..SubjectAccessReviewSpec::default()
            };
            let review = SubjectAccessReview {
                spec,
                ..SubjectAccessReview::default()
            };
            let api: Api<SubjectAccessReview> = Api::all(client);
            let created = api.create(&parameters, &review).await;
            created.map(|review| review.status)
        }
    };
    let status = answer.map_err(|error| words(&error))?;
    Ok(status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::model::input;

    /// Every right of the rules of a manifest's Roles.
    fn shipped(name: &str) -> BTreeSet<String> {
        let path = format!("{}/../wasmplugin/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let texts = |rule: &Value, field: &str| -> Vec<String> {
            let list = rule[field].as_array().cloned().unwrap_or_default();
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let mut rights = BTreeSet::new();
        for document in input::parse("manifest", &text).unwrap() {
            for rule in document.value["rules"].as_array().into_iter().flatten() {
                for verb in texts(rule, "verbs") {
                    for group in texts(rule, "apiGroups") {
                        for resource in texts(rule, "resources") {
                            rights.insert(format!("{verb} {group} {resource}"));
                        }
                    }
                }
            }
        }
        rights
    }

    #[test]
    fn what_is_asked_for_is_what_is_shipped() {
        let text = |&(verb, group, resource): &Right| format!("{verb} {group} {resource}");
        let named = |rights: &BTreeSet<String>| -> BTreeSet<String> {
            let plugins = |right: &String| right.replace(PLUGINS, "wasmplugins");
            rights.iter().map(plugins).collect()
        };
        let of_people: BTreeSet<String> = PURPOSES
            .iter()
            .flat_map(|(_, all)| *all)
            .map(text)
            .collect();
        let people = shipped("base/rbac.yaml");
        assert!(
            named(&of_people).is_subset(&people),
            "{of_people:?} {people:?}"
        );
        let of_controller = OF_CONTROLLER.iter().chain(OF_LEADER).map(text).collect();
        let controller = shipped("controller/cluster.yaml");
        assert!(
            named(&of_controller).is_subset(&controller),
            "{controller:?}"
        );
    }
}
