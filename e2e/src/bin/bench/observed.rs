//! What it costs to look at responses: a request, a tick and a configuration.
//!
//! CPU time of the Envoy process again, but for short rounds of the same requests, written to one
//! connection as fast as they are answered: rounds of some 30 ms in turn, hundreds of them, of which the
//! median of the paired differences is sure to some hundredths of a microsecond beside other work.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::local::files::{Files, Settings};
use sluice::local::metrics::sum;
use sluice::local::process::Envoy;
use sluice_core::brake::Question;
use sluice_core::revision::{Revision, canonical};
use sluice_e2e::brakes::Brakes;
use sluice_e2e::mesh::{envoy_binary, plan, sluice};

use crate::competitors::{Competitor, Routes, start_with, wasm};
use crate::configurations::{config, hostless};
use crate::processes::cpu_seconds;
use crate::statistics::{difference, quantile, ratio};

const USERS: usize = 1_000;
pub(crate) const REQUESTS: usize = 2_000;
/// So many requests are written before their answers are read: Envoy closes a connection that owes more.
const BATCH: usize = 2;
const SPLITS: usize = 1_000;
/// How often all Envoys are started anew: one differs from another that does the same by more than
/// its rounds among themselves.
pub(crate) const STARTS: usize = 10;

/// The same as without anything, so that a difference between two processes which do the same is
/// seen beside those that mean something.
const AGAIN: &str = "sluice, once more";

/// Which Envoys are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// All.
    All,
    /// Those that tell what asking for brakes costs.
    Brake,
}

impl Rows {
    fn has(self, name: &str) -> bool {
        let of_brake = ["sluice", AGAIN].contains(&name) || name.contains("a brake");
        self == Self::All || of_brake
    }
}

/// What a request costs with and without, in turn with a former module where one is given.
pub(crate) async fn requests(folder: &Path, module: &Path, rounds: usize, shown: Rows) {
    let former = std::env::var_os("FORMER_MODULE").map(PathBuf::from);
    let measured = json!({"responseMetrics": true});
    let both = json!({"responseMetrics": true, "guard": {}});
    let (began, brakes) = (Instant::now(), Brakes::start().await);
    brakes.list("1", &[("1", "another", None)], &[]);
    let rows = [
        ("former module", former.as_deref(), json!({}), None),
        (
            "former module, responseMetrics",
            former.as_deref(),
            measured.clone(),
            None,
        ),
        ("sluice", Some(module), json!({}), Some("former module")),
        (AGAIN, Some(module), json!({}), Some("sluice")),
        (
            "sluice, a brake that nobody answers",
            Some(module),
            json!({"brake": {"service": "nobody.nowhere"}}),
            Some("sluice"),
        ),
        (
            "sluice, a brake whose question is held",
            Some(module),
            json!({"brake": {"service": "sluice.sluice-system"}}),
            Some("sluice"),
        ),
        (
            "sluice, a guard",
            Some(module),
            json!({"guard": {}}),
            Some("sluice"),
        ),
        (
            "sluice, responseMetrics",
            Some(module),
            measured,
            Some("former module, responseMetrics"),
        ),
        (
            "sluice, both",
            Some(module),
            both,
            Some("former module, responseMetrics"),
        ),
    ];
    let batches = batches(1);
    let mut competitors: Vec<(Competitor, Option<&str>)> = Vec::new();
    for _ in 0..STARTS {
        let former = std::mem::take(&mut competitors).into_iter();
        let mut former = former.map(|(Competitor { rounds, .. }, _)| rounds);
        for (name, module, fields, other) in &rows {
            if let Some(module) = module.filter(|_| shown.has(name)) {
                let filters = vec![wasm(module, &canonical(&with(hostless(), fields)))];
                let (clusters, routes) = ([brakes.cluster()], Routes::Header);
                let rounds = former.next().unwrap_or_default();
                let mut started = start_with(folder, name, filters, 1, routes, &clusters).await;
                started.rounds = rounds;
                competitors.push((started, *other));
            }
        }
        take_turns(&mut competitors, &batches, rounds.div_ceil(STARTS));
    }
    let questions = brakes.questions_since(began);
    let is_held = |(at, question): &(Instant, Question)| {
        question.wait > 0 && at.elapsed() <= Duration::from_secs(u64::from(question.wait) + 2)
    };
    assert!(questions.last().is_some_and(is_held), "{questions:?}");
    println!(
        "\n| Envoy with | CPU a request, median of {rounds} rounds of {REQUESTS} over {STARTS} starts | more than | of it |\n|---|---|---|---|"
    );
    for (competitor, other) in &competitors {
        let median = quantile(&competitor.rounds, 0.5);
        let other = competitors.iter().find(|(own, _)| Some(own.name) == *other);
        let compared = other.map(|(other, _)| {
            let (more, low, high) = difference(&competitor.rounds, &other.rounds);
            let (of_it, least, most) = ratio(&competitor.rounds, &other.rounds);
            let name = other.name;
            format!(
                "{more:+.2} us ({low:+.2} to {high:+.2}) than {name} | {of_it:.3} ({least:.3} to {most:.3})"
            )
        });
        println!(
            "| {} | {median:.2} us | {} |",
            competitor.name,
            compared.as_deref().unwrap_or(" | ")
        );
    }
}

