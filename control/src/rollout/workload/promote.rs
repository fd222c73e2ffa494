//! Promoting what a Rollout promoted in one namespace to another one: both are read, and what differs
//! is applied where that is asked for. What was promoted, `promoted` says; what is to be applied,
//! [`super::images`].

mod promoted;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

pub use promoted::{Runs, Unpromoted};

use super::images::{OtherContainers, Promotion, Way, promotion};
use super::remembered::{Remembered, VERSION};
use super::template::version;
use crate::cluster::custom::{self, Scope};
use crate::cluster::{Cluster, code, words};
use crate::model::workload::{ROLLOUT_LABEL, copy_of};
use crate::rollout::object::Rollout;
use crate::rollout::rollouts::ROLLOUTS;
use crate::rollout::status::Status;
use crate::store::OwnedField;
use crate::store::kubernetes::conflicting;
use promoted::{Copied, promoted};

/// The field manager of images that are applied.
pub const MANAGER: &str = "sluice-promote";

/// A namespace as an environment.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What people call it, such as `prod@europe`.
    pub name: String,
    /// Where it is.
    pub cluster: Cluster,
}

/// What is promoted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    /// The split that the Rollout moves.
    pub split: &'w str,
    /// Its Deployment; `None`: the only one.
    pub deployment: Option<&'w str>,
    /// What a run under way means.
    pub runs: Runs,
}

/// How a promotion is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The API server only says whether it would take it.
    DryRun,
    /// It is written, and looked at afterwards.
    Write,
}

/// Why nothing, or not all, came of a promotion.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// Both are one.
    #[error("--from {from} and --to {to} are the same namespace; accepted: two")]
    Same {
        /// As typed.
        from: String,
        /// As typed.
        to: String,
    },
    /// What was promoted is not what is there now, and cannot be read.
    #[error(
        "Deployment {copy} in {place} was changed since it was given {promoted}, and is {own}, which no run has judged; \
         the template that was promoted is not kept there, or you may not get PodTemplates"
    )]
    Changed {
        /// The Deployment that has it.
        copy: String,
        /// The namespace, as typed.
        place: String,
        /// What it is.
        own: String,
        /// What was promoted last.
        promoted: String,
    },
    /// No Rollout is meant.
    #[error("no Rollout of split {split} in {place} follows {what}{hint}")]
    NoRollout {
        /// The split.
        split: String,
        /// The namespace, as typed.
        place: String,
        /// What it would follow.
        what: String,
        /// Those that there are.
        hint: String,
    },
    /// Several may be.
    #[error(
        "split {split} in {place} has Rollouts of the Deployments {}; name one by --workload NAME",
        .deployments.join(", ")
    )]
    Several {
        /// The split.
        split: String,
        /// The namespace, as typed.
        place: String,
        /// The Deployments.
        deployments: Vec<String>,
    },
    /// Nothing was promoted.
    #[error(
        "there is no Deployment {copy} of Rollout {rollout} in {place}: nothing was promoted there yet"
    )]
    Nothing {
        /// The Deployment that would have it.
        copy: String,
        /// The Rollout.
        rollout: String,
        /// The namespace, as typed.
        place: String,
    },
    /// What the copy has was not promoted, or not to its end.
    #[error(transparent)]
    Unpromoted(#[from] Box<Unpromoted>),
    /// There is no Deployment where it is to go.
    #[error("there is no Deployment {deployment} in {place}")]
    Missing {
        /// The Deployment.
        deployment: String,
        /// The namespace, as typed.
        place: String,
    },
    /// The templates have other containers.
    #[error(transparent)]
    OtherContainers(#[from] Box<OtherContainers>),
    /// Something could not be read.
    #[error("{what} in {place} cannot be read: {why}")]
    Unread {
        /// What.
        what: String,
        /// The namespace, as typed.
        place: String,
        /// Why not.
        why: String,
    },
    /// Others own what would be set.
    #[error(
        "Deployment {deployment} in {place}: {}; nothing was changed. Whoever set them would set them back: let Git say \
         what is printed without --apply",
        owned(.fields)
    )]
    Conflict {
        /// The Deployment.
        deployment: String,
        /// The namespace, as typed.
        place: String,
        /// The fields with their owners.
        fields: Vec<OwnedField>,
    },
    /// The API server did not take it.
    #[error("Deployment {deployment} in {place}: not applied: {why}")]
    Refused {
        /// The Deployment.
        deployment: String,
        /// The namespace, as typed.
        place: String,
        /// Why not.
        why: String,
    },
    /// It was applied, and is not there.
    #[error(
        "Deployment {deployment} in {place}: container {container} was given {wanted} and has {found}: somebody else \
         writes it"
    )]
    Undone {
        /// The Deployment.
        deployment: String,
        /// The namespace, as typed.
        place: String,
        /// The container.
        container: String,
        /// What was applied.
        wanted: String,
        /// What it has.
        found: String,
    },
}

