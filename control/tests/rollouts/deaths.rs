//! Processes that die, and processes that are two.

use crate::shop::{Shop, kinds};

const STEPS: &str = "[{weight: 5, hold: 300ms}, {weight: 10, hold: 300ms}, {weight: 25}, {weight: 40, hold: 300ms}, \
                     {weight: 60}, {weight: 80, hold: 300ms}, {weight: 100, hold: 300ms}]";

/// The first of a sequence of numbers that looks like chance, and is the same each time.
fn next(state: &mut u64) -> u64 {
    // Knuth's MMIX (The Art of Computer Programming, volume 2, 3.3.4).
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn a_run_that_is_killed_again_and_again_repeats_no_step_and_no_weight_falls() {
    for seed in 1..=3 {
        let shop = Shop::new(STEPS);
        let mut state = seed;
        let mut steps = Vec::new();
        let mut code = None;
        // Every process gets at least one line further, and a run has some thirty.
        for _ in 0..60 {
            let mut run = shop.run();
            let mut left = next(&mut state) % 5 + 1;
            let ended = loop {
                let Some(event) = run.event() else {
                    break true;
                };
                if event["event"] == "stepped" {
                    steps.push(event["step"].as_u64().unwrap());
                }
                left -= 1;
                if left == 0 {
                    break false;
                }
            };
            if ended {
                code = Some(run.ended().0);
                break;
            }
            run.kill();
        }
        assert_eq!(code, Some(0), "seed {seed}: it got to its end");
        assert!(
            steps.is_sorted_by(|one, next| one < next),
            "seed {seed}: {steps:?}"
        );
        assert_eq!(
            shop.weights(),
            [5.0, 10.0, 25.0, 40.0, 60.0, 80.0, 100.0],
            "seed {seed}"
        );
    }
}

#[test]
fn of_two_processes_the_second_is_refused_and_the_first_goes_on() {
    let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 100}]");
    let mut run = shop.run();
    run.until("converged", 1);
    let (events, code, err) = shop.run_refused().end();
    assert_eq!((events.len(), code), (0, 2));
    assert_eq!(
        err,
        "error: Rollout web of directory . is run by another process\n"
    );
    assert_eq!(shop.sluice("rollout skip web").code, 0);
    let (events, code, _) = run.end();
    assert_eq!((code, kinds(&events).last()), (0, Some(&"succeeded")));
}

#[test]
fn an_interrupted_run_leaves_the_weights_and_goes_on_where_it_was() {
    let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 100}]");
    let mut run = shop.run();
    run.until("converged", 1);
    run.interrupt();
    let (_, code, err) = run.end();
    assert_eq!(code, 2);
    assert!(err.contains("stopped; weights stay as they are"), "{err}");
    assert_eq!((shop.weight(), shop.phase().as_str()), (5.0, "Progressing"));
    assert_eq!(
        shop.sluice("rollout skip web").code,
        1,
        "nobody runs it now"
    );
    let (events, code, _) = shop.run().end();
    assert_eq!(code, 0);
    // What was asked meanwhile is obeyed first.
    assert_eq!(
        kinds(&events),
        ["passed", "stepped", "converged", "passed", "succeeded"]
    );
}

#[test]
fn an_interruption_is_heard_from_the_first_event_on() {
    // Whether it began to listen too late was chance.
    for _ in 0..12 {
        let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 100}]");
        let mut run = shop.run();
        run.event();
        run.interrupt();
        let (_, code, err) = run.end();
        assert_eq!((code, err.contains("stopped")), (2, true), "{err}");
    }
}

#[test]
fn a_lock_that_somebody_removes_is_taken_anew_or_the_run_is_left_to_whoever_has_it() {
    let shop = Shop::new("[{weight: 5, hold: 1h}, {weight: 10, hold: 1h}, {weight: 100}]");
    let mut first = shop.run();
    first.until("converged", 1);
    let remove = || std::fs::remove_dir_all(shop.path().join(".sluice")).unwrap();
    remove();
    // It keeps something, and holds a lock again. What is asked says that nobody runs it.
    shop.sluice("rollout skip web");
    first.until("converged", 2);
    assert_eq!(shop.run().end().1, 2);
    remove();
    let second = shop.run();
    let is_run = || shop.json("rollout status web -o json")["host"] == "running";
    assert!((0..1_000).any(|_| is_run()), "the second runs it");
    shop.sluice("rollout skip web");
    let (_, code, err) = first.end();
    assert_eq!(code, 2);
    assert!(
        err.contains("Rollout web of directory . is run by another process"),
        "{err}"
    );
    assert_eq!(second.end().1, 0);
}
