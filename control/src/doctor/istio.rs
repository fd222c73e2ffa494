//! istiod as it is deployed, and the settings of it and of the mesh that splits depend on.
//!
//! istiod's Deployments are those with the label `app=istiod` in the root namespace; the mesh
//! configuration is the ConfigMap `istio`, or `istio-REVISION`. Who has both elsewhere is told that
//! they were not seen.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use serde_json::Value;

use super::codes::Code;
use super::finding::{Finding, Look, named};
use super::objects::{self, CONFIG_MAP, DEPLOYMENT, container, replicas, title};
use super::query::{Ground, has_brake};
use super::versions::{self, Version};
use crate::cluster::plugins::{LivePlugin, Scope};
use crate::model::input;
use crate::model::plugin::Kind;
use crate::rollout::resource::Span;

/// The labels of the filter's metrics, which `extraStatTags` must name.
pub const TAGS: [&str; 7] = [
    "sluice_split",
    "sluice_audience",
    "sluice_variant",
    "sluice_source",
    "sluice_class",
    "sluice_plugin",
    "sluice_word",
];

/// istiod's own defaults (Istio's pilot/pkg/features/tuning.go).
const DEFAULT_AFTER: Duration = Duration::from_millis(100);
const DEFAULT_MAX: Duration = Duration::from_secs(10);

/// How long an abort may be held back before it is worth a note. Chosen: a second.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether Prometheus has series of the filter with their labels: then the proxies were told them
/// in another way than by the mesh configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// It has.
    Seen,
    /// It has not, or was not asked.
    NotSeen,
}

/// Looks at istiod and the mesh configuration.
pub async fn look(ground: &Ground<'_>, labels: Labels) -> Look {
    let mut look = Look::default();
    let root = ground.query.root_namespace;
    let scope = Scope::Namespace(root.to_owned());
    let with_label = ListParams::default().labels("app=istiod");
    let (deployments, maps) = tokio::join!(
        objects::all(ground.cluster, &DEPLOYMENT, &scope, &with_label),
        objects::of_name(ground.cluster, &CONFIG_MAP, &scope, "istio"),
    );
    let mut revisions = Vec::new();
    match deployments {
        Ok(deployments) => {
            let deployments: Vec<Deployment> = objects::typed(deployments);
            look.join(judge(&deployments, root, ground.live));
            revisions = deployments.iter().filter_map(revision).collect();
        }
        Err(why) => look.miss(format!("Deployments of namespace {root}"), why),
    }
    match maps {
        Ok(maps) => {
            let mut maps: Vec<ConfigMap> = objects::typed(maps);
            for revision in &revisions {
                let name = format!("istio-{revision}");
                let more = objects::of_name(ground.cluster, &CONFIG_MAP, &scope, &name).await;
                maps.extend(objects::typed::<ConfigMap>(more.unwrap_or_default()));
            }
            look.join(judge_mesh(&maps, root, labels));
        }
        Err(why) => look.miss(format!("ConfigMap {root}/istio"), why),
    }
    look
}

/// The versions of the istiods of a namespace, as far as their images say them.
///
/// # Errors
/// Why the Deployments cannot be read, in words.
pub async fn installed(ground: &Ground<'_>) -> Result<Vec<(String, Version)>, String> {
    let scope = Scope::Namespace(ground.query.root_namespace.to_owned());
    let with_label = ListParams::default().labels("app=istiod");
    let found = objects::all(ground.cluster, &DEPLOYMENT, &scope, &with_label).await?;
    let found: Vec<Deployment> = objects::typed(found);
    let version = |deployment: &Deployment| {
        let place = title(&DEPLOYMENT, &deployment.metadata);
        Some((place, version_of(deployment)?))
    };
    Ok(found.iter().filter_map(version).collect())
}

/// Whether an istiod is of a revision with a mesh configuration of its own.
fn revision(deployment: &Deployment) -> Option<String> {
    let labels = deployment.metadata.labels.as_ref()?;
    let revision = labels.get("istio.io/rev")?;
    (revision != "default").then(|| revision.clone())
}

fn version_of(deployment: &Deployment) -> Option<Version> {
    let image = container(deployment, &["discovery"])?.image.as_deref()?;
    let labels = deployment.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get("app.kubernetes.io/version"));
    Version::of_image(image).or_else(|| Version::read(label?))
}