/// `spec… was set by field manager "kubectl"`, of each field.
fn owned(fields: &[OwnedField]) -> String {
    let each = fields
        .iter()
        .map(|field| format!("{} is set by field manager {:?}", field.path, field.manager));
    each.collect::<Vec<_>>().join("; ")
}

/// What was read, and what follows of it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What Git should say.
    pub promotion: Promotion,
    /// That somebody changed the pods that serve everyone since, in a sentence.
    pub note: Option<String>,
    /// The Deployment as it was read.
    read: DynamicObject,
}

/// What Git should say in one namespace to have what was promoted in another one.
///
/// # Errors
/// Where nothing was promoted, a run is not over, or the two cannot be compared.
pub async fn planned(
    from: &Environment,
    to: &Environment,
    wanted: Wanted<'_>,
) -> Result<Planned, PromoteError> {
    if from.cluster.is_same_place(&to.cluster) {
        return Err(PromoteError::Same {
            from: from.name.clone(),
            to: to.name.clone(),
        });
    }
    let (rollout, deployment) = rollout(from, wanted).await?;
    let copy_name = copy_of(&deployment);
    let copy = get(from, &copy_name).await?;
    let is_own = |copy: &DynamicObject| {
        let labels = copy.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get(ROLLOUT_LABEL))
            .map(String::as_str)
            == Some(rollout.name())
    };
    let copy = copy.filter(is_own).ok_or_else(|| PromoteError::Nothing {
        copy: copy_name.clone(),
        rollout: rollout.name().to_owned(),
        place: from.name.clone(),
    })?;
    let template = &copy.data["spec"]["template"];
    let own = version(template);
    let annotations = copy.metadata.annotations.as_ref();
    let given = annotations.and_then(|annotations| annotations.get(VERSION));
    let copied = Copied {
        rollout: rollout.name(),
        place: &from.name,
        deployment: &deployment,
        given: given.unwrap_or(&own),
        own: &own,
    };
    let promoted = promoted(status(&rollout, from)?, copied, wanted.runs)?;
    let read = get(to, &deployment).await?;
    let read = read.ok_or_else(|| PromoteError::Missing {
        deployment: deployment.clone(),
        place: to.name.clone(),
    })?;
    let way = Way {
        from: &from.name,
        to: &to.name,
    };
    let present = json!({
        "metadata": {"name": deployment, "namespace": to.cluster.namespace()},
        "spec": read.data["spec"],
    });
    let is_changed = promoted != own;
    let kept = match is_changed {
        true => Some(kept(from, rollout.name(), &copy_name, (promoted, &own)).await?),
        false => None,
    };
    let template = kept.as_ref().unwrap_or(template);
    let promotion = promotion(way, promoted, template, &present)?;
    let note = is_changed.then(|| {
        format!(
            "Deployment {copy_name} in {} was changed since it was given {promoted}, and is {own}; what is taken is the \
             template that was promoted",
            from.name
        )
    });
    Ok(Planned {
        promotion,
        note,
        read,
    })
}

/// The template of a version that was promoted, where its copy has another one by now.
async fn kept(
    from: &Environment,
    rollout: &str,
    copy: &str,
    (promoted, own): (&str, &str),
) -> Result<Value, PromoteError> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "PodTemplate"));
    let cluster = &from.cluster;
    let remembered = Remembered {
        api: Api::namespaced_with(cluster.client().clone(), cluster.namespace(), &resource),
        rollout,
        copy,
    };
    let found = remembered.find(promoted).await;
    found.ok().flatten().ok_or_else(|| PromoteError::Changed {
        copy: copy.to_owned(),
        place: from.name.clone(),
        own: own.to_owned(),
        promoted: promoted.to_owned(),
    })
}

/// How often images are sent, while the Deployment's status alone is written in between. Chosen: its
/// controller writes it a few times after a change.
const MAX_IMAGES_SENT: usize = 10;

