//! Rollouts that never were, judged by the analysis that the controller runs: how often a good one
//! is failed, and how soon a bad one. Small; `make bench` has the figures with 10,000 each.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails loudly, in its helpers too"
)]

#[path = "simulations/rollout.rs"]
mod rollout;

use rollout::{Activity, Found, World, plan, run};

const EQUAL: World = World {
    users: 1_000,
    failing_users: 0.0,
    often: (1.0, 1.0),
    activity: Activity::Even,
    proxies: 1,
    failing: (0.001, 0.001),
};

/// With the seeds 0 and up.
fn runs(world: World, number: u64) -> Vec<Found> {
    let plan = plan();
    (0..number).map(|seed| run(&plan, world, seed)).collect()
}

/// In how many runs each check failed.
fn failed(runs: &[Found]) -> [usize; 4] {
    let of = |check: usize| runs.iter().filter(|found| found[check].is_some()).count();
    [0, 1, 2, 3].map(of)
}

/// The challenger's requests until a check failed; where it did not, more than there are.
fn median(runs: &[Found], check: usize) -> u64 {
    let found = runs.iter().map(|run| run[check].unwrap_or(u64::MAX));
    let mut requests: Vec<u64> = found.collect();
    requests.sort_unstable();
    requests[requests.len() / 2]
}

#[test]
fn good_rollouts_are_failed_by_counting_requests_and_not_by_counting_users() {
    let cases = [
        ("nobody fails often", EQUAL, 0),
        (
            "0.5 % always fail",
            World {
                failing_users: 0.005,
                proxies: 8,
                ..EQUAL
            },
            6,
        ),
        (
            "2 % always fail",
            World {
                failing_users: 0.02,
                proxies: 8,
                users: 100_000,
                ..EQUAL
            },
            0,
        ),
        (
            "a tenth of the users are busy",
            World {
                failing_users: 0.02,
                activity: Activity::Uneven,
                ..EQUAL
            },
            20,
        ),
    ];
    for (why, world, by_requests) in cases {
        let failed = failed(&runs(world, 60));
        assert_eq!(failed[0], 0, "{why}");
        assert!(failed[3] >= by_requests, "{why}: {failed:?}");
    }
}

#[test]
fn bad_rollouts_are_found_soon() {
    let cases = [
        (1_000, 0.0, 150),
        (1_000, 0.005, 150),
        (1_000, 0.02, 160),
        (10_000, 0.0, 150),
        (10_000, 0.02, 300),
    ];
    for (users, failing_users, most) in cases {
        let world = World {
            users,
            failing_users,
            failing: (0.05, 0.001),
            ..EQUAL
        };
        let requests = median(&runs(world, 40), 0);
        assert!(requests <= most, "{users} {failing_users}: {requests}");
    }
}
