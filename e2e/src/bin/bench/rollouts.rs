//! How often the analysis fails a good rollout, and how soon it finds a bad one: simulated through
//! the code that the controller runs, with fixed seeds.

use std::thread;

use simulated::{Activity, CHECKS, Found, World, plan, run};

use crate::statistics::quantile;

#[path = "../../../../control/tests/simulations/rollout.rs"]
mod simulated;

const EQUAL: World = World {
    users: 1_000,
    failing_users: 0.0,
    often: (1.0, 1.0),
    activity: Activity::Even,
    proxies: 1,
    failing: (0.001, 0.001),
};

/// All tables; `rollouts` of each row.
pub(crate) fn simulate(rollouts: u64) {
    let checks = CHECKS.join(" | ");
    let ruler = "---|".repeat(CHECKS.len());
    println!("\n| {rollouts} good rollouts a row, part failed (95 %) | {checks} |\n|---|{ruler}");
    for world in good() {
        print_failed(&described(world), &runs(world, rollouts));
    }
    println!(
        "\n| {rollouts} rollouts at the margin of +50 %, part failed (95 %) | {checks} |\n|---|{ruler}"
    );
    for world in at_margin() {
        print_failed(&described(world), &runs(world, rollouts));
    }
    let rollouts = rollouts / 5;
    println!(
        "\n| {rollouts} bad rollouts a row, requests until found: median (90 % of them) | {checks} |\n|---|{ruler}"
    );
    for world in bad() {
        print_requests(&described(world), &runs(world, rollouts));
    }
}

/// Both versions alike; in the last rows the new one is better for those who fail often.
fn good() -> Vec<World> {
    let mut worlds = Vec::new();
    for activity in [Activity::Even, Activity::Uneven] {
        for users in [1_000, 100_000] {
            for failing_users in [0.0, 0.005, 0.02] {
                let proxies = [1, 8].into_iter();
                worlds.extend(proxies.map(|proxies| World {
                    users,
                    failing_users,
                    activity,
                    proxies,
                    ..EQUAL
                }));
            }
        }
    }
    for often in [(0.5, 0.5), (0.4, 0.5)] {
        worlds.push(World {
            failing_users: 0.02,
            often,
            ..EQUAL
        });
    }
    worlds
}

/// The challenger fails half as many requests more, as it just may: 1.5 % instead of 1 %.
fn at_margin() -> [World; 3] {
    [1_000, 10_000, 100_000].map(|users| World {
        users,
        failing: (0.015, 0.01),
        ..EQUAL
    })
}

/// 5 % of the challenger's requests fail, and 0.1 % of the fallback's.
fn bad() -> Vec<World> {
    let mut worlds = Vec::new();
    for activity in [Activity::Even, Activity::Uneven] {
        for users in [1_000, 10_000, 100_000] {
            let parts = [0.0, 0.005, 0.02].into_iter();
            worlds.extend(parts.map(|failing_users| World {
                users,
                failing_users,
                activity,
                failing: (0.05, 0.001),
                ..EQUAL
            }));
        }
    }
    worlds
}

fn described(world: World) -> String {
    let users = world.users;
    let busy = match world.activity {
        Activity::Even => "",
        Activity::Uneven => ", a tenth of them busy",
    };
    let part = world.failing_users * 100.0;
    let often = match world.often {
        (1.0, 1.0) => "always fail".to_owned(),
        (own, others) => format!("fail at {own} on the challenger, {others} on the fallback"),
    };
    let proxies = match world.proxies {
        1 => "1 proxy".to_owned(),
        many => format!("{many} proxies"),
    };
    format!("{users} users{busy}; {part} % {often}; {proxies}")
}

/// The seeds are 0 and up, whatever machine runs them.
fn runs(world: World, number: u64) -> Vec<Found> {
    let plan = plan();
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|first| {
                let plan = &plan;
                let seeds = (first..number).step_by(threads as usize);
                scope.spawn(move || seeds.map(|seed| run(plan, world, seed)).collect::<Vec<_>>())
            })
            .collect();
        started
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

fn print_failed(row: &str, runs: &[Found]) {
    let cells = (0..CHECKS.len()).map(|check| {
        let failed = runs.iter().filter(|found| found[check].is_some()).count();
        let (low, high) = wilson(failed, runs.len());
        let part = failed as f64 / runs.len() as f64;
        format!(
            "{:.2} % ({:.2} to {:.2})",
            part * 100.0,
            low * 100.0,
            high * 100.0
        )
    });
    println!("| {row} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn print_requests(row: &str, runs: &[Found]) {
    let cells = (0..CHECKS.len()).map(|check| {
        let requests: Vec<f64> = runs
            .iter()
            .map(|found| found[check].map_or(f64::INFINITY, |requests| requests as f64))
            .collect();
        let [low, median, high] = [0.05, 0.5, 0.95].map(|at| quantile(&requests, at));
        format!("{median:.0} ({low:.0} to {high:.0})")
    });
    println!("| {row} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

/// Wilson's 95 % interval of a part (JASA 22, 1927).
fn wilson(hits: usize, of: usize) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    let (hits, of) = (hits as f64, of as f64);
    let part = hits / of;
    let square = Z * Z / of;
    let middle = part + square / 2.0;
    let half = Z * (part * (1.0 - part) / of + square / (4.0 * of)).sqrt();
    let low = (middle - half) / (1.0 + square);
    (low.max(0.0), (middle + half) / (1.0 + square))
}
