//! How far a Rollout is: what the engine remembers between two looks, and what people read.
//!
//! It is kept whole by each host, in the resource's status or beside a directory's weights, and is
//! all that a host which takes over needs. Bounded: texts are cut, the last runs are a line each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_core::allocation::Percent;

use super::analysis::Memory;
use super::cut::cut;
use super::notifications::queue::Queue;
use super::workload::kept::Kept;
use super::world::{SplitState, means};

/// How many ended runs are remembered, a line each.
pub const MAX_RUNS: usize = 10;

/// How many answers to commands are remembered. Chosen: who asked looks for it within a second.
pub const MAX_ANSWERS: usize = 8;

/// The longest sentence in a status, in bytes. Chosen: a condition's message is read in a terminal.
pub const MAX_SENTENCE_BYTES: usize = 512;

/// The longest sentence of an ended run, in bytes. Chosen: ten of them fit beside the run under way.
pub const MAX_RUN_LINE_BYTES: usize = 120;

/// What a Rollout does, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It has nothing to do.
    #[default]
    Idle,
    /// A run would begin, and waits for something that is not there.
    Waiting,
    /// A run would begin, and the challenger still has users.
    Blocked,
    /// A run is under way.
    Progressing,
    /// A run stands still until somebody resumes it.
    Paused,
    /// A run takes its challenger's users back.
    RollingBack,
    /// The last run got to its end.
    Succeeded,
    /// The last run failed, and its challenger has no users.
    RolledBack,
    /// Somebody ended the last run, and its challenger has no users.
    Aborted,
    /// Everything was handed back to the Deployment of its workload.
    Released,
}

impl Phase {
    /// Whether a run is under way.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Progressing | Self::Paused | Self::RollingBack)
    }

    /// Whether a run ended without success.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::RolledBack | Self::Aborted)
    }
}

/// A Rollout's status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// What it does.
    pub phase: Phase,
    /// Why so, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The run under way, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The last runs that ended, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunLine>,
    /// The number of the last command that was obeyed or refused.
    pub handled_command: u64,
    /// What became of the last commands, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// Whether the challenger's weight goes to 0 because the fallback is the new version now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_finishing: bool,
    /// The messages that were not received yet.
    #[serde(skip_serializing_if = "is_quiet")]
    pub messages: Queue,
    /// Whether somebody asked for a run that has not begun yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_start_wanted: bool,
    /// What is remembered of a workload's Deployments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Kept>,
}

impl Status {
    /// The same with what a long status leaves out because it stands there once already.
    pub fn completed(mut self) -> Self {
        if let Some(run) = &mut self.run
            && run.wanted.is_empty()
        {
            run.wanted.clone_from(&run.weights);
        }
        self
    }

    /// The run that is under way.
    pub fn under_way(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| run.stage != Stage::Over)
    }

    /// The same, to be changed.
    pub fn under_way_mut(&mut self) -> Option<&mut Run> {
        self.run.as_mut().filter(|run| run.stage != Stage::Over)
    }

    /// Whether the last run got to its end, and the copy of its workload has not served everyone with
    /// its version yet: it may still be taken back.
    pub fn is_unpromoted(&self) -> bool {
        let run = self.run.as_ref();
        let is_over = |run: &&Run| run.stage == Stage::Over && run.has_succeeded();
        let (Some(run), Some(kept)) = (run.filter(is_over), &self.workload) else {
            return false;
        };
        let last = kept.promotions.last();
        let is_known = last.is_some() || kept.is_unjudged;
        !self.is_finishing && is_known && last != run.version.as_deref()
    }

    /// Remembers what became of a command; the oldest answers go.
    pub fn answer(&mut self, answer: Answer) {
        self.answers.push(answer);
        let surplus = self.answers.len().saturating_sub(MAX_ANSWERS);
        self.answers.drain(..surplus);
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The command's number.
    pub number: u64,
    /// Whether it was obeyed.
    pub reply: Reply,
    /// How, or why not, in a sentence.
    pub message: String,
}

