//! What people say to a run from another process, and what becomes of it.

use serde_json::{Value, json};

use crate::shop::{Said, Shop, kinds};

const SLOW: &str = "[{weight: 5, hold: 1h}, {weight: 20, approval: true}, {weight: 50, hold: 1h}, {weight: 100, hold: 1h}]";

fn obeyed(said: &Said, message: &str) {
    assert_eq!(
        (said.code, &*said.out),
        (0, &*format!("web: {message}\n")),
        "{said:?}"
    );
}

#[test]
fn a_run_obeys_who_talks_to_it_from_another_process() {
    let shop = Shop::new(SLOW);
    let mut run = shop.run();
    run.until("converged", 1);
    obeyed(
        &shop.sluice("rollout pause web --reason look"),
        "paused by ann: look",
    );
    assert_eq!(shop.phase(), "Paused");
    run.until("paused", 1);
    obeyed(&shop.sluice("rollout resume web"), "resumed by ann");
    obeyed(&shop.sluice("rollout skip web"), "skipped by ann");
    run.until("approvalWanted", 2);
    assert_eq!(shop.weight(), 20.0);
    obeyed(&shop.sluice("rollout approve web"), "approved by ann");
    run.until("converged", 3);
    let promoted = shop.sluice("rollout promote web --full -o json");
    assert_eq!(promoted.code, 0, "{promoted:?}");
    assert_eq!(promoted.out.lines().count(), 1);
    let (events, code, _) = run.end();
    assert_eq!(code, 0);
    assert_eq!(kinds(&events).last(), Some(&"succeeded"));
    assert_eq!((shop.weight(), shop.phase().as_str()), (100.0, "Succeeded"));
    assert_eq!(shop.weights(), [5.0, 20.0, 50.0, 100.0]);
}

#[test]
fn what_a_run_refuses_is_said_with_its_reason_and_exit_code_1() {
    let shop = Shop::new(SLOW);
    let mut run = shop.run();
    run.until("converged", 1);
    for (command, why) in [
        (
            "rollout approve web",
            "`approve` of ann: the step waits for no approval",
        ),
        (
            "rollout resume web",
            "`resume` of ann: the run is not paused",
        ),
        ("rollout start web", "`start` of ann: a run is under way"),
        ("rollout retry web", "`retry` of ann: a run is under way"),
        ("rollout finish web", "`finish` of ann: a run is under way"),
    ] {
        let said = shop.sluice(command);
        let expected = format!("on directory .\nweb: refused: {why}\n");
        assert_eq!(
            (said.code, &*said.out, said.err),
            (1, "", expected),
            "{command}"
        );
    }
    assert_eq!((shop.weight(), shop.phase().as_str()), (5.0, "Progressing"));
}

#[test]
fn an_aborted_run_is_over_and_its_version_is_tried_again_only_when_somebody_says_so() {
    let shop = Shop::new(SLOW);
    let mut run = shop.run();
    run.until("converged", 1);
    let said = shop.sluice("rollout abort web --reason slow");
    let expected = "web everyone canary: 5 -> 0\nweb: its run ends as aborted (command 1)\n";
    assert_eq!((said.code, &*said.out), (0, expected), "{said:?}");
    assert_eq!(shop.weight(), 0.0, "the abort itself has seen to it");
    let (events, code, _) = run.end();
    assert_eq!((code, kinds(&events).last()), (1, Some(&"aborted")));

    let again = shop.sluice("rollout abort web");
    assert_eq!(again.code, 0, "{again:?}");
    let (events, code, _) = shop.run().end();
    assert_eq!((code, events.len()), (1, 0), "it stays aborted");

    let said = shop.sluice("rollout retry web");
    let expected = "on directory .\nnobody runs Rollout web of directory .; `retry` is left as command 2 for whoever \
                    does: `sluice rollout run -f FILE --dir .`\n";
    assert_eq!((said.code, &*said.err), (0, expected));
    let mut run = shop.run();
    assert_eq!(run.until("converged", 1)["run"], 2);
}

#[test]
fn what_was_asked_of_runs_whose_file_is_gone_is_not_done_to_the_next() {
    let shop = Shop::new(SLOW);
    let mut run = shop.run();
    run.until("converged", 1);
    assert_eq!(shop.sluice("rollout abort web").code, 0);
    run.end();
    std::fs::remove_file(shop.path().join("rollouts/web.json")).unwrap();
    let mut run = shop.run();
    assert_eq!(run.event().unwrap()["event"], "started");
    run.until("converged", 1);
    obeyed(&shop.sluice("rollout pause web"), "paused by ann");
}

#[test]
fn an_abort_needs_nobody_who_runs_the_rollout() {
    let shop = Shop::new(SLOW);
    let mut run = shop.run();
    run.until("converged", 1);
    run.kill();
    let said = shop.sluice("rollout pause web");
    assert_eq!(
        (said.code, said.err.contains("nobody runs Rollout web")),
        (1, true),
        "{said:?}"
    );
    assert_eq!(shop.sluice("rollout abort web").code, 0);
    assert_eq!(shop.weight(), 0.0);
    let (events, code, _) = shop.run().end();
    assert_eq!(
        (code, kinds(&events).contains(&"stepped")),
        (1, false),
        "{events:?}"
    );
    assert_eq!((shop.weight(), shop.phase().as_str()), (0.0, "Aborted"));
}

#[test]
fn an_abort_takes_back_what_the_run_moved_whatever_its_spec_says_meanwhile() {
    let shop = Shop::new(SLOW);
    let mut run = shop.run();
    run.until("converged", 1);
    run.kill();
    let kept = shop.path().join("rollouts/web.json");
    let mut edited: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    edited["rollout"]["audiences"] = json!(["staff"]);
    shop.write("rollouts/web.json", &edited.to_string());
    let said = shop.sluice("rollout abort web");
    assert_eq!((said.code, shop.weight()), (0, 0.0), "{said:?}");
}

#[test]
fn what_a_succeeded_run_moved_is_not_taken_back_by_aborting_it() {
    let shop = Shop::new("[{weight: 100}]");
    let (_, code, _) = shop.run().end();
    assert_eq!(code, 0);
    let said = shop.sluice("rollout abort web");
    let expected = "error: Rollout web: no run is under way (Succeeded), so nothing was changed; `sluice abort web` \
                    takes the challenger's users back whoever moved them\n";
    assert_eq!(
        (said.code, said.err.ends_with(expected)),
        (1, true),
        "{said:?}"
    );
    assert_eq!(shop.weight(), 100.0);

    assert_eq!(shop.sluice("rollout finish web").code, 0);
    let (_, code, _) = shop.run().end();
    assert_eq!((code, shop.weight()), (0, 0.0));
}
