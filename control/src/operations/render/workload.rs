//! What makes a Rollout follow a Deployment: the Rollout, and the label by which the pods of both
//! versions are told apart.

use serde_json::{Value, json};

use super::{RenderError, Rendering};
use crate::model::workload::{ROLLOUT_API_VERSION, ROLLOUT_KIND, copy_of, is_name};

/// A Deployment that a Rollout is to follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// The Rollout, to apply with the plugin.
    pub rollout: Value,
    /// The Deployment, `shop/web`.
    pub deployment: String,
    /// The copy of it that the Rollout keeps, `web-stable`.
    pub copy: String,
    /// What its pods are.
    pub challenger: String,
}

impl Rendering<'_> {
    /// Whether a Rollout could follow a Deployment of this name.
    pub(super) fn check_workload(&self, deployment: &str) -> Result<(), RenderError> {
        if !is_name(deployment) {
            return Err(RenderError::Deployment(deployment.to_owned()));
        }
        let (split, number) = (&self.request.split, self.split.variants.len());
        if number != 2 {
            return Err(RenderError::NotTwoVariants {
                split: split.clone(),
                number,
            });
        }
        let (plugin, service) = (self.namespace(), &self.request.service.namespace);
        if plugin != service {
            return Err(RenderError::Apart {
                deployment: deployment.to_owned(),
                plugin: plugin.to_owned(),
                service: service.clone(),
            });
        }
        Ok(())
    }

    /// What is needed besides plugin and routes.
    pub(super) fn followed(&self) -> Option<Followed> {
        let name = self.request.workload.as_ref()?;
        let challenger = self.split.challengers().first()?;
        Some(Followed {
            rollout: self.rollout(name),
            deployment: format!("{}/{name}", self.namespace()),
            copy: copy_of(name),
            challenger: challenger.to_string(),
        })
    }

    fn rollout(&self, deployment: &str) -> Value {
        let split = &self.request.split;
        json!({
            "apiVersion": ROLLOUT_API_VERSION, "kind": ROLLOUT_KIND,
            "metadata": {"name": split, "namespace": self.namespace()},
            "spec": {
                // The namespace may have several.
                "plugin": self.plugin_name(), "split": split,
                "workload": {"deployment": deployment}, "preset": "progressive",
            },
        })
    }
}
