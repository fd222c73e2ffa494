//! What users are answered, and what they should be: the tests' view of a split.

use sluice_core::bucket::bucket;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::{Load, Seen};
use sluice_e2e_istio::proxy::Proxy;

/// The host that the callers in a use.
pub const WEB_A: &str = "web.a.svc.cluster.local:8080";

/// The host that the caller in b uses.
pub const WEB_B: &str = "web.b.svc.cluster.local:8080";

/// Which variant of web a user gets when the canary has so many percent of everyone.
pub fn variant(user: u32, percent: u32) -> &'static str {
    if bucket("web", None, format!("user-{user}").as_bytes()) < percent * 1_000 {
        "canary"
    } else {
        "stable"
    }
}

/// What a proxy answers a user: status and variant; 0 and nothing when the connection broke.
pub async fn answer(proxy: &Proxy, host: &str, user: u32) -> (u16, String) {
    let cookie = format!("cookie: uid=user-{user}");
    let answer = proxy.try_get(host, &[cookie.as_bytes()]).await;
    let answer = answer.unwrap_or_default();
    (answer.status, answer.variant())
}

/// Asserts that two hundred users are split by this percentage; the routes may still be on their
/// way.
pub async fn assert_split(proxy: &Proxy, host: &str, percent: u32) {
    proxy
        .wait_for("the first users to be split", async |proxy| {
            for user in 0..20 {
                let (status, seen) = answer(proxy, host, user).await;
                if (status, seen.as_str()) != (200, variant(user, percent)) {
                    return Err(format!("user {user} was answered {status} {seen:?}"));
                }
            }
            Ok(())
        })
        .await;
    for user in 0..200 {
        let (status, seen) = answer(proxy, host, user).await;
        assert_eq!(
            (status, seen.as_str()),
            (200, variant(user, percent)),
            "{}: user {user}",
            proxy.pod
        );
    }
}

/// Asserts that every request was answered.
pub fn assert_no_failures(seen: &[Seen]) {
    let failed: Vec<&Seen> = seen.iter().filter(|seen| seen.status != 200).collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        seen.len(),
        failed[0]
    );
}

/// Asserts that proxies give every user the fallback, over a hundred requests.
pub async fn assert_everyone_gets_stable(proxies: &[Proxy]) {
    let addresses: Vec<_> = proxies.iter().map(|proxy| proxy.address).collect();
    let load = Load::start(&addresses, WEB_A, 1_000, 200);
    until("a hundred answers", async || {
        let seen = load.seen().len();
        (seen >= 100).then_some(()).ok_or(format!("{seen}"))
    })
    .await;
    for seen in load.end().await {
        assert_eq!(
            (seen.status, seen.variant.as_str()),
            (200, "stable"),
            "user {}",
            seen.user
        );
    }
}
