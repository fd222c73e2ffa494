//! Every command that builds says `--locked`: what is built is what Cargo.lock says, and a lock that
//! no longer fits is an error.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

const FILES: [&str; 9] = [
    "Makefile",
    "tools/tools.mk",
    "tools/istio.mk",
    "tools/docs.mk",
    ".ci/run",
    "README.md",
    "BENCHMARKS.md",
    "docs/semantics.md",
    "docs/limits.md",
];

const BUILDING: [&str; 8] = [
    "build", "test", "run", "bench", "doc", "clippy", "rustc", "install",
];

/// The commands of a file that build without the lock. A command ends with its line, unless that
/// ends with a backslash, and at `&&`, `;` and backquotes.
fn unlocked(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let commands = text
        .split(['\n', ';', '`'])
        .flat_map(|line| line.split("&&"));
    let builds = |command: &&str| {
        let words = command.split_once("cargo ").map(|(_, after)| after);
        words
            .and_then(|words| words.split_whitespace().next())
            .is_some_and(|word| BUILDING.contains(&word))
    };
    commands
        .filter(builds)
        .filter(|command| !command.contains("--locked"))
        .map(|command| command.trim().to_owned())
        .collect()
}

#[test]
fn every_command_that_builds_is_locked() {
    for file in FILES {
        let text = std::fs::read_to_string(format!("../{file}")).unwrap();
        let mut found = unlocked(&text);
        // The lock that this package ships names versions that its registry does not serve.
        found.retain(|command| !command.contains("install -q wasm-bindgen-cli"));
        assert_eq!(found, [""; 0], "{file}");
    }
}

#[test]
fn a_command_without_the_lock_is_found() {
    let text = "x: # cargo fmt\n\tcargo test -q \\\n\t  -p a && cargo doc --locked; FOO=1 cargo run -p b\n`cargo bench`";
    assert_eq!(
        unlocked(text),
        [
            "cargo test -q  \t  -p a",
            "FOO=1 cargo run -p b",
            "cargo bench"
        ]
    );
}
