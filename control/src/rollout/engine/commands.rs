//! What people asked for: one command a turn, each once.

use super::turn::{EventKind, Turn, is_anybody_there};
use crate::rollout::commands::{Command, Verb, to_obey};
use crate::rollout::status::{Answer, PauseReason, Phase, Reply, Run, RunOutcome, Stage, line};
use crate::rollout::world::SplitSeen;

impl Turn<'_> {
    /// Obeys the next command; whether there was one.
    pub(super) fn obey(&mut self) -> bool {
        let mut commands = to_obey(&self.world.commands, self.status.handled_command);
        let Some(command) = commands.next() else {
            return false;
        };
        self.status.handled_command = command.number;
        let reply = match self.obeyed(command) {
            Ok(()) => Reply::Obeyed,
            Err(why) => {
                let Command { verb, by, .. } = command;
                let refused = format!("`{}` of {by}: {why}", verb.as_str());
                self.say(EventKind::Refused, refused);
                Reply::Refused
            }
        };
        let said = self.events.first().map(|event| &*event.message);
        self.status.answer(Answer {
            number: command.number,
            reply,
            message: line(said.unwrap_or(silently(command.verb))),
        });
        true
    }

    fn obeyed(&mut self, command: &Command) -> Result<(), &'static str> {
        let is_under_way = self.status.phase.is_under_way();
        match command.verb {
            Verb::Start | Verb::Retry | Verb::Finish | Verb::Release if is_under_way => {
                Err("a run is under way")
            }
            Verb::Release => self.release(),
            Verb::Retry if self.handing_back().is_some() => self.take_everything_back(),
            Verb::Start if self.handing_back().is_some() => {
                Err("everything is handed back; `sluice rollout retry` takes it back")
            }
            // Its users are back, or on their way: an abort may be said twice.
            Verb::Abort if self.is_aborted() => Ok(()),
            Verb::Retry if !self.status.phase.is_failure() => match self.try_services_again() {
                true => {
                    self.note(asked("Services are set again, as asked", command));
                    Ok(())
                }
                false => Err("the last run did not fail"),
            },
            Verb::Start | Verb::Retry => {
                self.try_services_again();
                self.status.is_start_wanted = true;
                Ok(())
            }
            Verb::Finish if self.definition.workload.is_some() => {
                Err("the copy of a workload is given the new version by the controller")
            }
            Verb::Finish => {
                self.status.is_finishing = true;
                Ok(())
            }
            Verb::Abort if self.may_be_undone() => {
                self.undo(RunOutcome::Aborted, &asked("aborted", command));
                Ok(())
            }
            _ if !is_under_way => Err("no run is under way"),
            _ if self.status.phase == Phase::RollingBack => Err("the run takes its users back"),
            Verb::Pause => {
                self.pause(PauseReason::Asked, asked("paused", command));
                Ok(())
            }
            Verb::Resume => self.resume(command),
            Verb::Skip => self.skip(command),
            Verb::Approve => self.approve(command),
            Verb::PromoteFull => {
                self.promote(command);
                Ok(())
            }
            Verb::Abort => {
                self.end_as(RunOutcome::Aborted, asked("aborted", command));
                Ok(())
            }
        }
    }

    fn is_aborted(&self) -> bool {
        let run = self.status.run.as_ref();
        let ending = run.and_then(|run| run.ending.as_ref());
        ending.is_some_and(|ending| ending.outcome == RunOutcome::Aborted)
    }

    fn resume(&mut self, command: &Command) -> Result<(), &'static str> {
        let run = self.status.run.as_mut();
        let Some(run) = run.filter(|run| run.pause.is_some()) else {
            return Err("the run is not paused");
        };
        let is_to_set_again = run.pause.take().is_some_and(|pause| {
            matches!(pause.reason, PauseReason::HandEdit | PauseReason::Refused)
        });
        if is_to_set_again && let SplitSeen::Seen(seen) = &self.world.split {
            // What stands there now is what the step moves from.
            run.weights.clone_from(&seen.weights);
            if run.stage != Stage::Entering {
                run.stage = Stage::Moving;
            }
        }
        self.forget_waiting();
        self.try_services_again();
        self.status.phase = Phase::Progressing;
        self.say(EventKind::Resumed, asked("resumed", command));
        Ok(())
    }

    fn skip(&mut self, command: &Command) -> Result<(), &'static str> {
        match self.status.run.as_ref().map(|run| run.stage) {
            Some(Stage::Converging | Stage::Holding | Stage::Approval) => {
                self.pass(asked("skipped", command));
                Ok(())
            }
            _ => Err("no step is held"),
        }
    }

    fn approve(&mut self, command: &Command) -> Result<(), &'static str> {
        let steps = &self.definition.steps;
        let needs_approval =
            |run: &&mut Run| steps.get(run.step).is_some_and(|step| step.needs_approval);
        let run = self.status.run.as_mut().filter(needs_approval);
        let run = run.ok_or("the step waits for no approval")?;
        if run.stage == Stage::Entering {
            return Err("the step has not begun");
        }
        run.is_approved = true;
        self.say(EventKind::Resumed, asked("approved", command));
        Ok(())
    }

    fn promote(&mut self, command: &Command) {
        let last = self.definition.steps.len().saturating_sub(1);
        if let Some(run) = &mut self.status.run {
            run.is_full = true;
            run.pause = None;
            if run.step < last {
                run.step = last;
                run.stage = Stage::Entering;
            }
        }
        self.status.phase = Phase::Progressing;
        self.say(
            EventKind::Resumed,
            asked("promoted to the last step", command),
        );
    }

    /// Takes the weight to 0 because somebody said that the fallback is the new version; whether
    /// that is what this turn did.
    pub(super) fn finish(&mut self) -> bool {
        if !self.status.is_finishing {
            return false;
        }
        if let SplitSeen::Seen(seen) = &self.world.split
            && !is_anybody_there(&seen.weights)
        {
            self.status.is_finishing = false;
            if self.definition.workload.is_none() || self.status.phase != Phase::Succeeded {
                self.status.phase = Phase::Idle;
            }
            self.say(EventKind::Passed, "finished: the challenger's weight is 0");
        } else if let Some(why) = self.weights_failure() {
            let message = format!("finishing: the challenger's weight is not 0 yet: {why}");
            self.say_once(EventKind::Unfollowed, self.status.phase, message);
        }
        true
    }
}

