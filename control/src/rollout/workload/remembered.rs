//! The templates of versions that served everyone, each kept as a PodTemplate: an object that holds a
//! pod template and that nobody starts pods of. The API server fills it in and judges it as it does a
//! Deployment's, and it stays when the copy is deleted (a ReplicaSet of the copy would not).

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::template::version;
use crate::cluster::code;
use crate::model::workload::{ROLLOUT_LABEL as ROLLOUT, template_of};

/// The field manager of what is written of a workload.
pub(super) const MANAGER: &str = "sluice-controller";

/// The annotation of a copy, and of a template: the version that it was given. What others add to a
/// copy's template, such as the time of a restart, makes no other version.
pub(super) const VERSION: &str = "sluice.dev/version";

/// How many of them are looked at, to forget those that are too old. Chosen: some times what is kept.
const MAX_TEMPLATES_LISTED: u32 = 100;

/// Those of one copy.
pub(super) struct Remembered<'r> {
    pub(super) api: Api<DynamicObject>,
    pub(super) rollout: &'r str,
    pub(super) copy: &'r str,
}

impl Remembered<'_> {
    /// Keeps the template of a version; the name under which it is kept.
    pub(super) async fn keep(&self, of: &str, template: &Value) -> kube::Result<String> {
        let name = template_of(self.copy, of);
        let kept = json!({
            "apiVersion": "v1", "kind": "PodTemplate",
            "metadata": {
                "name": name,
                "labels": {"app.kubernetes.io/managed-by": "sluice", ROLLOUT: self.rollout},
                "annotations": {VERSION: of},
            },
            "template": template,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&kept);
        self.api.patch(&name, &parameters, &patch).await?;
        Ok(name)
    }

    /// The template of a version; `None` where there is none, or another than was kept.
    pub(super) async fn find(&self, of: &str) -> kube::Result<Option<Value>> {
        let found = match self.api.get_opt(&template_of(self.copy, of)).await {
            // Rights of an earlier version do not speak of them.
            Err(error) if code(&error) == Some(403) => None,
            found => found?,
        };
        Ok(found
            .map(|found| found.data["template"].clone())
            .filter(|template| version(template) == of))
    }

    /// Forgets all but those of these versions.
    pub(super) async fn forget_but(&self, versions: &[String]) -> kube::Result<()> {
        let names: Vec<String> = versions
            .iter()
            .map(|version| template_of(self.copy, version))
            .collect();
        let listing = ListParams::default()
            .labels(&format!("{ROLLOUT}={}", self.rollout))
            .limit(MAX_TEMPLATES_LISTED);
        let listed = self.api.list_metadata(&listing).await?;
        let listed = listed.items.into_iter();
        for name in listed.filter_map(|one| one.metadata.name) {
            if names.contains(&name) {
                continue;
            }
            match self.api.delete(&name, &DeleteParams::default()).await {
                Err(error) if code(&error) != Some(404) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
