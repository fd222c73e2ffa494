//! What a person reads of Rollouts: a table of all, a tree of one, a line for what changed.

use std::time::Duration;

use crate::command::output::{self, quoted};
use crate::rollout::analysis::Standing;
use crate::rollout::rollouts::Host;
use crate::rollout::status::{Run, RunLine, Stage};
use crate::rollout::view::{InForce, StepState, StepView, View};

/// How many of the last runs a tree has.
const RUNS: usize = 3;

/// All, and why others could not be read.
pub(super) fn all(views: &[View], unread: &[String]) -> String {
    let errors = unread.iter().map(|why| format!("error: {}", quoted(why)));
    let lines: Vec<String> = table(views, unread).into_iter().chain(errors).collect();
    lines.join("\n")
}

/// All, a line each; nothing where none could be read.
pub(super) fn table(views: &[View], unread: &[String]) -> Option<String> {
    match (views, unread) {
        ([], []) => Some("there is no Rollout".to_owned()),
        ([], _) => None,
        _ => Some(rows(views)),
    }
}

fn rows(views: &[View]) -> String {
    let has_namespaces = views.iter().any(|view| view.namespace.is_some());
    let mut header = vec![
        "NAME", "SPLIT", "VERSION", "PHASE", "STEP", "WEIGHT", "MESSAGE",
    ];
    if has_namespaces {
        header.insert(0, "NAMESPACE");
    }
    let rows = views.iter().map(|view| {
        let run = view.status.run.as_ref();
        let mut row = vec![
            view.name.clone(),
            view.split.clone(),
            view.version.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{:?}", view.status.phase),
            run.map_or_else(|| "-".to_owned(), |run| step_of(run, view)),
            run.map_or_else(|| "-".to_owned(), weights),
            reason(view),
        ];
        if has_namespaces {
            row.insert(0, view.namespace.clone().unwrap_or_default());
        }
        row
    });
    output::columns(header, rows).trim_end().to_owned()
}

/// What changed is in this line; the time that is left is not.
pub(super) fn line(view: &View) -> String {
    let run = view.status.run.as_ref();
    let at = run.map_or_else(String::new, |run| {
        format!(
            ", run {}, step {}, {}",
            run.number,
            step_of(run, view),
            weights(run)
        )
    });
    let phase = view.status.phase;
    format!("{}  {phase:?}{at}: {}", view.name, quoted(reason(view)))
}

