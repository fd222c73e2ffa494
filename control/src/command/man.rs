//! `sluice man`: writes the manual pages, one a command, into a folder.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::outcome::Outcome;
use super::{cli, output};

/// `sluice man`.
#[derive(clap::Args, Debug)]
pub(super) struct Man {
    /// The folder, such as /usr/local/share/man/man1; pages of other names stay as they are
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Man) -> anyhow::Result<Outcome> {
    let dir = &arguments.dir;
    let shown = dir.display();
    if !dir.is_dir() {
        bail!("{shown}: no folder; accepted: one that is there, such as /usr/local/share/man/man1");
    }
    clap_mangen::generate_to(cli::command(cli::Name::Sluice), dir)
        .with_context(|| format!("{shown}: the pages cannot be written"))?;
    output::note(format!(
        "the pages are in {shown}; `man -l {shown}/sluice.1` shows the first"
    ));
    Ok(Outcome::Good)
}
