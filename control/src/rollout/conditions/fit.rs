//! What is left out of a status that would be too long: what is least needed goes first, and never
//! what a run goes on from. Pure.

use serde_json::Value;

use crate::rollout::cut::cut;

/// The longest status, in bytes, as JSON, of whatever is not at several of its maxima at once.
/// Chosen: ten thousand of them are 80 MB.
pub(super) const MAX_STATUS_BYTES: usize = 8 * 1024;

/// The longest status of all, in bytes: with as many checks, audiences and messages as there may be,
/// each as long as it may be. All of it is needed to go on.
pub(super) const MAX_FULL_STATUS_BYTES: usize = 24 * 1024;

/// How much of a source's error is left in a long status, in bytes. Chosen: thirty of them fit.
const SHORT_ERROR: usize = 64;

/// What of a check's state people read alone; the next round says it again.
const WORDS_OF_A_CHECK: [&str; 5] = ["reason", "edge", "fallback", "distance", "value"];

/// Leaves out something; whether there was anything.
type Cut = fn(&mut Value) -> bool;

/// Leaves out as much as there must be.
pub(super) fn fit(status: &mut Value) {
    let cuts: [Cut; 5] = [
        shorten_errors,
        |status| drop_first(status, "runs"),
        |status| drop_first(status, "answers"),
        drop_words_of_checks,
        drop_wanted,
    ];
    for cut in cuts {
        while status.to_string().len() > MAX_STATUS_BYTES {
            if !cut(status) {
                break;
            }
        }
    }
    if status.to_string().len() > MAX_FULL_STATUS_BYTES
        && let Some(run) = status.get_mut("run").and_then(Value::as_object_mut)
    {
        // No checks make it so long; whatever does, its evidence begins anew.
        run.remove("analysis");
    }
}

/// Leaves out the first of a list that has several; whether it had.
fn drop_first(status: &mut Value, list: &str) -> bool {
    match status.get_mut(list).and_then(Value::as_array_mut) {
        Some(list) if list.len() > 1 => {
            list.remove(0);
            true
        }
        _ => false,
    }
}

fn checks(status: &mut Value) -> impl Iterator<Item = &mut Value> {
    let checks = status.pointer_mut("/run/analysis/checks");
    checks.and_then(Value::as_array_mut).into_iter().flatten()
}

fn shorten_errors(status: &mut Value) -> bool {
    let mut has_shortened = false;
    for check in checks(status) {
        if let Some(Value::String(error)) = check.pointer_mut("/reason/error")
            && error.len() > SHORT_ERROR
        {
            *error = cut(error, SHORT_ERROR);
            has_shortened = true;
        }
    }
    has_shortened
}

fn drop_words_of_checks(status: &mut Value) -> bool {
    let mut has_dropped = false;
    for check in checks(status).filter_map(Value::as_object_mut) {
        for word in WORDS_OF_A_CHECK {
            has_dropped |= check.remove(word).is_some();
        }
    }
    has_dropped
}

