//! A world with a clock of its own, in which a run is told.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sluice_core::allocation::Percent;

use crate::operations::set::Draw;
use crate::rollout::analysis::{Judged, Memory, Verdict};
use crate::rollout::commands::{Command, Verb};
use crate::rollout::definition::Definition;
use crate::rollout::engine::{Action, advance, wants};
use crate::rollout::status::{Phase, Status};
use crate::rollout::workload::services::Seen;
use crate::rollout::world::{Forward, Peers, ProxiesSeen, SplitSeen, SplitState, World};

/// A store, a clock and whatever else a world has.
pub(super) struct Story {
    pub(super) definition: Definition,
    pub(super) status: Status,
    pub(super) world: World,
    pub(super) verdict: Option<Verdict>,
    pub(super) said: Vec<String>,
    pub(super) draws: usize,
    /// Whether templates that were promoted are not to be had any more.
    pub(super) has_forgotten: bool,
    /// Whether no Service is set.
    pub(super) refuses: bool,
}

impl Story {
    pub(super) fn new(spec: Value) -> Self {
        let definition = Definition::read("spec", &spec).unwrap();
        let weights = definition.weights_at(0).into_keys();
        let weights = weights.map(|audience| (audience, Percent::ZERO)).collect();
        Self {
            definition,
            status: Status::default(),
            world: World {
                now: Timestamp::UNIX_EPOCH,
                split: SplitSeen::Seen(SplitState {
                    weights,
                    ..SplitState::default()
                }),
                proxies: ProxiesSeen::Nobody,
                tripped: None,
                reached: None,
                round: None,
                forward: Forward::Open,
                commands: Vec::new(),
                peers: Peers::default(),
                failure: None,
                workload: None,
                services: Seen::default(),
            },
            verdict: None,
            said: Vec::new(),
            draws: 0,
            has_forgotten: false,
            refuses: false,
        }
    }

    pub(super) fn analysed(mut self) -> Self {
        let analysis =
            json!({"checks": [{"name": "errors", "metric": "errorRate", "fail": "> 1%"}]});
        let mut spec = json!({"split": "web", "preset": "progressive"});
        spec["analysis"] = analysis;
        self.definition.analysis = Definition::read("spec", &spec).unwrap().analysis;
        self
    }

    pub(super) fn seen(&mut self) -> &mut SplitState {
        match &mut self.world.split {
            SplitSeen::Seen(seen) => seen,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn weights(&self) -> String {
        let SplitSeen::Seen(seen) = &self.world.split else {
            panic!("no split");
        };
        let weights = seen.weights.iter();
        let weights: Vec<String> = weights
            .map(|(who, percent)| format!("{who} {percent}"))
            .collect();
        weights.join(", ")
    }

    /// One turn, without a clock; actions are done.
    pub(super) fn turn(&mut self) -> bool {
        self.recall();
        let advance = advance(&self.definition, &self.status, &self.world);
        self.status = advance.status;
        let events = advance.events.into_iter();
        self.said
            .extend(events.map(|event| format!("{:?}: {}", event.kind, event.message)));
        self.world.failure = None;
        let is_done = |action: &Action| !(self.refuses && matches!(action, Action::Select(_)));
        let has_acted = advance.actions.iter().any(is_done);
        for action in advance.actions {
            self.act(action);
        }
        advance.is_to_repeat || has_acted
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Set {
                audience,
                percent,
                draw,
            } => {
                self.draws += usize::from(draw == Draw::Anew);
                self.seen().weights.insert(audience, percent);
            }
            Action::TakeBack { why } => {
                for percent in self.seen().weights.values_mut() {
                    *percent = Percent::ZERO;
                }
                self.seen().last_abort = Some(format!("ours: {why}"));
                self.seen().last_abort_id = Some(format!("ours: {why}"));
            }
            Action::Workload(action) => self.tend(action),
            Action::Select(selection) => self.select(&selection),
        }
    }

    /// As a host would: what is due is looked at, turns until nothing changes.
    pub(super) fn settle(&mut self) {
        for _ in 0..30 {
            let wants = wants(&self.definition, &self.status, self.world.now);
            self.world.round = self
                .verdict
                .clone()
                .filter(|_| wants.round.is_some())
                .map(judgement);
            let is_to_repeat = self.turn();
            self.world.round = None;
            if !is_to_repeat {
                return;
            }
        }
        panic!("no end: {:?}", self.status);
    }

    pub(super) fn after(&mut self, seconds: i64) -> &mut Self {
        for _ in 0..seconds {
            self.world.now += SignedDuration::from_secs(1);
            self.settle();
        }
        self
    }

    pub(super) fn ask(&mut self, verb: Verb) -> &mut Self {
        let number = self.world.commands.len() as u64 + 1;
        self.world.commands.push(Command {
            number,
            verb,
            by: "ann".to_owned(),
            reason: None,
        });
        self.settle();
        self
    }

    pub(super) fn phase(&self) -> Phase {
        self.status.phase
    }

    pub(super) fn last(&self) -> &str {
        self.said.last().map_or("", String::as_str)
    }
}

pub(super) fn ramp() -> Story {
    Story::new(json!({"split": "web", "version": "v1", "steps": [
        {"weight": 5, "hold": "10s"}, {"weight": 50, "hold": "10s"}, {"weight": 100},
    ]}))
}

pub(super) fn judgement(verdict: Verdict) -> Judged {
    Judged {
        verdict,
        memory: Memory::default(),
        anew: Vec::new(),
    }
}

pub(super) fn percent(number: f64) -> Percent {
    Percent::new(number).unwrap()
}
