//! Applying the resources of a split in the order in which none of them leads a request to nowhere.
//!
//! Everything is tried without effect first, so that what will be refused is known before anything
//! is changed. Then subsets are applied, then one waits until the proxies have them (`subsets`),
//! then come routes, and the plugin last. Weights are never among it. It prints nothing: whoever
//! runs it is told each step, and may stop at any; what was done is known then, and running it
//! again goes on from there.

mod pods;
mod refusal;
mod resource;
mod subsets;
mod wait;

use futures::StreamExt as _;
use kube::api::{DynamicObject, PatchParams};
use serde::Serialize;

use crate::cluster::plugins::LivePlugin;
use crate::cluster::{Cluster, objects};
use crate::model::manifest::{Manifest, Manifests, Stage};
use crate::store::kubernetes::native::follow;
use crate::store::{Note, OthersFields};
pub use refusal::ApplyError;
use resource::subsets_of;
pub use resource::{Change, Progress, Resourced, Step, Terms};
pub use subsets::{SUBSETS_SECONDS, Unseen, Waited, named};
use wait::Wait;

/// The field manager of what is applied. It is none of `sluice/<split>`: weights are not its.
const MANAGER: &str = "sluice-apply";

/// How many resources are tried at once. Chosen: what an API server gives one client without
/// queueing.
const AT_ONCE: usize = 8;

/// Resources that the cluster would accept, and how far each has come; serialized, it is the JSON
/// of `sluice apply`.
#[derive(Debug, Serialize)]
pub struct Application {
    /// The cluster, as people call it: `context kind`.
    pub store: String,
    /// Each of them, in order.
    pub resources: Vec<Resourced>,
    /// What the wait for subsets ended with; `None` where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subsets: Option<Waited>,
    /// What went wrong beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    #[serde(skip)]
    cluster: Cluster,
}

/// Tries everything without effect.
///
/// # Errors
/// All that the cluster refuses at once; nothing was applied.
pub async fn try_all(
    cluster: &Cluster,
    manifests: Manifests,
    others_fields: OthersFields,
) -> Result<Application, ApplyError> {
    let tried = manifests
        .all
        .into_iter()
        .map(|manifest| attempt(cluster, manifest, others_fields));
    let tried: Vec<_> = futures::stream::iter(tried)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut resources = Vec::new();
    let mut refusals = Vec::new();
    for result in tried {
        match result {
            Ok(resource) => resources.push(resource),
            Err(refusal) => refusals.push(refusal),
        }
    }
    refusals.extend(resources.iter().filter_map(lost_subsets));
    refusals.extend(pods::missing(cluster, &resources).await);
    match refusal::of_all(refusals) {
        Some(error) => Err(error),
        None => Ok(Application {
            store: cluster.title().to_owned(),
            resources,
            subsets: None,
            notes: Vec::new(),
            cluster: cluster.clone(),
        }),
    }
}

async fn attempt(
    cluster: &Cluster,
    manifest: Manifest,
    others_fields: OthersFields,
) -> Result<Resourced, refusal::Refused> {
    let refused = |error| refusal::of(cluster, &manifest, error);
    let live = objects::live(cluster, &manifest).await.map_err(refused)?;
    let parameters = parameters(others_fields).dry_run();
    let tried = objects::apply(cluster, &manifest, &parameters)
        .await
        .map_err(refused)?;
    let change = match &live {
        None => Change::Created,
        Some(live) if is_same(live, &tried) => Change::Unchanged,
        Some(_) => Change::Changed,
    };
    Ok(Resourced {
        resource: manifest.title(),
        change,
        progress: Progress::Tried,
        manifest,
        live,
        tried,
    })
}

fn parameters(others_fields: OthersFields) -> PatchParams {
    let parameters = PatchParams::apply(MANAGER);
    match others_fields {
        OthersFields::Respect => parameters,
        OthersFields::TakeOver => parameters.force(),
    }
}

/// Whether nothing but managed fields and versions differs.
fn is_same(live: &DynamicObject, tried: &DynamicObject) -> bool {
    live.data == tried.data
        && live.metadata.labels == tried.metadata.labels
        && live.metadata.annotations == tried.metadata.annotations
}

/// A DestinationRule that would lose a subset: routes may lead to it until they are applied, too.
fn lost_subsets(resource: &Resourced) -> Option<refusal::Refused> {
    let after = subsets_of(&resource.tried);
    let before = resource.live.as_ref().map(subsets_of).unwrap_or_default();
    let lost: Vec<String> = before
        .into_iter()
        .filter(|subset| !after.contains(subset))
        .collect();
    (resource.manifest.stage == Stage::Subsets && !lost.is_empty())
        .then(|| refusal::loses_subsets(&resource.resource, &lost))
}

/// Has native proxies follow a plugin that says that they are.
async fn followed(cluster: &Cluster, resource: &Resourced) -> Vec<Note> {
    let live = |kind| LivePlugin::of(resource.tried.clone(), kind).ok();
    match resource.manifest.plugin_kind().and_then(live) {
        Some(live) => follow(cluster, &live).await,
        None => Vec::new(),
    }
}

impl Application {
    /// Applies everything in order.
    ///
    /// # Errors
    /// Why it stopped; [`Application::resources`] says where.
    pub async fn run(
        &mut self,
        terms: &Terms<'_>,
        say: &mut (dyn FnMut(Step<'_>) + Send),
    ) -> Result<(), ApplyError> {
        let wait = Wait::prepare(&self.cluster, &self.resources, terms).await?;
        self.apply(Stage::Subsets, terms, say).await?;
        if let Some(wait) = wait {
            let waited = wait.end(terms, say).await?;
            say(Step::Waited(&waited));
            self.subsets = Some(waited);
        }
        self.apply(Stage::Routes, terms, say).await?;
        self.apply(Stage::Plugins, terms, say).await
    }

    /// The resources that are not applied, as far as is known.
    pub fn left(&self) -> impl Iterator<Item = &Resourced> {
        let resources = self.resources.iter();
        resources.filter(|resource| resource.progress != Progress::Applied)
    }

    async fn apply(
        &mut self,
        stage: Stage,
        terms: &Terms<'_>,
        say: &mut (dyn FnMut(Step<'_>) + Send),
    ) -> Result<(), ApplyError> {
        let parameters = parameters(terms.others_fields);
        for resource in &mut self.resources {
            if resource.manifest.stage != stage {
                continue;
            }
            resource.progress = Progress::Unknown;
            match objects::apply(&self.cluster, &resource.manifest, &parameters).await {
                Ok(object) => resource.tried = object,
                Err(error) => {
                    let refused = refusal::of(&self.cluster, &resource.manifest, error);
                    if !refused.may_be_applied() {
                        resource.progress = Progress::Tried;
                    }
                    return Err(refused.into());
                }
            }
            resource.progress = Progress::Applied;
            say(Step::Applied(resource));
            for note in followed(&self.cluster, resource).await {
                say(Step::Noted(&note));
                self.notes.push(note);
            }
        }
        Ok(())
    }
}
