//! A rollout that never was: users who come back, variants that fail as they are told, proxies that
//! count, and the analysis that the controller runs. The same seed gives the same rollout.
//!
//! Used by control/tests/simulations.rs, and by `make bench` with as many rollouts as its figures
//! need.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sluice::rollout::analysis::plan::{Plan, checked};
use sluice::rollout::analysis::{Context, Exposures, Memory, Standing, judge};
use sluice::rollout::observation::{Arm, Arms, Increments, Observation, Reading};
use sluice::rollout::resource::Analysis;
use sluice_core::bucket::Point;
use sluice_core::decode::Decode as _;
use sluice_core::users::{Outcome, Users};

/// In thousandths of a percent, as buckets are.
const WEIGHTS: [u32; 7] = [5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000];
const BUCKETS: u32 = 100_000;
/// Rounds of a step after the one that is its base.
const ROUNDS: usize = 20;
const REQUESTS_A_ROUND: usize = 300;

/// Who comes, and what happens to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) users: u64,
    /// The part of the users who fail often.
    pub(crate) failing_users: f64,
    /// How often they fail: on the challenger, on the fallback.
    pub(crate) often: (f64, f64),
    pub(crate) activity: Activity,
    pub(crate) proxies: usize,
    /// The part of the requests of others that fail: of the challenger, of the fallback.
    pub(crate) failing: (f64, f64),
}

/// Who of the users comes how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// All alike.
    Even,
    /// A tenth of them make nine tenths of the requests.
    Uneven,
}

/// The checks that are watched, each alone: only the first decides, and so counts for evidence.
pub(crate) const CHECKS: [&str; 4] = [
    "failed users, +50%",
    "failed users, +0%",
    "failed requests, +50%",
    "failed requests, +0%",
];

pub(crate) fn plan() -> Plan {
    let of = |metric: &str, margin: &str, name: usize| {
        json!({
            "name": CHECKS[name],
            "metric": metric,
            "against": "fallback",
            "fail": format!("> {margin}"),
            "confidence": 0.99,
            "dryRun": name > 0,
        })
    };
    let analysis = json!({"checks": [
        of("failedUsers", "+50%", 0),
        of("failedUsers", "+0%", 1),
        of("errorRate", "+50%", 2),
        of("errorRate", "+0%", 3),
    ]});
    read(&analysis)
}

fn read(analysis: &Value) -> Plan {
    let mut problems = Vec::new();
    let written = Analysis::decode("analysis", analysis, &mut problems);
    let plan = written.and_then(|written| checked("analysis", &written, &mut problems));
    assert_eq!(problems, []);
    plan.unwrap()
}

/// How many requests the challenger had had when each check first failed, in the order of the plan.
pub(crate) type Found = [Option<u64>; CHECKS.len()];

/// One rollout of seven steps, which goes on whatever its checks say.
pub(crate) fn run(plan: &Plan, world: World, seed: u64) -> Found {
    let mut random = Random(seed);
    let salt = random.next();
    let (mut memory, mut found, mut requests) = (Memory::default(), Found::default(), 0);
    let mut at = Timestamp::UNIX_EPOCH;
    for (step, weight) in WEIGHTS.into_iter().enumerate() {
        let mut proxies = vec![[Users::default(), Users::default()]; world.proxies];
        let mut whole = [Increments::default(), Increments::default()];
        for round in 0..=ROUNDS {
            let new = traffic(world, weight, salt, &mut random, &mut proxies);
            requests += new[0].responses;
            // The first round is the base: what was before is of the time before convergence.
            let is_base = round == 0;
            let since = if is_base { Default::default() } else { new };
            for (whole, new) in whole.iter_mut().zip(&since) {
                whole.responses += new.responses;
                whole.failures += new.failures;
            }
            let since_when = (!is_base).then_some(at);
            at += SignedDuration::from_secs(30);
            let observation = Observation {
                at,
                since: since_when,
                arms: Reading::Value(arms(&whole, since, &proxies)),
                queries: BTreeMap::new(),
            };
            let part = f64::from(weight) / f64::from(BUCKETS);
            let exposures = Exposures {
                challenger: part,
                fallback: 1.0 - part,
            };
            let context = Context {
                plan,
                step,
                steps: WEIGHTS.len(),
                exposures,
            };
            memory = judge(context, &memory, &observation).memory;
            for (found, state) in found.iter_mut().zip(memory.states()) {
                if state.standing == Standing::Fail {
                    found.get_or_insert(requests);
                }
            }
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found
}

/// The requests of one round: what the challenger and the fallback answered.
fn traffic(
    world: World,
    weight: u32,
    salt: u64,
    random: &mut Random,
    proxies: &mut [[Users; 2]],
) -> [Increments; 2] {
    let mut new = [Increments::default(), Increments::default()];
    for _ in 0..REQUESTS_A_ROUND {
        let user = mixed(salt ^ world.activity.user(random, world.users));
        let point = Point::of_random(user as u32);
        let arm = usize::from(point.bucket() >= weight);
        let is_often = (user >> 32) as f64 / f64::from(u32::MAX) < world.failing_users;
        let failing = if is_often { world.often } else { world.failing };
        let is_failed = random.part() < [failing.0, failing.1][arm];
        let outcome = match is_failed {
            true => Outcome::Failed,
            false => Outcome::Answered,
        };
        let proxy = random.below(proxies.len() as u64) as usize;
        proxies[proxy][arm].add(point, outcome);
        new[arm].responses += 1;
        new[arm].failures += u64::from(is_failed);
    }
    new
}

fn arms(whole: &[Increments; 2], since: [Increments; 2], proxies: &[[Users; 2]]) -> Arms {
    let of = |arm: usize, since: Increments| {
        let mut users = Users::default();
        for proxy in proxies {
            users.join(&proxy[arm]);
        }
        Arm {
            window: whole[arm].clone(),
            since,
            users: Some(users),
        }
    };
    let [challenger, fallback] = since;
    Arms {
        challenger: of(0, challenger),
        fallback: of(1, fallback),
    }
}

impl Activity {
    fn user(self, random: &mut Random, users: u64) -> u64 {
        let is_busy = self == Self::Uneven && random.part() < 0.9;
        random.below(if is_busy { users.div_ceil(10) } else { users })
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// 0 to 1, without 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, number: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(number)) >> 64) as u64
    }
}

const fn mixed(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