/// One, with everything that is known of it.
pub(super) fn tree(view: &View) -> String {
    let status = &view.status;
    let run = status.run.as_ref();
    let mut lines = vec![head(view, run), quoted(reason(view))];
    let mut branches: Vec<(String, Vec<String>)> = Vec::new();
    let steps = view.steps.iter().enumerate();
    let steps = steps
        .map(|(index, step)| step_line(index, step, run))
        .collect();
    branches.push(("steps".to_owned(), steps));
    branches.push(("weights".to_owned(), weight_lines(view, run)));
    if let Some(in_force) = &view.in_force {
        branches.extend(in_force_lines(in_force));
    }
    branches.push(("checks".to_owned(), check_lines(view)));
    if let Some(pause) = run.and_then(|run| run.pause.as_ref()) {
        let why = format!("{:?}: {}", pause.reason, quoted(&pause.message));
        branches.push(("paused".to_owned(), vec![why]));
    }
    if let Some(brought) = run.and_then(|run| run.straight) {
        let before = match brought {
            0 => "the copy was made of this version".to_owned(),
            run => format!("run {run} brought this version before"),
        };
        let says = format!("{before}: straight at the last step, nothing is measured");
        branches.push(("rollback window".to_owned(), vec![says]));
    }
    if let Some(overridden) = run.and_then(|run| run.overridden.as_ref()) {
        let (step, by) = (overridden.step + 1, quoted(&overridden.by));
        branches.push(("windows".to_owned(), vec![format!("step {step}: {by}")]));
    }
    let kept = status.workload.as_ref();
    let services = kept.and_then(|kept| kept.services.trouble.as_ref());
    branches.push((
        "services".to_owned(),
        services.map(quoted).into_iter().collect(),
    ));
    let mistakes = view.mistakes.iter().map(quoted).collect();
    branches.push(("mistakes in its spec".to_owned(), mistakes));
    branches.push((
        "unknown".to_owned(),
        view.unknown.iter().map(quoted).collect(),
    ));
    let runs = status.runs.iter().rev().take(RUNS);
    branches.push(("last runs".to_owned(), runs.map(run_line).collect()));
    branches.retain(|(_, leaves)| !leaves.is_empty());
    let last = branches.len().saturating_sub(1);
    for (index, (title, leaves)) in branches.into_iter().enumerate() {
        lines.extend(branch(&title, leaves, index == last));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn branch(title: &str, leaves: Vec<String>, is_last: bool) -> Vec<String> {
    let (corner, stem) = if is_last {
        ("└─", "   ")
    } else {
        ("├─", "│  ")
    };
    let end = leaves.len().saturating_sub(1);
    let leaves = leaves.into_iter().enumerate().map(|(index, leaf)| {
        let corner = if index == end { "└─" } else { "├─" };
        format!("{stem}{corner} {leaf}")
    });
    std::iter::once(format!("{corner} {title}"))
        .chain(leaves)
        .collect()
}

fn head(view: &View, run: Option<&Run>) -> String {
    let name = match &view.namespace {
        Some(namespace) => format!("{namespace}/{}", view.name),
        None => view.name.clone(),
    };
    let mut head = format!("{name}: {:?}", view.status.phase);
    if let Some(run) = run {
        let version = run.version.as_deref().unwrap_or("a version");
        head += &format!(
            ", run {} of {}, step {}",
            run.number,
            quoted(version),
            step_of(run, view)
        );
    }
    let wanted = view.version.as_ref();
    if let Some(wanted) = wanted.filter(|_| run.map(|run| &run.version) != Some(&view.version)) {
        head += &format!("; {} is wanted", quoted(wanted));
    }
    if view.host == Host::Nobody && view.is_abandoned() {
        head += "; nobody runs it";
    }
    match view.waiting_commands {
        0 => head,
        1 => head + "; a command waits",
        many => head + &format!("; {many} commands wait"),
    }
}

/// `2 of 5`.
fn step_of(run: &Run, view: &View) -> String {
    match view.steps.len() {
        0 => format!("{} of ?", run.step + 1),
        steps => format!("{} of {steps}", run.step + 1),
    }
}

/// Why it is as it is.
fn reason(view: &View) -> String {
    match view.mistakes.len() {
        0 if !view.is_of_spec => match &*view.status.message {
            "" => "no controller has seen its spec yet".to_owned(),
            before => format!("no controller has seen its spec yet; before: {before}"),
        },
        0 => view.status.message.clone(),
        1 => "its spec has 1 mistake".to_owned(),
        many => format!("its spec has {many} mistakes"),
    }
}

/// What the run wants: `5 %`, or `everyone 5 %, staff 100 %`.
fn weights(run: &Run) -> String {
    match run.wanted.iter().collect::<Vec<_>>().as_slice() {
        [(_, only)] => format!("{only} %"),
        several => {
            let each = several
                .iter()
                .map(|(audience, percent)| format!("{audience} {percent} %"));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

fn step_line(index: usize, step: &StepView, run: Option<&Run>) -> String {
    let sign = match step.state {
        StepState::Done => "✔",
        StepState::Current => "▶",
        StepState::Ended => "✖",
        StepState::ToCome => "○",
    };
    let line = &step.step;
    let mut text = format!(
        "{sign} {}: {} % of {}",
        index + 1,
        line.weight,
        line.audience
    );
    if !line.length().is_zero() {
        text += &format!(", held {}", line.hold);
    }
    if line.approval {
        text += ", then an approval";
    }
    if step.state == StepState::Current {
        let stage = run.map(|run| stage(run.stage)).unwrap_or_default();
        text += &format!(" ({stage}");
        text += &step
            .left
            .as_ref()
            .map_or_else(String::new, |left| format!(", {left} left"));
        text += ")";
    }
    text
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Entering => "waits to begin",
        Stage::Moving => "its weight is being set",
        Stage::Converging => "proxies are to follow",
        Stage::Holding => "held",
        Stage::Approval => "waits for an approval",
        Stage::GoingBack => "users are taken back",
        Stage::Over => "over",
    }
}

fn weight_lines(view: &View, run: Option<&Run>) -> Vec<String> {
    let in_force = view.in_force.as_ref().map(|in_force| &in_force.weights);
    let Some(run) = run else {
        let weights = in_force.into_iter().flatten();
        return weights
            .map(|(audience, percent)| format!("{audience}: {percent} % in force"))
            .collect();
    };
    let wanted = run.wanted.iter();
    wanted
        .map(|(audience, percent)| {
            let there = in_force.and_then(|weights| weights.get(audience));
            let there = there.map_or_else(|| "unknown".to_owned(), |there| format!("{there} %"));
            match run.stage {
                Stage::Over | Stage::GoingBack => format!("{audience}: {there} in force"),
                _ => format!("{audience}: {percent} % wanted, {there} in force"),
            }
        })
        .collect()
}

fn in_force_lines(in_force: &InForce) -> Vec<(String, Vec<String>)> {
    let mut branches = Vec::new();
    if let Some(follow) = &in_force.proxies {
        let mut leaves = vec![format!("{} of {} follow", follow.converged, follow.total)];
        leaves.extend(
            follow
                .lagging
                .iter()
                .map(|lagging| format!("not yet: {}", quoted(lagging))),
        );
        branches.push(("proxies".to_owned(), leaves));
    }
    if let Some(users) = &in_force.users {
        let (audience, reached, failed) = (&users.audience, users.reached, users.failed);
        let wanted = in_force.weights.get(audience).copied().unwrap_or_default();
        let share = users.share.map_or_else(String::new, |share| {
            format!(" ({share} % of all, wanted {wanted} %)")
        });
        let leaf = format!(
            "{audience}: ~{reached} got {}{share}, ~{failed} of them failed",
            in_force.challenger
        );
        branches.push(("users".to_owned(), vec![leaf]));
    }
    let tripped = in_force.tripped.iter().map(quoted).collect();
    branches.push(("tripped".to_owned(), tripped));
    branches
}

/// Each check: its value, what it is judged by, the evidence, and why it does not pass.
fn check_lines(view: &View) -> Vec<String> {
    let line = |standing: Standing, text: &str| {
        let sign = match standing {
            Standing::Pass => "✔",
            Standing::Fail => "✖",
            Standing::Hold => "?",
            Standing::NotApplicable => "-",
        };
        format!("{sign} {}", quoted(text))
    };
    let checks = view.checks.iter();
    checks
        .map(|check| line(check.standing, &check.text))
        .collect()
}

fn run_line(run: &RunLine) -> String {
    let version = run.version.as_deref().unwrap_or("-");
    let seconds = run.ended.duration_since(run.began).as_secs().max(0);
    let length = crate::rollout::resource::Span::of(Duration::from_secs(seconds.unsigned_abs()));
    format!(
        "{} of {}: {:?} at step {} after {}: {}",
        run.number,
        quoted(version),
        run.outcome,
        run.step,
        length.unwrap_or_default(),
        quoted(&run.message)
    )
}
