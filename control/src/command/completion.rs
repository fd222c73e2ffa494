//! `sluice completion`: what a shell needs to complete our commands, and the answers that it then
//! asks for while somebody types.
//!
//! The shell's side is clap_complete's: a function that calls us again with what was typed. Which
//! names of a cluster or a folder fit where is `names`'s; a `kubectl sluice` is completed by
//! `kubectl`. Called by main, before anything is parsed.

mod asked;
mod kubectl;
mod names;

use std::ffi::OsString;

use clap::ValueEnum;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::outcome::Outcome;
use super::{cli, output};

/// The variable by which the shell's function says that it asks, and who.
const VARIABLE: &str = "SLUICE_COMPLETE";

/// What the function calls, and for which command it is.
const PROGRAM: &str = "sluice";

/// `sluice completion`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
To have it in every shell:
  bash   echo 'source <(sluice completion bash)' >> ~/.bashrc
  zsh    echo 'source <(sluice completion zsh)' >> ~/.zshrc   (after compinit)
  fish   echo 'sluice completion fish | source' >> ~/.config/fish/config.fish
  kubectl sluice: put a link named kubectl_complete-sluice to this program into PATH")]
pub(super) struct Completion {
    /// The shell
    shell: Shell,
}

/// The shells whose functions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// bash 4.4 or newer
    Bash,
    /// zsh 5 or newer
    Zsh,
    /// fish 3 or newer
    Fish,
}

impl Shell {
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Self::Bash => &Bash,
            Self::Zsh => &Zsh,
            Self::Fish => &Fish,
        }
    }
}

pub(super) fn run(arguments: &Completion) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    let shell = arguments.shell.completer();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    output::document(String::from_utf8(script)?.trim_end());
    Ok(Outcome::Good)
}

/// Answers a shell that asks how what was typed goes on; whether one asked, so that nothing else is
/// to be done. `words` are this process' arguments, the program's name first.
///
/// It never fails: a person who types is not to read errors.
pub fn answered(words: &[OsString]) -> bool {
    if cli::is_called(words, kubectl::PROGRAM) {
        kubectl::answer(words);
        return true;
    }
    // Only a function of ours calls so: with the variable alone, commands do what they do.
    let shell = std::env::var(VARIABLE).ok();
    let shell = shell.and_then(|name| Shell::from_str(&name, false).ok());
    let (Some(shell), Some("--")) = (shell, words.get(1).and_then(|word| word.to_str())) else {
        return false;
    };
    let typed = words.get(2..).unwrap_or_default().to_vec();
    let mut command = names::told(cli::command(cli::Name::Sluice), &typed);
    let here = std::env::current_dir().ok();
    let mut answer = Vec::new();
    let written =
        shell
            .completer()
            .write_complete(&mut command, typed, here.as_deref(), &mut answer);
    if written.is_ok() {
        output::bytes(&answer);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_a_function_that_calls_us_by_name() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            shell
                .completer()
                .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
                .unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("SLUICE_COMPLETE="), "{shell:?}: {script}");
            assert!(!script.contains("target/"), "{shell:?}: {script}");
        }
    }
}
