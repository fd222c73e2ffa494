//! The strategy `canary` of Argo's Rollout as steps.

use serde_json::{Value, json};

use super::super::documents::DESTINATION_RULE;
use super::super::fields::Fields;
use super::super::length;
use super::super::notes::Notes;
use super::super::split::Rule;
use super::super::written::Step;
use super::resource::{Read, Source, VirtualServiceNamed};
use super::templates;
use crate::operations::import::name_of;

pub(super) fn read(source: &Source<'_>, mut canary: Fields, read: &mut Read, notes: &mut Notes) {
    routing(source, &mut canary, read, notes);
    for step in canary.maps("steps", notes) {
        one(source, step, read, notes);
    }
    if read.weight() < 100.0 {
        read.steps.push(Step::of(100.0));
    }
    if let Some(mut background) = canary.map("analysis", notes) {
        let why = "a check is measured wherever the challenger has users";
        background.lost("startingStep", why, notes);
        templates::read(source, background, read, notes);
    }
    read.drain = super::workload::seconds(&mut canary, "scaleDownDelaySeconds", notes);
    let services = [
        canary.text("stableService", notes),
        canary.text("canaryService", notes),
    ];
    let [stable, own] = services;
    if let Some(own) = own {
        notes.said(
            "spec.strategy.canary.canaryService",
            format!("Service {own:.80} is Argo's way to the canary's pods; subsets by sluice.dev/variant take its place"),
        );
    }
    read.service = stable;
    canary.all_lost(&OTHERS, notes);
    canary.end(notes);
}

/// What a canary says beside its steps.
const OTHERS: [(&str, &str); 12] = [
    ("maxSurge", "the Deployment's strategy has it"),
    ("maxUnavailable", "the Deployment's strategy has it"),
    (
        "antiAffinity",
        "write it in the template: the versions' pods differ by the label sluice.dev/variant",
    ),
    (
        "canaryMetadata",
        "the canary's pods have the template's metadata, with sluice.dev/variant: canary",
    ),
    (
        "stableMetadata",
        "the copy's pods have the template's metadata, with sluice.dev/variant: stable",
    ),
    (
        "scaleDownDelayRevisionLimit",
        "one former version is kept, as the copy; spec.workload.rollbackWindow goes back fast",
    ),
    (
        "abortScaleDownDelaySeconds",
        "after an abort pods stay as long as after a run: spec.workload.drain",
    ),
    (
        "dynamicStableScale",
        "the copy keeps its pods in a run; an autoscaler may scale it",
    ),
    (
        "pingPong",
        "the versions' pods are told apart by a label, and no Service changes",
    ),
    (
        "minPodsPerReplicaSet",
        "a step has one pod at least; an autoscaler may say more",
    ),
    (
        "replicaProgressThreshold",
        "a step moves when all of its pods are ready",
    ),
    (
        "weightVerification",
        "a step is over when proxies run its weights: spec.converge",
    ),
];

fn routing(source: &Source<'_>, canary: &mut Fields, read: &mut Read, notes: &mut Notes) {
    let Some(mut routing) = canary.map("trafficRouting", notes) else {
        notes.said(
            "spec.strategy.canary",
            "without trafficRouting Argo splits by numbers of pods; here Istio's proxies split users",
        );
        return;
    };
    // Their names stand in the steps too.
    for mut managed in routing.maps("managedRoutes", notes) {
        read.managed.extend(managed.text("name", notes));
        managed.end(notes);
    }
    if let Some(mut istio) = routing.map("istio", notes) {
        let one = istio.map("virtualService", notes);
        let several = istio.maps("virtualServices", notes);
        for mut named in one.into_iter().chain(several) {
            let routes = named.list("routes", notes).into_iter();
            let routes = routes.filter_map(|route| route.as_str().map(str::to_owned));
            let routes = routes.collect();
            let name = named.text("name", notes);
            read.virtual_services
                .extend(name.map(|name| VirtualServiceNamed { name, routes }));
            let why = "only HTTP is split; leave its routes as they are";
            named.all_lost(&[("tlsRoutes", why), ("tcpRoutes", why)], notes);
            named.end(notes);
        }
        if let Some(mut rule) = istio.map("destinationRule", notes) {
            let name = rule.text("name", notes).unwrap_or_default();
            rule.take("canarySubsetName");
            rule.take("stableSubsetName");
            rule.lost(
                "additionalSubsetNames",
                "a split has two variants here",
                notes,
            );
            if let Some((index, _)) = source.beside(DESTINATION_RULE, &name) {
                read.used.insert(index);
            }
            let path = istio.at("destinationRule");
            notes.said(
                &path,
                format!("`sluice render` writes one with subsets by sluice.dev/variant; DestinationRule {name:.80} goes with Argo"),
            );
            rule.end(notes);
        }
        istio.end(notes);
    }
    let why = "requests are split by Istio's proxies and gateways";
    let others = [
        "nginx",
        "alb",
        "smi",
        "ambassador",
        "appMesh",
        "traefik",
        "apisix",
        "plugins",
    ];
    routing.all_lost(&others.map(|name| (name, why)), notes);
    routing.lost(
        "maxTrafficWeight",
        "a weight is percent: divide each step by it",
        notes,
    );
    routing.end(notes);
}