/// What is done of which nothing happens at once.
const fn silently(verb: Verb) -> &'static str {
    match verb {
        Verb::Start | Verb::Retry => "a run is to begin",
        Verb::Finish => "the challenger's weight is to be 0",
        Verb::Release => "that is what is done already",
        _ => "there was nothing left to do",
    }
}

fn asked(what: &str, command: &Command) -> String {
    match &command.reason {
        Some(reason) => format!("{what} by {}: {reason}", command.by),
        None => format!("{what} by {}", command.by),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::rollout::definition::Definition;
    use crate::rollout::engine::advance;
    use crate::rollout::status::{MAX_ANSWERS, Status};
    use crate::rollout::workload::services::Seen;
    use crate::rollout::world::{Peers, ProxiesSeen, SplitState, World};

    fn world(verbs: &[Verb]) -> World {
        let command = |(at, verb): (usize, &Verb)| Command {
            number: at as u64 + 1,
            verb: *verb,
            by: "ann".to_owned(),
            reason: None,
        };
        World {
            now: Timestamp::UNIX_EPOCH,
            split: SplitSeen::Seen(SplitState::default()),
            proxies: ProxiesSeen::Nobody,
            tripped: None,
            reached: None,
            round: None,
            forward: crate::rollout::world::Forward::Open,
            commands: verbs.iter().enumerate().map(command).collect(),
            peers: Peers::default(),
            failure: None,
            workload: None,
            services: Seen::default(),
        }
    }

    /// Every command, one a turn, of a run whose first step waits for its weight.
    fn answers(verbs: &[Verb]) -> Vec<String> {
        let spec =
            json!({"split": "web", "version": "v1", "steps": [{"weight": 5}, {"weight": 100}]});
        let definition = Definition::read("spec", &spec).unwrap();
        let begun = advance(&definition, &Status::default(), &world(&[]));
        let world = world(verbs);
        let mut status = begun.status;
        for _ in verbs {
            status = advance(&definition, &status, &world).status;
        }
        let answers = status.answers.iter();
        let answers = answers.map(
            |Answer {
                 number,
                 reply,
                 message,
             }| format!("{number} {reply:?}: {message}"),
        );
        answers.collect()
    }

    #[test]
    fn every_command_is_answered_by_its_number() {
        let verbs = [
            Verb::Pause,
            Verb::Skip,
            Verb::Retry,
            Verb::Abort,
            Verb::Abort,
        ];
        let expected = [
            "1 Obeyed: paused by ann",
            "2 Refused: `skip` of ann: no step is held",
            "3 Refused: `retry` of ann: a run is under way",
            "4 Obeyed: aborted by ann",
            "5 Obeyed: there was nothing left to do",
        ];
        assert_eq!(answers(&verbs), expected);
    }

    #[test]
    fn only_the_last_answers_are_remembered() {
        let answers = answers(&[Verb::Pause; MAX_ANSWERS + 3]);
        assert_eq!(answers.len(), MAX_ANSWERS);
        assert_eq!(answers[0], "4 Obeyed: paused by ann");
    }
}
