//! What variants answered, from the Envoy of a `sluice dev`; no Prometheus is there.

use std::process::Command;

use sluice::rollout::observation::Reading;
use sluice::rollout::proxies::{Mesh, Seen, Watched, proxies};
use sluice::rollout::sources::Source;
use sluice::store::directory::Directory;
use sluice::store::{AnyStore, Store as _};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::{Connection, get};
use sluice_e2e::dev::Dev;
use sluice_e2e::mesh::sluice;
use sluice_e2e::wait::until;

use crate::watched::{Rounds, counts};

const WATCHED: Watched<'_> = Watched {
    live: None,
    split: "web",
    audience: "everyone",
    challenger: "canary",
};

async fn a_local_envoy_says_what_both_variants_answered_since_the_last_round(adapter: Adapter) {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start_with(adapter, folder.path(), &["--fail", "canary=100"]);
    set(folder.path(), "canary=50");
    let directory = Directory::open(folder.path()).unwrap();
    let plan = directory
        .snapshot()
        .await
        .unwrap()
        .plugin
        .plan_at_home()
        .unwrap();
    let store = AnyStore::Directory(directory.clone());
    let mesh = Mesh {
        prometheus: None,
        root_namespace: "istio-system",
    };
    until("Envoy to follow", async || {
        match proxies(&store, mesh, WATCHED).await {
            Seen::Known(seen) if (seen.converged, seen.total) == (1, 1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let mut rounds = Rounds::begin(Source::of_envoy(directory.clone()), plan.clone());
    rounds.since = None;
    assert_eq!(rounds.next().await.arms, Reading::NoData, "nobody came yet");
    let canary = serve(&dev, 0..12).await;
    let first = rounds.since;
    // The filter hands its counts on each second.
    until("the responses", async || {
        rounds.since = first;
        let arms = rounds.next().await.arms;
        let Reading::Value(seen) = &arms else {
            return Err(format!("{arms:?}"));
        };
        let [own, others] = [&seen.challenger, &seen.fallback].map(|arm| arm.since.responses);
        (own + others == 12)
            .then_some(())
            .ok_or(format!("{arms:?}"))
    })
    .await;
    rounds.since = first;
    let arms = rounds.arms().await;
    assert_eq!(counts(&arms.challenger.since), (canary, canary));
    assert_eq!(counts(&arms.fallback.since), (12 - canary, 0));
    assert_eq!(counts(&rounds.arms().await.challenger.since), (0, 0));
    let Seen::Known(seen) = proxies(&store, mesh, WATCHED).await else {
        panic!("nobody answers");
    };
    let reached = seen.reached.expect("users are counted");
    assert_eq!((reached.users, reached.failed), (canary, canary));
    // A sum of estimates, each with its own error.
    assert!((11..=13).contains(&reached.of), "{reached:?}");
    drop_dev(dev);
    let observation = rounds.next().await;
    let Reading::Error(why) = observation.arms else {
        panic!("{:?}", observation.arms);
    };
    assert!(
        why.starts_with("no `sluice dev` serves directory "),
        "{why}"
    );
}

fn set(folder: &std::path::Path, weight: &str) {
    let set = Command::new(sluice())
        .args(["set", "web", weight, "--dir"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(set.status.success(), "{set:?}");
}

/// Serves users once each; how many of them got the canary.
async fn serve(dev: &Dev, users: std::ops::Range<u32>) -> u64 {
    let mut canary = 0;
    for user in users {
        let mut connection = Connection::open(dev.address).await.unwrap();
        let line = format!("cookie: email=user-{user}");
        let answer = connection
            .send(&get("/", "localhost", &[line.as_bytes()]))
            .await;
        canary += u64::from(answer.unwrap().status == 500);
    }
    canary
}

fn drop_dev(mut dev: Dev) {
    assert!(dev.interrupt());
}

sluice_e2e::over_both_adapters![
    a_local_envoy_says_what_both_variants_answered_since_the_last_round
];
