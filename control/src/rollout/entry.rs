//! Whether a run may go forward: windows, then gates. A gate that has said yes is not asked again
//! for the same step; one that says no is asked again with growing pauses.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;

use super::definition::Definition;
use super::gates::{self, Answer, Gate, Question};
use super::outbound::Outbound;
use super::resource::Before;
use super::secrets::SecretReader;
use super::status::Run;
use super::windows::State;
use super::world::Forward;

/// What a host remembers of gates while it waits for them.
#[derive(Debug, Default)]
pub struct Entry {
    /// The run, its step and what it waits for.
    at: Option<(u64, usize, Before)>,
    /// Of each gate of the definition.
    asked: Vec<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    under_way: Option<JoinHandle<Answer>>,
    times: u32,
    next: Option<Timestamp>,
    answer: Option<Answer>,
}

/// Who asks, for what, and how.
pub struct Asking<'a> {
    /// The Rollout's namespace; empty of a directory.
    pub namespace: &'a str,
    /// Its name.
    pub rollout: &'a str,
    /// What it wants.
    pub definition: &'a Definition,
    /// Its run.
    pub run: &'a Run,
    /// What the run waits for.
    pub before: Before,
    /// When.
    pub now: Timestamp,
    /// The client.
    pub outbound: &'a Outbound,
    /// What reads the gates' tokens.
    pub secrets: &'a Arc<dyn SecretReader>,
}

impl Entry {
    /// Whether the run may go forward now.
    pub async fn forward(&mut self, asking: &Asking<'_>) -> Forward {
        let window = match asking.before {
            // Whoever has all users is not held back from having them.
            Before::Finish => State::Open { closes: None },
            Before::Start | Before::Step => asking.definition.windows.at(asking.now),
        };
        if let State::Closed { reason, opens } = &window {
            let opens = opens.map_or_else(String::new, |opens| format!(" until {opens}"));
            return Forward::Closed(format!("{reason}{opens}"));
        }
        let forward = self.gates(asking).await;
        match window {
            _ if forward != Forward::Open => forward,
            State::Overridden { by, reason } => {
                Forward::Overridden(format!("{reason}, overridden by {by}"))
            }
            State::Open { .. } | State::Closed { .. } => Forward::Open,
        }
    }

    /// What the gates say: asked beside the run, which looks at everything else meanwhile.
    async fn gates(&mut self, asking: &Asking<'_>) -> Forward {
        let (run, gates) = (asking.run, &asking.definition.gates);
        let at = (run.number, run.step, asking.before);
        if self.at != Some(at) || self.asked.len() != gates.len() {
            self.at = Some(at);
            self.asked = gates.iter().map(|_| Asked::default()).collect();
        }
        let mut forward = Forward::Open;
        let gates = gates.iter().zip(&mut self.asked);
        for (gate, asked) in gates.filter(|(gate, _)| is_asked(gate, asking.before)) {
            match asked.said(gate, asking).await {
                Some(Answer::Open) => {}
                Some(Answer::Closed { why }) => return Forward::Closed(why),
                None => forward = Forward::Asking,
            }
        }
        forward
    }
}

/// Before a run begins, the gates of its first step are asked too.
fn is_asked(gate: &Gate, before: Before) -> bool {
    gate.before == before || (before == Before::Start && gate.before == Before::Step)
}

fn question(gate: &Gate, asking: &Asking<'_>) -> Option<Question> {
    let run = asking.run;
    let step = asking.definition.steps.get(run.step)?;
    Some(Question {
        before: gate.before,
        namespace: asking.namespace.to_owned(),
        rollout: asking.rollout.to_owned(),
        split: run.split.clone(),
        run: run.number,
        version: run.version.clone(),
        step: run.step + 1,
        audience: step.audience.clone(),
        weight: step.weight.as_f64(),
    })
}

impl Asked {
    /// The gate's last answer; `None` while the first is on its way.
    async fn said(&mut self, gate: &Gate, asking: &Asking<'_>) -> Option<Answer> {
        let now = asking.now;
        if let Some(asked) = self.under_way.take_if(|asked| asked.is_finished()) {
            self.answer = asked.await.ok();
            self.times = self.times.saturating_add(1);
            let pause = SignedDuration::try_from(gates::pause(self.times)).ok();
            self.next = pause.and_then(|pause| now.checked_add(pause).ok());
        }
        let is_open = self.answer == Some(Answer::Open);
        let is_early = self.next.is_some_and(|next| now < next);
        if let Some(question) = question(gate, asking)
            && !(is_open || is_early || self.under_way.is_some())
        {
            let (gate, outbound) = (gate.clone(), asking.outbound.clone());
            let secrets = Arc::clone(asking.secrets);
            self.under_way = Some(tokio::spawn(async move {
                gates::ask(&gate, &question, &outbound, &*secrets).await
            }));
        }
        self.answer.clone()
    }
}
