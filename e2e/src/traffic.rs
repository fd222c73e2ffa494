//! The traffic files of filter/core/tests/traffic: a configuration, users who come and are answered,
//! and what is seen of it afterwards.
//!
//! One specification of users, failures and trips, run by the core with a clock of its own, and by a
//! real Envoy.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sluice::local::metrics::Sample;
use sluice::model::plugin::merge;
use sluice::operations::described::Described;
use sluice::operations::status::measured::rows;
use sluice::operations::status::observed::{Gauge, UsersSeen, tripped};
use sluice_core::config::Document;
use sluice_core::decide::decide;
use sluice_core::host::{Host, Labels, Level, Update};
use sluice_core::lifecycle::{Ticking, configure, tick};
use sluice_core::observed::{Observed, Recording};
use sluice_core::plan::{Node, Plan};
use sluice_core::responses::{Measured, Response};

/// When the core's clock begins, since 1970.
const BEGAN: Duration = Duration::from_secs(1_000_000);

/// One file of traffic.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Its folder's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The configuration that it begins with.
    pub config: Value,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
}

/// What happens, as in traffic.yaml.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it is there for.
    pub name: String,
    /// How many seconds pass before.
    #[serde(default)]
    pub after: u64,
    /// What is merged into the configuration before anybody comes.
    #[serde(default)]
    pub change: Value,
    /// How many users come, each once: `user-0`, `user-1`, ….
    #[serde(default)]
    pub users: u32,
    /// How often the same users come.
    #[serde(default = "once")]
    pub times: u32,
    /// Whether they name the variant themselves.
    pub forced: Option<String>,
    /// The status that a variant answers with; others answer 200.
    #[serde(default)]
    pub answers: BTreeMap<String, u16>,
}

const fn once() -> u32 {
    1
}

/// All of them, by name.
pub fn all() -> Vec<Traffic> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filter/core/tests/traffic");
    let folders = std::fs::read_dir(folder).unwrap();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(|folder| read(&folder)).collect()
}

fn read(folder: &Path) -> Traffic {
    let yaml = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name))
            .unwrap_or_else(|error| panic!("{}/{name}: {error}", folder.display()));
        yaml_serde::from_str::<Value>(&text).unwrap()
    };
    Traffic {
        name: folder.file_name().unwrap().to_string_lossy().into_owned(),
        config: yaml("config.yaml"),
        steps: serde_json::from_value(yaml("traffic.yaml")).unwrap(),
        folder: folder.to_owned(),
    }
}

impl Step {
    /// The headers of a user's request, by name.
    pub fn headers(&self, user: u32) -> Vec<(&'static str, String)> {
        let mut headers = vec![("x-user-id", format!("user-{user}"))];
        headers.extend(self.forced.clone().map(|variant| ("x-force", variant)));
        headers
    }

    /// The configuration from this step on.
    pub fn changed(&self, config: &mut Value) {
        if !self.change.is_null() {
            merge(config, self.change.clone());
        }
    }
}

/// What the metrics of one proxy say of users and trips, as seen.txt has it.
pub fn seen(config: &Value, samples: &[Sample]) -> String {
    let document = Document::from_value(config.clone()).unwrap();
    let plan = Plan::build(&document, &Node::default(), None);
    let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
    let users = UsersSeen::joined(&plan, &gauges);
    let mut text = String::new();
    for row in rows(&plan, None, Some(&users)) {
        if let (Some(users @ 1..), Some(failed)) = (row.users, row.failed_users) {
            let (split, audience, variant) = (row.split, row.audience, row.variant);
            text += &format!("  {split} {audience} {variant}: {users} users, {failed} failed\n");
        }
    }
    for out in tripped(&plan, &gauges) {
        text += &format!("  {} {} is out\n", out.split, out.variant);
    }
    text
}

impl Traffic {
    /// What the core sees of it: each step, and what the metrics say after it.
    pub fn seen_by_the_core(&self) -> String {
        let (host, mut config) = (Memory::default(), self.config.clone());
        let (mut plan, mut observed, mut now) = (None, Observed::default(), BEGAN);
        let mut text = String::new();
        for step in &self.steps {
            now += Duration::from_secs(step.after);
            step.changed(&mut config);
            if plan.is_none() || !step.change.is_null() {
                let received = config.to_string().into_bytes();
                plan = configure(&host, "traffic", received, &Node::default(), plan.as_ref());
                observed = Observed::default();
            }
            let plan = plan.as_mut().unwrap();
            for _ in 0..step.times {
                for user in 0..step.users {
                    serve(&host, plan, &mut observed, step, user, now);
                }
            }
            let observed = &mut observed;
            tick(&host, "traffic", Some(plan), observed, Ticking::Newest, now);
            text += &format!("{}\n{}", step.name, seen(&config, &host.samples()));
        }
        text
    }
}

fn serve(
    host: &Memory,
    plan: &Plan,
    observed: &mut Observed,
    step: &Step,
    user: u32,
    now: Duration,
) {
    let headers = step.headers(user).into_iter();
    let request = Described {
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.into_bytes()))
            .collect(),
        ..Described::default()
    };
    let decisions = decide(plan, &request);
    let Some(decision) = decisions.first() else {
        return;
    };
    let definition = &plan.split(decision.split).unwrap().definition;
    let variant = definition.variant_name(decision.variant.unwrap());
    let status = step
        .answers
        .get(variant)
        .copied()
        .unwrap_or(200)
        .to_string();
    if let Some(measured) = Measured::begin(plan, decisions, || now) {
        let response = Response {
            status: status.as_bytes(),
            grpc_status: None,
            at: now,
        };
        measured.end(plan, &mut Recording { host, observed }, &response);
    }
}

/// A proxy in memory, as far as its gauges go.
#[derive(Debug, Default)]
struct Memory {
    shared: RefCell<BTreeMap<String, Vec<u8>>>,
    gauges: RefCell<BTreeMap<(String, BTreeMap<String, String>), u64>>,
}

impl Memory {
    fn samples(&self) -> Vec<Sample> {
        let gauges = self.gauges.borrow();
        let sample =
            |((name, labels), value): (&(String, BTreeMap<String, String>), &u64)| Sample {
                name: format!("sluice_{name}"),
                labels: labels.clone(),
                value: *value as f64,
            };
        gauges.iter().map(sample).collect()
    }
}

impl Host for Memory {
    fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        self.shared.borrow().get(key).cloned()
    }

    fn set_shared_data(&self, key: &str, value: &[u8]) {
        self.shared
            .borrow_mut()
            .insert(key.to_owned(), value.to_vec());
    }

    fn update_shared_data(
        &self,
        key: &str,
        change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Update {
        match change(&self.shared_data(key).unwrap_or_default()) {
            Some(changed) => {
                self.set_shared_data(key, &changed);
                Update::Written(changed)
            }
            None => Update::Left,
        }
    }

    fn log(&self, _: Level, _: &str) {}

    fn add_to_counter(&self, _: &str, _: Labels<'_>, _: u64) {}

    fn set_gauge(&self, name: &str, labels: Labels<'_>, value: u64) {
        let labels = labels.iter();
        let labels = labels.map(|(name, value)| (format!("sluice_{name}"), (*value).to_owned()));
        self.gauges
            .borrow_mut()
            .insert((name.to_owned(), labels.collect()), value);
    }

    fn add_to_histogram(&self, _: &str, _: Labels<'_>, _: u64) {}
}
