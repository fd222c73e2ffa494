//! The life of a configuration in a proxy: which document is served, and how it is reported.
//!
//! A document that is unreadable as a whole leaves the last good one in force, also in an instance
//! of the filter that starts only now: its bytes lie in the host's shared data. What is wrong
//! inside a readable document is [`crate::plan`]'s. Called by the adapters, once for each
//! configuration in each of their instances.

use std::time::Duration;

use crate::brake;
use crate::config::{Document, Unreadable};
use crate::guard::trips;
use crate::host::{Host, Level};
use crate::observed::{self, Observed};
use crate::plan::{Node, Plan};
use crate::revision::Revision;
use crate::turn::{self, Turn};

/// How many problems of one configuration are logged; all are counted. Chosen: enough to see a
/// pattern.
const MAX_LOGGED_PROBLEMS: usize = 20;

/// How often counters are flushed. Chosen: well below the scrape intervals in use.
const TICK: Duration = Duration::from_secs(1);

/// The same where a split is guarded: what one instance sees is judged at its next tick, and the others
/// follow at theirs. Chosen: both together well below a second, and some microseconds each.
const GUARDED_TICK: Duration = Duration::from_millis(250);

/// How often a configuration ticks without a reason to tick sooner.
pub fn period(plan: Option<&Plan>) -> Duration {
    match plan.is_some_and(Plan::is_guarded) {
        true => GUARDED_TICK,
        false => TICK,
    }
}

