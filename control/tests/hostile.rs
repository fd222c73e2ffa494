//! Folders and inputs that somebody else filled, given to the program itself: what it must not
//! touch, follow, wait for or swallow.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

const PLUGIN: &str =
    "kind: WasmPlugin\nmetadata: {name: s}\nspec: {pluginConfig: {splits: {web: {}}}}\n";
const WEIGHTS: &str = "kind: WasmPlugin\nmetadata: {name: s}\nspec: {pluginConfig: {weights: {web: {everyone: {canary: 50}}}}}\n";

fn sluice(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("USER", "ann")
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap()
}

/// The exit code and everything that was said, but for the store that it was said of.
fn said(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8(text).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("on directory "));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    (output.status.code().unwrap(), text)
}

/// A store whose `name` is a link to a file outside of it.
fn store_with_link(all: &Path, name: &str, weights: &str) -> std::path::PathBuf {
    let store = all.join("store");
    std::fs::create_dir_all(store.join(".sluice")).unwrap();
    std::fs::write(all.join("precious"), "precious").unwrap();
    std::fs::write(store.join("plugin.yaml"), PLUGIN).unwrap();
    std::fs::write(store.join("weights.yaml"), weights).unwrap();
    let path = store.join(name);
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir(&path);
    symlink(all.join("precious"), path).unwrap();
    store
}

#[test]
fn no_link_in_a_folder_leads_a_write_out_of_it() {
    let links = [
        "weights.yaml.unreadable",
        ".sluice/lock",
        ".sluice",
        "history.jsonl",
        "weights.yaml",
        ".sluice/dev.json",
    ];
    for name in links {
        for weights in [WEIGHTS, "a: [", "\u{1}"] {
            for command in [
                &["abort", "web", "--dir", "."][..],
                &["set", "web", "canary=1", "--dir", "."],
            ] {
                let all = tempfile::tempdir().unwrap();
                let store = store_with_link(all.path(), name, weights);
                let (_, text) = said(&sluice(&store, command));
                let precious = std::fs::read_to_string(all.path().join("precious")).unwrap();
                assert_eq!(
                    precious, "precious",
                    "{name} {weights:?} {command:?}: {text}"
                );
            }
        }
    }
}

#[test]
fn an_abort_is_stopped_by_no_link_beside_the_weights() {
    for name in [
        "weights.yaml.unreadable",
        ".sluice/lock",
        ".sluice",
        "history.jsonl",
    ] {
        for weights in [WEIGHTS, "a: ["] {
            let all = tempfile::tempdir().unwrap();
            let store = store_with_link(all.path(), name, weights);
            let (code, text) = said(&sluice(&store, &["abort", "web", "--dir", "."]));
            assert_eq!(code, 0, "{name} {weights:?}: {text}");
            let written = std::fs::read_to_string(store.join("weights.yaml")).unwrap();
            assert!(written.contains("canary: 0"), "{name}: {written}");
        }
    }
}

#[test]
fn linked_weights_are_read_and_a_write_says_why_not() {
    let all = tempfile::tempdir().unwrap();
    let store = store_with_link(all.path(), "weights.yaml", WEIGHTS);
    std::fs::write(all.path().join("precious"), WEIGHTS).unwrap();
    let (code, text) = said(&sluice(&store, &["get", "web", "--dir", "."]));
    assert!(code == 0 && text.contains("canary    50"), "{text}");
    for command in [
        &["abort", "web", "--dir", "."][..],
        &["set", "web", "canary=1", "--dir", "."],
    ] {
        assert_eq!(
            said(&sluice(&store, command)),
            (
                2,
                "error: ./weights.yaml: a link, which sluice reads at most and never writes through or replaces; nothing \
                 was changed. Accepted: a file, or none\n"
                    .to_owned()
            )
        );
    }
}

#[test]
fn a_left_behind_address_elsewhere_is_not_asked() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let all = tempfile::tempdir().unwrap();
    let store = all.path();
    std::fs::create_dir(store.join(".sluice")).unwrap();
    std::fs::write(store.join("plugin.yaml"), PLUGIN).unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let left = format!(
        r#"{{"pid":{},"admin":"0.0.0.0:{port}"}}"#,
        std::process::id()
    );
    std::fs::write(store.join(".sluice/dev.json"), left).unwrap();
    let (code, text) = said(&sluice(store, &["status", "--dir", "."]));
    assert_eq!(code, 2);
    assert!(
        text.contains(&format!("0.0.0.0:{port} is no admin interface")),
        "{text}"
    );
    let asked = elsewhere.accept().map(|_| ());
    assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn what_never_ends_or_begins_is_not_read() {
    let all = tempfile::tempdir().unwrap();
    let pipe = all.path().join("pipe");
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    );
    made.unwrap();
    std::fs::create_dir_all(all.path().join("store")).unwrap();
    std::fs::write(all.path().join("store/plugin.yaml"), PLUGIN).unwrap();
    symlink(&pipe, all.path().join("store/weights.yaml")).unwrap();
    let cases = [
        (
            &["validate", "-f", "pipe"][..],
            "error: pipe: a named pipe; accepted: a file\n",
        ),
        (
            &["validate", "-f", "/dev/zero"],
            "error: /dev/zero: more than 16777216 bytes; accepted: at most that\n",
        ),
        (
            &["get", "--dir", "store"],
            "error: store/weights.yaml: a named pipe; accepted: a file\n",
        ),
        (
            &["push", "/dev/zero", "oci://127.0.0.1:1/a:1"],
            "error: /dev/zero: more than 16777216 bytes; accepted: at most that\n",
        ),
    ];
    for (arguments, expected) in cases {
        assert_eq!(
            said(&sluice(all.path(), arguments)),
            (2, expected.to_owned())
        );
    }
}

