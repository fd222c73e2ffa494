//! The same requests with the same configurations through the core and through both adapters, each in
//! an Envoy of its own, and what differs.
//!
//! Compared are every header that arrives upstream, every header of the response, what was counted, and
//! what was logged. Where chance decides, it is checked that the same user gets the same again, as the core
//! decides by the cookie that was issued. What is sent is [`crate::random`]'s.

mod expected;
mod outcome;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::Value;
use sluice_core::config::Document;
use sluice_core::decide::{Decisions, decide};
use sluice_core::plan::{Node, NodeKind, Plan};

use expected::{Expected, check, expected};
use outcome::Outcome;

use crate::adapter::Adapter;
use crate::client::{Answer, Connection, http2};
use crate::mesh::{Mesh, Options};
use crate::random::{self, Protocol, Random, Sent};

/// Configurations of one pair of Envoys, each of which then begins anew.
const CONFIGURATIONS: usize = 12;

/// Requests with one configuration.
const REQUESTS: usize = 25;

/// Node ids: the three kinds of proxies.
const NODES: [&str; 3] = [
    "router~10.0.0.1~gw.shop~shop.svc.cluster.local",
    "sidecar~10.0.0.1~a.shop~shop.svc.cluster.local",
    "waypoint~10.0.0.1~w.shop~shop.svc.cluster.local",
];

/// Sends random requests while `goes_on`, which is asked before each configuration. How many requests
/// were sent; the first difference, described with all that it takes to see it again.
///
/// # Errors
/// When something differs.
pub async fn search(seed: u64, mut goes_on: impl FnMut(usize) -> bool) -> Result<usize, String> {
    let mut random = Random::new(seed);
    let mut configurations = 0;
    let mut requests = 0;
    while goes_on(configurations) {
        let node = NODES[(configurations / CONFIGURATIONS) % NODES.len()];
        let mut pair = Pair::start(node).await;
        for _ in 0..CONFIGURATIONS {
            if !goes_on(configurations) {
                break;
            }
            configurations += 1;
            let config = random::configuration(&mut random, configurations);
            pair.configure(config).await;
            for _ in 0..REQUESTS {
                let sent = random::request(&mut random);
                pair.compare(&sent).await?;
                requests += 1;
            }
        }
        pair.compare_counters().await?;
    }
    Ok(requests)
}

/// What both adapters are asked, and the core beside them.
struct Pair {
    sides: Vec<Side>,
    node: Node,
    config: Value,
    plan: Plan,
    /// How often the core gave a variant, by split and audience.
    decided: BTreeMap<(String, String), u64>,
}

struct Side {
    adapter: Adapter,
    mesh: Mesh,
    connection: Connection,
}

impl Pair {
    async fn start(node_id: &str) -> Self {
        let namespace = "shop".to_owned();
        let mut sides = Vec::new();
        for adapter in Adapter::ALL {
            let options = Options {
                node_id: node_id.to_owned(),
                namespace: Some(namespace.clone()),
                workers: 2,
                filters_before: vec![random::claims_filter()],
                trusted_hops: 1,
                routes: Some(random::routes()),
                ..Options::on(adapter)
            };
            let mesh = Mesh::start_with("", &Value::Null, options).await;
            let connection = mesh.connect().await;
            sides.push(Side {
                adapter,
                mesh,
                connection,
            });
        }
        let node = Node {
            kind: NodeKind::of_node_id(node_id.as_bytes()),
            namespace: Some(namespace),
        };
        Self {
            sides,
            plan: Plan::build(&Document::default(), &node, None),
            node,
            config: Value::Null,
            decided: BTreeMap::new(),
        }
    }

    async fn configure(&mut self, config: Value) {
        let document = Document::from_value(config.clone()).unwrap();
        self.plan = Plan::build(&document, &self.node, None);
        for side in &self.sides {
            side.mesh.configure(&config).await;
        }
        self.config = config;
    }

    async fn compare(&mut self, sent: &Sent) -> Result<(), String> {
        let decisions = decide(&self.plan, sent);
        for decision in decisions
            .iter()
            .filter(|decision| decision.variant.is_some())
        {
            let definition = &self.plan.split(decision.split).unwrap().definition;
            let audience = decision.audience.name(definition).to_owned();
            let of = (definition.name.to_string(), audience);
            *self.decided.entry(of).or_default() += 1;
        }
        let mut outcomes = Vec::new();
        for side in &mut self.sides {
            let answer = side.send(sent).await;
            outcomes.push(Outcome::of(answer, self.plan.cookie().name.as_ref()));
        }
        for (side, outcome) in self.sides.iter().zip(&outcomes) {
            self.plan_agrees(sent, &decisions, outcome)
                .map_err(|why| self.described(sent, &format!("{:?}: {why}", side.adapter)))?;
        }
        let open = expected(&self.plan, sent, &decisions);
        let [wasm, native] = [0, 1].map(|place| outcomes[place].without_chance(&open));
        match wasm == native {
            true => Ok(()),
            false => Err(self.described(sent, &format!("wasm: {wasm:#?}\nnative: {native:#?}"))),
        }
    }

