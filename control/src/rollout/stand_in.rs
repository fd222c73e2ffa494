//! What a run goes by while its spec is wrong: it stands still, and whatever ends a run still takes
//! its users back. Pure.

use std::time::Duration;

use super::definition::{Converge, Definition, Step};
use super::resource::{From, OnHandEdit, Unconverged};
use super::status::Run;
use super::windows::Windows;

/// The last spec that was right, and what is wrong with the one that came since.
pub fn held(last: &Definition, mistakes: &[String]) -> Definition {
    Definition {
        mistakes: mistakes.to_vec(),
        ..last.clone()
    }
}

/// What is known of a spec from its run alone, where nobody remembers one that was right: what the
/// run moves. Its checks are not among it; commands, aborts and guards need no more.
pub fn of_run(run: &Run, mistakes: Vec<String>) -> Definition {
    let step = |audience: &String| Step {
        audience: audience.clone(),
        weight: run.wanted.get(audience).copied().unwrap_or_default(),
        hold: Duration::ZERO,
        needs_approval: false,
    };
    let mut steps: Vec<Step> = run.weights.keys().map(step).collect();
    if let Some(last) = steps.last().cloned() {
        let count = steps.len().max(run.step.saturating_add(1));
        steps.resize(count, last);
    }
    Definition {
        plugin: run.plugin.clone(),
        split: run.split.clone(),
        challenger: Some(run.challenger.clone()),
        version: run.version.clone(),
        group: None,
        redraw: false,
        from: From::default(),
        steps,
        converge: Converge {
            at_least: 1.0,
            within: Duration::from_secs(120),
            otherwise: Unconverged::Pause,
        },
        on_hand_edit: OnHandEdit::default(),
        analysis: None,
        windows: Windows::default(),
        gates: Vec::new(),
        receivers: Vec::new(),
        workload: None,
        mistakes,
    }
}
