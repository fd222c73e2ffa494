//! Waiting for the end of a run, and watching it.

use crate::shop::Shop;

#[test]
fn waiting_ends_with_the_run_and_says_how_it_ended() {
    let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 100}]");
    let mut run = shop.run();
    run.until("converged", 1);
    let said = shop.sluice("rollout status web --wait --timeout 300ms");
    let expected = "timed out: the run of Rollout web has not ended within 0.3 s and goes on; web  Progressing, run 1, step 1 of 2, 5 %";
    assert_eq!(
        (said.code, said.err.contains(expected)),
        (1, true),
        "{said:?}"
    );

    let waiting = shop.begin("rollout status web --wait -o json");
    assert_eq!(shop.sluice("rollout skip web").code, 0);
    let (views, code, _) = waiting.end();
    assert_eq!((code, views.len()), (0, 1));
    assert_eq!(views[0]["status"]["phase"], "Succeeded");
    assert_eq!(run.end().1, 0);
}

#[test]
fn waiting_for_a_run_that_is_aborted_ends_with_exit_code_1() {
    let shop = Shop::new("[{weight: 5, hold: 1h}]");
    let mut run = shop.run();
    run.until("converged", 1);
    let waiting = shop.begin("rollout status web --wait -o json");
    assert_eq!(shop.sluice("rollout abort web").code, 0);
    let (views, code, _) = waiting.end();
    assert_eq!((code, &views[0]["status"]["phase"]), (1, &"Aborted".into()));
    assert_eq!(run.end().1, 1);
    // So does looking once at a run that failed.
    assert_eq!(shop.sluice("rollout status web").code, 1);
}

#[test]
fn who_watches_without_a_terminal_reads_a_line_for_each_change_until_ctrl_c() {
    let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 100, hold: 1h}]");
    let mut run = shop.run();
    run.until("converged", 1);
    let mut watching = shop.begin("rollout status web --watch");
    let line = watching.line().unwrap();
    let changed = line.split_once("  ").unwrap().1;
    assert_eq!(
        changed,
        "web  Progressing, run 1, step 1 of 2, 5 %: no proxy can be asked; the weights count as followed"
    );
    assert_eq!(shop.sluice("rollout pause web").code, 0);
    let line = watching.line().unwrap();
    assert!(
        line.ends_with("web  Paused, run 1, step 1 of 2, 5 %: paused by ann"),
        "{line}"
    );
    watching.interrupt();
    let (code, err) = watching.ended();
    assert_eq!((code, &*err), (0, "on directory .\n"));
}

#[test]
fn in_a_terminal_the_tree_is_redrawn_in_place_until_the_run_has_ended() {
    let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 100}]");
    let mut run = shop.run();
    run.until("converged", 1);
    let mut watching = shop.begin_in_terminal("rollout status web --watch --wait");
    let mut seen = String::new();
    while !seen.contains("everyone: 5 % wanted, 5 % in force") {
        seen += &watching.line().unwrap();
    }
    assert_eq!(shop.sluice("rollout skip web").code, 0);
    while let Some(line) = watching.line() {
        seen += &line;
    }
    assert_eq!(watching.ended().0, 0);
    // The first tree has seven lines: head, message, steps with two, weights with one.
    assert!(seen.contains("\x1b[J\x1b[7A\rweb: "), "{seen:?}");
    assert!(seen.contains("✔ 2: 100 % of everyone\x1b[K"), "{seen:?}");
    assert!(!seen.contains("\x1b[2J"), "nothing flickers: {seen:?}");
}
