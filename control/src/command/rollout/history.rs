//! `sluice rollout history`: the last runs of a Rollout, a line each.

use serde::Serialize;

use super::place::{PlaceArgs, print};
use crate::command::arguments::{Format, OutputArgs};
use crate::command::outcome::Outcome;
use crate::command::output;
use crate::rollout::status::RunLine;

/// `sluice rollout history`.
#[derive(clap::Args, Debug)]
pub(super) struct History {
    /// The Rollout
    name: String,
    /// Where it is.
    #[command(flatten)]
    place: PlaceArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

/// A run with its Rollout.
#[derive(Debug, Serialize)]
struct Row<'r> {
    rollout: &'r str,
    #[serde(flatten)]
    run: &'r RunLine,
}

pub(super) async fn run(arguments: &History) -> anyhow::Result<Outcome> {
    let store = arguments.place.one().await?;
    let found = store.one(&arguments.name).await?;
    let runs = &found.status.runs;
    match arguments.output.output {
        Format::Table => output::line(table(runs).trim_end()),
        format => {
            let rollout = found.title();
            for run in runs {
                let row = Row {
                    rollout: &rollout,
                    run,
                };
                print(format, &row, |_| String::new())?;
            }
        }
    }
    Ok(Outcome::Good)
}

fn table(runs: &[RunLine]) -> String {
    if runs.is_empty() {
        return "no run has ended yet".to_owned();
    }
    let header = ["RUN", "VERSION", "BEGAN", "ENDED", "AS", "STEP", "MESSAGE"];
    let rows = runs.iter().map(|run| {
        [
            run.number.to_string(),
            run.version.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{:.0}", run.began),
            format!("{:.0}", run.ended),
            format!("{:?}", run.outcome),
            run.step.to_string(),
            run.message.clone(),
        ]
    });
    output::table(header, rows)
}