#[test]
fn small_texts_that_mean_much_are_refused() {
    let all = tempfile::tempdir().unwrap();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        bomb += &format!(
            "a{level}: &a{level} [{}]\n",
            vec![format!("*a{}", level - 1); 10].join(", ")
        );
    }
    std::fs::write(all.path().join("bomb.yaml"), bomb).unwrap();
    std::fs::write(all.path().join("deep.yaml"), "[".repeat(100_000)).unwrap();
    let cases = [
        (
            "bomb.yaml",
            "error: bomb.yaml: more than 1000000 values or 32 MiB of text, with what its aliases repeat, at line 6\n",
        ),
        (
            "deep.yaml",
            "error: deep.yaml: more than 100 lists and maps inside each other, at line 1\n",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(
            said(&sluice(all.path(), &["validate", "-f", file])),
            (2, expected.to_owned())
        );
    }
}

#[test]
fn a_shell_s_pipe_is_read() {
    let output = Command::new("bash")
        .args([
            "-c",
            &format!(
                "{} validate -f <(echo 'splits: {{web: {{}}}}')",
                env!("CARGO_BIN_EXE_sluice")
            ),
        ])
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn an_abort_over_weights_that_cannot_be_read_says_what_it_did() {
    let all = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(all.path().join(name), text).unwrap();
    write(
        "plugin.yaml",
        "kind: WasmPlugin\nmetadata: {name: s}\nspec: {pluginConfig: {splits: {web: {}, shop: {}}}}\n",
    );
    let set = ["set", "shop", "canary=50", "--dir", ".", "--force"];
    assert_eq!(said(&sluice(all.path(), &set)).0, 0);
    let broken = [
        (
            "spec: [",
            "./weights.yaml: not YAML or JSON",
            "the last change in the history, `set shop canary=50` of ann at ",
            "weights.yaml.unreadable",
        ),
        (
            "kind: WasmPlugin\nmetadata: {name: s}\nspec: {pluginConfig: {weights: []}}\n",
            "the zeros are now explicit; what was served before is not known: weights: a list of 0",
            "could not read it: weights (a list of 0)",
            "weights.yaml.unreadable.2",
        ),
    ];
    for (weights, why, what, kept) in broken {
        write("weights.yaml", weights);
        let (code, text) = said(&sluice(all.path(), &["abort", "web", "--dir", "."]));
        assert_eq!(code, 0, "{text}");
        let kept_in = format!("it is kept in ./{kept}\n");
        for said in [why, what, &kept_in] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains("zero already"), "{text}");
        let aside = std::fs::read_to_string(all.path().join(kept)).unwrap();
        assert_eq!(aside, weights);
    }
}

#[test]
fn a_long_history_is_read_as_far_as_it_is_kept() {
    let all = tempfile::tempdir().unwrap();
    std::fs::write(all.path().join("plugin.yaml"), PLUGIN).unwrap();
    let line = |number: usize| {
        format!(
            r#"{{"revision":{number},"at":"then","by":"eve","command":"set","changes":[],"after":{{"weights":{{}}}}}}"#
        )
    };
    let lines: Vec<String> = (0..60_000).map(line).collect();
    std::fs::write(all.path().join("history.jsonl"), lines.join("\n")).unwrap();
    let (code, text) = said(&sluice(all.path(), &["history", "--dir", "."]));
    let shown = text.lines().filter(|line| line.contains("eve")).count();
    assert_eq!((code, shown), (0, 50), "{text}");
    assert!(text.lines().last().unwrap().starts_with("59999 "), "{text}");
}

#[test]
fn a_long_weight_is_shown_by_its_beginning() {
    let all = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(all.path().join(name), text).unwrap();
    let long = "y".repeat(600_000);
    write("plugin.yaml", PLUGIN);
    let weights = WEIGHTS.replace("50", &long);
    write("weights.yaml", &weights);
    for command in [
        &["get", "--dir", "."][..],
        &["set", "web", "canary=5", "--dir", "."],
        &["abort", "web", "--dir", "."],
        &["history", "--dir", "."],
    ] {
        let (_, text) = said(&sluice(all.path(), command));
        assert!(text.len() < 20_000, "{command:?}: {} bytes", text.len());
        write("weights.yaml", &weights);
    }
    // What is for programs is whole.
    let (_, text) = said(&sluice(
        all.path(),
        &["history", "--dir", ".", "-o", "json"],
    ));
    assert!(text.contains(&long), "{} bytes", text.len());
}
