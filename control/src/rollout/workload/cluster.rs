//! A Rollout's two Deployments in a cluster: read, made, and scaled.
//!
//! The one that Git states is never written but for its scale. The copy is applied server-side as
//! ours; it has no owner, because neither deleting the Rollout nor the other Deployment may take away
//! the pods that serve everybody.

use std::time::Duration;

use futures::future::try_join;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Workload;
use super::autoscaler::Autoscalers;
use super::autoscalers::Scalers;
use super::naming::Named;
use super::next::Action;
use super::pods::{MAX_PODS_ASKED, refused, trouble};
use super::remembered::{MANAGER, Remembered, VERSION};
use super::routes::{Found, ROUTED_FROM, find, labels};
use super::seen::{Asked, Both, Pods, Routes, WorkloadSeen};
use super::template::{variant, version, with_variant};
use crate::cluster::{Cluster, code, words};
use crate::model::workload::{ROLLOUT_LABEL as ROLLOUT, VARIANT_LABEL as VARIANT, template_of};
use crate::rollout::look::Variants;
use crate::rollout::world::Failure;

/// The annotation of a copy: the PodTemplate that its template is kept as.
pub const TEMPLATE: &str = "sluice.dev/template";

/// How long they may take to be read. Chosen: an abort that was asked for meanwhile waits so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it may take to read why pods are not ready. Chosen: a person reads it in the next look.
const TROUBLE_PATIENCE: Duration = Duration::from_millis(300);

/// How long it may take to search for routes. Chosen: half of that.
const ROUTES_PATIENCE: Duration = Duration::from_secs(1);

/// For how long it counts, where a run may begin, that something told variants apart. Chosen: at rest
/// it is looked each five seconds whether one may.
const ROUTED: Duration = Duration::from_secs(30);

/// How many of those that name a variant are named. Chosen: who reads it takes them out one by one.
const MAX_NAMED: usize = 4;

/// The Deployments of one Rollout.
#[derive(Debug)]
pub struct Deployments {
    cluster: Cluster,
    rollout: String,
    /// As they were read last: what is done stands on it.
    read: Mutex<Option<Read>>,
    scalers: Scalers,
    /// The version for which something told variants apart, and when that was.
    routed: Mutex<Option<(String, Instant)>>,
}

/// Both as they were read.
#[derive(Clone, Debug)]
struct Read {
    workload: Workload,
    wanted: DynamicObject,
    copy: Option<DynamicObject>,
    fallback: Option<String>,
    /// A version that the copy is to have, and its template.
    remembered: Option<(String, Value)>,
    autoscalers: Autoscalers,
}

impl Read {
    /// The template of a version.
    fn template(&self, of: &str) -> Option<&Value> {
        let wanted = &self.wanted.data["spec"]["template"];
        let remembered = self.remembered.as_ref();
        let remembered = remembered.filter(|(version, _)| version == of);
        match version(wanted) == of {
            true => Some(wanted),
            false => remembered.map(|(_, template)| template),
        }
    }

    /// The template of a version as the copy gets it.
    fn given(&self, of: &str) -> Result<Value, Failure> {
        let Some(fallback) = &self.fallback else {
            // Nobody knows what its pods are called.
            return Err(Failure::Untended("the split was not seen".to_owned()));
        };
        let template = self.template(of).ok_or_else(|| {
            let why = format!("the template of {of} is not at hand any more");
            Failure::Untended(why)
        })?;
        Ok(with_variant(template, fallback))
    }

    /// The version and template of a copy that is about to get another one, unless others changed it.
    fn leaving(&self) -> Option<(String, &Value)> {
        let copy = self.copy.as_ref()?;
        let template = &copy.data["spec"]["template"];
        let own = version(template);
        (given(copy)? == own).then_some((own, template))
    }

    /// The version and template of a copy that is not kept yet, unless others changed it.
    fn unkept(&self) -> Option<(String, &Value)> {
        let copy = self.copy.as_ref()?;
        let template = &copy.data["spec"]["template"];
        let own = version(template);
        let name = template_of(&self.workload.copy(), &own);
        let is_given = given(copy).is_none_or(|given| given == own);
        (is_given && annotation(copy, TEMPLATE) != Some(&name)).then_some((own, template))
    }
}

