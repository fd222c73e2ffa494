//! `sluice restore`: gives every plugin of a backup its weights, draws and history again; says what
//! differs before it writes anything.

use std::path::PathBuf;

use anyhow::Context as _;

use super::arguments::{ClusterArgs, DryRunArgs, ForceArgs, ReasonArgs, ScopeArgs, StoreArgs};
use super::changes::{described, say_notes, terms};
use super::outcome::Outcome;
use super::{output, stores};
use crate::files;
use crate::operations::Caller;
use crate::operations::change::Mode;
use crate::operations::restore::{Compared, Difference, Restored, compared, read, restored};

/// `sluice restore`.
#[derive(clap::Args, Debug)]
pub(super) struct Restore {
    /// The backup, as `sluice get -A -o yaml` prints it; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Whether it is only described.
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,
    /// Whether fields that somebody else set are taken over.
    #[command(flatten)]
    force: ForceArgs,
    /// Why the change is made.
    #[command(flatten)]
    reason: ReasonArgs,
}

pub(super) async fn run(arguments: &Restore, caller: &Caller) -> anyhow::Result<Outcome> {
    let name = || match arguments.file.as_os_str().to_str() {
        Some("-") => "standard input".to_owned(),
        _ => arguments.file.display().to_string(),
    };
    let backup = read(&files::documents(&arguments.file)?).with_context(name)?;
    let terms = terms(arguments.dry_run, arguments.force, &arguments.reason);
    let everywhere = ScopeArgs {
        all_namespaces: true,
    };
    let cluster = ClusterArgs {
        contexts: arguments.context.clone().into_iter().collect(),
        kubeconfig: arguments.kubeconfig.clone(),
        ..ClusterArgs::default()
    };
    let store = StoreArgs { dir: None, cluster };
    let (place, stores) = stores::some(&store, everywhere).await?;
    output::note(format!("on {place}"));
    let compared = compared(stores, backup, caller, &terms).await;
    say(&compared);
    if !compared.refused.is_empty() {
        for error in &compared.refused {
            output::error(error);
        }
        output::note("nothing was written, because some of the backup cannot be restored");
        return Ok(Outcome::Problems);
    }
    if terms.mode == Mode::DryRun {
        output::line("(dry run: nothing was written)");
        return Ok(Outcome::Good);
    }
    let differences = compared.differences.into_iter();
    let differences: Vec<Difference> = differences.filter(|one| !one.is_none()).collect();
    let mut outcome = Outcome::Good;
    for Restored {
        plugin,
        change,
        notes,
    } in restored(differences, caller, &terms).await
    {
        say_notes(&notes);
        match change {
            Ok(change) => {
                if say_notes(&change.notes) == Outcome::Problems {
                    outcome = Outcome::Problems;
                }
                output::line(format!("{plugin}: restored"));
            }
            Err(error) => {
                output::error(
                    &anyhow::Error::from(error).context(format!("{plugin}: NOT RESTORED")),
                );
                outcome = Outcome::Problems;
            }
        }
    }
    Ok(outcome)
}

/// What differs, plugin by plugin.
fn say(compared: &Compared) {
    for one in &compared.differences {
        let plugin = &one.plugin;
        if one.is_none() {
            output::line(format!("{plugin}: as in the backup"));
            continue;
        }
        output::line(format!("{plugin}:"));
        if !one.change.changes.is_empty() || !one.change.redraws.is_empty() {
            // It is only compared so far; what becomes of it is said behind all of them.
            output::line(described(&one.change, ""));
        }
        if one.forgotten > 0 {
            output::line(format!(
                "the history lacks {} changes of the backup",
                one.forgotten
            ));
        }
    }
    for plugin in &compared.others {
        output::note(format!("{plugin}: not in the backup; it stays as it is"));
    }
}
