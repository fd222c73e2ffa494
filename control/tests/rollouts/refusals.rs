//! What cannot be run: wrong specs, files that are something else, a directory that cannot be
//! written. Each says what it found, and nothing is moved.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;

use crate::shop::Shop;

#[test]
fn every_mistake_of_a_spec_is_said_at_once_and_nothing_is_moved() {
    let shop =
        Shop::new("[{weight: 140}, {wieght: 5, weight: 5}, {weight: 20, hold: 5}, {weight: 10}]");
    let (events, code, err) = shop.run().end();
    assert_eq!((events.len(), code), (0, 2));
    let expected = "\
error: rollout.yaml: Rollout web: spec.steps[0].weight: a number (140); accepted: a percentage: 0 to 100 in steps of 0.001
  rollout.yaml: Rollout web: spec.steps[1].wieght: unknown field; accepted: audience, weight, hold, approval
  rollout.yaml: Rollout web: spec.steps[2].hold: a number (5); accepted: a time of 0s to 90d such as 90s, 5m or 1h30m
  rollout.yaml: Rollout web: spec.steps[3].weight: 10; a step never takes users away: at least 20 here
";
    assert_eq!(err, expected);
    assert!(!shop.path().join("weights.yaml").exists());
    assert!(!shop.path().join("rollouts").exists());
}

#[test]
fn what_is_no_status_of_ours_is_not_taken_for_one() {
    let nested = "[".repeat(100_000);
    let other = r#"{"rollout": {"name": "api"}, "status": {}}"#;
    for text in [
        "",
        "{",
        "[]",
        "{}",
        "7",
        r#"{"status": {"phase": "Fine"}}"#,
        other,
        &nested,
    ] {
        let shop = Shop::new("[{weight: 100}]");
        shop.write("rollouts/web.json", text);
        let begun: String = text.chars().take(40).collect();
        let (events, code, err) = shop.run().end();
        assert_eq!((events.len(), code), (0, 2), "{begun}");
        let why = "./rollouts/web.json: not what `sluice rollout` keeps; with the file gone, the run begins anew";
        assert!(err.contains(why), "{begun}: {err}");
        assert!(!shop.path().join("weights.yaml").exists(), "{begun}");

        let one = shop.sluice("rollout status web");
        assert_eq!(
            (one.code, one.err.contains(why)),
            (2, true),
            "{begun}: {one:?}"
        );
        let all = shop.sluice("rollout status");
        assert_eq!(
            (all.code, &*all.out, all.err.contains(why)),
            (1, "", true),
            "{begun}: {all:?}"
        );
        assert_eq!(shop.sluice("rollout pause web").code, 2, "{begun}");
    }
}

#[test]
fn of_a_split_that_is_gone_the_status_says_what_there_is_instead() {
    let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 100}]");
    let mut run = shop.run();
    run.until("converged", 1);
    run.kill();
    let cases = [
        (
            "splits: {api: {}}",
            "the plugin has no split web; it has api",
        ),
        (
            "splits: {web: {variants: [stable, blue]}}",
            "split web has no challenger canary; it has blue",
        ),
    ];
    for (plugin, why) in cases {
        shop.write("plugin.yaml", plugin);
        let said = shop.sluice("rollout status web");
        let unknown = format!("└─ unknown\n   └─ weights: {why}\n");
        assert_eq!(
            (said.code, said.out.ends_with(&unknown)),
            (0, true),
            "{said:?}"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_left_alone() {
    let shop = Shop::new("[{weight: 100}]");
    let mode =
        |mode| std::fs::set_permissions(shop.path(), PermissionsExt::from_mode(mode)).unwrap();
    mode(0o555);
    let mut command = shop.command("rollout run -f rollout.yaml --dir .");
    if std::fs::write(shop.path().join("probe"), "").is_ok() {
        // root may write everywhere; nobody may not.
        command.uid(65_534);
    }
    let output = command.output().unwrap();
    mode(0o755);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    let expected = "error: ./.sluice: cannot be written\n  Permission denied (os error 13)\n";
    assert_eq!(err, expected);
    assert!(!shop.path().join("weights.yaml").exists());
}

#[test]
fn a_name_that_nobody_has_gets_the_near_one_and_leaves_no_file() {
    let shop = Shop::new("[{weight: 100}]");
    assert_eq!(shop.run().end().1, 0);
    for command in ["status", "pause", "abort", "history"] {
        for name in ["wep", "../web", "web/../web", "Web"] {
            let said = shop.sluice(&format!("rollout {command} {name}"));
            let expected = format!(
                "error: directory . has no Rollout {name:?}; did you mean \"web\"? (`sluice rollout run -f FILE --dir .` begins one)\n"
            );
            let is_near = name != "../web" && name != "web/../web";
            assert_eq!(said.code, 2, "{command} {name}: {said:?}");
            assert_eq!(
                said.err.ends_with(&expected),
                is_near,
                "{command} {name}: {said:?}"
            );
        }
    }
    let kept = std::fs::read_dir(shop.path().join("rollouts")).unwrap();
    assert_eq!(kept.count(), 1);
}

#[test]
fn an_abort_needs_no_readable_state_where_the_split_can_be_seen() {
    let spoilt = r#"{"rollout": {"name": "web", "split": "web"}, "status": {"phase": "Fine"}}"#;
    for (text, code, weight) in [(spoilt, 1, 0.0), ("{", 2, 5.0)] {
        let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 100}]");
        let mut run = shop.run();
        run.until("converged", 1);
        run.kill();
        shop.write("rollouts/web.json", text);
        let said = shop.sluice("rollout abort web");
        assert_eq!(
            (said.code, shop.weight()),
            (code, weight),
            "{text}: {said:?}"
        );
        let why = "./rollouts/web.json: not what `sluice rollout` keeps";
        assert!(said.err.contains(why), "{text}: {said:?}");
        assert_eq!(
            said.err.contains("`sluice abort SPLIT`"),
            code == 2,
            "{text}: {said:?}"
        );
    }
}