fn annotation<'c>(object: &'c DynamicObject, name: &str) -> Option<&'c String> {
    object.metadata.annotations.as_ref()?.get(name)
}

/// The version that a copy was given last.
fn given(copy: &DynamicObject) -> Option<String> {
    annotation(copy, VERSION).cloned()
}

impl Deployments {
    /// Those of a Rollout in the cluster's namespace.
    pub fn of(cluster: Cluster, rollout: &str) -> Self {
        Self {
            scalers: Scalers::of(&cluster, rollout),
            cluster,
            rollout: rollout.to_owned(),
            read: Mutex::default(),
            routed: Mutex::default(),
        }
    }

    /// The labels of the pods of the one that Git states, as they were read last.
    pub fn labels(&self) -> Option<Value> {
        let read = self.read.lock();
        let labels = read
            .as_ref()?
            .wanted
            .data
            .pointer("/spec/template/metadata/labels");
        labels.cloned()
    }

    fn api(&self, kind: &str, group: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Api::namespaced_with(
            self.cluster.client().clone(),
            self.cluster.namespace(),
            &resource,
        )
    }

    /// What is seen of them, with the variants of the split where they are known.
    pub async fn look(
        &self,
        workload: &Workload,
        variants: Option<&Variants>,
        asked: Asked<'_>,
    ) -> WorkloadSeen {
        let looking = self.look_patiently(workload, variants, asked);
        let looked = tokio::time::timeout(PATIENCE, looking).await;
        looked.unwrap_or_else(|_| WorkloadSeen::Unknown {
            why: format!("Deployment {} cannot be read in time", workload.deployment),
        })
    }

    async fn look_patiently(
        &self,
        workload: &Workload,
        variants: Option<&Variants>,
        asked: Asked<'_>,
    ) -> WorkloadSeen {
        let name = &workload.deployment;
        let api = self.api("Deployment", "apps");
        let copy = workload.copy();
        let read = try_join(api.get_opt(name), api.get_opt(&copy)).await;
        let (wanted, copy) = match read {
            Ok((Some(wanted), copy)) => (wanted, copy),
            Ok((None, _)) => {
                let namespace = self.cluster.namespace();
                let what = format!("there is no Deployment {name} in namespace {namespace}");
                return WorkloadSeen::Missing { what };
            }
            Err(error) => {
                let why = format!("Deployment {name} cannot be read: {}", words(&error));
                return WorkloadSeen::Unknown { why };
            }
        };
        let mistake = self.mistake(workload, variants, &wanted, copy.as_ref());
        let is_foreign = self.is_foreign(copy.as_ref());
        let of_copy = async {
            match &copy {
                Some(copy) => Some(self.pods(copy).await),
                None => None,
            }
        };
        let (pods, of_copy) = tokio::join!(self.pods(&wanted), of_copy);
        let copied = copy.as_ref().zip(of_copy).map(|(copy, of_copy)| Pods {
            version: version_of_copy(copy, &pods.version),
            ..of_copy
        });
        let copied_version = copied.as_ref().map(|copy| &copy.version);
        let may_go = pods.replicas > 0 && copied_version == Some(&pods.version);
        let may_begin = copied_version.is_some_and(|copied| *copied != pods.version);
        let is_to_look = match asked.routes {
            Routes::Always => true,
            Routes::BeforeARun => may_go || (may_begin && !self.was_routed(&pods.version)),
            Routes::WherePodsMayGo => may_go,
        };
        let found = match variants.filter(|_| is_to_look) {
            Some(variants) => Some(self.found(variants, &wanted, copy.as_ref()).await),
            None => None,
        };
        let unrouted = match (&found, variants) {
            (Some(Err(why)), _) => Some(why.clone()),
            (Some(Ok(found)), Some(variants)) => self.unrouted(&variants.fallback, found),
            _ => None,
        };
        if is_to_look && may_begin {
            let routed = || (pods.version.clone(), Instant::now());
            *self.routed.lock() = unrouted.is_none().then(routed);
        }
        let autoscalers = self.scalers.look(workload, copied.is_some()).await;
        let has = |version: &&str| {
            *version == pods.version || copied.as_ref().is_some_and(|copy| copy.version == *version)
        };
        let lacking = asked.rightful.filter(|version| !has(version));
        let remembered = match lacking {
            Some(version) => match self.remembered(&workload.copy()).find(version).await {
                Ok(found) => found.map(|template| (version.to_owned(), template)),
                Err(error) => {
                    let error = words(&error);
                    let why = format!("the template of {version} cannot be read: {error}");
                    return WorkloadSeen::Unknown { why };
                }
            },
            None => None,
        };
        let read = Read {
            workload: workload.clone(),
            wanted,
            copy,
            fallback: variants.map(|variants| variants.fallback.clone()),
            remembered,
            autoscalers,
        };
        let seen = Both {
            uid: read.wanted.metadata.uid.clone(),
            wanted: pods,
            copy: copied,
            given: read.copy.as_ref().and_then(given),
            remembered: read.remembered.as_ref().map(|(version, _)| version.clone()),
            is_unkept: read.unkept().is_some(),
            is_foreign,
            mistake,
            unrouted,
            named_by: found.and_then(Result::ok).map(named_by),
            is_autoscaled: read.autoscalers.is_autoscaled,
            autoscaler: read.autoscalers.work,
        };
        *self.read.lock() = Some(read);
        WorkloadSeen::Seen(seen)
    }

