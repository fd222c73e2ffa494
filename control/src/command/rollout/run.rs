//! `sluice rollout run`: runs the Rollouts of a file until each has ended.

use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;

use super::super::interruption::Interruption;
use super::super::outcome::Outcome;
use super::super::output;
use crate::files;
use crate::operations::Caller;
use crate::rollout::ground::Happened;
use crate::rollout::host;
use crate::rollout::manifest::{self, Manifest};
use crate::rollout::status::Run as RunOf;
use crate::store::directory::Directory;

/// `sluice rollout run`.
#[derive(clap::Args, Debug)]
pub(super) struct Run {
    /// The file with the Rollouts; other documents in it are passed over
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The directory with plugin.yaml and weights.yaml
    #[arg(long, env = "SLUICE_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// How what happens is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Lines,
}

/// How what happens is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Lines {
    /// A line for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

pub(super) async fn run(arguments: &Run, caller: &Caller) -> anyhow::Result<Outcome> {
    let manifests = manifests(&arguments.file)?;
    let directory = Directory::open(&arguments.dir)?;
    let tell = |happened: &Happened<'_>| say(arguments.output, happened);
    let mut interruption = Interruption::listen()?;
    let running = host::run(&directory, caller, &manifests, &tell);
    let statuses = tokio::select! {
        statuses = running => statuses?,
        _ = interruption.received() => {
            bail!("stopped; weights stay as they are, and the same command goes on where it was")
        }
    };
    let are_good = statuses
        .iter()
        .all(|status| status.run.as_ref().is_some_and(RunOf::has_succeeded));
    for (manifest, status) in manifests.iter().zip(&statuses) {
        if arguments.output == Lines::Text {
            let name = &manifest.name;
            output::note(format!("{name}: {:?}: {}", status.phase, status.message));
        }
    }
    Ok(if are_good {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

/// The Rollouts of a file: at least one, and all without a mistake.
pub(super) fn manifests(file: &std::path::Path) -> anyhow::Result<Vec<Manifest>> {
    let manifests = manifest::rollouts(&files::documents(file)?)?;
    if manifests.is_empty() {
        bail!(
            "{}: no Rollout; accepted: one of {} {}",
            file.display(),
            manifest::API_VERSION,
            manifest::KIND
        );
    }
    Ok(manifests)
}

fn say(lines: Lines, happened: &Happened<'_>) {
    match lines {
        Lines::Json => match serde_json::to_string(happened) {
            Ok(line) => output::document(line),
            Err(error) => output::note(error),
        },
        Lines::Text => {
            let at = happened.at.strftime("%H:%M:%S");
            let (rollout, message) = (happened.rollout, output::quoted(happened.message));
            output::line(format!("{at}  {rollout}  {message}"));
        }
    }
}
