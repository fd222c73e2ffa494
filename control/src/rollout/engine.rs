//! What a Rollout does next: pure, from its definition, its status and what was seen, to another
//! status and what is to be done.
//!
//! A host keeps the status before it acts, and actions follow from the status alone: a host that
//! dies between any two of them leaves nothing undone, and doing one twice changes nothing. One
//! transition a call; a host calls again at once while [`Advance::is_to_repeat`].
//!
//! `begin` says when a run begins, `handing_back` what is done instead of runs, `commands` what people
//! asked for, `ends` what takes a run back, `undo` what does so at its end, `steps` how it goes on,
//! `services` what becomes of clients that are not routed by a header, [`wants`] what a host is to look
//! at before.

mod begin;
mod clock;
mod commands;
mod ends;
mod handing_back;
mod services;
mod steps;
mod turn;
mod undo;
mod wants;
mod workload;

use std::collections::BTreeMap;

use sluice_core::allocation::Percent;

pub use handing_back::routes;
pub use turn::{Action, Event, EventKind};
pub use wants::{LOOK_EVERY, RoundDue, Wants, wants};

use super::definition::Definition;
use super::status::{Run, Stage, Status};
use super::workload::services::Selection;
use super::world::{SplitSeen, World};
use crate::operations::set::Draw;
use turn::{Turn, is_anybody_there};

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Advance {
    /// The status, to be kept before anything is done.
    pub status: Status,
    /// What is to be done, in this order; the first that fails ends the list.
    pub actions: Vec<Action>,
    /// What happened, for people.
    pub events: Vec<Event>,
    /// Whether the status changed so that the engine wants to be asked again at once.
    pub is_to_repeat: bool,
}

/// The next transition.
pub fn advance(definition: &Definition, status: &Status, world: &World) -> Advance {
    let mut turn = Turn {
        definition,
        world,
        status: status.clone(),
        events: Vec::new(),
        workload_action: None,
    };
    turn.step();
    let selections = turn.select_services();
    let is_to_repeat = is_another(status, &turn.status);
    let actions = turn.actions(selections);
    Advance {
        status: turn.status,
        actions,
        events: turn.events,
        is_to_repeat,
    }
}

/// Whether a status changed in more than its words.
fn is_another(before: &Status, after: &Status) -> bool {
    let silent = |status: &Status| Status {
        message: String::new(),
        ..status.clone()
    };
    silent(before) != silent(after)
}

impl Turn<'_> {
    fn step(&mut self) {
        self.come_back_to_now();
        self.note_workload();
        self.note_services();
        if self.obey() || self.finish() {
            return;
        }
        match self.status.run.as_ref().map(|run| run.stage) {
            Some(Stage::Over) if self.was_undone() => {}
            None | Some(Stage::Over) => {
                if !self.hand_back() && self.rest() {
                    self.begin();
                }
            }
            Some(Stage::GoingBack) => {
                self.mend_copy();
                self.go_back();
            }
            Some(_) if self.ends() => {}
            Some(stage) => {
                if !self.keep_up(stage) {
                    self.go_on(stage);
                }
            }
        }
    }

    /// What is to be done: with weights by the status alone, then with the workload as it was seen.
    fn actions(&mut self, selections: Vec<Selection>) -> Vec<Action> {
        let mut actions = self.weight_actions();
        actions.extend(selections.into_iter().map(Action::Select));
        let action = self.workload_action.take();
        let action = action.or_else(|| self.autoscaler_action());
        actions.extend(action.map(Action::Workload));
        actions
    }

    fn weight_actions(&self) -> Vec<Action> {
        let SplitSeen::Seen(seen) = &self.world.split else {
            return match self.status.run.as_ref() {
                // What cannot be read may still be written; what is missing may come back.
                Some(run) if run.stage == Stage::GoingBack => vec![self.take_back(run)],
                _ => Vec::new(),
            };
        };
        if self.status.is_finishing {
            return self.zeros(&seen.weights);
        }
        if self.status.under_way().is_none() {
            let hundred = handing_back::next_hundred(self.handing_back(), &seen.weights);
            return hundred.into_iter().collect();
        }
        let Some(run) = self.status.run.as_ref() else {
            return Vec::new();
        };
        match run.stage {
            Stage::GoingBack if is_anybody_there(&seen.weights) => vec![self.take_back(run)],
            Stage::Moving if run.pause.is_none() => {
                next_weight(run, &seen.weights).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn zeros(&self, weights: &BTreeMap<String, Percent>) -> Vec<Action> {
        let mut users = weights
            .iter()
            .filter(|(_, percent)| **percent > Percent::ZERO);
        let first = users.next().map(|(audience, _)| Action::Set {
            audience: audience.clone(),
            percent: Percent::ZERO,
            draw: Draw::Same,
        });
        first.into_iter().collect()
    }

    fn take_back(&self, run: &Run) -> Action {
        let ending = run.ending.as_ref();
        Action::TakeBack {
            why: ending.map_or_else(String::new, |ending| ending.message.clone()),
        }
    }
}

/// Sets the next weight that is not as the step wants it.
fn next_weight(run: &Run, weights: &BTreeMap<String, Percent>) -> Option<Action> {
    let weight = |audience: &str| weights.get(audience).copied().unwrap_or_default();
    let different = run.wanted.iter();
    let different = different.filter(|(audience, percent)| weight(audience) != **percent);
    // Users go back before others come.
    let (audience, percent) =
        different.min_by_key(|(audience, percent)| **percent > weight(audience))?;
    let draw = match run.is_to_redraw && !is_anybody_there(weights) {
        true => Draw::Anew,
        false => Draw::Same,
    };
    Some(Action::Set {
        audience: audience.clone(),
        percent: *percent,
        draw,
    })
}

#[cfg(test)]
mod tests;