    fn remembered<'r>(&'r self, copy: &'r str) -> Remembered<'r> {
        Remembered {
            api: self.api("PodTemplate", ""),
            rollout: &self.rollout,
            copy,
        }
    }

    /// Whether the Deployment of the copy's name is somebody else's.
    fn is_foreign(&self, copy: Option<&DynamicObject>) -> bool {
        copy.is_some_and(|copy| rollout_of(copy) != Some(&self.rollout))
    }

    /// What must be mended by a person.
    fn mistake(
        &self,
        workload: &Workload,
        variants: Option<&Variants>,
        wanted: &DynamicObject,
        copy: Option<&DynamicObject>,
    ) -> Option<String> {
        let (deployment, name) = (&workload.deployment, workload.copy());
        if let Some(rollout) = rollout_of(wanted) {
            return Some(format!(
                "Deployment {deployment} is the copy that Rollout {rollout} keeps: only what Git states can be followed"
            ));
        }
        if self.is_foreign(copy) {
            let rollout = &self.rollout;
            return Some(format!(
                "Deployment {name} is there and not ours: it has no label {ROLLOUT}: {rollout}, and is left alone"
            ));
        }
        let variants = variants?;
        let challenger = &*variants.challenger;
        let found = variant(&wanted.data["spec"]["template"]);
        if found != Some(challenger) {
            let found = found.unwrap_or("none");
            return Some(format!(
                "the template of Deployment {deployment} needs the label {VARIANT}: {challenger}; found: {found}"
            ));
        }
        let is_another = copy.is_some_and(|copy| {
            copy.data["spec"]["selector"] != selector(&wanted.data, &variants.fallback)
        });
        is_another.then(|| {
            format!(
                "Deployment {name} selects other pods than it is to have by the selector of {deployment} and the \
                 fallback {}, and no selector can be changed: name both as they were; or scale {deployment} by hand, \
                 give it everyone by `sluice set`, delete {name}, which is made anew, and `sluice abort`",
                variants.fallback
            )
        })
    }

    /// Whether it was seen for this version a short time ago that something tells variants apart.
    fn was_routed(&self, version: &str) -> bool {
        let routed = self.routed.lock();
        let routed = routed.as_ref().filter(|(of, _)| of == version);
        routed.is_some_and(|(_, since)| since.elapsed() < ROUTED)
    }