/// What the Deployments say.
pub fn judge(deployments: &[Deployment], root: &str, live: &[LivePlugin]) -> Look {
    let mut look = Look::default();
    if deployments.is_empty() {
        look.find(Finding::new(
            Code::IstiodUnseen,
            format!("namespace {root}"),
            "no Deployment with the label app=istiod",
            "istiod in the root namespace",
        ));
    }
    let extensions: Vec<String> = live
        .iter()
        .filter(|live| live.plugin.kind == Kind::TrafficExtension)
        .map(|live| live.plugin.source.clone())
        .collect();
    for deployment in deployments {
        let place = title(&DEPLOYMENT, &deployment.metadata);
        if let Some(version) = version_of(deployment) {
            look.join(versions::istiod(&place, version, &extensions));
        }
        look.join(replicated(deployment, &place));
        look.join(debounced(deployment, &place, live));
    }
    look
}

fn replicated(deployment: &Deployment, place: &str) -> Look {
    let mut look = Look::default();
    let (wanted, ready) = replicas(deployment);
    if ready == 0 {
        let found = format!("none of {wanted} replicas is ready: no change is accepted or pushed");
        look.find(Finding::new(
            Code::IstioMissing,
            place,
            found,
            "one that is ready",
        ));
    } else if wanted < 2 {
        look.find(Finding::new(
            Code::IstiodAlone,
            place,
            "one replica",
            "two or more",
        ));
    } else {
        look.praise(format!("{ready} of {wanted} replicas of istiod are ready"));
    }
    look
}

/// istiod's pauses, by its environment.
fn debounced(deployment: &Deployment, place: &str, live: &[LivePlugin]) -> Look {
    let mut look = Look::default();
    let variable = |name: &str| {
        let variables = container(deployment, &["discovery"])?.env.as_ref()?;
        let variable = variables.iter().find(|variable| variable.name == name)?;
        duration(variable.value.as_deref()?)
    };
    let after = variable("PILOT_DEBOUNCE_AFTER").unwrap_or(DEFAULT_AFTER);
    let max = variable("PILOT_DEBOUNCE_MAX").unwrap_or(DEFAULT_MAX);
    let found = format!("PILOT_DEBOUNCE_AFTER {after:?}, PILOT_DEBOUNCE_MAX {max:?}");
    let without_brake: Vec<&str> = live
        .iter()
        .filter(|live| !has_brake(live))
        .map(|live| live.plugin.source.as_str())
        .collect();
    if after > DEFAULT_AFTER || max > DEFAULT_MAX {
        let accepted = "at most 100ms and 10s, Istio's defaults";
        look.find(Finding::new(Code::DebounceLong, place, found, accepted));
    } else if max > PATIENCE && !without_brake.is_empty() {
        let found = format!("{found}; without a brake: {}", named(&without_brake));
        let accepted = "at most 1s, or a brake in every plugin";
        look.find(Finding::new(Code::DebounceDefault, place, found, accepted));
    } else {
        look.praise(found);
    }
    look
}

/// A length of time as Go writes it; fractions such as `1.5s` too.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(span) = text.parse::<Span>() {
        return Some(span.as_duration());
    }
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What the mesh configurations say.
pub fn judge_mesh(maps: &[ConfigMap], root: &str, labels: Labels) -> Look {
    let mut look = Look::default();
    if maps.is_empty() {
        look.find(Finding::new(
            Code::MeshUnreadable,
            format!("ConfigMap {root}/istio"),
            "not there",
            "a ConfigMap with the key mesh",
        ));
    }
    for map in maps {
        let place = title(&CONFIG_MAP, &map.metadata);
        let text = map.data.as_ref().and_then(|data| data.get("mesh"));
        let read = text.map(|text| input::parse(&place, text));
        let Some(Ok(documents)) = read else {
            let why = match read {
                Some(Err(error)) => error.to_string(),
                _ => "no key mesh".to_owned(),
            };
            let accepted = "the mesh configuration as YAML under the key mesh";
            look.find(Finding::new(Code::MeshUnreadable, place, why, accepted));
            continue;
        };
        let mesh = documents.first().map_or(&Value::Null, |input| &input.value);
        let tags = mesh.pointer("/defaultConfig/extraStatTags");
        let tags: Vec<&str> = tags
            .and_then(Value::as_array)
            .map(|tags| tags.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let missing: Vec<&str> = TAGS.into_iter().filter(|tag| !tags.contains(tag)).collect();
        match (missing.as_slice(), labels) {
            ([], _) => look.praise("extraStatTags has the filter's labels"),
            (_, Labels::Seen) => look.praise(
                "the mesh configuration lacks the filter's labels, and the proxies have them all the same",
            ),
            (missing, Labels::NotSeen) => look.find(Finding::new(
                Code::StatTagsMissing,
                place,
                format!("defaultConfig.extraStatTags lacks {}", missing.join(", ")),
                "all of the filter's labels",
            )),
        }
    }
    look
}

#[cfg(test)]
mod tests;
