//! Completes `kubectl sluice`: kubectl runs the program `kubectl_complete-sluice` with what was
//! typed, the last word being the one that is completed, and reads Cobra's answer: a candidate a
//! line, with its description behind a tab, and in the end a number for what the shell is to do.
//! Source: kubernetes/kubectl, pkg/cmd/plugin/plugin_completion.go, and spf13/cobra, completions.go.

use std::ffi::OsString;

use clap_complete::CompletionCandidate;
use clap_complete::engine::complete;

use super::names;
use crate::command::{cli, output};

/// What kubectl calls.
pub(super) const PROGRAM: &str = "kubectl_complete-sluice";

/// Cobra's ShellCompDirectiveNoSpace, for candidates to which something is to be added.
const NO_SPACE: u8 = 2;

/// Cobra's ShellCompDirectiveNoFileComp: where none fits, no files are shown either.
const NO_FILES: u8 = 4;

/// Prints the answer; one without candidates where what was typed makes no sense.
pub(super) fn answer(words: &[OsString]) {
    let typed = words.to_vec();
    let last = typed.len().saturating_sub(1);
    let mut command = names::told(cli::command(cli::Name::KubectlPlugin), &typed);
    let here = std::env::current_dir().ok();
    let found = match last {
        0 => Vec::new(),
        _ => complete(&mut command, typed, last, here.as_deref()).unwrap_or_default(),
    };
    output::bytes(text(&found).as_bytes());
}

fn text(found: &[CompletionCandidate]) -> String {
    let mut text = String::new();
    let mut are_open = !found.is_empty();
    for candidate in found {
        let value = candidate.get_value().to_string_lossy();
        are_open &= value.ends_with('=');
        text.push_str(&value);
        let help = candidate.get_help().map(ToString::to_string);
        if let Some(first) = help.as_deref().and_then(|help| help.lines().next()) {
            text.push('\t');
            text.push_str(first);
        }
        text.push('\n');
    }
    let directive = NO_FILES | if are_open { NO_SPACE } else { 0 };
    format!("{text}:{directive}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_cobra_reads() {
        assert_eq!(text(&[]), ":4\n");
        let described = CompletionCandidate::new("web").help(Some("a split\nmore".into()));
        let plain = CompletionCandidate::new("shop");
        assert_eq!(text(&[described, plain]), "web\ta split\nshop\n:4\n");
        let open = CompletionCandidate::new("canary=");
        assert_eq!(text(&[open]), "canary=\n:6\n");
    }
}