    /// What tells the pods of both apart.
    async fn found(
        &self,
        variants: &Variants,
        wanted: &DynamicObject,
        copy: Option<&DynamicObject>,
    ) -> Result<Found, String> {
        let wanted = with_variant(&wanted.data["spec"]["template"], &variants.fallback);
        let copied = copy.map_or(&wanted, |copy| &copy.data["spec"]["template"]);
        // What selects the one and not the other has no pods once the version is another.
        let labels = labels([copied, &wanted]);
        let named = Named {
            namespace: self.cluster.namespace(),
            labels: &labels,
            fallback: &variants.fallback,
            challenger: &variants.challenger,
        };
        let searching = tokio::time::timeout(ROUTES_PATIENCE, find(&self.cluster, &named));
        let why = match searching.await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => words(&error),
            Err(_) => format!("not done within {ROUTES_PATIENCE:?}"),
        };
        Err(format!(
            "whether routes tell variants apart cannot be read: {why}"
        ))
    }

    /// Why nobody knows that requests go to the copy alone, unless the challenger gets them.
    fn unrouted(&self, fallback: &str, found: &Found) -> Option<String> {
        if let Some(passing) = &found.passing {
            return Some(format!(
                "{passing}, whatever the split decided; until it does not, the Deployment keeps its pods and no run \
                 begins"
            ));
        }
        let namespace = self.cluster.namespace();
        let until = "until there is one, the Deployment keeps its pods and no run begins";
        if !found.is_told_apart {
            return Some(format!(
                "no subset of a DestinationRule and no Service in namespace {namespace} has the label {VARIANT}: \
                 {fallback} and selects these pods; {until}"
            ));
        }
        (!found.is_led).then(|| {
            let names = named_by(found.clone()).join(", ");
            format!(
                "no VirtualService and no HTTPRoute in namespace {namespace} has a route to {names}; {until} (where it \
                 is in another namespace, annotate that with {ROUTED_FROM}: NAMESPACE)"
            )
        })
    }

    async fn pods(&self, deployment: &DynamicObject) -> Pods {
        let data = &deployment.data;
        let count = |pointer: &str| {
            let count = data.pointer(pointer).and_then(Value::as_u64);
            count.map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        let status = |field: &str| count(&format!("/status/{field}")).unwrap_or_default();
        let observed = data["status"]["observedGeneration"].as_i64();
        let is_observed = observed >= deployment.metadata.generation;
        let pods = Pods {
            version: version(&data["spec"]["template"]),
            // As the API server fills it in.
            replicas: count("/spec/replicas").unwrap_or(1),
            ready: status("availableReplicas"),
            up: status("readyReplicas"),
            is_uniform: is_observed && status("replicas") == status("updatedReplicas"),
            trouble: None,
        };
        let is_waited_for = !pods.has(pods.replicas);
        Pods {
            trouble: match is_waited_for {
                // Whatever it says: that they are not ready is known.
                true => {
                    let trouble = tokio::time::timeout(TROUBLE_PATIENCE, self.trouble(data));
                    trouble.await.ok().flatten()
                }
                false => None,
            },
            ..pods
        }
    }

    /// Why a Deployment's pods are not ready; nothing where that cannot be read.
    async fn trouble(&self, deployment: &Value) -> Option<String> {
        if let Some(why) = refused(deployment) {
            return Some(why);
        }
        let labels = deployment.pointer("/spec/template/metadata/labels")?;
        let labels = labels.as_object()?.iter();
        let labels: Vec<String> = labels
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
            .collect();
        let parameters = ListParams::default()
            .labels(&labels.join(","))
            .limit(MAX_PODS_ASKED);
        let pods = self.api("Pod", "").list(&parameters).await.ok()?;
        let pods: Vec<Value> = pods.items.into_iter().map(whole).collect();
        trouble(&pods)
    }

    /// Does something about them, on what was read last.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn act(&self, action: &Action) -> Result<(), Failure> {
        let Some(read) = self.read.lock().clone() else {
            return Err(Failure::Untended("no Deployment was read".to_owned()));
        };
        let (name, copy) = (&read.workload.deployment, read.workload.copy());
        let (doing, done) = match action {
            Action::Copy { version, replicas } => {
                let template = read.given(version)?;
                let applied = self.apply(&read, (version, &template), *replicas).await;
                (format!("Deployment {copy} cannot be made"), applied)
            }
            Action::Remember => (
                format!("the template of Deployment {copy} is not kept"),
                self.remember(&read).await,
            ),
            Action::Promote { version, kept } => {
                let replicas = read
                    .copy
                    .as_ref()
                    .map(|copy| &copy.data["spec"]["replicas"]);
                let replicas = replicas.and_then(Value::as_u64).unwrap_or(1);
                let replicas = u32::try_from(replicas).unwrap_or(u32::MAX);
                let template = read.given(version)?;
                if let Some((leaving, former)) = read.leaving() {
                    // Its object may be gone since; what cannot be kept was said when it was to be kept first.
                    let _ = self.remembered(&copy).keep(&leaving, former).await;
                }
                let applied = self.apply(&read, (version, &template), replicas).await;
                if applied.is_ok() {
                    // What stays is forgotten at the next promotion.
                    let _ = self.remembered(&copy).forget_but(kept).await;
                }
                (
                    format!("Deployment {copy} cannot be given the template of {version}"),
                    applied,
                )
            }
            Action::ScaleCopy { replicas } => {
                let scaled = self.scale(&copy, read.copy.as_ref(), *replicas).await;
                (format!("Deployment {copy} cannot be scaled"), scaled)
            }
            Action::Autoscaler(_) => {
                let wanted = read.autoscalers.wanted.as_ref();
                let tended = self.scalers.tend(&read.workload, wanted).await;
                let why = format!("HorizontalPodAutoscaler {copy} cannot be written");
                (why, tended)
            }
            Action::DeleteCopy => {
                let deleted = self.delete_copy(&read).await;
                (format!("Deployment {copy} cannot be deleted"), deleted)
            }
            Action::Scale { replicas } => {
                let scaled = self.scale(name, Some(&read.wanted), *replicas).await;
                (format!("Deployment {name} cannot be scaled"), scaled)
            }
        };
        done.map_err(|error| Failure::Untended(format!("{doing}: {}", words(&error))))
    }

    /// The copy with the template of a version, if the copy is still what was read. The template is
    /// kept before; where that is refused for good, the copy says so by having no such annotation.
    async fn apply(
        &self,
        read: &Read,
        (version, template): (&str, &Value),
        replicas: u32,
    ) -> kube::Result<()> {
        let name = read.workload.copy();
        let kept = match self.remembered(&name).keep(version, template).await {
            Err(error) if matches!(code(&error), Some(400 | 403 | 404 | 413 | 422)) => None,
            kept => Some(kept?),
        };
        let given = Given {
            version,
            template,
            kept: kept.as_deref(),
        };
        let copy = copy(&self.rollout, read, &given, replicas);
        let parameters = match &read.copy {
            Some(_) => PatchParams::apply(MANAGER).force(),
            // Whoever made one meanwhile keeps it.
            None => PatchParams::apply(MANAGER),
        };
        let api = self.api("Deployment", "apps");
        api.patch(&name, &parameters, &Patch::Apply(&copy))
            .await
            .map(drop)
    }

    /// Deletes the copy with its pods, if it is still what was read.
    async fn delete_copy(&self, read: &Read) -> kube::Result<()> {
        let Some(copy) = &read.copy else {
            return Ok(());
        };
        self.scalers.tend(&read.workload, None).await?;
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: copy.metadata.uid.clone(),
                resource_version: copy.metadata.resource_version.clone(),
            }),
            ..DeleteParams::background()
        };
        let api = self.api("Deployment", "apps");
        let name = read.workload.copy();
        api.delete(&name, &parameters).await?;
        // Nothing is made of them any more; those that stay are a few small objects.
        let _ = self.remembered(&name).forget_but(&[]).await;
        Ok(())
    }

    /// Keeps the template that the copy has, and notes that on it.
    async fn remember(&self, read: &Read) -> kube::Result<()> {
        let Some((version, template)) = read.unkept() else {
            return Ok(());
        };
        let name = read.workload.copy();
        let kept = self.remembered(&name).keep(&version, template).await?;
        let resource_version = read.copy.as_ref().and_then(|copy| copy.resource_version());
        let noted = json!({"metadata": {
            "resourceVersion": resource_version, "annotations": {TEMPLATE: kept, VERSION: version},
        }});
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api("Deployment", "apps");
        api.patch(&name, &parameters, &Patch::Merge(&noted))
            .await
            .map(drop)
    }

    /// The scale of a Deployment, if it is still what was read.
    async fn scale(
        &self,
        name: &str,
        read: Option<&DynamicObject>,
        replicas: u32,
    ) -> kube::Result<()> {
        let read_version = read.and_then(|read| read.metadata.resource_version.as_ref());
        let scale = json!({
            "metadata": {"resourceVersion": read_version},
            "spec": {"replicas": replicas},
        });
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api("Deployment", "apps");
        api.patch_scale(name, &parameters, &Patch::Merge(&scale))
            .await
            .map(drop)
    }
}

