//! Rollouts of a cluster: resources that a controller runs, and what `sluice rollout run` keeps. Both
//! are read as they stand, and asked by an annotation, since who may ask need not be who may write
//! their status.

use anyhow::{Context as _, bail};
use kube::api::DynamicObject;
use serde_json::Value;

use super::{Found, Host, Hosting, Listed};
use crate::cluster::custom::{self, Kind, Scope};
use crate::cluster::{Cluster, code};
use crate::operations::Caller;
use crate::rollout::commands::{self, Command, Verb};
use crate::rollout::definition::Definition;
use crate::rollout::hold;
use crate::rollout::kept_maps::{self, CONFIG_MAPS};
use crate::rollout::manifest::{API_VERSION, KIND};
use crate::rollout::object::COMMANDS;
use crate::rollout::outline::{CheckLine, StepLine};
use crate::rollout::peers::Summary;
use crate::rollout::status::{Stage, Status};
use crate::store::kubernetes::Kubernetes;

/// How often a command is written anew because another write came first. Chosen: a controller keeps
/// a status once a second at most.
const MAX_OVERTAKEN: usize = 10;

/// The kind as the API server has it.
pub const ROLLOUTS: Kind = Kind {
    api_version: API_VERSION,
    kind: KIND,
    plural: "rollouts",
};

/// The Rollouts of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterRollouts {
    cluster: Cluster,
    scope: Scope,
}

impl ClusterRollouts {
    /// Those of the cluster's namespace.
    pub fn of_namespace(cluster: Cluster) -> Self {
        let scope = Scope::Namespace(cluster.namespace().to_owned());
        Self { cluster, scope }
    }

    /// Those of every namespace.
    pub const fn everywhere(cluster: Cluster) -> Self {
        let scope = Scope::Everywhere;
        Self { cluster, scope }
    }