/// Rounds over all competitors; the first is thrown away.
fn take_turns(competitors: &mut [(Competitor, Option<&str>)], batches: &[Vec<u8>], rounds: usize) {
    for round in 0..=rounds {
        for (competitor, _) in &mut *competitors {
            let took = short_round(competitor, batches);
            if round > 0 {
                competitor.rounds.push(took);
            }
        }
    }
}

/// One competitor's turn: microseconds of Envoy's CPU a request.
pub(crate) fn short_round(competitor: &Competitor, batches: &[Vec<u8>]) -> f64 {
    let before = cpu_seconds(competitor.id());
    let mut stream = TcpStream::connect(competitor.address).unwrap();
    for batch in batches.iter().cycle().take(REQUESTS / BATCH) {
        answered(&mut stream, batch, BATCH);
    }
    (cpu_seconds(competitor.id()) - before) * 1e6 / REQUESTS as f64
}

/// The requests of a round, of a thousand users to so many hosts.
pub(crate) fn batches(hosts: usize) -> Vec<Vec<u8>> {
    let batch = |number| batch(number, hosts);
    (0..USERS / BATCH).map(batch).collect()
}

/// A configuration with other fields, and a guard in each split.
fn with(mut config: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().into_iter().flatten() {
        match name.as_str() {
            "guard" => {
                for split in config["splits"].as_object_mut().unwrap().values_mut() {
                    split["guard"] = value.clone();
                }
            }
            name => config[name] = value.clone(),
        }
    }
    config
}

fn batch(number: usize, hosts: usize) -> Vec<u8> {
    let users = (0..BATCH).map(|at| number * BATCH + at);
    let request = |user| {
        let host = user % hosts;
        format!(
            "GET / HTTP/1.1\r\nhost: host{host}.example.com\r\ncookie: _ga=GA1.2.1234; theme=dark; email=joe@some-company-name.com; visitor=AAAAAAAAAAAAAAAAA{user:04}A; lang=en\r\n\r\n"
        )
    };
    users.flat_map(|user| request(user).into_bytes()).collect()
}

/// Writes requests, and reads as many answers.
fn answered(stream: &mut TcpStream, requests: &[u8], number: usize) {
    stream.write_all(requests).unwrap();
    let (mut bytes, mut left) = (Vec::new(), number);
    while left > 0 {
        let mut buffer = [0; 16_384];
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "Envoy closed the connection");
        bytes.extend_from_slice(&buffer[..read]);
        while let Some(length) = answer(&bytes) {
            bytes.drain(..length);
            left -= 1;
        }
    }
}

/// The length of the first answer, when it is all there.
fn answer(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let lines = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = lines
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let length = head + length.parse::<usize>().unwrap();
    (bytes.len() >= length).then_some(length)
}

