//! The foreground: runs Rollouts until each has ended. What is kept is all that another process needs
//! to go on. Where that is, and where the splits are, is [`directory`]'s and [`cluster`]'s.

pub mod cluster;
pub mod directory;

use std::time::Duration;

use super::definition::Definition;
use super::engine::{EventKind, LOOK_EVERY};
use super::ground::{Ground, Happened};
use super::runner::Runner;
use super::status::Status;
use crate::operations::Caller;

/// How long the end of a run waits for its messages. Chosen: two repetitions; beyond that the
/// process that waits for the run matters more than who is told of it.
const LAST_LETTERS: Duration = Duration::from_secs(20);

/// How often in a row a run's status may fail to be kept. Chosen: five minutes, a look a second.
const MAX_TROUBLES: usize = 300;

/// How Rollouts are told of.
pub type Tell<'t> = dyn Fn(&Happened<'_>) + Send + Sync + 't;

/// Nothing that is tried again will help.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Hopeless(anyhow::Error);

/// The status that a process begins with: whoever runs a Rollout without a version wants a run.
fn wanted(definition: &Definition, kept: Option<Status>) -> Status {
    let mut status = kept.unwrap_or_default();
    if definition.version.is_none() && !status.phase.is_under_way() {
        status.is_start_wanted = true;
    }
    status
}

async fn until_the_end<G: Ground>(
    runner: &mut Runner<G>,
    caller: &Caller,
) -> anyhow::Result<Status> {
    let mut troubles = 0;
    loop {
        let pause: Option<Duration> = match runner.turns(caller).await {
            Ok(pause) => {
                troubles = 0;
                pause
            }
            // A full disk, or a file that somebody spoilt: the run goes on from memory.
            Err(error) if troubles < MAX_TROUBLES && !error.is::<Hopeless>() => {
                troubles += 1;
                runner.trouble(caller, EventKind::Waiting, &error);
                Some(LOOK_EVERY)
            }
            Err(error) => return Err(error),
        };
        if runner.has_ended() {
            runner.last_letters(caller, LAST_LETTERS).await?;
            return Ok(runner.status.clone());
        }
        tokio::time::sleep(pause.unwrap_or(LOOK_EVERY)).await;
    }
}