    /// Whether an adapter did what the core decides.
    fn plan_agrees(
        &self,
        sent: &Sent,
        decisions: &Decisions,
        outcome: &Outcome,
    ) -> Result<(), String> {
        if decisions.issued.is_some() != outcome.issued.is_some() {
            let is = outcome.issued.is_some();
            return Err(format!("the core issues {:?}, here {is}", decisions.issued));
        }
        if !outcome.is_told() {
            return Ok(());
        }
        let first = expected(&self.plan, sent, decisions);
        check(&first, &outcome.received)?;
        // A rule that looks at the whole header sees the new cookie, too.
        let (Some(value), false) = (
            &outcome.issued,
            self.config.to_string().contains(r#""headers":{"cookie""#),
        ) else {
            return Ok(());
        };
        let again = sent.with_cookie(self.plan.cookie().name.as_ref(), value);
        let mut again = expected(&self.plan, &again, &decide(&self.plan, &again));
        // Of the others, the cookie may be an earlier source of identity than theirs was.
        again.retain(|name, _| matches!(first.get(name), Some(Expected::Issued(_))));
        check(&again, &outcome.received)
            .map_err(|why| format!("by the cookie that it issued: {why}"))
    }

    /// Compares what was counted and logged since the Envoys began.
    async fn compare_counters(&self) -> Result<(), String> {
        let name = |(split, audience): &(String, String)| {
            format!("sluice_decisions_total audience={audience} split={split}")
        };
        let decided = self
            .decided
            .iter()
            .map(|(of, &number)| (name(of), number as f64));
        let decided: BTreeMap<String, f64> = decided.collect();
        let [wasm, native] = [&self.sides[0].mesh, &self.sides[1].mesh];
        let began = Instant::now();
        // They are flushed each second.
        loop {
            let counted = [counters_of(wasm).await, counters_of(native).await];
            let decisions = counted.each_ref().map(decisions_of);
            let is_whole = decisions.iter().all(|decisions| *decisions == decided);
            if is_whole && counted[0] == counted[1] {
                break;
            }
            if began.elapsed() > Duration::from_secs(5) {
                let [wasm, native] = counted;
                return Err(format!(
                    "the core: {decided:#?}\nwasm: {wasm:#?}\nnative: {native:#?}"
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        match [logged(wasm), logged(native)] {
            [wasm, native] if wasm == native => Ok(()),
            logs => Err(format!("wasm and native logged {logs:#?}")),
        }
    }

    fn described(&self, sent: &Sent, what: &str) -> String {
        let mut text = format!(
            "{what}\n{:?} {}\nconfiguration: {}\n",
            self.node.kind, sent.authority, self.config
        );
        let _ = writeln!(
            text,
            "request: {:?} {} {}",
            sent.protocol, sent.method, sent.path
        );
        for (name, value) in sent.all_lines() {
            let _ = writeln!(text, "  {name}: {}", value.escape_ascii());
        }
        text
    }
}

impl Side {
    async fn send(&mut self, sent: &Sent) -> Answer {
        if sent.protocol == Protocol::Http2 {
            let uri = format!("http://{}{}", sent.authority, sent.path);
            let mut request = hyper::Request::builder().method(sent.method).uri(uri);
            for (name, value) in sent.all_lines() {
                request = request.header(name, value.trim_ascii());
            }
            let request = request.body(Full::<Bytes>::default()).unwrap();
            return answer(http2(self.mesh.address(), request).await);
        }
        let lines: Vec<Vec<u8>> = sent
            .all_lines()
            .into_iter()
            .map(|(name, value)| [name.as_bytes(), b": ", &value].concat())
            .collect();
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let bytes = crate::client::request(sent.method, &sent.path, sent.authority, &lines);
        if let Some(answer) = self.connection.send(&bytes).await {
            return answer;
        }
        self.connection = self.mesh.connect().await;
        self.connection.send(&bytes).await.expect("an answer")
    }
}

/// An answer of HTTP/2 as one of HTTP/1.1.
fn answer(response: hyper::Response<Bytes>) -> Answer {
    let mut head = b"HTTP/2\r\n".to_vec();
    for (name, value) in response.headers() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    Answer {
        status: response.status().as_u16(),
        head,
        body: response.body().to_vec(),
    }
}

/// The filter's counters and gauges, without the label whose value chance gives, and without those that
/// count time or users.
async fn counters_of(mesh: &Mesh) -> BTreeMap<String, f64> {
    let is_compared = |name: &str| {
        let is_open = name.ends_with("_word") || name.contains("_milliseconds");
        name.starts_with("sluice_") && !is_open && name != "sluice_ticks_total"
    };
    let mut counters = BTreeMap::new();
    for sample in mesh.samples().await {
        if !is_compared(&sample.name) || sample.value == 0.0 {
            continue;
        }
        let labels: String = sample
            .labels
            .iter()
            .filter_map(|(label, value)| Some((label.strip_prefix("sluice_")?, value)))
            .filter(|(label, _)| *label != "variant")
            .map(|(label, value)| format!(" {label}={value}"))
            .collect();
        *counters.entry(sample.name + &labels).or_insert(0.0) += sample.value;
    }
    counters
}

/// What the filter logged, in order.
fn logged(mesh: &Mesh) -> Vec<String> {
    let own = "sluice dev.sluice: ";
    let log = mesh.log();
    let lines = log.lines().filter_map(|line| line.split_once(own));
    lines.map(|(_, said)| said.to_owned()).collect()
}

/// Of counters, those of decisions.
fn decisions_of(counters: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let is_decision = |name: &str| name.starts_with("sluice_decisions_total");
    let decisions = counters.iter().filter(|(name, _)| is_decision(name));
    decisions
        .map(|(name, &value)| (name.clone(), value))
        .collect()
}