    /// The cluster.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(super) fn title(&self) -> String {
        let cluster = self.cluster.title();
        match &self.scope {
            Scope::Namespace(namespace) => format!("{cluster}, namespace {namespace}"),
            Scope::Everywhere => format!("{cluster}, every namespace"),
        }
    }

    pub(super) fn weights(&self, found: &Found) -> Kubernetes {
        let namespace = found.namespace.as_deref();
        let cluster = self.cluster.in_namespace(namespace.unwrap_or_default());
        Kubernetes::new(cluster, found.plugin.clone())
    }

    pub(super) async fn rollouts(&self) -> anyhow::Result<Listed> {
        let mut listed = self.kept().await?;
        for found in &mut listed.found {
            found.host = self.host(found).await;
        }
        Ok(listed)
    }

    /// Every Rollout, without asking whether somebody runs it.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn kept(&self) -> anyhow::Result<Listed> {
        let mut listed = Listed::default();
        for (hosting, object) in self.objects().await? {
            match found(hosting, &object) {
                Ok(found) => listed.found.push(found),
                Err(error) => listed.unread.push(format!("{error:#}")),
            }
        }
        let key = |found: &Found| (found.namespace.clone(), found.rollout.name.clone());
        // Of two of one name, the one that is meant comes first.
        let place = |found: &Found| (key(found), !is_meant(found));
        listed.found.sort_by_key(place);
        listed.found.dedup_by_key(|found| key(found));
        Ok(listed)
    }

    pub(super) async fn names(&self) -> anyhow::Result<Vec<String>> {
        let found = self.kept().await?.found.into_iter();
        Ok(found.map(|found| found.rollout.name).collect())
    }

    pub(super) async fn one(&self, name: &str) -> anyhow::Result<Option<Found>> {
        let Some((mut found, ..)) = self.meant(name).await? else {
            return Ok(None);
        };
        found.host = self.host(&found).await;
        Ok(Some(found))
    }

    /// Whether somebody runs it; who has nothing to do need not be looked for.
    async fn host(&self, found: &Found) -> Host {
        if found.runner == Hosting::Controller {
            return Host::Unknown;
        }
        if !is_meant(found) {
            return Host::Nobody;
        }
        let namespace = found.namespace.as_deref().unwrap_or_default();
        let holder = hold::holder(&self.cluster, namespace, &found.rollout.name).await;
        match holder {
            Ok(Some(_)) => Host::Running,
            Ok(None) => Host::Nobody,
            Err(_) => Host::Unknown,
        }
    }

    /// The Rollout of a name, and where it is written.
    async fn meant(&self, name: &str) -> anyhow::Result<Option<(Found, Kind, DynamicObject)>> {
        let map = match kept_maps::get(&self.cluster, self.cluster.namespace(), name).await {
            // Who may not read those may still read resources.
            Err(error) if code(&error) == Some(403) => None,
            map => map.map_err(|error| kept_maps::explained(&self.cluster, name, error))?,
        };
        let of = |hosting, kind, object: DynamicObject| {
            found(hosting, &object).map(|found| (found, kind, object))
        };
        let map = map.map(|map| of(Hosting::Foreground, CONFIG_MAPS, map));
        if let Some(Ok((found, ..))) = &map
            && is_meant(found)
        {
            return map.transpose();
        }
        match self.object(name).await {
            Ok(None) => map.transpose(),
            Err(_) if map.is_some() => map.transpose(),
            object => object?
                .map(|object| of(Hosting::Controller, ROLLOUTS, object))
                .transpose(),
        }
    }

    pub(super) async fn ask(
        &self,
        name: &str,
        verb: Verb,
        caller: &Caller,
        reason: Option<&str>,
    ) -> anyhow::Result<u64> {
        let by = self.cluster.caller().await;
        let by = by.unwrap_or_else(|| caller.name.clone());
        for _ in 0..MAX_OVERTAKEN {
            let meant = self.meant(name).await?;
            let (found, kind, object) = meant.with_context(|| format!("Rollout {name} is gone"))?;
            let handled = found.status.handled_command;
            let (commands, number) = with_command(&object, handled, verb, &by, reason)?;
            let annotated =
                custom::annotate(&self.cluster, &kind, &object, (COMMANDS, &commands)).await;
            match annotated {
                Ok(_) => return Ok(number),
                Err(error) if code(&error) == Some(409) => {}
                Err(error) => return Err(self.explained(name, error)),
            }
        }
        bail!(
            "Rollout {name}: others were first {MAX_OVERTAKEN} times; nothing was asked, try again"
        )
    }

    /// The split of a Rollout whose resource, or what is kept of it, is not what it should be.
    pub(super) async fn split(&self, name: &str) -> Option<(String, Kubernetes)> {
        let resource = self.object(name).await.ok().flatten();
        let spec = resource.as_ref().and_then(|object| object.data.get("spec"));
        let spec = spec.map(|spec| (text(spec, "split"), text(spec, "plugin")));
        let of_map = async {
            let namespace = self.cluster.namespace();
            let map = kept_maps::get(&self.cluster, namespace, name).await;
            let kept = kept_maps::as_it_stands(&map.ok()??)?;
            let rollout = kept.get("rollout")?;
            Some((text(rollout, "split"), text(rollout, "plugin")))
        };
        let (split, plugin) = match spec {
            Some(spec) => spec,
            None => of_map.await?,
        };
        Some((split?, Kubernetes::new(self.cluster.clone(), plugin)))
    }

    /// Whether there is a resource of a name, which a controller may run.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn has_resource(&self, name: &str) -> anyhow::Result<bool> {
        let object = self.resource(name).await;
        let refused = |error| kept_maps::refused(&self.cluster, format!("Rollout {name}"), error);
        Ok(object.map_err(refused)?.is_some())
    }

    async fn object(&self, name: &str) -> anyhow::Result<Option<DynamicObject>> {
        let object = self.resource(name).await;
        object.map_err(|error| self.explained(name, error))
    }

    async fn resource(&self, name: &str) -> kube::Result<Option<DynamicObject>> {
        custom::get(&self.cluster, &ROLLOUTS, self.cluster.namespace(), name).await
    }

    /// What is there of both, as far as one may read it.
    async fn objects(&self) -> anyhow::Result<Vec<(Hosting, DynamicObject)>> {
        let maps = kept_maps::all(&self.cluster, &self.scope).await;
        let maps = maps.unwrap_or_default().into_iter();
        let maps: Vec<_> = maps.map(|map| (Hosting::Foreground, map)).collect();
        let resources = match custom::list(&self.cluster, &ROLLOUTS, &self.scope).await {
            Err(_) if !maps.is_empty() => Vec::new(),
            Err(error) if code(&error) == Some(404) => bail!(
                "{}: the cluster does not know Rollouts; `sluice crds | kubectl apply --server-side -f -` installs \
                 them, and `sluice rollout run -f FILE` needs none",
                self.title()
            ),
            listed => listed.map_err(|error| self.explained("of the list", error))?,
        };
        let resources = resources
            .into_iter()
            .map(|object| (Hosting::Controller, object));
        Ok(resources.chain(maps).collect())
    }

    fn explained(&self, name: &str, error: kube::Error) -> anyhow::Error {
        self.cluster
            .explain(format!("Rollout {name}"), error)
            .into()
    }
}