/// What ticks and configurations cost with a thousand splits.
pub(crate) async fn many(folder: &Path, module: &Path, times: u32) {
    println!(
        "\n| {SPLITS} splits, with | a tick, idle | a tick after a request of each split | a configuration with one other weight, CPU a VM | with all weights others | the worst of these |\n|---|---|---|---|---|---|"
    );
    for (name, fields) in [
        ("neither", json!({})),
        ("responseMetrics", json!({"responseMetrics": true})),
        ("guards", json!({"guard": {}})),
        ("both", json!({"responseMetrics": true, "guard": {}})),
    ] {
        let mut config = with(config(SPLITS), &fields);
        for (_, split) in config["splits"].as_object_mut().unwrap() {
            split.as_object_mut().unwrap().remove("header");
        }
        let (envoy, files) =
            start_many(&folder.join(format!("many-{name}")), module, &config).await;
        let idle = idle_tick(&envoy).await;
        let busy = busy_tick(&envoy, times).await;
        let one = changes(&envoy, &files, &mut config, 1, times).await;
        let all = changes(&envoy, &files, &mut config, SPLITS, times).await;
        let worst = quantile(&[&one[..], &all].concat(), 1.0);
        println!(
            "| {name} | {idle:.3} ms | {busy:.2} ms | {:.1} ms | {:.1} ms | {worst:.1} ms |",
            quantile(&one, 0.5),
            quantile(&all, 0.5),
        );
    }
}

async fn start_many(folder: &Path, module: &Path, config: &Value) -> (Envoy, Files) {
    std::fs::create_dir_all(folder).unwrap();
    let settings = Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        node_id: "bench".to_owned(),
        namespace: None,
        upstreams: Vec::new(),
        filters_before: Vec::new(),
        clusters: Vec::new(),
        trusted_hops: 0,
        adapter: sluice::local::adapter::Adapter::Wasm(module.to_owned()),
    };
    let files = Files::new(folder, settings).unwrap();
    files.deliver_routes(&plan(&json!({}))).unwrap();
    files.deliver_plugin(&canonical(config)).unwrap();
    let path = files.bootstrap_path();
    let envoy = Envoy::start(&sluice(), &envoy_binary(), &path, 1).await;
    (envoy.unwrap(), files)
}

async fn gauge(envoy: &Envoy, name: &str) -> f64 {
    sum(&envoy.admin().samples().await.unwrap(), name, &[])
}

/// Milliseconds of CPU a tick of a VM, Envoy's own idling with it.
async fn idle_tick(envoy: &Envoy) -> f64 {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ticks = gauge(envoy, "sluice_ticks_total").await;
    let before = cpu_seconds(envoy.id());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let took = cpu_seconds(envoy.id()) - before;
    took * 1e3 / (gauge(envoy, "sluice_ticks_total").await - ticks)
}

/// Milliseconds of CPU of the tick that hands over a request of each split, and of the ticks about it.
async fn busy_tick(envoy: &Envoy, times: u32) -> f64 {
    let address = envoy.admin().listener().await.unwrap();
    let mut took = Vec::new();
    for time in 0..times {
        let requests: Vec<Vec<u8>> = (0..SPLITS)
            .map(|split| format!("GET / HTTP/1.1\r\nhost: host{split}.example.com\r\ncookie: visitor=AAAAAAAAAAAAAAAAA{time:04}A\r\n\r\n").into_bytes())
            .collect();
        let mut stream = TcpStream::connect(address).unwrap();
        for requests in requests.chunks(BATCH) {
            answered(&mut stream, &requests.concat(), requests.len());
        }
        let before = cpu_seconds(envoy.id());
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        took.push((cpu_seconds(envoy.id()) - before) * 1e3);
    }
    quantile(&took, 0.5)
}

/// Milliseconds of CPU a VM of changes of so many weights; Envoy configures three.
async fn changes(
    envoy: &Envoy,
    files: &Files,
    config: &mut Value,
    number: usize,
    times: u32,
) -> Vec<f64> {
    let mut costs = Vec::new();
    for change in 0..times {
        let weights = config["weights"].as_object_mut().unwrap();
        for weight in weights.values_mut().take(number) {
            weight["everyone"]["canary"] = json!(change + 6 + number as u32 % 50);
        }
        let revision = Revision::of(config).as_gauge() as f64;
        let before = cpu_seconds(envoy.id());
        files.deliver_plugin(&canonical(config)).unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        costs.push((cpu_seconds(envoy.id()) - before) * 1e3 / 3.0);
        assert_eq!(gauge(envoy, "sluice_config_revision").await, revision);
    }
    costs
}