/// What a copy is given.
struct Given<'g> {
    version: &'g str,
    /// With its variant.
    template: &'g Value,
    /// What the template is kept as, where it is.
    kept: Option<&'g str>,
}

/// The copy as it is applied.
fn copy(rollout: &str, read: &Read, given: &Given<'_>, replicas: u32) -> Value {
    let spec = &read.wanted.data["spec"];
    let fallback = variant(given.template).unwrap_or_default();
    let selector = selector(&read.wanted.data, fallback);
    let mut own = json!({
        "replicas": replicas,
        "selector": selector,
        "strategy": strategy(&spec["strategy"]),
        "template": given.template,
    });
    for field in [
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        if let Some(value) = spec.get(field) {
            own[field] = value.clone();
        }
    }
    let read_version = read
        .copy
        .as_ref()
        .and_then(|copy| copy.metadata.resource_version.clone());
    let mut metadata = json!({
        "name": read.workload.copy(),
        "namespace": read.wanted.metadata.namespace,
        "labels": {"app.kubernetes.io/managed-by": "sluice", ROLLOUT: rollout},
        "annotations": {VERSION: given.version},
    });
    if let Some(kept) = given.kept {
        metadata["annotations"][TEMPLATE] = json!(kept);
    }
    if let Some(version) = read_version {
        metadata["resourceVersion"] = json!(version);
    }
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": own})
}

