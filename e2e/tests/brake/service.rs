//! A service that is unknown, gone, silent or wrong: traffic goes on as it did, and it is asked again.

use super::*;
use sluice_e2e::brakes::Manner;

/// Five seconds, and what a busy machine needs.
const RETURN: Duration = Duration::from_millis(5_800);

/// Waits for the first question since an instant, which must come soon.
async fn asked_since(brakes: &Brakes, since: Instant, mesh: &Mesh, label: &str) {
    mesh.wait_for("a question", async || {
        !brakes.questions_since(since).is_empty()
    })
    .await;
    let took = brakes.questions_since(since)[0].0 - since;
    println!("{label}: asked again after {took:?}");
    assert!(took < RETURN, "{label}: {took:?}");
    connected(mesh, 1.0).await;
}

async fn an_envoy_that_ends_while_it_asks_ends_well(adapter: Adapter) {
    for manner in [Manner::Well, Manner::Never] {
        let brakes = Brakes::start().await;
        brakes.behave(manner);
        let mut mesh = start(adapter, 2, &config(100), &brakes).await;
        let began = Instant::now();
        mesh.wait_for("a question", async || {
            !brakes.questions_since(began - RETURN).is_empty()
        })
        .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let status = mesh.terminate().await;
        assert!(status.success(), "{manner:?}: {status}:\n{}", mesh.log());
    }
}

async fn whatever_a_service_does_traffic_goes_on_as_it_did(adapter: Adapter) {
    let mut brakes = Brakes::start().await;
    brakes.list("1", &[("1", "web", Some("canary"))], &[]);
    let mesh = start(adapter, 2, &config(100), &brakes).await;
    let mut all = connections(&mesh, 8).await;
    until_all_give(&mut all, "stable").await;
    let traffic = Traffic::of(&mesh, "stable").await;
    for manner in [
        Manner::Status(503),
        Manner::Status(404),
        Manner::Garbage,
        Manner::TooLarge,
        Manner::Closes,
    ] {
        brakes.behave(manner);
        connected(&mesh, 0.0).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        brakes.behave(Manner::Well);
        asked_since(&brakes, Instant::now(), &mesh, &format!("{manner:?}")).await;
    }
    brakes.stop().await;
    connected(&mesh, 0.0).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    brakes.resume().await;
    asked_since(&brakes, Instant::now(), &mesh, "gone").await;

    brakes.stop().await;
    connected(&mesh, 0.0).await;
    brakes.behave(Manner::Never);
    brakes.resume().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(
        mesh.metric("sluice_brake_connected", &[]).await,
        0.0,
        "silent"
    );
    brakes.behave(Manner::Well);
    asked_since(&brakes, Instant::now(), &mesh, "silent").await;
    traffic.end().await;

    brakes.list("0", &[], &["1"]);
    until_all_give(&mut all, "canary").await;
}

/// As one that was restarted without its memory: what it says differs, and what it does not say stays.
async fn a_service_that_comes_back_with_another_version_is_followed(adapter: Adapter) {
    let mut brakes = Brakes::start().await;
    brakes.list("9", &[("1", "web", Some("canary"))], &[]);
    let mesh = start(adapter, 2, &config(100), &brakes).await;
    let mut all = connections(&mesh, 8).await;
    until_all_give(&mut all, "stable").await;
    let traffic = Traffic::of(&mesh, "stable").await;
    brakes.stop().await;
    connected(&mesh, 0.0).await;
    brakes.list("1", &[], &[]);
    let returned = Instant::now();
    brakes.resume().await;
    connected(&mesh, 1.0).await;
    mesh.wait_for("a held question", async || {
        let questions = brakes.questions_since(returned);
        questions
            .iter()
            .any(|(_, question)| question.version.as_deref() == Some("1"))
    })
    .await;
    traffic.end().await;
    brakes.list("0", &[], &["1"]);
    until_all_give(&mut all, "canary").await;
}

async fn a_proxy_that_does_not_know_the_service_serves_by_its_weights(adapter: Adapter) {
    let options = Options {
        workers: 2,
        ..Options::on(adapter)
    };
    let mesh = Mesh::start(&config(100), options).await;
    let traffic = Traffic::of(&mesh, "canary").await;
    let unknown = "this proxy has no cluster outbound|8085||sluice.sluice-system.svc.cluster.local";
    mesh.wait_for("the log", async || mesh.log().contains(unknown))
        .await;
    connected(&mesh, 0.0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(mesh.log().matches(unknown).count(), 1, "said once");
    traffic.end().await;
}

sluice_e2e::over_both_adapters![
    an_envoy_that_ends_while_it_asks_ends_well,
    whatever_a_service_does_traffic_goes_on_as_it_did,
    a_service_that_comes_back_with_another_version_is_followed,
    a_proxy_that_does_not_know_the_service_serves_by_its_weights,
];
