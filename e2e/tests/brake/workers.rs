//! How soon every worker serves what was answered to one VM, and what the guard says back.

use super::*;
use sluice_core::brake::Tripped;

/// By their ticks it would take half a second on average. The native module asks each second.
async fn a_brake_is_in_force_in_all_workers_before_their_next_tick(adapter: Adapter) {
    for workers in [2, 4] {
        let brakes = Brakes::start().await;
        let mesh = start(adapter, workers, &config(100), &brakes).await;
        connected(&mesh, 1.0).await;
        let mut all = connections(&mesh, 16).await;
        until_all_give(&mut all, "canary").await;
        let mut took = Vec::new();
        for round in 1..=10 {
            brakes.list(&format!("{round}a"), &[("1", "web", Some("canary"))], &[]);
            took.push(until_all_give(&mut all, "stable").await);
            brakes.list(&format!("{round}b"), &[], &["1"]);
            took.push(until_all_give(&mut all, "canary").await);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        took.sort();
        println!(
            "{workers} workers: until all, median {:?}, worst {:?}",
            took[10], took[19]
        );
        let most = match adapter {
            Adapter::Wasm => Duration::from_millis(100),
            Adapter::Native => Duration::from_millis(1_200),
        };
        assert!(took[10] < most, "{workers}: {took:?}");
    }
}

async fn what_is_braked_is_shown_and_logged_once(adapter: Adapter) {
    let brakes = Brakes::start().await;
    let mesh = start(adapter, 4, &config(100), &brakes).await;
    connected(&mesh, 1.0).await;
    brakes.list("1", &[("b7", "web", None)], &[]);
    let labels = [("sluice_split", "web"), ("sluice_variant", "canary")];
    mesh.wait_for_metric("sluice_braked", &labels, 1.0).await;
    brakes.list("2", &[], &["b7"]);
    mesh.wait_for_metric("sluice_braked", &labels, 0.0).await;
    for line in [
        "split web: every challenger is braked, as if the weight were 0 (brake b7)",
        "split web: every challenger is not braked any more: it was released (brake b7)",
    ] {
        assert_eq!(mesh.log().matches(line).count(), 1, "{line}");
    }
}

async fn one_vm_asks_and_is_answered_in_time_for_nobody_to_hold_a_question_too_long(
    adapter: Adapter,
) {
    let brakes = Brakes::start().await;
    let began = Instant::now();
    let mesh = start(adapter, 4, &config(100), &brakes).await;
    connected(&mesh, 1.0).await;
    tokio::time::sleep(Duration::from_secs(27)).await;
    let questions = brakes.questions_since(began);
    let waits: Vec<u32> = questions
        .iter()
        .map(|(_, question)| question.wait)
        .collect();
    match adapter {
        Adapter::Wasm => assert_eq!(waits, [0, 25, 25], "a short one first, then one at a time"),
        // Envoy would take a held one back on a worker.
        Adapter::Native => {
            assert!(waits.iter().all(|&wait| wait == 0), "{waits:?}");
            assert!((15..=35).contains(&waits.len()), "{}", waits.len());
        }
    }
    assert_eq!(questions[0].1.plugin, "dev.sluice");
    assert_eq!(questions[0].1.node, "test");
    assert_eq!(questions[0].1.version, None);
    assert_eq!(questions[1].1.version.as_deref(), Some("0"));
}

async fn a_trip_is_told_before_the_next_question_is_due(adapter: Adapter) {
    let brakes = Brakes::start().await;
    let mut guarded = config(50);
    guarded["splits"]["web"]["guard"] = json!({});
    let mesh = start(adapter, 2, &guarded, &brakes).await;
    connected(&mesh, 1.0).await;
    mesh.fail("web/canary", 500);
    let began = Instant::now();
    for user in 0..100 {
        let line = format!("x-user-id: user-{user}");
        mesh.send(&get("/", HOST, &[line.as_bytes()])).await;
    }
    let trip = Tripped {
        split: "web".to_owned(),
        variant: "canary".to_owned(),
    };
    mesh.wait_for("the trip to be told", async || {
        let questions = brakes.questions_since(began);
        questions
            .iter()
            .any(|(_, question)| question.trips == [trip.clone()])
    })
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

sluice_e2e::over_both_adapters![
    a_brake_is_in_force_in_all_workers_before_their_next_tick,
    what_is_braked_is_shown_and_logged_once,
    one_vm_asks_and_is_answered_in_time_for_nobody_to_hold_a_question_too_long,
    a_trip_is_told_before_the_next_question_is_due,
];
