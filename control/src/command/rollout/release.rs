//! `sluice rollout release`: hands everything back to the one Deployment of a workload. Whoever runs
//! the Rollout does it; this asks, and waits for it where that is wanted.

use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;

use super::super::interruption::Interruption;
use super::ask::{self, Ask};
use crate::command::outcome::Outcome;
use crate::command::output;
use crate::operations::Caller;
use crate::rollout::asking::Became;
use crate::rollout::commands::Verb;
use crate::rollout::rollouts::{Found, RolloutError, RolloutStore};
use crate::rollout::status::Phase;
use crate::rollout::workload::handing::HandingStage;

/// How often a Rollout is looked at that hands back. Chosen: people wait for it.
const EVERY: Duration = Duration::from_millis(250);

/// `sluice rollout release`.
#[derive(clap::Args, Debug)]
pub(super) struct Release {
    /// Wait until the copy is gone, and say what it waits for: exit code 0 then, 1 where it was stopped
    #[arg(long)]
    wait: bool,
    /// The rest.
    #[command(flatten)]
    ask: Ask,
}

pub(super) async fn run(arguments: &Release, caller: &Caller) -> anyhow::Result<Outcome> {
    let ask = &arguments.ask;
    let store = ask.place.one().await?;
    let asked = ask::asked(ask, &store, Verb::Release, caller).await?;
    match asked.outcome {
        Became::Obeyed if arguments.wait => {}
        Became::Obeyed => return Ok(Outcome::Good),
        _ => return Ok(Outcome::Problems),
    }
    let mut interruption = Interruption::listen()?;
    tokio::select! {
        waited = wait(&store, &ask.name) => waited,
        _ = interruption.received() => bail!("stopped before everything was handed back; it goes on"),
    }
}

/// Says what is waited for, once each, until it is over.
async fn wait(store: &RolloutStore, name: &str) -> anyhow::Result<Outcome> {
    let mut said = String::new();
    loop {
        let says = match store.one(name).await {
            Ok(found) => {
                let status = &found.status;
                let says = format!("{name}: {}", output::quoted(&status.message));
                if status.phase == Phase::Released {
                    output::note(says);
                    return Ok(Outcome::Good);
                }
                if is_over(&found) {
                    output::note(format!("NOT DONE: {says}"));
                    return Ok(Outcome::Problems);
                }
                says
            }
            Err(gone @ RolloutError::Unknown { .. }) => return Err(gone.into()),
            Err(error) => format!("error: {:#}", anyhow::Error::from(error)),
        };
        if said != says {
            output::note(&says);
            said = says;
        }
        sleep(EVERY).await;
    }
}

/// Whether nothing more is done for it.
fn is_over(found: &Found) -> bool {
    let kept = found.status.workload.as_ref();
    let handing = kept.and_then(|kept| kept.handing_back.as_ref());
    handing.is_none_or(|handing| handing.stage == HandingStage::Stopped)
}
