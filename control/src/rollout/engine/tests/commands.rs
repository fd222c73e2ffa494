//! What people ask for.

use serde_json::json;
use sluice_core::allocation::Percent;

use super::story::{Story, ramp};
use crate::rollout::analysis::Verdict;
use crate::rollout::commands::{Command, Verb, next_number};
use crate::rollout::status::Phase;

#[test]
fn finish_takes_the_weight_to_zero_and_lets_the_next_run_begin() {
    let mut story = ramp();
    story
        .seen()
        .weights
        .insert("everyone".to_owned(), Percent::HUNDRED);
    story.after(1);
    assert_eq!(story.phase(), Phase::Blocked);
    story.ask(Verb::Finish);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 5")
    );
}

#[test]
fn a_command_whose_number_is_far_ahead_blocks_no_other() {
    let mut story = ramp();
    story.settle();
    story.world.commands.push(Command {
        number: u64::MAX,
        verb: Verb::Abort,
        by: "neighbour".to_owned(),
        reason: None,
    });
    story.settle();
    assert_eq!(
        (story.phase(), story.status.handled_command),
        (Phase::Progressing, 0)
    );
    assert_eq!(next_number(&story.world.commands, 0), 1);
}

#[test]
fn approval_is_waited_for_under_watch() {
    let mut story = Story::new(json!({"split": "web", "version": "v1", "steps": [
        {"weight": 5, "approval": true}, {"weight": 100},
    ]}))
    .analysed();
    story.verdict = Some(Verdict::Pass);
    story.after(100);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Progressing, "everyone 5")
    );
    assert_eq!(
        story.last(),
        "ApprovalWanted: step 1 waits for `sluice rollout approve`"
    );
    let mut approved = ramp();
    approved.settle();
    approved.ask(Verb::Approve);
    assert_eq!(
        approved.last(),
        "Refused: `approve` of ann: the step waits for no approval"
    );
    story.ask(Verb::Approve).after(1);
    assert_eq!(story.weights(), "everyone 100");
}

#[test]
fn people_pause_skip_promote_and_abort() {
    let mut story = ramp();
    story.settle();
    story.ask(Verb::Pause).after(60);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Paused, "everyone 5")
    );
    assert_eq!(
        story.ask(Verb::Resume).weights(),
        "everyone 50",
        "the hold is over"
    );
    let mut story = ramp();
    story.settle();
    story.ask(Verb::Skip);
    assert_eq!(story.weights(), "everyone 50");
    story.ask(Verb::PromoteFull);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Succeeded, "everyone 100")
    );
    let mut story = ramp();
    story.settle();
    story.ask(Verb::Abort);
    assert_eq!(
        (story.phase(), &*story.weights()),
        (Phase::Aborted, "everyone 0")
    );
    assert_eq!(story.last(), "Aborted: aborted by ann");
}
