//! What consoles on pages show is what is printed: each page's commands run in their order in an
//! empty folder, with the files that the page has (```` ```yaml file=NAME ````). `make golden`
//! rewrites what differs.
//!
//! The examples' consoles need a cluster and are run with a real Istio instead.

use std::path::Path;
use std::process::Command;

use sluice_book::{Page, transcript, tree};

use super::pages;

/// Whose consoles are run elsewhere.
const ELSEWHERE: &str = "wasmplugin/examples/";

/// How long a command may take, in seconds.
const PATIENCE: &str = "60";

/// What a command prints, and its exit code: 124 where it took too long and was ended.
fn printed(command: &str, folder: &Path) -> (String, i32) {
    let program = Path::new(env!("CARGO_BIN_EXE_sluice")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("timeout")
        .args(["--kill-after=5", PATIENCE])
        .args(["bash", "-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{}:{path}", program.display()))
        .env("USER", "ann")
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code().unwrap())
}

/// What became of a page's commands.
struct Run {
    /// The page with what they print now.
    text: String,
    /// How many there are.
    commands: usize,
    /// Each that prints something else than the page shows.
    different: Vec<String>,
}

fn run(page: &Page) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let mut steps = transcript::of_page(page);
    let mut different = Vec::new();
    let files = page
        .blocks
        .iter()
        .filter_map(|block| Some((block.file()?, block)));
    let mut files = files.peekable();
    for step in &mut steps {
        // Those above it, as a reader has them.
        while let Some((name, file)) = files.next_if(|(_, file)| file.line < step.line) {
            std::fs::write(folder.path().join(name), &file.text).unwrap();
        }
        let (output, code) = printed(&step.command, folder.path());
        let (at, command) = (page.at(step.line), &step.command);
        assert_eq!(code, 0, "{at}: {command}\n{output}");
        let lines: Vec<&str> = output.lines().collect();
        if !step.printed.is_empty() && !transcript::matches(&step.printed, &lines) {
            let shown = step.printed.join("\n");
            different.push(format!(
                "{at}: $ {command}\nshown:\n{shown}\nprinted:\n{output}"
            ));
            step.printed = lines.into_iter().map(str::to_owned).collect();
        }
    }
    Run {
        text: transcript::rewritten(page, &steps),
        commands: steps.len(),
        different,
    }
}

#[test]
fn every_console_shows_what_is_printed() {
    let mut commands = 0;
    let mut different = Vec::new();
    for page in pages()
        .iter()
        .filter(|page| !page.path.starts_with(ELSEWHERE))
    {
        let run = run(page);
        commands += run.commands;
        if std::env::var_os("GOLDEN").is_some() && run.text != page.text {
            std::fs::write(tree::root().join(&page.path), &run.text).unwrap();
        } else {
            different.extend(run.different);
        }
    }
    assert!(
        different.is_empty(),
        "{}\n`make golden` rewrites",
        different.join("\n")
    );
    assert!(commands >= 10, "{commands} commands were run");
}

#[test]
fn a_console_that_shows_something_else_is_found() {
    let text = "```console\n$ echo a; echo b\na\nc\n$ echo d\n$ echo e f\ne …\n```\n";
    let run = run(&Page::read("x.md", text.to_owned()));
    assert_eq!(run.text, text.replace("a\nc\n", "a\nb\n"));
    assert_eq!(run.commands, 3);
    let expected = "x.md:2: $ echo a; echo b\nshown:\na\nc\nprinted:\na\nb\n";
    assert_eq!(run.different, [expected]);
}
