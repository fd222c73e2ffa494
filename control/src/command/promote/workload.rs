//! `sluice promote --workload`: which images Git should say in another namespace, printed or applied.

use clap::Args;

use crate::command::arguments::{DryRunArgs, Format};
use crate::command::outcome::Outcome;
use crate::command::output;
use crate::rollout::workload::images::Promotion;
use crate::rollout::workload::promote::{Environment, Manner, Runs, Wanted, apply, planned};

/// Images instead of weights.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Images instead of weights")]
pub(super) struct WorkloadArgs {
    /// Print the images that were promoted in --from, as a patch of the Deployment in --to for Git; of the
    /// Deployment NAME [default: the one that the split's Rollout follows]
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["force", "reason", "plugin"])]
    pub(super) workload: Option<Option<String>>,
    /// Apply the patch server-side, where nobody else owns those fields
    #[arg(long, requires = "workload")]
    apply: bool,
    /// Take what was promoted last also while a run is under way
    #[arg(long, requires = "workload")]
    during_run: bool,
    /// Output format; as a table, the patch in YAML
    #[arg(short, long, value_enum, requires = "workload")]
    output: Option<Format>,
}

impl WorkloadArgs {
    /// How the result is printed.
    pub(super) fn format(&self) -> Format {
        self.output.unwrap_or(Format::Table)
    }

    /// Prints it so, where it was typed at all.
    pub(super) fn print_as(&mut self, format: Format) {
        self.output = self.output.map(|_| format);
    }
}

pub(super) async fn run(
    options: &WorkloadArgs,
    split: &str,
    (from, to): (&Environment, &Environment),
    dry_run: DryRunArgs,
) -> anyhow::Result<Outcome> {
    let wanted = Wanted {
        split,
        deployment: options.workload.as_ref().and_then(Option::as_deref),
        runs: match options.during_run {
            true => Runs::Overlooked,
            false => Runs::Refused,
        },
    };
    let planned = planned(from, to, wanted).await?;
    if let Some(note) = &planned.note {
        output::note(format!("note: {note}"));
    }
    let promotion = &planned.promotion;
    let format = options.format();
    if !options.apply {
        match format {
            Format::Table => output::document(described(promotion)?.trim_end()),
            _ => output::print(format, promotion, |_| String::new())?,
        }
        return Ok(Outcome::Good);
    }
    let (manner, suffix) = match dry_run.dry_run {
        true => (Manner::DryRun, " (dry run: nothing was written)"),
        false => (Manner::Write, ""),
    };
    // Also where nothing changes: from then on the fields are ours beside whoever set them.
    apply(to, &planned, manner).await?;
    output::print(format, promotion, |promotion| {
        let changes = promotion.changes.iter();
        let lines: Vec<String> = changes
            .map(|change| {
                let [container, from, to] =
                    [&change.container, &change.from, &change.to].map(output::quoted);
                format!(
                    "{} {container}: {from} -> {to}{suffix}",
                    promotion.deployment
                )
            })
            .collect();
        match lines.is_empty() {
            true => format!("nothing to change: the images are already so{suffix}"),
            false => lines.join("\n"),
        }
    })?;
    Ok(Outcome::Good)
}

/// The patch, below what it is of.
fn described(promotion: &Promotion) -> anyhow::Result<String> {
    let Promotion {
        deployment,
        from,
        to,
        version,
        changes,
        patch,
    } = promotion;
    let so_far = match changes.is_empty() {
        true => "; these images are there already",
        false => "",
    };
    let version = output::quoted(version);
    let patch = output::yaml(patch)?;
    Ok(format!(
        "# version {version}, promoted in {from}: what Git should say of Deployment {deployment} in {to}{so_far}\n{patch}"
    ))
}