/// This module's version as a gauge has it: major times a million, minor times a thousand, patch.
const MODULE_VERSION: u64 = number(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
    + number(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
    + number(env!("CARGO_PKG_VERSION_PATCH"));

/// A decimal number that Cargo wrote.
const fn number(digits: &str) -> u64 {
    let (bytes, mut at, mut number) = (digits.as_bytes(), 0, 0);
    while at < bytes.len() {
        number = number * 10 + (bytes[at] - b'0') as u64;
        at += 1;
    }
    number
}

/// Takes a configuration as received for the plugin of this name, and reports it. What `previous`
/// compiled is kept.
///
/// `None`: there never was a readable configuration. Traffic must then pass untouched, and never be
/// refused: refusing a configuration would answer 500 to everything on a fresh proxy.
pub fn configure<H: Host>(
    host: &H,
    plugin: &str,
    received: Vec<u8>,
    node: &Node,
    previous: Option<&Plan>,
) -> Option<Plan> {
    let (document, refused) = document_to_serve(host, plugin, received);
    let plan = document.map(|document| Plan::build(&document, node, previous));
    report(host, plugin, plan.as_ref(), refused.as_ref());
    let Some(mut plan) = plan else {
        show(host, plugin, None);
        return None;
    };
    plan.is_received = refused.is_none();
    plan.place = turn::enter(host, plugin, plan.revision(), previous.map(Plan::revision));
    match plan.place.has_turn() {
        true => {
            show(host, plugin, Some(&plan));
            observed::begin(host, plugin, &mut plan, previous);
        }
        false => {
            trips::follow(host, plugin, &mut plan);
            brake::shared::follow(host, plugin, &mut plan);
        }
    }
    Some(plan)
}

/// Which configuration of a VM ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticking {
    /// The newest, which serves new requests.
    Newest,
    /// A former one, some of whose requests have not ended.
    Former,
}

/// Hands to the host what was seen since the last tick, and serves what other instances found out.
/// `now` is since the epoch. Counts the tick: where this counter stands still, the filter is not running.
/// Whether the guard took a challenger out that others do not know of yet.
pub fn tick<H: Host>(
    host: &H,
    plugin: &str,
    plan: Option<&mut Plan>,
    observed: &mut Observed,
    ticking: Ticking,
    now: Duration,
) -> bool {
    host.add_to_counter("ticks_total", &[("plugin", plugin)], 1);
    let Some(plan) = plan else {
        return false;
    };
    if ticking == Ticking::Newest {
        let (own, traffic) = (plan.revision(), observed.traffic());
        if turn::at_tick(host, plugin, own, &mut plan.place, traffic, now) == Turn::Anew {
            show(host, plugin, Some(plan));
            observed::begin(host, plugin, plan, None);
            observed.users.hand_over_again();
        }
    }
    let has_tripped = observed.flush(host, plugin, plan);
    if plan.is_guarded() {
        trips::follow(host, plugin, plan);
    }
    brake::shared::follow(host, plugin, plan);
    has_tripped
}

/// The received document or, when that is unreadable, the last good one; and why the received one
/// was refused. Takes the bytes, so that they are gone before the plan is built: a VM's memory
/// never shrinks again.
fn document_to_serve<H: Host>(
    host: &H,
    plugin: &str,
    received: Vec<u8>,
) -> (Option<Document>, Option<Unreadable>) {
    let key = ["sluice/", plugin].concat();
    match Document::read(&received) {
        Ok(document) => {
            host.set_shared_data(&key, &received);
            (Some(document), None)
        }
        Err(refused) => {
            let last_good = host.shared_data(&key);
            let document = last_good.and_then(|bytes| Document::read(&bytes).ok());
            (document, Some(refused))
        }
    }
}

/// Shows which document is in force, and whether it is the received one.
fn show<H: Host>(host: &H, plugin: &str, plan: Option<&Plan>) {
    let label = [("plugin", plugin)];
    let revision = plan.map_or(Revision::default(), Plan::revision);
    let is_received = plan.is_some_and(|plan| plan.is_received);
    host.set_gauge("config_revision", &label, revision.as_gauge());
    host.set_gauge("config_valid", &label, u64::from(is_received));
    host.set_gauge("module_version", &label, MODULE_VERSION);
}

/// Says how the configuration was taken. The log and the counter speak once for all, by the first that
/// configures: Envoy has one instance for each worker, the main thread's and a throw-away.
fn report<H: Host>(host: &H, plugin: &str, plan: Option<&Plan>, refused: Option<&Unreadable>) {
    let label = [("plugin", plugin)];
    let revision = plan.map_or(Revision::default(), Plan::revision);
    // Zero as well, so that the counter is there before the first problem.
    host.add_to_counter("problems_total", &label, 0);
    let problems = plan.map_or(&[][..], Plan::problems);
    let found = plan.map_or(0, Plan::number_of_problems);
    let number = found + usize::from(refused.is_some());
    if !is_news(host, plugin, revision, number, refused) {
        return;
    }
    host.add_to_counter("problems_total", &label, number as u64);
    if let Some(refused) = refused {
        let in_force = match plan {
            Some(_) => "the last good one stays",
            None => "traffic passes untouched",
        };
        let line = format!("sluice {plugin}: unreadable configuration, {in_force}: {refused}");
        host.log(Level::Error, &line);
    }
    for problem in problems.iter().take(MAX_LOGGED_PROBLEMS) {
        host.log(Level::Warning, &format!("sluice {plugin}: {problem}"));
    }
    if found > MAX_LOGGED_PROBLEMS {
        let more = found - MAX_LOGGED_PROBLEMS;
        host.log(
            Level::Warning,
            &format!("sluice {plugin}: {more} more problems"),
        );
    }
}

/// Whether no instance has reported this yet; from now on one has. The number of problems tells
/// apart what the revision does not: an entry that cannot be read, and none.
fn is_news<H: Host>(
    host: &H,
    plugin: &str,
    revision: Revision,
    problems: usize,
    refused: Option<&Unreadable>,
) -> bool {
    let refused = refused.map(ToString::to_string).unwrap_or_default();
    let reported = format!("{revision} {problems} {refused}");
    let key = ["sluice/", plugin, "/reported"].concat();
    let is_news = host.shared_data(&key).as_deref() != Some(reported.as_bytes());
    if is_news {
        host.set_shared_data(&key, reported.as_bytes());
    }
    is_news
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const GOOD: &[u8] = br#"{"splits": {"web": {}}}"#;
    const OTHER: &[u8] = br#"{"splits": {"api": {}}}"#;
    const BAD: &[u8] = br#"{"version": 2}"#;

    /// Configures plugin `a` with one configuration after the other; the names of the splits that
    /// are then served.
    fn served(host: &MemoryHost, configurations: &[&[u8]]) -> Option<Vec<String>> {
        let mut plan = None;
        for received in configurations {
            plan = configure(
                host,
                "a",
                received.to_vec(),
                &Node::default(),
                plan.as_ref(),
            );
        }
        let names = |plan: Plan| {
            let splits = plan.splits().iter();
            splits
                .map(|split| split.definition.name.to_string())
                .collect()
        };
        plan.map(names)
    }

    fn lines(host: &MemoryHost) -> Vec<String> {
        let lines = host.lines.borrow();
        lines
            .iter()
            .map(|(level, line)| format!("{level:?} {line}"))
            .collect()
    }

    #[test]
    fn an_unreadable_document_leaves_the_last_good_one_in_force() {
        let cases: &[(&str, &[&[u8]], Option<&str>)] = &[
            ("a good one", &[GOOD], Some("web")),
            ("another good one", &[GOOD, OTHER], Some("api")),
            ("an unreadable one", &[GOOD, BAD], Some("web")),
            (
                "two unreadable ones",
                &[GOOD, OTHER, BAD, b"{"],
                Some("api"),
            ),
            ("never a readable one", &[BAD], None),
            ("mended", &[BAD, GOOD], Some("web")),
        ];
        for (label, configurations, expected) in cases {
            let expected = expected.map(|name| vec![name.to_owned()]);
            assert_eq!(
                served(&MemoryHost::default(), configurations),
                expected,
                "{label}"
            );
        }
    }

    #[test]
    fn a_fresh_instance_serves_what_another_kept_for_it() {
        let host = MemoryHost::default();
        served(&host, &[GOOD]);
        assert_eq!(served(&host, &[BAD]), Some(vec!["web".to_owned()]));
        let other = configure(&host, "b", BAD.to_vec(), &Node::default(), None);
        assert!(other.is_none(), "but nothing of another plugin");
        host.set_shared_data("sluice/a", b"{");
        assert_eq!(served(&host, &[BAD]), None, "nor what is itself unreadable");
    }

    #[test]
    fn gauges_show_the_document_in_force_and_whether_the_received_one_was_readable() {
        let gauges = |configurations: &[&[u8]]| {
            let host = MemoryHost::default();
            served(&host, configurations);
            [
                host.metric("config_revision a"),
                host.metric("config_valid a"),
            ]
        };
        let of_good = Revision::of(&serde_json::json!({"splits": {"web": {}}})).as_gauge();
        assert_eq!(gauges(&[GOOD]), [Some(of_good), Some(1)]);
        assert_eq!(gauges(&[GOOD, BAD]), [Some(of_good), Some(0)]);
        assert_eq!(gauges(&[BAD]), [Some(0), Some(0)]);
    }

    #[test]
    fn a_gauge_shows_the_modules_version_also_where_nothing_is_readable() {
        for configuration in [GOOD, BAD] {
            let host = MemoryHost::default();
            served(&host, &[configuration]);
            let version = host.metric("module_version a").unwrap();
            let [major, minor, patch] = [
                version / 1_000_000,
                version / 1_000 % 1_000,
                version % 1_000,
            ];
            assert_eq!(
                format!("{major}.{minor}.{patch}"),
                env!("CARGO_PKG_VERSION")
            );
        }
        assert_eq!([number("0"), number("7"), number("120")], [0, 7, 120]);
    }

    #[test]
    fn an_unreadable_document_is_logged_with_what_is_in_force_instead() {
        let why = "version: 2; this filter reads version 1";
        let cases: &[(&[&[u8]], &str)] = &[
            (&[BAD], "traffic passes untouched"),
            (&[GOOD, BAD], "the last good one stays"),
        ];
        for (configurations, in_force) in cases {
            let host = MemoryHost::default();
            served(&host, configurations);
            let line = format!("Error sluice a: unreadable configuration, {in_force}: {why}");
            assert_eq!(lines(&host), [line]);
            assert_eq!(host.metric("problems_total a"), Some(1));
        }
    }

    #[test]
    fn problems_are_counted_and_logged_once_for_all_instances() {
        let host = MemoryHost::default();
        served(&host, &[GOOD]);
        assert_eq!(
            host.metric("problems_total a"),
            Some(0),
            "there from the start"
        );
        let problems = br#"{"mirrors": {}, "splits": {"web": {"colour": "red"}}}"#;
        for _ in 0..3 {
            served(&host, &[problems]);
        }
        assert_eq!(host.metric("problems_total a"), Some(2));
        assert_eq!(lines(&host).len(), 2);
        served(&host, &[GOOD, problems]);
        assert_eq!(
            host.metric("problems_total a"),
            Some(4),
            "anew when it comes again"
        );
    }

    #[test]
    fn weights_that_cannot_be_read_are_reported_though_they_count_as_absent() {
        let host = MemoryHost::default();
        let unread = br#"{"splits": {"web": {}}, "weights": {"web": 1e400}}"#;
        served(&host, &[GOOD, unread, unread]);
        let expected = "Warning sluice a: weights.web: number out of range at line 1 column 5, ignored; accepted: JSON";
        assert_eq!(lines(&host), [expected]);
        assert_eq!(host.metric("problems_total a"), Some(1));
        assert_eq!(host.metric("config_valid a"), Some(1));
    }

    #[test]
    fn twenty_problems_are_logged_and_all_are_counted() {
        let host = MemoryHost::default();
        let fields: Vec<String> = (10..35).map(|number| format!("\"x{number}\": 1")).collect();
        served(&host, &[format!("{{{}}}", fields.join(",")).as_bytes()]);
        let lines = lines(&host);
        assert_eq!(lines.len(), 21);
        let accepted = "accepted: version, splits, weights, draws, cookie, responseMetrics, brake";
        let first = format!("Warning sluice a: x10: unknown field, ignored; {accepted}");
        assert_eq!(lines.first(), Some(&first));
        assert_eq!(
            lines.last().map(String::as_str),
            Some("Warning sluice a: 5 more problems")
        );
        assert_eq!(host.metric("problems_total a"), Some(25));
    }

    #[test]
    fn a_tick_is_counted_by_plugin() {
        let host = MemoryHost::default();
        for _ in 0..2 {
            let observed = &mut Observed::default();
            tick(&host, "a", None, observed, Ticking::Newest, Duration::ZERO);
        }
        assert_eq!(host.metric("ticks_total a"), Some(2));
    }
}