/// The Rollout that a Deployment is the copy of.
fn rollout_of(deployment: &DynamicObject) -> Option<&String> {
    deployment.metadata.labels.as_ref()?.get(ROLLOUT)
}

/// The selector of the copy of a Deployment.
fn selector(wanted: &Value, fallback: &str) -> Value {
    let mut selector = wanted["spec"]["selector"].clone();
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"][VARIANT] = json!(fallback);
    selector
}

/// The version of a copy: what it was given, or what its template is, where that is what is wanted.
fn version_of_copy(copy: &DynamicObject, wanted: &str) -> String {
    let own = version(&copy.data["spec"]["template"]);
    given(copy).filter(|_| own != wanted).unwrap_or(own)
}

/// What names the copy, as it is said.
fn named_by(found: Found) -> Vec<String> {
    let mut names = found.names;
    names.truncate(MAX_NAMED);
    names
}

/// How the copy replaces its pods: never all of them at once, because somebody may be at them.
fn strategy(wanted: &Value) -> Value {
    let surge = wanted.pointer("/rollingUpdate/maxSurge");
    let surge =
        surge.filter(|surge| !matches!(surge, Value::Number(_) if surge.as_u64() == Some(0)));
    let surge = surge.filter(|surge| surge.as_str() != Some("0%"));
    json!({
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": surge.cloned().unwrap_or_else(|| json!("25%"))},
    })
}