/// Whether what is kept of a Rollout counts before a resource of its name: while its run is not
/// over. Of a resource: always.
fn is_meant(found: &Found) -> bool {
    let run = found.status.run.as_ref();
    found.runner == Hosting::Controller || run.is_none_or(|run| run.stage != Stage::Over)
}

fn found(hosting: Hosting, object: &DynamicObject) -> anyhow::Result<Found> {
    match hosting {
        Hosting::Foreground => of_map(object),
        Hosting::Controller => of_resource(object),
    }
}

/// What is known of a Rollout from what `sluice rollout run` keeps.
fn of_map(map: &DynamicObject) -> anyhow::Result<Found> {
    let kept = kept_maps::kept(map)?;
    let mut waiting = commands(map)?;
    waiting.retain(|command| command.number > kept.status.handled_command);
    Ok(Found {
        namespace: map.metadata.namespace.clone(),
        plugin: kept.rollout.plugin.clone(),
        rollout: kept.rollout,
        steps: kept.steps,
        checks: kept.checks,
        status: kept.status,
        waiting,
        host: Host::Unknown,
        runner: Hosting::Foreground,
        mistakes: Vec::new(),
        is_of_spec: true,
    })
}

/// What is known of a Rollout from its resource.
fn of_resource(object: &DynamicObject) -> anyhow::Result<Found> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let namespace = object.metadata.namespace.clone();
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    let status = status(object)?;
    let mut waiting = commands(object)?;
    waiting.retain(|command| command.number > status.handled_command);
    let definition = Definition::read("spec", spec);
    let (rollout, mistakes) = match &definition {
        Ok(definition) => (Summary::of(&name, definition), Vec::new()),
        Err(problems) => {
            let mistakes = problems.iter().map(ToString::to_string).collect();
            (as_written(name, spec, &status), mistakes)
        }
    };
    // A run moves what it began with, whatever its spec says meanwhile.
    let run = status.under_way();
    let plugin = run
        .and_then(|run| run.plugin.clone())
        .or_else(|| text(spec, "plugin"));
    let steps = definition.iter().flat_map(|definition| &definition.steps);
    let analysis = definition.as_ref().ok();
    let analysis = analysis.and_then(|definition| definition.analysis.as_ref());
    Ok(Found {
        namespace,
        rollout,
        plugin,
        steps: steps.map(StepLine::of).collect(),
        checks: CheckLine::all(analysis, &status),
        status,
        waiting,
        host: Host::Unknown,
        runner: Hosting::Controller,
        mistakes,
        is_of_spec: is_of_spec(object),
    })
}

/// Whether a controller has seen the spec as it is now: the API server counts specs, and the
/// controller notes which one it has seen.
fn is_of_spec(object: &DynamicObject) -> bool {
    let seen = object.data.pointer("/status/observedGeneration");
    let seen = seen.and_then(Value::as_i64).unwrap_or_default();
    object.metadata.generation.is_none_or(|now| now <= seen)
}

/// What can be said of a Rollout whose spec is wrong: an abort still needs to know what it moves.
fn as_written(name: String, spec: &Value, status: &Status) -> Summary {
    let run = status.run.as_ref();
    let moved = run.map(|run| run.split.clone());
    let audiences = run.into_iter().flat_map(|run| run.wanted.keys().cloned());
    Summary {
        name,
        split: text(spec, "split").or(moved).unwrap_or_default(),
        challenger: text(spec, "challenger"),
        audiences: audiences.collect(),
        version: text(spec, "version"),
        has_workload: spec.get("workload").is_some_and(Value::is_object),
        ..Summary::default()
    }
}

fn text(spec: &Value, field: &str) -> Option<String> {
    Some(spec.get(field)?.as_str()?.to_owned())
}

