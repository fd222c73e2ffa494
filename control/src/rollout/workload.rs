//! A Rollout that follows a Deployment: its pod template is the version, its pods the challenger, and
//! a copy that we keep has the pods of everybody else.
//!
//! [`seen`] is what a host saw of both, [`kept`] what is remembered of it, [`next`] (pure) what is to be
//! done about them, [`handing_back`] how both become one again, [`autoscaler`] what the copy's autoscaler is to be,
//! [`template`] what a version is, [`promotions`] which versions served everyone; `cluster` reads and writes them,
//! `remembered` their templates, `autoscalers` what scales them, `routes` what tells their pods
//! apart, as `naming` (pure) reads it. The engine asks [`next`] in every turn.
//! [`services`] are those of clients that are not routed by a header, which `selectors` reads and sets.
//! [`images`] sets what was promoted beside the Deployment of another namespace, [`promote`] applies it.

pub mod autoscaler;
mod autoscalers;
pub mod cluster;
pub mod facing;
pub mod handing;
pub mod handing_back;
pub mod images;
pub mod kept;
mod naming;
pub mod next;
pub mod pods;
pub mod promote;
pub mod promotions;
mod remembered;
mod routes;
pub mod seen;
pub mod selectors;
pub mod services;
pub mod template;

use std::time::Duration;

use sluice_core::allocation::Percent;
use sluice_core::decode::Decode as _;
use sluice_core::plan::EVERYONE;
use sluice_core::problem::{Accepted, Problem};

use super::resource::{self, FirstSight, Runs, Scale, Span};
use crate::model::workload::{MAX_DEPLOYMENT_NAME_BYTES, copy_of, is_name};

/// How long pods may take to get ready, where nothing is written. Chosen: as kubectl and others wait.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);

/// How long the challenger's pods stay after its last user, where nothing is written. Chosen: as long
/// as Kubernetes lets a pod end.
const DRAIN: Duration = Duration::from_secs(30);

/// What a Rollout's workload is, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The Deployment that Git states: the challenger.
    pub deployment: String,
    /// How many pods it gets in a run.
    pub scale: Scale,
    /// How long pods may take to get ready.
    pub progress_deadline: Duration,
    /// How long the challenger's pods stay after its last user.
    pub drain: Duration,
    /// Templates that everyone had before one of the last so many runs go straight to the last step.
    pub rollback_window: u32,
    /// What counts as promoted where there is no copy yet.
    pub on_first_sight: FirstSight,
    /// The Services of clients that are not routed by a header.
    pub services: services::Names,
}

impl Workload {
    /// The name of the Deployment that we keep: the fallback.
    pub fn copy(&self) -> String {
        copy_of(&self.deployment)
    }

    /// How many pods of the challenger a weight needs, beside so many of the copy.
    pub fn needed(&self, weight: Percent, copy: u32) -> u32 {
        let wanted = match self.scale {
            Scale::Full => copy,
            Scale::MatchWeight => {
                let share = f64::from(copy) * weight.as_f64() / 100.0;
                // A share of at most a copy's pods is never out of range.
                share.ceil() as u32
            }
        };
        wanted.max(1)
    }
}

/// Checks one, at `path`, with what else the spec says: its own version, and the weight of everybody
/// at its last step. Its Services are [`services::named`].
pub fn checked(
    path: &str,
    written: &resource::Workload,
    version: Option<&str>,
    last: Option<Percent>,
    problems: &mut Vec<Problem>,
) -> Workload {
    let mut report = |field: &str, found: String, accepted: Accepted| {
        let path = format!("{path}{field}");
        problems.push(Problem::new(path, found, accepted));
    };
    let deployment = &written.deployment;
    if !is_name(deployment) {
        let accepted = format!("a Deployment's name, of at most {MAX_DEPLOYMENT_NAME_BYTES} bytes");
        let found = match deployment.len() {
            0 => "missing".to_owned(),
            _ => format!("{deployment:.80?}"),
        };
        report(".deployment", found, Accepted::value(accepted));
    }
    if version.is_some() {
        let accepted = "the template of the workload is the version: write no spec.version";
        report(
            "",
            "given beside a version".to_owned(),
            Accepted::rule(accepted),
        );
    }
    if let Some(last) = last.filter(|last| *last != Percent::HUNDRED) {
        let accepted = format!("with a workload the last step gives 100 % to {EVERYONE}");
        report("", format!("{last} % at the end"), Accepted::rule(accepted));
    }
    let window = written.rollback_window.as_ref();
    let runs = format!("{path}.rollbackWindow.runs");
    // One that is written and wrong was reported where it was read.
    let is_reported = problems.iter().any(|problem| problem.path == runs);
    if window.is_some_and(|window| window.runs.is_none()) && !is_reported {
        let accepted = Accepted::value(Runs::accepted());
        problems.push(Problem::new(runs, "missing".to_owned(), accepted));
    }
    Workload {
        deployment: deployment.clone(),
        scale: written.scale,
        progress_deadline: written
            .progress_deadline
            .map_or(PROGRESS_DEADLINE, Span::as_duration),
        drain: written.drain.map_or(DRAIN, Span::as_duration),
        rollback_window: window
            .and_then(|window| window.runs)
            .map_or(0, |runs| runs.0),
        on_first_sight: written.on_first_sight,
        services: services::Names::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(scale: Scale) -> Workload {
        Workload {
            deployment: "web".to_owned(),
            scale,
            progress_deadline: PROGRESS_DEADLINE,
            drain: DRAIN,
            rollback_window: 0,
            on_first_sight: FirstSight::Adopt,
            services: services::Names::default(),
        }
    }

    #[test]
    fn a_challenger_gets_as_many_pods_as_its_weight_needs_and_at_least_one() {
        let needed = |weight: f64, copy: u32| {
            let weight = Percent::new(weight).unwrap();
            [Scale::MatchWeight, Scale::Full].map(|scale| workload(scale).needed(weight, copy))
        };
        assert_eq!(needed(0.0, 10), [1, 10]);
        assert_eq!(needed(5.0, 10), [1, 10]);
        assert_eq!(needed(10.001, 10), [2, 10]);
        assert_eq!(needed(50.0, 3), [2, 3]);
        assert_eq!(needed(100.0, 10), [10, 10]);
        assert_eq!(needed(100.0, 0), [1, 1]);
    }
}
