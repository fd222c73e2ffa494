//! A Rollout as an API server has it: its definition and status as types, and nothing that a
//! controller with ten thousand of them need not hold.
//!
//! Reading one never fails: what is wrong in it is kept in words, since one bad object must not spoil
//! a list.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::commands::{Command, MAX_COMMANDS};
use super::crd::PLURAL;
use super::definition::Definition;
use super::manifest::{API_VERSION, GROUP, KIND};
use super::stand_in;
use super::status::{Run, Stage, Status};
use crate::brake::claims::PodName;

/// The annotation with what people asked for: a JSON list of [`Command`], in the order of their
/// numbers, at most [`MAX_COMMANDS`].
pub const COMMANDS: &str = "sluice.dev/rollout-commands";

/// The field of a status with the proxies of which it is said that their guards took the challenger
/// out.
pub const CLAIMED: &str = "claimed";

/// How many of these there are at most. Chosen: one that tells the truth suffices, and among so many
/// there is one although somebody lies.
pub const MAX_CLAIMED: usize = 8;

/// The longest such annotation that is read. Chosen: sixteen reasons of a kilobyte.
const MAX_COMMANDS_BYTES: usize = 32 * 1024;

/// A Rollout in a cluster.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// Its metadata, but for what only tools for people read.
    pub metadata: ObjectMeta,
    /// What it wants, or every mistake in it, a line each; what stands in for it while a run is under
    /// way.
    pub definition: Result<Definition, Vec<String>>,
    /// Its spec as it is written, while a run is under way.
    pub spec: Option<Arc<str>>,
    /// How far it is, or why that cannot be read.
    pub reported: Result<Reported, String>,
    /// What people asked for, or why that cannot be read.
    pub commands: Result<Vec<Command>, String>,
}

/// A Rollout's status in a cluster: the engine's, and what is said of it for tools.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reported {
    /// The generation of the spec that it is of.
    pub observed_generation: Option<i64>,
    /// As kstatus reads them.
    pub conditions: Vec<Condition>,
    /// The number of the last run that has its ControllerRevision.
    pub remembered: Option<u64>,
    /// The proxies, as `NAMESPACE/POD`, of which it was said since the last look that their guards took
    /// the run's challenger out. Any replica writes it; what is written after a look has none.
    pub claimed: Vec<String>,
    /// The engine's.
    #[serde(flatten)]
    pub status: Status,
}

impl Reported {
    /// The last run, if it is over and has no ControllerRevision yet. One that may still be taken back
    /// is not over in that sense.
    pub fn to_remember(&self) -> Option<&Run> {
        let run = self.status.run.as_ref();
        let run = run.filter(|_| !self.status.is_unpromoted());
        run.filter(|run| run.stage == Stage::Over && self.remembered != Some(run.number))
    }
}

impl Rollout {
    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// How people call it.
    pub fn title(&self) -> String {
        format!("Rollout {}/{}", self.namespace(), self.name())
    }

    /// What tells it from an earlier one of its name.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Which of its states this is, as the API server counts; later ones have greater numbers.
    pub fn version(&self) -> u64 {
        let version = self.metadata.resource_version.as_deref();
        version
            .and_then(|version| version.parse().ok())
            .unwrap_or_default()
    }

    /// Whether a run of it is under way.
    pub fn is_under_way(&self) -> bool {
        let reported = self.reported.as_ref().ok();
        reported.is_some_and(|reported| reported.status.under_way().is_some())
    }

    /// The proxies that are to be looked at because of what was said of them; none where that changes
    /// nothing.
    pub fn claimed(&self) -> Vec<PodName> {
        let reported = self.reported.as_ref().ok();
        let of_run = reported.filter(|reported| {
            let run = reported.status.under_way();
            run.is_some_and(|run| run.stage != Stage::GoingBack)
        });
        let claimed = of_run.into_iter().flat_map(|reported| &reported.claimed);
        let pods = claimed.filter_map(|pod| PodName::read(pod));
        pods.take(MAX_CLAIMED).collect()
    }

    /// Whether somebody asked for something that was not obeyed yet.
    pub fn is_asked(&self) -> bool {
        let handled = self
            .reported
            .as_ref()
            .map(|kept| kept.status.handled_command);
        let handled = handled.unwrap_or_default();
        let mut commands = self.commands.iter().flatten();
        commands.any(|command| command.number > handled)
    }
}

impl Resource for Rollout {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        let version = API_VERSION.rsplit_once('/');
        version.map_or(API_VERSION, |(_, version)| version).into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// As it comes over the wire.
#[derive(Deserialize)]
struct Raw {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl<'de> Deserialize<'de> for Rollout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Raw {
            mut metadata,
            spec,
            status,
        } = Raw::deserialize(deserializer)?;
        let commands = commands(metadata.annotations.as_ref());
        metadata.managed_fields = None;
        metadata.annotations = None;
        metadata.labels = None;
        let reported = reported(status);
        let run = reported.as_ref().ok();
        let run = run.and_then(|reported| reported.status.under_way());
        let definition = Definition::read("spec", &spec).or_else(|problems| {
            let mistakes = problems.iter().map(ToString::to_string).collect();
            match run {
                // A run that moved users must hear of an abort, whatever is written here.
                Some(run) => Ok(stand_in::of_run(run, mistakes)),
                None => Err(mistakes),
            }
        });
        let spec = run.map(|_| spec.to_string().into());
        Ok(Self {
            metadata,
            definition,
            spec,
            reported,
            commands,
        })
    }
}