fn status(object: &DynamicObject) -> anyhow::Result<Status> {
    let status = object.data.get("status").cloned();
    let status = status.filter(|status| !status.is_null());
    let status: Result<Option<Status>, _> = status.map(serde_json::from_value).transpose();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    Ok(status
        .with_context(|| format!("Rollout {name}: its status is not what a controller writes"))?
        .map(Status::completed)
        .unwrap_or_default())
}

/// What people asked of a Rollout, as its resource has it.
///
/// # Errors
/// When the annotation holds something else.
fn commands(object: &DynamicObject) -> anyhow::Result<Vec<Command>> {
    let annotations = object.metadata.annotations.as_ref();
    let written = annotations.and_then(|annotations| annotations.get(COMMANDS));
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let commands = written.map(|text| serde_json::from_str(text)).transpose();
    Ok(commands
        .with_context(|| {
            format!("Rollout {name}: its annotation {COMMANDS} is no list of commands; remove it")
        })?
        .unwrap_or_default())
}

/// The annotation with one command more and without those that were obeyed, and that one's number.
fn with_command(
    object: &DynamicObject,
    handled: u64,
    verb: Verb,
    by: &str,
    reason: Option<&str>,
) -> anyhow::Result<(String, u64)> {
    let mut commands = self::commands(object)?;
    let number = commands::add(&mut commands, handled, verb, by, reason);
    Ok((serde_json::to_string(&commands)?, number))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(annotation: &str, handled: u64) -> DynamicObject {
        let value = json!({
            "metadata": {"name": "web", "namespace": "shop", "annotations": {COMMANDS: annotation}},
            "spec": {"split": "web", "version": "v2", "preset": "emergency"},
            "status": {"phase": "Paused", "handledCommand": handled, "conditions": []},
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_command_comes_behind_those_that_wait_and_instead_of_those_obeyed() {
        let annotation =
            r#"[{"number":3,"verb":"pause","by":"ann"},{"number":4,"verb":"skip","by":"bob"}]"#;
        let (text, number) = with_command(
            &object(annotation, 3),
            3,
            Verb::Resume,
            "cat",
            Some("fixed"),
        )
        .unwrap();
        let expected = r#"[{"number":4,"verb":"skip","by":"bob"},{"number":5,"verb":"resume","by":"cat","reason":"fixed"}]"#;
        assert_eq!((&*text, number), (expected, 5));
        let (text, number) = with_command(&object("[]", 9), 9, Verb::Pause, "ann", None).unwrap();
        let expected = r#"[{"number":10,"verb":"pause","by":"ann"}]"#;
        assert_eq!((&*text, number), (expected, 10));
    }

    #[test]
    fn a_status_is_of_the_spec_that_its_controller_has_seen() {
        let cases = [
            ("the same", json!(3), json!(3), true),
            ("an earlier one", json!(3), json!(2), false),
            ("none yet", json!(1), json!(null), false),
            ("nobody counts", json!(null), json!(null), true),
        ];
        for (label, generation, seen, expected) in cases {
            let mut value = serde_json::to_value(object("[]", 0)).unwrap();
            value["metadata"]["generation"] = generation;
            value["status"]["observedGeneration"] = seen;
            let object = serde_json::from_value(value).unwrap();
            assert_eq!(
                of_resource(&object).unwrap().is_of_spec,
                expected,
                "{label}"
            );
        }
    }

    #[test]
    fn what_is_no_list_of_commands_is_named_and_not_replaced() {
        let error = with_command(&object("{}", 0), 0, Verb::Pause, "ann", None).unwrap_err();
        let expected = "Rollout web: its annotation sluice.dev/rollout-commands is no list of commands; remove it";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_rollout_with_a_wrong_spec_still_says_what_it_moves() {
        let mut object = object("[]", 0);
        object.data["spec"] = json!({"split": "web", "challenger": "next", "preset": "fast"});
        let found = of_resource(&object).unwrap();
        assert_eq!(found.rollout.split, "web");
        assert_eq!(found.rollout.challenger.as_deref(), Some("next"));
        assert_eq!(
            found.mistakes,
            [
                "spec.preset: a string (\"fast\"); accepted: one of progressive, emergency, blueGreen, migration",
                "spec.steps: missing; accepted: steps, or a preset: progressive, emergency, blueGreen, migration",
            ]
        );
    }
}
