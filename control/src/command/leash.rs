//! `sluice leash`: runs a program that the kernel kills when this process' parent dies, even by
//! SIGKILL.
//!
//! The setting survives exec, so the program needs to know nothing of it (prctl(2),
//! PR_SET_PDEATHSIG).

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::outcome::Outcome;

/// `sluice leash`.
#[derive(clap::Args, Debug)]
pub(super) struct Leash {
    /// The process id that must stay the parent
    #[arg(long)]
    parent: i32,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<std::ffi::OsString>,
}

pub(super) fn run(arguments: &Leash) -> anyhow::Result<Outcome> {
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    }
    // The parent may have died before the setting took hold.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(arguments.parent) {
        bail!("the parent {} is gone", arguments.parent);
    }
    let [program, rest @ ..] = arguments.program.as_slice() else {
        bail!("no program");
    };
    Err(Command::new(program).args(rest).exec()).with_context(|| program.display().to_string())
}
