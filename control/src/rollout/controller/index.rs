//! What the controller knows of all Rollouts, by namespace: what each needs of the others, and whom
//! a change of a plugin concerns.
//!
//! A watch is some milliseconds behind this process's own writes: what was written last counts.

use std::collections::{BTreeMap, HashMap};

use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;

use crate::rollout::analysis::plan::Basis;
use crate::rollout::definition::Definition;
use crate::rollout::object::Rollout;
use crate::rollout::peers::Summary;
use crate::rollout::status::{Phase, Stage, Status};
use crate::rollout::world::plugin_name;

/// Every Rollout.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<Namespaces>);

type Namespaces = HashMap<String, BTreeMap<String, Known>>;

/// A Rollout as it was last seen or written.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Which of its states that was.
    version: u64,
    /// What others need of it; `None` while its spec is wrong.
    pub(super) summary: Option<Summary>,
    /// The name of its plugin, where the spec says one.
    plugin: Option<String>,
    /// Whether its spec can be run as it is written.
    pub(super) is_right: bool,
    /// How long each step is held at least, in seconds.
    pub(super) holds: Vec<u64>,
    /// What its checks are compared with, where that is the challenger's own value.
    pub(super) limits: Vec<Limit>,
    /// How far it is.
    pub(super) status: Status,
}

/// A threshold of a check.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// The check.
    pub(super) check: String,
    /// `Pass` or `Fail`: where it passes, or fails.
    pub(super) bound: &'static str,
    /// A part of 1, seconds, users, or a query's number.
    pub(super) value: f64,
}

impl Limit {
    /// All of a definition.
    fn all(definition: &Definition) -> Vec<Self> {
        let analysis = definition.analysis.iter();
        let checks = analysis.flat_map(|plan| &plan.checks);
        let checks = checks.filter(|check| check.basis == Basis::Limit);
        let limits = checks.flat_map(|check| {
            let bounds = [("Pass", check.pass), ("Fail", check.fail)].into_iter();
            bounds.filter_map(|(bound, threshold)| {
                Some(Self {
                    check: check.name.clone(),
                    bound,
                    value: threshold?.amount.value(),
                })
            })
        });
        limits.collect()
    }
}

impl Index {
    /// Remembers a Rollout that was seen, unless a later state of it is known.
    pub(super) fn note(&self, rollout: &Rollout) {
        let definition = rollout.definition.as_ref().ok();
        let reported = rollout.reported.as_ref();
        let known = Known {
            version: rollout.version(),
            summary: definition.map(|definition| Summary::of(rollout.name(), definition)),
            plugin: definition.and_then(|definition| definition.plugin.clone()),
            is_right: definition.is_some_and(|definition| definition.mistakes.is_empty()),
            holds: definition.map_or_else(Vec::new, |definition| {
                let steps = definition.steps.iter();
                steps.map(|step| step.hold.as_secs()).collect()
            }),
            limits: definition.map_or_else(Vec::new, Limit::all),
            status: reported
                .map(|reported| reported.status.clone())
                .unwrap_or_default(),
        };
        let mut namespaces = self.0.lock();
        let names = namespaces
            .entry(rollout.namespace().to_owned())
            .or_default();
        let former = names.get(rollout.name());
        if former.is_none_or(|former| former.version <= known.version) {
            names.insert(rollout.name().to_owned(), known);
        }
    }

    /// Forgets Rollouts that are gone.
    pub(super) fn retain(&self, mut is_there: impl FnMut(&str, &str) -> bool) {
        let mut namespaces = self.0.lock();
        for (namespace, names) in namespaces.iter_mut() {
            names.retain(|name, _| is_there(namespace, name));
        }
        namespaces.retain(|_, names| !names.is_empty());
    }

    /// The other Rollouts of a namespace that may matter to one: of its group, or of its split.
    pub(super) fn others(&self, namespace: &str, own: &Summary) -> Vec<(Summary, Status)> {
        let namespaces = self.0.lock();
        let all = namespaces.get(namespace).into_iter().flatten();
        let matter = all.filter_map(|(name, known)| {
            let summary = known.summary.as_ref()?;
            let is_of_group = own.group.is_some() && summary.group == own.group;
            let matters = *name != own.name && (is_of_group || summary.may_share(own));
            matters.then(|| (summary.clone(), known.status.clone()))
        });
        matter.collect()
    }

    /// The Rollouts that a change of a plugin concerns: those that are under way, or wait.
    pub(super) fn concerned(
        &self,
        namespace: &str,
        plugin: Option<&str>,
    ) -> Vec<ObjectRef<Rollout>> {
        let namespaces = self.0.lock();
        let all = namespaces.get(namespace).into_iter().flatten();
        let concerned = all.filter(|(_, known)| {
            let is_active = known.status.phase.is_under_way() || known.status.is_finishing;
            let waits = matches!(known.status.phase, Phase::Waiting | Phase::Blocked);
            (is_active || waits) && known.may_mean(plugin)
        });
        concerned
            .map(|(name, _)| ObjectRef::new(name).within(namespace))
            .collect()
    }

    /// The Rollouts whose run moves this challenger and does not go back.
    pub(super) fn moving(
        &self,
        namespace: &str,
        (plugin, split, challenger): (&str, &str, &str),
    ) -> Vec<ObjectRef<Rollout>> {
        let namespaces = self.0.lock();
        let all = namespaces.get(namespace).into_iter().flatten();
        let moving = all.filter(|(_, known)| {
            let run = known.status.under_way();
            let run = run.filter(|run| run.stage != Stage::GoingBack);
            run.is_some_and(|run| {
                let named = run.plugin.as_deref().or(known.plugin.as_deref());
                let is_plugin = named.is_none_or(|named| plugin_name(named) == plugin);
                is_plugin && run.split == split && run.challenger == challenger
            })
        });
        moving
            .map(|(name, _)| ObjectRef::new(name).within(namespace))
            .collect()
    }

