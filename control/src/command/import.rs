//! `sluice import`: reads splits out of other tools' resources. The configuration goes to standard
//! output; the weights, as the commands that set them, and everything that was not carried over go
//! to standard error.

use std::path::PathBuf;

use anyhow::bail;

use super::outcome::Outcome;
use crate::command::output;
use crate::files;
use crate::model::weights::WeightShare;
use crate::operations::import::Imported;
use sluice_core::plan::EVERYONE;

/// `sluice import`.
#[derive(clap::Args, Debug)]
pub(super) struct Import {
    /// The resources: a file, a directory, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(arguments: &Import) -> anyhow::Result<Outcome> {
    let imported = Imported::of(&files::documents(&arguments.file)?);
    for note in &imported.notes {
        output::note(note);
    }
    if imported.splits.is_empty() {
        bail!(
            "{}: no split was found; nothing was written",
            arguments.file.display()
        );
    }
    output::document(output::yaml(&imported.config())?.trim_end());
    let problems = imported.problems();
    for problem in &problems {
        output::note(format!("problem: {problem}"));
    }
    if !imported.weights.is_empty() {
        output::note("its weights, once the plugin is applied:");
    }
    for WeightShare { key, percent } in &imported.weights {
        let audience = if key.audience == EVERYONE {
            String::new()
        } else {
            format!(" --audience {}", key.audience)
        };
        output::note(format!(
            "  sluice set {} {}={percent}{audience}",
            key.split, key.challenger
        ));
    }
    Ok(if problems.is_empty() {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}