/// Weights that are in force are not repeated as those that are wanted;
/// [`crate::rollout::status::Status::completed`] puts them back.
fn drop_wanted(status: &mut Value) -> bool {
    let Some(run) = status.get_mut("run").and_then(Value::as_object_mut) else {
        return false;
    };
    run.get("wanted") == run.get("weights") && run.remove("wanted").is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::json;
    use sluice_core::allocation::Percent;

    use super::*;
    use crate::rollout::analysis::tests::greatest_memory;
    use crate::rollout::conditions::{reported, written};
    use crate::rollout::notifications::message::Message;
    use crate::rollout::object::Rollout;
    use crate::rollout::resource::{Event, MAX_RECEIVERS, MAX_STEPS};
    use crate::rollout::status::{
        Answer, Ending, MAX_ANSWERS, MAX_RUN_LINE_BYTES, MAX_RUNS, MAX_SENTENCE_BYTES, Pause,
        PauseReason, Phase, Reply, Run, RunLine, RunOutcome, Status,
    };

    const NOW: Timestamp = Timestamp::MAX;

    fn long(bytes: usize) -> String {
        "x".repeat(bytes)
    }

    fn run(audiences: usize) -> Run {
        let run = json!({
            "number": 1, "began": NOW, "since": NOW, "step": 1, "stage": "Holding", "weights": {}, "wanted": {},
        });
        let weights: BTreeMap<String, Percent> = (0..audiences)
            .map(|index| (format!("{index:0>63}"), Percent::new(33.333).unwrap()))
            .collect();
        Run {
            version: Some(long(128)),
            split: long(63),
            plugin: Some(long(270)),
            challenger: long(63),
            wanted: weights.clone(),
            weights,
            ..serde_json::from_value(run).unwrap()
        }
    }

    /// A status with as much of everything as there may be.
    fn greatest() -> Status {
        let message = long(MAX_SENTENCE_BYTES);
        let ended = RunLine {
            number: u64::MAX,
            version: Some(long(128)),
            began: NOW,
            ended: NOW,
            outcome: RunOutcome::RolledBack,
            step: 50,
            message: long(MAX_RUN_LINE_BYTES),
        };
        let answer = Answer {
            number: u64::MAX,
            reply: Reply::Obeyed,
            message: long(MAX_RUN_LINE_BYTES),
        };
        let mut status = Status {
            phase: Phase::Progressing,
            message: message.clone(),
            runs: vec![ended; MAX_RUNS],
            answers: vec![answer; MAX_ANSWERS],
            ..Status::default()
        };
        status.run = Some(Run {
            analysis: greatest_memory(),
            former_abort: Some(message.clone()),
            pause: Some(Pause {
                reason: PauseReason::HandEdit,
                message: message.clone(),
                since: NOW,
            }),
            ending: Some(Ending {
                outcome: RunOutcome::RolledBack,
                message,
            }),
            ..run(MAX_STEPS)
        });
        let told = Message {
            event: Event::RolledBack,
            at: NOW,
            run: u64::MAX,
            version: Some(long(128)),
            step: Some(50),
            steps: Some(50),
            weight: Some(33.333),
            text: long(1_000),
        };
        for _ in 0..10 {
            status.messages.put(
                &told,
                (0..MAX_RECEIVERS).map(|index| format!("{index:0>16}")),
            );
        }
        status
    }

    fn as_written(status: Status) -> Value {
        let rollout = json!({"metadata": {"name": "web"}, "spec": {"split": "web"}});
        let rollout: Rollout = serde_json::from_value(rollout).unwrap();
        written(&reported(&rollout, status, NOW), None).unwrap()
    }

    #[test]
    fn a_status_with_runs_audiences_or_checks_at_their_greatest_has_eight_kilobytes() {
        let all = greatest();
        let quiet = || Status {
            run: Some(run(3)),
            ..Status::default()
        };
        let cases = [
            (
                "runs and answers",
                Status {
                    run: Some(run(3)),
                    messages: quiet().messages,
                    ..all.clone()
                },
            ),
            (
                "audiences",
                Status {
                    run: Some(run(MAX_STEPS)),
                    runs: all.runs.clone(),
                    ..quiet()
                },
            ),
            (
                "checks",
                Status {
                    run: Some(Run {
                        analysis: greatest_memory(),
                        ..run(3)
                    }),
                    runs: all.runs.clone(),
                    ..quiet()
                },
            ),
        ];
        for (label, status) in cases {
            let length = as_written(status).to_string().len();
            assert!(length <= MAX_STATUS_BYTES, "{label}: {length}");
        }
    }

    #[test]
    fn long_errors_are_shortened_before_runs_are_forgotten() {
        let mut queries = serde_json::to_value(greatest_memory()).unwrap();
        queries["checks"].as_array_mut().unwrap().drain(..10);
        let status = Status {
            run: Some(Run {
                analysis: serde_json::from_value(queries).unwrap(),
                ..run(3)
            }),
            runs: vec![greatest().runs[0].clone()],
            ..Status::default()
        };
        let error = |written: &Value| {
            let error = written.pointer("/run/analysis/checks/0/reason/error");
            error.and_then(Value::as_str).map(str::len)
        };
        let long = serde_json::to_value(&status).unwrap();
        let written = as_written(status);
        assert_eq!((error(&long), error(&written)), (Some(256), Some(64)));
        assert_eq!(written["runs"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn with_everything_at_its_greatest_only_what_a_run_goes_on_from_is_left() {
        let status = greatest();
        let written = as_written(status.clone());
        let length = written.to_string().len();
        assert!(
            (MAX_STATUS_BYTES..MAX_FULL_STATUS_BYTES).contains(&length),
            "{length}"
        );
        let read: Status = serde_json::from_value(written).unwrap();
        let (read, run) = (read.completed(), status.run.unwrap());
        let back = read.run.unwrap();
        assert_eq!((back.wanted, back.weights), (run.wanted, run.weights));
        assert_eq!(back.analysis.states().len(), 30);
        assert_eq!(read.messages, status.messages);
        assert_eq!((read.runs.len(), read.answers.len()), (1, 1));
    }
}