fn one(source: &Source<'_>, mut step: Fields, read: &mut Read, notes: &mut Notes) {
    let path = step.at("setWeight");
    if let Some(weight) = step.number("setWeight", notes) {
        if weight < read.weight() {
            let before = read.weight();
            notes.lost(
                &path,
                format!("{weight} after {before}: a step never takes users away"),
            );
        } else {
            read.steps.push(Step::of(weight));
        }
    }
    if step.has("pause") {
        pause(&mut step, read, notes);
    }
    if let Some(analysis) = step.map("analysis", notes) {
        let path = step.at("analysis");
        let hold = templates::read(source, analysis, read, notes);
        read.step().hold += hold;
        if read.step().weight <= 0.0 {
            notes.said(
                &path,
                "checks are measured from the first step with users on, and at each",
            );
        }
    }
    if let Some(mut scale) = step.map("setCanaryScale", notes) {
        // Pods that match the weight are what a Rollout has anyway.
        scale.take("matchTrafficWeight");
        let why =
            "pods match the step's weight, or are as many as the copy's: spec.workload.scale: full";
        scale.all_lost(&[("weight", why), ("replicas", why)], notes);
        scale.end(notes);
    }
    header_route(&mut step, read, notes);
    step.all_lost(
        &[
            (
                "setMirrorRoute",
                "requests are not mirrored in a run; write `mirror` in the VirtualService",
            ),
            (
                "experiment",
                "a split of three variants compares more versions: `sluice set`",
            ),
            (
                "plugin",
                "a gate asks a server before each step: spec.gates",
            ),
        ],
        notes,
    );
    step.end(notes);
}

fn pause(step: &mut Fields, read: &mut Read, notes: &mut Notes) {
    let Some(mut pause) = step.map("pause", notes) else {
        return;
    };
    match pause.take("duration") {
        None => read.step().approval = true,
        Some(value) => match length::of_pause(&value) {
            Some(duration) => read.step().hold += duration,
            None => {
                read.step().approval = true;
                let path = pause.at("duration");
                notes.lost(
                    &path,
                    format!("{value:.80} is no length of time; somebody has to approve the step"),
                );
            }
        },
    }
    pause.end(notes);
}

fn header_route(step: &mut Fields, read: &mut Read, notes: &mut Notes) {
    let Some(mut route) = step.map("setHeaderRoute", notes) else {
        return;
    };
    let name = name_of(&route.text("name", notes).unwrap_or_default());
    let path = route.at("match");
    let matches = route.maps("match", notes);
    route.end(notes);
    if matches.is_empty() {
        return notes.lost(
            &path,
            "a rule ends with the run; until then its users stay at the challenger",
        );
    }
    if read.rules.iter().any(|rule| rule.name == name) {
        return notes.lost(
            &path,
            format!("the rule {name} is there already; write both matches in it"),
        );
    }
    let matches = matches.into_iter();
    let matches: Vec<Value> = matches.filter_map(|one| header(one, notes)).collect();
    // The step is there without a rule too: what is read behind it belongs to it.
    read.steps.push(Step {
        audience: Some(name.clone()),
        ..Step::of(100.0)
    });
    if !matches.is_empty() {
        read.rules.push(Rule {
            name,
            matches,
            path,
        });
    }
}

/// The match of one header, where its value is a map of texts.
fn header(mut one: Fields, notes: &mut Notes) -> Option<Value> {
    let header = one.text("headerName", notes);
    let path = one.at("headerValue");
    let value = one.take("headerValue").unwrap_or_default();
    one.end(notes);
    let texts = value.as_object().filter(|value| !value.is_empty());
    if header.is_none() || !texts.is_some_and(|value| value.values().all(Value::is_string)) {
        let found = format!("{value}");
        notes.lost(
            &path,
            format!("{found:.80}; accepted: a headerName, and exact, prefix or regex with a text"),
        );
        return None;
    }
    Some(json!({"headers": {header.unwrap_or_default(): value}}))
}
