//! How far everything is handed back to one Deployment: what is remembered of it. Data only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rollout::world::SplitState;

/// How far everything is handed back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandingBack {
    /// The Deployment that gets everything.
    pub deployment: String,
    /// Where it is.
    pub stage: HandingStage,
    /// Since when what this stage waits for is so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
    /// The last abort of the split that was there when it began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub former_abort: Option<String>,
    /// Why it was stopped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<String>,
}

/// Where handing back is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandingStage {
    /// The Deployment gets its pods.
    Scaling,
    /// Everyone goes there.
    Moving,
    /// The copy stays until nobody can be routed to it.
    Clearing,
    /// Somebody else moved users meanwhile.
    Stopped,
    /// The Deployment is alone.
    Done,
}

impl HandingBack {
    /// At its beginning.
    pub fn of(deployment: &str, split: Option<&SplitState>) -> Self {
        Self {
            deployment: deployment.to_owned(),
            stage: HandingStage::Scaling,
            since: None,
            former_abort: split.and_then(|split| split.last_abort_id.clone()),
            stopped: None,
        }
    }

    /// The same at another stage.
    pub(super) fn at(&self, stage: HandingStage) -> Self {
        Self {
            stage,
            since: None,
            ..self.clone()
        }
    }

    /// The same, stopped.
    pub(super) fn stopped(&self, why: String) -> Self {
        Self {
            stopped: Some(why),
            ..self.at(HandingStage::Stopped)
        }
    }
}
