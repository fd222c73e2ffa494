//! What a host saw of a Rollout's two Deployments. Data only.

/// What was seen of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a look has one of them, nearly always the large one"
)]
pub enum WorkloadSeen {
    /// It could not be read.
    Unknown {
        /// Why not.
        why: String,
    },
    /// The Deployment is not there.
    Missing {
        /// What is missing, in a sentence.
        what: String,
    },
    /// It is there.
    Seen(Both),
}

impl WorkloadSeen {
    /// Both Deployments; else why they are not seen.
    pub fn both(&self) -> Result<&Both, &str> {
        match self {
            Self::Seen(both) => Ok(both),
            Self::Missing { what: why } | Self::Unknown { why } => Err(why),
        }
    }
}

/// Both Deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// What tells the one that Git states from an earlier one of its name.
    pub uid: Option<String>,
    /// The one that Git states.
    pub wanted: Pods,
    /// The copy; `None` where there is none yet.
    pub copy: Option<Pods>,
    /// The version that we gave the copy last, whatever others did to it since.
    pub given: Option<String>,
    /// The version that the copy is to have, where it has another one, Git states another one, and
    /// its template is kept.
    pub remembered: Option<String>,
    /// Whether the copy's template could be kept, and is not.
    pub is_unkept: bool,
    /// Whether the Deployment of the copy's name is not ours.
    pub is_foreign: bool,
    /// Why nothing may be done with them, in a sentence.
    pub mistake: Option<String>,
    /// Why nobody knows that requests go to the copy alone, in a sentence; looked at only where that
    /// matters.
    pub unrouted: Option<String>,
    /// What selects the copy's pods by their variant, as `KIND NAME`; `None` where nobody looked, or it
    /// cannot be read.
    pub named_by: Option<Vec<String>>,
    /// Whether somebody's autoscaler scales the one that Git states.
    pub is_autoscaled: bool,
    /// What is to be done about the copy's autoscaler.
    pub autoscaler: Option<AutoscalerWork>,
}

/// What is to be done about the copy's autoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoscalerWork {
    /// Make it as the Deployment's is.
    Apply,
    /// Delete it.
    Delete,
}

/// When it is looked at what selects the copy's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// Where pods may go for good that users might be sent to.
    WherePodsMayGo,
    /// There too, and where a run may begin.
    BeforeARun,
    /// In any case.
    Always,
}

impl Both {
    /// Whether the template of a version is at hand.
    pub fn has_template(&self, version: &str) -> bool {
        self.wanted.version == version || self.remembered.as_deref() == Some(version)
    }
}

/// What is asked about them beside what they are.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// When it is looked at what names the copy.
    pub routes: Routes,
    /// The version that the copy is to have.
    pub rightful: Option<&'a str>,
}

/// A Deployment and its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// What its template is, in words that no other template has.
    pub version: String,
    /// How many pods it is to have.
    pub replicas: u32,
    /// How many of its template are ready, as its strategy counts: for its `minReadySeconds`.
    pub ready: u32,
    /// How many pods of any template are ready just now.
    pub up: u32,
    /// Whether the controller has seen this template, and no pod of another one is left.
    pub is_uniform: bool,
    /// Why pods are not ready, as they say themselves.
    pub trouble: Option<String>,
}

impl Pods {
    /// Whether so many of its template are ready, and all that there are have it.
    pub const fn has(&self, needed: u32) -> bool {
        self.is_uniform && self.ready >= needed
    }
}
