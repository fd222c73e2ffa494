//! Users and failed users in a real Envoy: each counted once, whatever worker or proxy they meet.

use serde_json::{Value, json};
use sluice::local::metrics::Sample;
use sluice_core::bucket::Seed;
use sluice_core::users::{FAILED_WORDS, Outcome, USERS_WORDS, Users};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::mesh::Mesh;

use crate::{start, visit};

fn config(percent: u32) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user-id"}]}},
        "weights": {"web": {"everyone": {"canary": percent}}},
        "responseMetrics": true,
    })
}

fn is_canary(user: u32, percent: u32) -> bool {
    Seed::new("web", None).bucket(format!("user-{user}").as_bytes()) < percent * 1_000
}

/// What the core makes of these users, of whom those of the canary fail.
pub(crate) fn expected(users: std::ops::Range<u32>, percent: u32) -> [Users; 2] {
    let mut expected = <[Users; 2]>::default();
    for user in users {
        let point = Seed::new("web", None).point(format!("user-{user}").as_bytes());
        match is_canary(user, percent) {
            true => expected[1].add(point, Outcome::Failed),
            false => expected[0].add(point, Outcome::Answered),
        };
    }
    expected
}

async fn exported(mesh: &Mesh) -> [Users; 2] {
    users(&mesh.samples().await)
}

/// What Envoy's gauges say, of both variants.
pub(crate) fn users(samples: &[Sample]) -> [Users; 2] {
    let mut users = <[Users; 2]>::default();
    for sample in samples
        .iter()
        .filter(|sample| sample.label("sluice_split") == "web")
    {
        let Some(variant) = ["stable", "canary"]
            .iter()
            .position(|own| *own == sample.label("sluice_variant"))
        else {
            continue;
        };
        let word = sample.label("sluice_word").parse::<usize>();
        match (&*sample.name, word) {
            ("sluice_failed_users_word", Ok(word)) => {
                users[variant].join_failed_word(word, sample.value as u64)
            }
            ("sluice_users_word", Ok(word)) => {
                users[variant].join_users_word(word, sample.value as u64)
            }
            _ => {}
        }
    }
    users
}

async fn serve(mesh: &Mesh, users: std::ops::Range<u32>) {
    mesh.fail("web/canary", 500);
    for user in users {
        visit(mesh, user).await;
    }
}

async fn wait_for(mesh: &Mesh, what: &str, expected: &[Users; 2]) {
    mesh.wait_for(what, async || exported(mesh).await == *expected)
        .await;
}

async fn users_are_counted_once_over_the_workers_of_a_proxy(adapter: Adapter) {
    for workers in [1, 4] {
        let mesh = start(adapter, workers, &config(30)).await;
        for _ in 0..3 {
            serve(&mesh, 0..200).await;
        }
        wait_for(&mesh, "the users", &expected(0..200, 30)).await;
    }
}

async fn two_proxies_joined_count_each_user_once(adapter: Adapter) {
    let proxies = [
        start(adapter, 2, &config(30)).await,
        start(adapter, 2, &config(30)).await,
    ];
    serve(&proxies[0], 0..150).await;
    serve(&proxies[1], 100..250).await;
    wait_for(&proxies[0], "the users of one", &expected(0..150, 30)).await;
    wait_for(
        &proxies[1],
        "the users of the other",
        &expected(100..250, 30),
    )
    .await;
    let mut joined = exported(&proxies[0]).await;
    for (joined, other) in joined.iter_mut().zip(&exported(&proxies[1]).await) {
        joined.join(other);
    }
    assert_eq!(joined, expected(0..250, 30));
}

async fn users_begin_anew_with_the_splits_weights_and_not_with_anothers(adapter: Adapter) {
    let mesh = start(adapter, 4, &config(30)).await;
    serve(&mesh, 0..100).await;
    wait_for(&mesh, "the users", &expected(0..100, 30)).await;
    let generation = mesh
        .metric("sluice_users_generation", &[("sluice_split", "web")])
        .await;
    let mut another = config(30);
    another["splits"]["api"] = json!({});
    another["weights"]["api"] = json!({"everyone": {"canary": 5}});
    mesh.configure(&another).await;
    serve(&mesh, 100..120).await;
    wait_for(&mesh, "more users", &expected(0..120, 30)).await;
    mesh.configure(&config(31)).await;
    wait_for(&mesh, "nobody", &<[Users; 2]>::default()).await;
    let anew = mesh
        .metric("sluice_users_generation", &[("sluice_split", "web")])
        .await;
    assert_ne!(anew, generation);
    serve(&mesh, 0..50).await;
    wait_for(&mesh, "users anew", &expected(0..50, 31)).await;
}

async fn no_series_is_there_without_response_metrics_or_before_the_first_user(adapter: Adapter) {
    let is_word = |name: &str| name.ends_with("users_word");
    let mesh = start(adapter, 1, &config(30)).await;
    mesh.wait_for_metric("sluice_config_valid", &[], 1.0).await;
    assert!(
        !mesh
            .samples()
            .await
            .iter()
            .any(|sample| is_word(&sample.name))
    );
    let mut off = config(30);
    off["responseMetrics"] = json!(false);
    let mesh = start(adapter, 1, &off).await;
    serve(&mesh, 0..20).await;
    mesh.wait_for_metric("sluice_decisions_total", &[], 20.0)
        .await;
    let all = mesh.samples().await;
    assert!(!all.iter().any(|sample| is_word(&sample.name)));
    assert_eq!(
        (FAILED_WORDS, USERS_WORDS),
        (22, 8),
        "series a variant and audience, at most"
    );
}

sluice_e2e::over_both_adapters![
    users_are_counted_once_over_the_workers_of_a_proxy,
    two_proxies_joined_count_each_user_once,
    users_begin_anew_with_the_splits_weights_and_not_with_anothers,
    no_series_is_there_without_response_metrics_or_before_the_first_user,
];
