//! What people ask of a Rollout: numbered, so that each is obeyed once, by whichever host runs it.

use serde::{Deserialize, Serialize};

use super::resource::fields::names;

/// The most commands that are kept; the oldest go first. Chosen: one is obeyed within a second.
pub const MAX_COMMANDS: usize = 16;

/// How far ahead of the last obeyed command another's number may be: one that is further was not
/// given by `sluice`, and would keep all later ones from being obeyed.
pub const MAX_AHEAD: u64 = 1_000;

/// The commands that are still to be obeyed.
pub fn to_obey(commands: &[Command], handled: u64) -> impl Iterator<Item = &Command> {
    let most = handled.saturating_add(MAX_AHEAD);
    commands
        .iter()
        .filter(move |command| command.number > handled && command.number <= most)
}

/// The number of the next command.
pub fn next_number(commands: &[Command], handled: u64) -> u64 {
    let last = to_obey(commands, handled)
        .map(|command| command.number)
        .max();
    last.unwrap_or(handled).saturating_add(1)
}

/// Adds a command to those that wait, and answers its number: those that were obeyed go, and the
/// oldest where there are too many.
pub fn add(
    commands: &mut Vec<Command>,
    handled: u64,
    verb: Verb,
    by: &str,
    reason: Option<&str>,
) -> u64 {
    let number = next_number(commands, handled);
    commands.retain(|command| command.number > handled && command.number < number);
    commands.push(Command {
        number,
        verb,
        by: by.to_owned(),
        reason: reason.map(str::to_owned),
    });
    let surplus = commands.len().saturating_sub(MAX_COMMANDS);
    commands.drain(..surplus);
    number
}

/// What somebody asks of a Rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Its number, counting up from 1.
    pub number: u64,
    /// What.
    pub verb: Verb,
    /// Who, as their machine names them.
    pub by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

names! {
    /// What may be asked of a Rollout.
    pub enum Verb, accepted as "what to do" {
        /// Begin a run, also of a version that was brought already.
        "start" => Start,
        /// Stand still.
        "pause" => Pause,
        /// Go on; a weight that somebody else set is set again.
        "resume" => Resume,
        /// End the step now.
        "skip" => Skip,
        /// Let a step that waits for it end.
        "approve" => Approve,
        /// Go to the last step now.
        "promoteFull" => PromoteFull,
        /// Take the users back and end the run.
        "abort" => Abort,
        /// Try the version again that failed.
        "retry" => Retry,
        /// Take the weight to 0, since the fallback is the new version now.
        "finish" => Finish,
        /// Hand everything back to the Deployment of the workload.
        "release" => Release,
    }
}
