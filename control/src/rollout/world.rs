//! What a host saw just before the engine decides: the split's weights, its proxies, the analysis,
//! what people asked for, and what else holds a run. Data only.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sluice_core::allocation::Percent;

pub use crate::model::plugin::{means, plugin_name};

use super::analysis::Judged;
use super::commands::Command;
use super::workload::seen::WorkloadSeen;
use super::workload::services;

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// When.
    pub now: Timestamp,
    /// The split.
    pub split: SplitSeen,
    /// Its proxies.
    pub proxies: ProxiesSeen,
    /// Proxies that took the challenger out by themselves, in words.
    pub tripped: Option<String>,
    /// Whom the challenger has reached; `None` where nobody told.
    pub reached: Option<Reached>,
    /// What the analysis says, where a round was made.
    pub round: Option<Judged>,
    /// Whether windows and gates let the run go forward.
    pub forward: Forward,
    /// What people asked for, in the order of their numbers.
    pub commands: Vec<Command>,
    /// Other Rollouts.
    pub peers: Peers,
    /// Why the last action failed.
    pub failure: Option<Failure>,
    /// The Deployments of a workload; `None` where the Rollout has none.
    pub workload: Option<WorkloadSeen>,
    /// Its Services, where it has any and they were looked at.
    pub services: services::Seen,
}

/// Whether a run may go forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forward {
    /// It may.
    Open,
    /// It may although a window is closed: who says so, and what it is closed for.
    Overridden(String),
    /// It may not; why.
    Closed(String),
    /// A gate has been asked and has not answered yet.
    Asking,
}

/// Why an action failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It will fail again until a person does something.
    Lasting(String),
    /// It may be made when tried again.
    Passing(String),
    /// It is about Deployments, and of no weight.
    Untended(String),
    /// It is about a Service that was not set.
    Unselected(String),
}

impl Failure {
    /// Why, in words.
    pub fn why(&self) -> &str {
        match self {
            Self::Lasting(why)
            | Self::Passing(why)
            | Self::Untended(why)
            | Self::Unselected(why) => why,
        }
    }

    /// Why a weight was not set, in words; `None` where it is about something else.
    pub fn of_weights(&self) -> Option<&str> {
        match self {
            Self::Lasting(why) | Self::Passing(why) => Some(why),
            Self::Untended(_) | Self::Unselected(_) => None,
        }
    }
}

/// What was seen of the split.
#[derive(Clone, Debug, PartialEq)]
pub enum SplitSeen {
    /// It could not be read.
    Unknown {
        /// Why not.
        why: String,
    },
    /// It, its challenger or an audience is not there.
    Missing {
        /// What is missing.
        what: String,
    },
    /// It is there.
    Seen(SplitState),
}

impl SplitSeen {
    /// Whether it was seen that the challenger has nobody of the Rollout's audiences.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Seen(split) => split
                .weights
                .values()
                .all(|weight| *weight == Percent::ZERO),
            Self::Unknown { .. } | Self::Missing { .. } => false,
        }
    }
}

/// The state of a split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SplitState {
    /// Its plugin as `KIND/NAME`; `None` in a directory, which has one.
    pub plugin: Option<String>,
    /// The challenger.
    pub challenger: String,
    /// The challenger's weight in force, by audience of the Rollout.
    pub weights: BTreeMap<String, Percent>,
    /// Its weights of other audiences, those above 0.
    pub others: BTreeMap<String, Percent>,
    /// Who changed it last, in words.
    pub last_change: Option<String>,
    /// The last abort of it, in words.
    pub last_abort: Option<String>,
    /// What tells that abort from others of the same words.
    pub last_abort_id: Option<String>,
}

/// What was seen of the proxies.
#[derive(Clone, Debug, PartialEq)]
pub enum ProxiesSeen {
    /// Nobody asked.
    NotAsked,
    /// There is nobody to ask.
    Nobody,
    /// They could not be asked.
    Unknown {
        /// Why not.
        why: String,
    },
    /// These have followed.
    Seen {
        /// How many run the step's weights.
        converged: usize,
        /// Of how many.
        total: usize,
        /// How many of the others are known to run an earlier revision: they may send users to the
        /// challenger still.
        stale: usize,
        /// Which do not, in words.
        lagging: String,
    },
}

/// Users of the step's audience since its weights last changed, each counted once over all proxies.
/// All are estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Those who got the challenger.
    pub users: u64,
    /// Those of them who had a failed response.
    pub failed: u64,
    /// Those who got any variant.
    pub of: u64,
}

impl Reached {
    /// The challenger's part of the users in percent, to a tenth; `None` where there is nobody.
    pub fn share(self) -> Option<f64> {
        let share = 1_000.0 * self.users as f64 / self.of as f64;
        (self.of > 0).then(|| share.round() / 10.0)
    }
}

/// What other Rollouts mean for this one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peers {
    /// One that has a run on the same weights.
    pub ahead: Option<String>,
    /// One of the group that is not ready for this one's next step.
    pub behind: Option<String>,
    /// One of the group that is not ready to end.
    pub unready: Option<String>,
    /// One of the group that failed since this run began.
    pub failed: Option<String>,
}
