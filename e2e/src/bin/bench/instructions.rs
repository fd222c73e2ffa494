//! How many instructions `decide()` takes, which is the same on every machine.

use std::process::Command;

/// Instructions of `decide()`, by valgrind, over the scenarios of sluice-core's bench `decide`.
pub(crate) fn instructions() {
    let Some(program) = std::env::var_os("DECIDE_BENCH") else {
        return;
    };
    println!("\n| decide() | instructions |\n|---|---|");
    for scenario in [
        "email-rule",
        "thousand-splits",
        "newcomer",
        "classic-rule",
        "other-host",
    ] {
        let count = |iterations: u64| {
            let output = Command::new("valgrind")
                .args([
                    "--tool=cachegrind",
                    "--cache-sim=no",
                    "--cachegrind-out-file=/dev/null",
                ])
                .arg(&program)
                .args([scenario, &iterations.to_string()])
                .output()
                .expect("valgrind");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let line = text
                .lines()
                .find(|line| line.contains("refs:"))
                .expect("valgrind's count")
                .to_owned();
            line.rsplit(' ')
                .next()
                .unwrap()
                .replace(',', "")
                .parse::<u64>()
                .unwrap()
        };
        println!("| {scenario} | {} |", (count(2_000) - count(1_000)) / 1_000);
    }
}