fn reported(status: Value) -> Result<Reported, String> {
    if status.is_null() {
        return Ok(Reported::default());
    }
    let read = serde_json::from_value(status);
    let completed = |read: Reported| Reported {
        status: read.status.completed(),
        ..read
    };
    read.map(completed).map_err(|error| {
        format!("status: {error}; it is not what the controller writes; with it gone, the run begins anew")
    })
}

/// What the annotation asks for.
///
/// # Errors
/// Why it cannot be read.
pub fn commands(annotations: Option<&BTreeMap<String, String>>) -> Result<Vec<Command>, String> {
    let Some(text) = annotations.and_then(|annotations| annotations.get(COMMANDS)) else {
        return Ok(Vec::new());
    };
    if text.len() > MAX_COMMANDS_BYTES {
        let length = text.len();
        return Err(format!(
            "annotation {COMMANDS}: {length} bytes; at most {MAX_COMMANDS_BYTES}"
        ));
    }
    let commands: Vec<Command> = serde_json::from_str(text)
        .map_err(|error| format!("annotation {COMMANDS}: {error}; accepted: a list of commands"))?;
    if commands.len() > MAX_COMMANDS {
        let length = commands.len();
        return Err(format!(
            "annotation {COMMANDS}: {length} commands; at most {MAX_COMMANDS}"
        ));
    }
    let mut numbers = commands.windows(2);
    if numbers.any(|pair| pair[0].number >= pair[1].number) {
        return Err(format!(
            "annotation {COMMANDS}: accepted: each command's number greater than the one before"
        ));
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::status::Phase;
    use serde_json::json;

    fn rollout(value: Value) -> Rollout {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn one_that_is_wrong_everywhere_is_read_and_says_so() {
        let read = rollout(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
            "metadata": {
                "name": "web", "namespace": "shop", "resourceVersion": "42",
                "annotations": {"sluice.dev/rollout-commands": "[5]", "x": "y"},
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"split": "web", "preset": "fast"},
            "status": {"phase": "Sleeping"},
        }));
        assert_eq!(
            (read.namespace(), read.name(), read.version()),
            ("shop", "web", 42)
        );
        let expected = [
            "spec.preset: a string (\"fast\"); accepted: one of progressive, emergency, blueGreen, migration",
            "spec.steps: missing; accepted: steps, or a preset: progressive, emergency, blueGreen, migration",
        ];
        assert_eq!(read.definition.unwrap_err(), expected);
        let why = read.reported.unwrap_err();
        assert!(
            why.starts_with("status: unknown variant `Sleeping`"),
            "{why}"
        );
        let why = read.commands.unwrap_err();
        assert!(
            why.starts_with("annotation sluice.dev/rollout-commands: invalid type"),
            "{why}"
        );
        assert_eq!(read.metadata.managed_fields, None);
        assert_eq!(read.metadata.annotations, None);
    }

    #[test]
    fn what_was_written_as_a_status_is_read_again() {
        let status = Status {
            phase: Phase::Paused,
            handled_command: 3,
            ..Status::default()
        };
        let mut written = serde_json::to_value(&status).unwrap();
        written["observedGeneration"] = json!(7);
        let command = |number: u64| json!({"number": number, "verb": "pause", "by": "ann"});
        let asked = json!([command(2), command(4)]).to_string();
        let read = rollout(json!({
            "metadata": {"name": "web", "annotations": {"sluice.dev/rollout-commands": asked}},
            "spec": {"split": "web", "preset": "emergency"},
            "status": written,
        }));
        assert!(read.is_asked());
        let reported = read.reported.unwrap();
        assert_eq!(
            (reported.status, reported.observed_generation),
            (status, Some(7))
        );
    }

    #[test]
    fn what_was_said_of_proxies_matters_to_a_run_that_does_not_go_back() {
        let now = "2026-11-21T10:00:00Z";
        let of = |stage: &str, claimed: Value| {
            let run = json!({
                "number": 1, "began": now, "since": now, "step": 0, "stage": stage, "weights": {},
            });
            let read = rollout(json!({
                "metadata": {"name": "web"}, "spec": {"split": "web", "preset": "emergency"},
                "status": {"phase": "Progressing", "run": run, "claimed": claimed},
            }));
            let pods = read.claimed();
            pods.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let said = json!(["shop/web-1", "nobody", "shop/web/2"]);
        assert_eq!(of("Holding", said.clone()), ["shop/web-1"]);
        assert_eq!(of("GoingBack", said.clone()), Vec::<String>::new());
        assert_eq!(of("Over", said), Vec::<String>::new());
        let many: Vec<String> = (0..20).map(|pod| format!("shop/web-{pod}")).collect();
        assert_eq!(of("Holding", json!(many)).len(), MAX_CLAIMED);
    }

    #[test]
    fn commands_are_bounded_and_in_order() {
        let of = |text: String| commands(Some(&BTreeMap::from([(COMMANDS.to_owned(), text)])));
        let command = |number: u64| json!({"number": number, "verb": "pause", "by": "ann"});
        let many: Vec<Value> = (1..18).map(command).collect();
        let cases = [
            (json!(many).to_string(), "17 commands; at most 16"),
            (
                json!([command(2), command(2)]).to_string(),
                "number greater than the one before",
            ),
            (" ".repeat(40_000), "40000 bytes; at most 32768"),
        ];
        for (text, expected) in cases {
            let why = of(text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        assert_eq!(commands(None), Ok(Vec::new()));
    }
}