    /// Hands each to a function.
    pub(super) fn each(&self, mut take: impl FnMut(&str, &str, &Known)) {
        for (namespace, names) in &*self.0.lock() {
            for (name, known) in names {
                take(namespace, name, known);
            }
        }
    }
}

impl Known {
    /// Whether its plugin may be the one that changed; `None`: it is not known which did.
    fn may_mean(&self, changed: Option<&str>) -> bool {
        let names = self.plugin.as_deref().zip(changed);
        names.is_none_or(|(named, changed)| plugin_name(named) == changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rollout(name: &str, version: u64, spec: Value, phase: &str) -> Rollout {
        let metadata =
            json!({"name": name, "namespace": "shop", "resourceVersion": version.to_string()});
        let status = json!({"phase": phase});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status}))
            .unwrap()
    }

    fn names(found: &[ObjectRef<Rollout>]) -> Vec<&str> {
        found.iter().map(|found| &*found.name).collect()
    }

    #[test]
    fn what_was_written_last_counts_however_late_a_watch_is() {
        let index = Index::default();
        let spec = json!({"split": "web", "preset": "emergency"});
        index.note(&rollout("web", 9, spec.clone(), "Progressing"));
        index.note(&rollout("web", 5, spec, "Idle"));
        let mut phases = Vec::new();
        index.each(|_, _, known| phases.push(known.status.phase));
        assert_eq!(phases, [Phase::Progressing]);
    }

    #[test]
    fn others_are_those_of_the_group_or_of_the_split() {
        let index = Index::default();
        let spec = |split: &str, group: Option<&str>| {
            let mut spec = json!({"split": split, "preset": "emergency"});
            if let Some(group) = group {
                spec["group"] = json!(group);
            }
            spec
        };
        let own = rollout("web", 1, spec("web", Some("spring")), "Idle");
        index.note(&own);
        index.note(&rollout("same", 1, spec("web", None), "Idle"));
        index.note(&rollout("api", 1, spec("api", Some("spring")), "Idle"));
        index.note(&rollout("else", 1, spec("else", None), "Idle"));
        index.note(&rollout("wrong", 1, json!({"split": "web"}), "Idle"));
        let mut elsewhere = spec("web", None);
        elsewhere["plugin"] = json!("b");
        index.note(&rollout("elsewhere", 1, elsewhere, "Idle"));
        let mut own = Summary::of("web", own.definition.as_ref().unwrap());
        own.plugin = Some("wasmplugin/a".to_owned());
        let others = index.others("shop", &own);
        let others: Vec<&str> = others.iter().map(|(other, _)| &*other.name).collect();
        assert_eq!(others, ["api", "same"]);
        assert_eq!(index.others("other", &own), []);
    }

    #[test]
    fn a_challenger_is_moved_by_runs_under_way_that_have_it_in_the_plugin() {
        let index = Index::default();
        let run = |name: &str, stage: &str, plugin: Value, split: &str, spec: Value| {
            let now = "2026-11-21T00:00:00Z";
            let mut run = rollout(name, 1, spec, "Progressing");
            let value = json!({"run": {
                "number": 1, "began": now, "since": now, "step": 0, "stage": stage, "plugin": plugin,
                "split": split, "challenger": "canary", "weights": {},
            }});
            run.reported.as_mut().unwrap().status = serde_json::from_value(value).unwrap();
            index.note(&run);
        };
        let of = |plugin: &str| json!({"split": "web", "preset": "emergency", "plugin": plugin});
        let any = || json!({"split": "web", "preset": "emergency"});
        run("held", "Holding", json!(null), "web", any());
        run("back", "GoingBack", json!(null), "web", any());
        run("over", "Over", json!(null), "web", any());
        run("api", "Holding", json!(null), "api", any());
        run(
            "own",
            "Moving",
            json!("wasmplugin/sluice"),
            "web",
            of("else"),
        );
        run("else", "Moving", json!(null), "web", of("else"));
        index.note(&rollout("idle", 1, any(), "Idle"));
        let names = |plugin, split, challenger| {
            let found = index.moving("shop", (plugin, split, challenger));
            names(&found).join(" ")
        };
        assert_eq!(names("sluice", "web", "canary"), "held own");
        assert_eq!(names("else", "web", "canary"), "else held");
        assert_eq!(names("sluice", "api", "canary"), "api");
        assert_eq!(names("sluice", "web", "stable"), "");
        assert_eq!(index.moving("other", ("sluice", "web", "canary")), []);
    }

    #[test]
    fn a_plugin_concerns_those_that_do_something_and_may_mean_it() {
        let index = Index::default();
        let spec = |plugin: Option<&str>| {
            let mut spec = json!({"split": "web", "preset": "emergency"});
            if let Some(plugin) = plugin {
                spec["plugin"] = json!(plugin);
            }
            spec
        };
        index.note(&rollout("any", 1, spec(None), "Progressing"));
        index.note(&rollout("done", 1, spec(None), "Succeeded"));
        index.note(&rollout(
            "named",
            1,
            spec(Some("wasmplugin/sluice")),
            "Waiting",
        ));
        index.note(&rollout("other", 1, spec(Some("else")), "Blocked"));
        assert_eq!(
            names(&index.concerned("shop", Some("sluice"))),
            ["any", "named"]
        );
        assert_eq!(
            names(&index.concerned("shop", None)),
            ["any", "named", "other"]
        );
        index.retain(|_, name| name == "other");
        assert_eq!(names(&index.concerned("shop", None)), ["other"]);
    }
}