fn whole(object: DynamicObject) -> Value {
    let mut whole = object.data;
    whole["metadata"] = json!({"name": object.metadata.name});
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::resource::{FirstSight, Scale};
    use crate::rollout::workload::services::Names;

    #[test]
    fn a_copy_has_the_template_and_a_selector_and_labels_of_its_own() {
        let wanted = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"argocd": "web"}},
            "spec": {
                "replicas": 0, "minReadySeconds": 5, "paused": true,
                "selector": {"matchLabels": {"app": "web", "sluice.dev/variant": "canary"}},
                "template": {
                    "metadata": {"labels": {"app": "web", "sluice.dev/variant": "canary"}},
                    "spec": {"containers": [{"name": "web", "image": "web:v2", "unheardOf": 1}]},
                },
            },
        });
        let workload = Workload {
            deployment: "web".to_owned(),
            scale: Scale::Full,
            progress_deadline: Duration::ZERO,
            drain: Duration::ZERO,
            rollback_window: 0,
            on_first_sight: FirstSight::Adopt,
            services: Names::default(),
        };
        let read = Read {
            workload,
            wanted: serde_json::from_value(wanted).unwrap(),
            copy: None,
            fallback: None,
            remembered: None,
            autoscalers: Autoscalers::default(),
        };
        let template = with_variant(&read.wanted.data["spec"]["template"], "stable");
        let given = Given {
            version: "web:v2 (3f9a1c20d4)",
            template: &template,
            kept: Some("web-stable-3f9a1c20d4"),
        };
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web-stable", "namespace": "shop",
                "labels": {"app.kubernetes.io/managed-by": "sluice", "sluice.dev/rollout": "web"},
                "annotations": {
                    "sluice.dev/version": "web:v2 (3f9a1c20d4)", "sluice.dev/template": "web-stable-3f9a1c20d4",
                },
            },
            "spec": {
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
                "replicas": 3, "minReadySeconds": 5,
                "selector": {"matchLabels": {"app": "web", "sluice.dev/variant": "stable"}},
                "template": {
                    "metadata": {"labels": {"app": "web", "sluice.dev/variant": "stable"}},
                    "spec": {"containers": [{"name": "web", "image": "web:v2", "unheardOf": 1}]},
                },
            },
        });
        assert_eq!(copy("web", &read, &given, 3), expected);
    }

    #[test]
    fn a_copy_that_was_restarted_is_still_of_the_version_that_it_was_given() {
        let template =
            |image: &str| json!({"spec": {"containers": [{"name": "web", "image": image}]}});
        let [v1, v2] = ["web:v1", "web:v2"].map(|image| version(&template(image)));
        let copy = |given: Option<&str>, template: Value| -> DynamicObject {
            let annotations = given.map_or_else(|| json!({}), |given| json!({VERSION: given}));
            let metadata = json!({"name": "web-stable", "annotations": annotations});
            serde_json::from_value(json!({"metadata": metadata, "spec": {"template": template}}))
                .unwrap()
        };
        let mut restarted = template("web:v1");
        restarted["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = json!("now");
        let own = version(&restarted);
        // What it was given, what it has, what is wanted: what it is.
        let cases = [
            ("as it was given", Some(&v1), template("web:v1"), &v1, &v1),
            ("restarted", Some(&v1), restarted.clone(), &v1, &v1),
            (
                "restarted, another is wanted",
                Some(&v1),
                restarted.clone(),
                &v2,
                &v1,
            ),
            ("nobody noted it", None, restarted, &v1, &own),
            (
                "a person gave it what is wanted",
                Some(&v1),
                template("web:v2"),
                &v2,
                &v2,
            ),
        ];
        for (label, given, template, wanted, expected) in cases {
            let copy = copy(given.map(|given| &**given), template);
            assert_eq!(&version_of_copy(&copy, wanted), expected, "{label}");
        }
    }

    #[test]
    fn a_copy_never_ends_pods_before_others_are_ready() {
        let rolling = |unavailable: Value, surge: Value| json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}});
        let cases = [
            (Value::Null, json!("25%")),
            (json!({"type": "Recreate"}), json!("25%")),
            (rolling(json!("25%"), json!("50%")), json!("50%")),
            (rolling(json!(0), json!(2)), json!(2)),
            (rolling(json!(1), json!(0)), json!("25%")),
            (rolling(json!("10%"), json!("0%")), json!("25%")),
        ];
        for (wanted, surge) in cases {
            assert_eq!(strategy(&wanted), rolling(json!(0), surge), "{wanted}");
        }
    }
}
