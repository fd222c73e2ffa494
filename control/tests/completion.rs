//! Completion as a shell asks for it, in a real bash, and as kubectl asks for it; the manual pages.
//!
//! Names of a cluster are completed in the tests with a real API server.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

/// Two splits with challengers, and an audience.
const PLUGIN: &str = "
splits:
  web:
    identity: [{header: x-user-id}]
    hosts: [web.example.com]
    rules: [{name: beta, match: [{query: {beta: {exact: '1'}}}]}]
  checkout:
    identity: [{header: x-user-id}]
    hosts: [checkout.example.com]
    variants: [stable, next]
";
const WEIGHTS: &str = "
weights:
  web: {beta: {canary: 100}, everyone: {canary: 10}}
  checkout: {everyone: {next: 5}}
";

/// A folder with a configuration.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plugin.yaml"), PLUGIN).unwrap();
    std::fs::write(folder.path().join("weights.yaml"), WEIGHTS).unwrap();
    folder
}

fn run(program: &str, arguments: &[&str], here: &Path) -> Output {
    let built = Path::new(env!("CARGO_BIN_EXE_sluice")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{path}", here.display(), built.display());
    Command::new(program)
        .args(arguments)
        .current_dir(here)
        .env_clear()
        .env("PATH", path)
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap()
}

/// What bash offers for a line, whose last word is being typed.
fn offered(line: &str, here: &Path) -> Vec<String> {
    let script = format!(
        "source <(sluice completion bash); read -ra COMP_WORDS <<<\"{line}.\"; \
         COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_WORDS[COMP_CWORD]=${{COMP_WORDS[COMP_CWORD]%.}}; \
         COMP_TYPE=9; _clap_complete_sluice sluice \"${{COMP_WORDS[COMP_CWORD]}}\" 2>/dev/null; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = run("bash", &["-c", &script], here);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn bash_offers_the_names_of_the_folder() {
    let folder = folder();
    let cases: [(&str, &[&str]); 9] = [
        ("sluice get ", &["checkout", "web"]),
        ("sluice get w", &["web"]),
        ("sluice get x", &[]),
        ("sluice set web ", &["canary="]),
        ("sluice set nothing ", &["canary=", "next="]),
        ("sluice set web canary=5 --audience ", &["beta", "everyone"]),
        (
            "sluice explain --tripped ",
            &["checkout=next", "web=canary"],
        ),
        ("sluice get -o j", &["json"]),
        ("sluice get --dir /nonexistent w", &[]),
    ];
    for (line, expected) in cases {
        let mut found = offered(line, folder.path());
        found.retain(|word| !word.starts_with('-'));
        assert_eq!(found, expected, "{line}");
    }
    let commands = offered("sluice ro", folder.path());
    assert_eq!(commands, ["rollback", "rollout"]);
}

#[test]
fn without_a_cluster_nothing_is_offered_and_nothing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "sluice get -n ",
        "sluice get ",
        "sluice rollout status ",
        "sluice get --context ",
    ] {
        let mut found = offered(line, folder.path());
        found.retain(|word| !word.starts_with('-'));
        assert_eq!(found, [""; 0], "{line}");
    }
    let asked = run(
        "bash",
        &["-c", "SLUICE_COMPLETE=bash sluice -- sluice get -n ''"],
        folder.path(),
    );
    assert_eq!(String::from_utf8(asked.stderr).unwrap(), "");
}

#[test]
fn a_command_does_what_it_does_whatever_the_variable_says() {
    let folder = folder();
    for value in ["bash", "", "csh"] {
        let script = format!("export SLUICE_COMPLETE={value}; sluice get web");
        let output = run("bash", &["-c", &script], folder.path());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("everyone   canary    10"), "{value}: {text}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    // A login command that takes its time, as one does that opens a browser.
    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], \
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, \
        command: sleep, args: ['30'], interactiveMode: Never}}}]}";
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let began = std::time::Instant::now();
    assert_eq!(
        offered("sluice get --kubeconfig kubeconfig -n ", folder.path()),
        [""; 0]
    );
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn kubectl_is_answered_by_a_link_to_the_program() {
    let folder = folder();
    let link = folder.path().join("kubectl_complete-sluice");
    symlink(env!("CARGO_BIN_EXE_sluice"), &link).unwrap();
    let answer = |words: &[&str]| {
        let output = run("kubectl_complete-sluice", words, folder.path());
        assert_eq!(output.stderr, b"");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(answer(&["get", "w"]), "web\n:4\n");
    assert_eq!(answer(&["set", "web", "c"]), "canary=\n:6\n");
    assert_eq!(answer(&["get", "x"]), ":4\n");
    assert_eq!(answer(&[]), ":4\n");
    assert!(answer(&["rollb"]).starts_with("rollback\tGo back to earlier weights\n"));
}

#[test]
fn kubectl_sluice_calls_itself_so() {
    let folder = tempfile::tempdir().unwrap();
    symlink(
        env!("CARGO_BIN_EXE_sluice"),
        folder.path().join("kubectl-sluice"),
    )
    .unwrap();
    let help = run("kubectl-sluice", &["set", "--help"], folder.path());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("Usage: kubectl sluice set [OPTIONS] <SPLIT>"),
        "{help}"
    );
    let mistake = run("kubectl-sluice", &["sett"], folder.path());
    let mistake = String::from_utf8(mistake.stderr).unwrap();
    assert!(
        mistake.contains("Usage: kubectl sluice [OPTIONS]")
            || mistake.contains("Usage: kubectl sluice <COMMAND>"),
        "{mistake}"
    );
}

#[test]
fn each_command_has_its_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().to_str().unwrap();
    let missing = run("sluice", &["man", "no-such-folder"], folder.path());
    assert_eq!(missing.status.code(), Some(2));
    let written = run("sluice", &["man", pages], folder.path());
    assert_eq!(written.status.code(), Some(0));
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("sluice.1").contains("sluice\\-set(1)"));
    assert!(page("sluice-set.1").contains("canary=10; steps of 0.001"));
    assert!(page("sluice-rollout-status.1").contains(".SH SYNOPSIS"));
    assert!(!folder.path().join("sluice-leash.1").exists());
}
