//! By which name we were called, and the commands as that name has them: `sluice`, or
//! `kubectl sluice` where kubectl runs us as its plugin.

use std::ffi::OsString;
use std::path::Path;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::{Cli, set};

/// The file name by which kubectl finds its plugin.
const PLUGIN: &str = "kubectl-sluice";

/// What people type to call us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// `sluice`.
    Sluice,
    /// `kubectl sluice`.
    KubectlPlugin,
}

/// Every command, with usages in the words that people typed.
pub(super) fn command(name: Name) -> clap::Command {
    let typed = match name {
        Name::Sluice => return Cli::command(),
        Name::KubectlPlugin => "kubectl sluice",
    };
    Cli::command()
        .bin_name(typed)
        .mut_subcommand("set", |command| command.override_usage(set::usage(typed)))
}

/// Whether the first of a process' words is a program of this name, in whichever folder.
pub(super) fn is_called(words: &[OsString], program: &str) -> bool {
    let called = words.first().map(Path::new).and_then(Path::file_name);
    called.is_some_and(|called| called == program)
}

impl Cli {
    /// What was typed; `words` are this process' arguments, the program's name first. Where that
    /// makes no sense, or help is asked for, it is said and the process ends.
    #[must_use]
    pub fn parsed(words: &[OsString]) -> Self {
        let name = match is_called(words, PLUGIN) {
            true => Name::KubectlPlugin,
            false => Name::Sluice,
        };
        let mut command = command(name);
        let matches = command.clone().get_matches_from(words);
        let parsed = Self::from_arg_matches(&matches);
        parsed.unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_say_what_was_typed() {
        let usage = |name: Name, words: [&str; 3]| {
            let error = command(name).try_get_matches_from(words).unwrap_err();
            let text = error.to_string();
            let usages = text.lines().filter(|line| line.contains("[OPTIONS]"));
            usages
                .map(|line| line.trim().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            usage(Name::KubectlPlugin, ["kubectl-sluice", "set", "--help"]),
            [
                "Usage: kubectl sluice set [OPTIONS] <SPLIT> <CHALLENGER=PERCENT>...",
                "kubectl sluice set [OPTIONS] --all <CHALLENGER=PERCENT>...",
            ]
        );
        assert_eq!(
            usage(Name::Sluice, ["sluice", "set", "--help"]),
            [
                "Usage: sluice set [OPTIONS] <SPLIT> <CHALLENGER=PERCENT>...",
                "sluice set [OPTIONS] --all <CHALLENGER=PERCENT>...",
            ]
        );
        assert_eq!(
            usage(Name::KubectlPlugin, ["kubectl-sluice", "get", "--help"]),
            ["Usage: kubectl sluice get [OPTIONS] [SPLIT]"]
        );
    }

    #[test]
    fn a_program_is_known_by_its_file_name() {
        let called = |word: &str| is_called(&[word.into()], PLUGIN);
        assert!(called("kubectl-sluice") && called("/usr/local/bin/kubectl-sluice"));
        assert!(!called("sluice") && !called("/kubectl-sluice/sluice"));
        assert!(!is_called(&[], PLUGIN));
    }
}
