//! Asking something of a Rollout: a command is left where whoever runs it finds it, and what became
//! of it is looked up. Nothing counts as done because it was asked.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::commands::Verb;
use super::rollouts::{Found, Host, Hosting, RolloutError, RolloutStore};
use super::status::{Phase, Reply};
use crate::operations::Caller;

/// How often what became of a command is looked up. Chosen: people wait for it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Of which Rollout.
    pub rollout: &'a str,
    /// What.
    pub verb: Verb,
    /// Why.
    pub reason: Option<&'a str>,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The Rollout.
    pub rollout: String,
    /// What was asked.
    pub command: &'static str,
    /// The command's number.
    pub number: u64,
    /// What became of it.
    pub outcome: Became,
    /// In a sentence.
    pub message: String,
    /// What the Rollout does then.
    pub phase: Phase,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Became {
    /// It was obeyed.
    Obeyed,
    /// It was refused.
    Refused,
    /// It lies there until somebody runs the Rollout.
    Left,
    /// Nobody answered in time.
    Unanswered,
    /// It was answered, and so many others since that nobody remembers how.
    Forgotten,
}

/// Asks, and waits for what becomes of it.
///
/// # Errors
/// When there is no such Rollout, or it cannot be read or asked.
pub async fn ask(
    store: &RolloutStore,
    caller: &Caller,
    order: Order<'_>,
) -> Result<Asked, RolloutError> {
    // A name that nobody has leaves no file behind.
    store.one(order.rollout).await?;
    let number = store
        .ask(order.rollout, order.verb, caller, order.reason)
        .await?;
    let deadline = Instant::now() + order.patience;
    loop {
        let found = store.one(order.rollout).await?;
        let became = became(&found, number);
        let became =
            became.or_else(|| (Instant::now() >= deadline).then(|| late(store, &found, &order)));
        if let Some((outcome, message)) = became {
            return Ok(Asked {
                rollout: found.title(),
                command: order.verb.as_str(),
                number,
                message: match outcome {
                    Became::Left => left(store, &found, &order, number),
                    _ => message,
                },
                outcome,
                phase: found.status.phase,
            });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What became of a command as far as the Rollout's status tells; `None` while it may still be
/// answered.
fn became(found: &Found, number: u64) -> Option<(Became, String)> {
    let status = &found.status;
    if status.handled_command < number {
        return (found.host == Host::Nobody).then(|| (Became::Left, String::new()));
    }
    let mut answers = status.answers.iter();
    let Some(answer) = answers.rfind(|answer| answer.number == number) else {
        let message = "it was answered, and more commands since than answers are kept".to_owned();
        return Some((Became::Forgotten, message));
    };
    let outcome = match answer.reply {
        Reply::Obeyed => Became::Obeyed,
        Reply::Refused => Became::Refused,
    };
    Some((outcome, answer.message.clone()))
}

fn left(store: &RolloutStore, found: &Found, order: &Order<'_>, number: u64) -> String {
    let Order { rollout, verb, .. } = order;
    format!(
        "nobody runs Rollout {rollout} of {}; `{}` is left as command {number} for whoever does: {}",
        store.title(),
        verb.as_str(),
        store.runner(found.runner)
    )
}

fn late(store: &RolloutStore, found: &Found, order: &Order<'_>) -> (Became, String) {
    let Order {
        rollout, patience, ..
    } = order;
    let seconds = patience.as_secs_f64();
    let nobody = match found.runner {
        Hosting::Foreground => "the process that runs it did not answer",
        Hosting::Controller => "no controller answered",
    };
    let message = format!(
        "{nobody} within {seconds} s; the command stays with Rollout {rollout} until {} obeys it, and `sluice rollout \
         status {rollout}` shows when",
        store.runner(found.runner)
    );
    (Became::Unanswered, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::peers::Summary;
    use crate::rollout::status::{Answer, Status};

    fn found(handled_command: u64, host: Host) -> Found {
        let answer = |number, reply, message: &str| Answer {
            number,
            reply,
            message: message.to_owned(),
        };
        Found {
            namespace: None,
            rollout: Summary::default(),
            plugin: None,
            steps: Vec::new(),
            checks: Vec::new(),
            status: Status {
                handled_command,
                answers: vec![
                    answer(3, Reply::Refused, "`skip` of ann: no step is held"),
                    answer(4, Reply::Obeyed, "paused by ann"),
                ],
                ..Status::default()
            },
            waiting: Vec::new(),
            host,
            runner: Hosting::Foreground,
            mistakes: Vec::new(),
            is_of_spec: true,
        }
    }

    #[test]
    fn what_became_of_a_command_is_what_its_answer_says() {
        let cases = [
            (
                "obeyed",
                4,
                4,
                Host::Running,
                Some((Became::Obeyed, "paused by ann")),
            ),
            (
                "refused",
                4,
                3,
                Host::Nobody,
                Some((Became::Refused, "`skip` of ann: no step is held")),
            ),
            ("not yet", 4, 5, Host::Running, None),
            (
                "who knows whether anybody is there",
                4,
                5,
                Host::Unknown,
                None,
            ),
            (
                "never, as it is",
                4,
                5,
                Host::Nobody,
                Some((Became::Left, "")),
            ),
            (
                "too long ago",
                9,
                2,
                Host::Running,
                Some((
                    Became::Forgotten,
                    "it was answered, and more commands since than answers are kept",
                )),
            ),
        ];
        for (label, handled, number, host, expected) in cases {
            let became = became(&found(handled, host), number);
            let expected = expected.map(|(became, message)| (became, message.to_owned()));
            assert_eq!(became, expected, "{label}");
        }
    }
}