/// Whether a command was obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It was.
    Obeyed,
    /// It was not.
    Refused,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its number, counting up from 1.
    pub number: u64,
    /// The version that it brings.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// The plugin of that split, as `KIND/NAME`; `None` in a directory.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plugin: Option<String>,
    /// The split whose weights it moves.
    #[serde(default)]
    pub split: String,
    /// The challenger that it moves users to.
    #[serde(default)]
    pub challenger: String,
    /// The index of its step.
    pub step: usize,
    /// Where in the step it is.
    pub stage: Stage,
    /// Since when it is there.
    pub since: Timestamp,
    /// The challenger's weight by audience, as it was last seen in force.
    pub weights: BTreeMap<String, Percent>,
    /// The same as the step wants it.
    #[serde(default)]
    pub wanted: BTreeMap<String, Percent>,
    /// Whether other users are still to be drawn before the first weight.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_to_redraw: bool,
    /// Whether it has moved anybody yet.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub has_moved: bool,
    /// Why it stands still.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pause: Option<Pause>,
    /// Whether somebody approved the step.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_approved: bool,
    /// Whether its last step is over, and it waits for its group.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_ready: bool,
    /// Whether every step is to be skipped.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_full: bool,
    /// The run that brought its version before: within the rollback window, so that it goes straight to
    /// the last step and nobody measures it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub straight: Option<u64>,
    /// When the step's proxies had converged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub converged: Option<Timestamp>,
    /// When the last round of the step's analysis was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round: Option<Timestamp>,
    /// What the analysis remembers.
    #[serde(skip_serializing_if = "is_new", default)]
    pub analysis: Memory,
    /// Whom it has reached at this step.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub users: Option<RunUsers>,
    /// Whether that round passed.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub has_passed: bool,
    /// Since when somebody else's weight is seen that may be half of an abort.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub edited: Option<Timestamp>,
    /// The last step that went forward in spite of a window.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overridden: Option<Overridden>,
    /// The last abort of the split that was there when the run began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub former_abort: Option<String>,
    /// How it ends, once that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ending: Option<Ending>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<Timestamp>,
}

impl Run {
    /// The abort of the split that landed since the run began, in words.
    pub fn abort_since<'s>(&self, seen: &'s SplitState) -> Option<&'s str> {
        let abort = seen.last_abort.as_deref();
        abort.filter(|_| self.former_abort != seen.last_abort_id)
    }

    /// The index of the step whose weights are in force: one that waits to begin has not set its
    /// own yet.
    pub const fn step_in_force(&self) -> usize {
        match self.stage {
            Stage::Entering => self.step.saturating_sub(1),
            _ => self.step,
        }
    }

    /// Whether it is of another plugin than a spec names.
    pub fn is_of_another_plugin(&self, named: Option<&str>) -> bool {
        let plugin = self.plugin.as_deref().zip(named);
        plugin.is_some_and(|(plugin, named)| !means(named, plugin))
    }

    /// Whether it got to its end.
    pub fn has_succeeded(&self) -> bool {
        let ending = self.ending.as_ref();
        ending.is_some_and(|ending| ending.outcome == RunOutcome::Succeeded)
    }

    /// Whether it stands still because somebody else set a weight of it.
    pub fn is_edited(&self) -> bool {
        let pause = self.pause.as_ref();
        pause.is_some_and(|pause| pause.reason == PauseReason::HandEdit)
    }
}

/// Users of an audience since its weights last changed, each counted once over all proxies. All are
/// estimates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunUsers {
    /// The audience: that of the step.
    pub audience: String,
    /// When they were seen.
    pub at: Timestamp,
    /// Those who got the challenger.
    pub reached: u64,
    /// Those of them who had a failed response.
    pub failed: u64,
    /// The challenger's part of all users in percent: its weight as it is measured. `None` where there
    /// is nobody yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub share: Option<f64>,
    /// Those who got any variant; `None` where an earlier version noted them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub of: Option<u64>,
}

/// A step that went forward in spite of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overridden {
    /// The index of the step.
    pub step: usize,
    /// In spite of what, and who said so.
    pub by: String,
}

fn is_quiet(queue: &Queue) -> bool {
    *queue == Queue::default()
}

fn is_new(memory: &Memory) -> bool {
    *memory == Memory::default()
}

/// Where in a step a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It waits for windows, gates and its group.
    Entering,
    /// The step's weights are being set.
    Moving,
    /// They are set, and proxies are to follow.
    Converging,
    /// The hold, and the analysis.
    Holding,
    /// Somebody is to approve.
    Approval,
    /// The challenger's weights are to be 0.
    GoingBack,
    /// It is over.
    Over,
}

/// Why a run stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What kind of reason it is.
    pub reason: PauseReason,
    /// The reason in a sentence.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// What kind of reason a run has to stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PauseReason {
    /// Somebody said so.
    Asked,
    /// Somebody else set a weight of it.
    HandEdit,
    /// Too few proxies follow.
    NotConverged,
    /// A weight could not be set.
    Refused,
    /// The spec became wrong.
    InvalidSpec,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// As what.
    #[serde(rename = "as")]
    pub outcome: RunOutcome,
    /// Why, in a sentence.
    pub message: String,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunOutcome {
    /// It got to its end.
    Succeeded,
    /// It failed, and took its users back.
    RolledBack,
    /// Somebody ended it.
    Aborted,
    /// Another version came before its end.
    Superseded,
}

/// An ended run in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLine {
    /// Its number.
    pub number: u64,
    /// The version that it brought.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// As what.
    #[serde(rename = "as")]
    pub outcome: RunOutcome,
    /// At which step, counting from 1.
    pub step: usize,
    /// Why, in a sentence.
    pub message: String,
}

/// The beginning of a sentence, as much of it as a status may hold.
pub fn sentence(text: impl Into<String>) -> String {
    let text: String = text.into();
    cut(&text, MAX_SENTENCE_BYTES)
}

/// The same for the line of an ended run.
pub fn line(text: &str) -> String {
    cut(text, MAX_RUN_LINE_BYTES)
}
