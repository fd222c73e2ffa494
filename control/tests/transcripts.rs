//! Transcripts of the CLI as people use it: each `$ command` of a file in transcripts/, and what it
//! prints.
//!
//! Commands run in order, in an empty folder, standard error and output together. `make golden`
//! rewrites them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

/// Runs the commands of a transcript and writes down what they print.
fn replay(transcript: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_sluice")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(program.to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let mut text = String::new();
    let lines: Vec<&str> = transcript.lines().collect();
    // A remark stands before a command; other such lines are what a command printed.
    let is_remark = |at: usize| {
        lines[at].starts_with("# ") && lines.get(at + 1).is_some_and(|next| next.starts_with("$ "))
    };
    for (_, line) in lines
        .iter()
        .enumerate()
        .filter(|(at, line)| line.starts_with("$ ") || is_remark(*at))
    {
        text += &format!("{line}\n");
        let Some(command) = line.strip_prefix("$ ") else {
            continue;
        };
        let output = Command::new("bash")
            .args(["-c", &format!("{{ {command}\n}} 2>&1")])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", &path)
            .env("USER", "ann")
            .env("KUBECONFIG", "/nonexistent")
            .output()
            .unwrap();
        text += &masked(&String::from_utf8_lossy(&output.stdout));
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let code = output.status.code().unwrap();
        if code != 0 {
            text += &format!("[exit {code}]\n");
        }
    }
    text
}

/// Replaces what differs from run to run: points in time, and today's date.
fn masked(text: &str) -> String {
    let mask = |word: &str| {
        let is_time = word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
        let is_date = word.len() == 10
            && word.starts_with("20")
            && word.as_bytes()[4] == b'-'
            && word.as_bytes()[7] == b'-';
        if is_time {
            "TIME"
        } else if is_date {
            "DATE"
        } else {
            word
        }
        .to_owned()
    };
    text.split_inclusive([' ', '\n', '"'])
        .map(|piece| {
            let word = piece.trim_end_matches([' ', '\n', '"']);
            mask(word) + &piece[word.len()..]
        })
        .collect()
}

#[test]
fn commands_print_what_their_transcripts_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5);
    for file in files {
        let expected = std::fs::read_to_string(&file).unwrap();
        let found = replay(&expected);
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(&file, &found).unwrap();
        } else {
            assert_eq!(
                found,
                expected,
                "{}; `make golden` rewrites",
                file.display()
            );
        }
    }
}