/// Applies it to the Deployment's images alone, if its spec is still what was read, and looks
/// afterwards.
///
/// # Errors
/// Fields of others, which are not taken over; and where it is undone at once.
pub async fn apply(
    to: &Environment,
    planned: &Planned,
    manner: Manner,
) -> Result<(), PromoteError> {
    let promotion = &planned.promotion;
    let deployment = &promotion.deployment;
    let parameters = PatchParams {
        dry_run: manner == Manner::DryRun,
        ..PatchParams::apply(MANAGER)
    };
    let mut version = planned.read.metadata.resource_version.clone();
    for sent in 1.. {
        let mut patch = promotion.patch.clone();
        patch["metadata"]["uid"] = json!(planned.read.metadata.uid);
        patch["metadata"]["resourceVersion"] = json!(version);
        let patch = Patch::Apply(&patch);
        let Err(error) = api(&to.cluster)
            .patch(deployment, &parameters, &patch)
            .await
        else {
            break;
        };
        let refused = refusal(to, deployment, &error);
        let is_overtaken =
            code(&error) == Some(409) && matches!(refused, PromoteError::Refused { .. });
        let now = match is_overtaken && sent < MAX_IMAGES_SENT {
            true => get(to, deployment).await?,
            false => None,
        };
        // Whoever changed what was compared is told; the status is nobody's decision.
        let now = now.filter(|now| {
            now.metadata.uid == planned.read.metadata.uid
                && now.data["spec"] == planned.read.data["spec"]
        });
        version = now.ok_or(refused)?.metadata.resource_version;
    }
    if manner == Manner::DryRun {
        return Ok(());
    }
    let found = get(to, deployment).await?;
    let spec = found.map(|found| found.data["spec"]["template"]["spec"].clone());
    let spec = spec.ok_or_else(|| PromoteError::Missing {
        deployment: deployment.clone(),
        place: to.name.clone(),
    })?;
    let lists = ["containers", "initContainers"].map(|field| spec[field].as_array());
    let containers = lists.into_iter().flatten().flatten();
    for change in &promotion.changes {
        let mut own = containers
            .clone()
            .filter(|own| own["name"] == *change.container);
        let found = own.next().and_then(|own| own["image"].as_str());
        if found != Some(&change.to) {
            return Err(PromoteError::Undone {
                deployment: deployment.clone(),
                place: to.name.clone(),
                container: change.container.clone(),
                wanted: change.to.clone(),
                found: found.unwrap_or("none").to_owned(),
            });
        }
    }
    Ok(())
}

fn refusal(to: &Environment, deployment: &str, error: &kube::Error) -> PromoteError {
    let (deployment, place) = (deployment.to_owned(), to.name.clone());
    let fields = match error {
        kube::Error::Api(status) => conflicting(status),
        _ => Vec::new(),
    };
    if !fields.is_empty() {
        return PromoteError::Conflict {
            deployment,
            place,
            fields,
        };
    }
    let why = match code(error) {
        Some(409) => "it was changed meanwhile; try again".to_owned(),
        _ => words(error),
    };
    PromoteError::Refused {
        deployment,
        place,
        why,
    }
}

/// The one Rollout that is meant, and its Deployment.
async fn rollout(
    from: &Environment,
    wanted: Wanted<'_>,
) -> Result<(Rollout, String), PromoteError> {
    let scope = Scope::Namespace(from.cluster.namespace().to_owned());
    let listed = custom::list(&from.cluster, &ROLLOUTS, &scope).await;
    let listed = listed.map_err(|error| PromoteError::Unread {
        what: "Rollouts".to_owned(),
        place: from.name.clone(),
        why: words(&error),
    })?;
    let mut following: Vec<(Rollout, String)> = listed
        .into_iter()
        .filter_map(|object| following(object, wanted.split))
        .collect();
    let all: Vec<String> = following.iter().map(|(_, name)| name.clone()).collect();
    following.retain(|(_, name)| wanted.deployment.is_none_or(|wanted| wanted == name));
    let (split, place) = (wanted.split.to_owned(), from.name.clone());
    match (following.pop(), following.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(PromoteError::NoRollout {
            split,
            place,
            what: match wanted.deployment {
                Some(name) => format!("Deployment {name}"),
                None => "a Deployment".to_owned(),
            },
            hint: match all.as_slice() {
                [] => String::new(),
                all => format!("; they follow {}", all.join(", ")),
            },
        }),
        (Some(_), false) => Err(PromoteError::Several {
            split,
            place,
            deployments: all,
        }),
    }
}

/// A Rollout of a split that follows a Deployment, and which.
fn following(object: DynamicObject, split: &str) -> Option<(Rollout, String)> {
    let spec = &object.data["spec"];
    let deployment = spec
        .pointer("/workload/deployment")
        .and_then(Value::as_str)?;
    let is_of_split = spec["split"].as_str() == Some(split);
    let deployment = is_of_split.then(|| deployment.to_owned())?;
    let rollout = serde_json::from_value(serde_json::to_value(object).ok()?).ok()?;
    Some((rollout, deployment))
}

/// How far a Rollout is; what cannot be read may say that nobody has judged what the copy has.
fn status<'r>(rollout: &'r Rollout, from: &Environment) -> Result<&'r Status, PromoteError> {
    let reported = rollout.reported.as_ref();
    let reported = reported.map_err(|why| PromoteError::Unread {
        what: format!("the status of Rollout {}", rollout.name()),
        place: from.name.clone(),
        why: why.clone(),
    })?;
    Ok(&reported.status)
}

async fn get(of: &Environment, name: &str) -> Result<Option<DynamicObject>, PromoteError> {
    match api(&of.cluster).get(name).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if code(&error) == Some(404) => Ok(None),
        Err(error) => Err(PromoteError::Unread {
            what: format!("Deployment {name}"),
            place: of.name.clone(),
            why: words(&error),
        }),
    }
}

fn api(cluster: &Cluster) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    Api::namespaced_with(cluster.client().clone(), cluster.namespace(), &resource)
}
