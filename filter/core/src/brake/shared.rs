//! The brakes of a plugin in the proxy's shared data: kept by whoever is answered, followed by all VMs.
//!
//! The key ends in the number of the format. Whoever's write it was logs what began and ended, and each
//! VM shows what it follows.

use super::standing::{Changes, End, InForce};
use super::{Answer, Listed, Question, Tripped, lease};
use crate::guard::trips;
use crate::host::{Host, Level, Update};
use crate::index::{SplitIndex, VariantIndex, Variants};
use crate::plan::{Plan, Split};
use crate::problem::Problem;
use std::sync::Arc;

/// How many lines one answer, or one configuration, writes to the log at most; see docs/limits.md.
const MAX_BRAKE_LINES: usize = 20;

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It says something new: the other VMs are to be woken.
    News,
    /// All of it was known.
    Known,
    /// Something newer is known than what was asked for: it is to be asked again.
    Overtaken,
}

/// What one VM asks for a plugin now.
pub fn question<H: Host>(host: &H, plugin: &str, node: &str, wait: u32) -> Question {
    let bytes = host.shared_data(&key(plugin)).unwrap_or_default();
    let tripped = |(split, variant)| Tripped { split, variant };
    Question {
        plugin: plugin.to_owned(),
        node: node.to_owned(),
        version: InForce::read(&bytes).version,
        wait,
        trips: trips::out(host, plugin).into_iter().map(tripped).collect(),
    }
}

/// Takes over the answer to a question that was asked with a version.
pub fn answered<H: Host>(
    host: &H,
    plugin: &str,
    plan: &mut Plan,
    asked: Option<&str>,
    answer: &Answer,
) -> Taken {
    let (mut is_overtaken, mut changes) = (false, Changes::default());
    let update = host.update_shared_data(&key(plugin), &mut |bytes| {
        let mut in_force = InForce::read(bytes);
        is_overtaken = in_force.version.as_deref() != asked;
        if is_overtaken || !plan.has_brake() {
            return None;
        }
        changes = in_force.answered(answer, plan);
        Some(in_force.bytes()).filter(|changed| changed != bytes)
    });
    match update {
        Update::Lost => Taken::Overtaken,
        Update::Left if is_overtaken => Taken::Overtaken,
        Update::Left => Taken::Known,
        Update::Written(_) => {
            follow(host, plugin, plan);
            say(host, plugin, &changes);
            Taken::News
        }
    }
}

/// Looks at a configuration that is served from now on: ends what it ends, and follows the rest.
pub(crate) fn configured<H: Host>(
    host: &H,
    plugin: &str,
    plan: &mut Plan,
    previous: Option<&Plan>,
) {
    let (mut changes, mut is_in_use) = (Changes::default(), false);
    let update = host.update_shared_data(&key(plugin), &mut |bytes| {
        is_in_use = !bytes.is_empty();
        // Also before the first answer: what is there can be compared with.
        if !is_in_use {
            return plan.has_brake().then(|| InForce::default().bytes());
        }
        let mut in_force = InForce::read(bytes);
        changes = in_force.configured(plan);
        Some(in_force.bytes()).filter(|changed| changed != bytes)
    });
    if plan.brake().is_none() && is_in_use {
        lease::end(host, plugin);
    }
    follow(host, plugin, plan);
    for split in plan
        .splits()
        .iter()
        .filter(|split| split.braked() != Variants::default())
    {
        show(host, plugin, split);
    }
    if let Update::Written(_) = update {
        for (listed, _) in &changes.ended {
            show_ended(host, plugin, listed, plan, previous);
        }
        say(host, plugin, &changes);
    }
}

/// Serves a plan with the brakes that are in force.
pub fn follow<H: Host>(host: &H, plugin: &str, plan: &mut Plan) {
    if !plan.has_brake() {
        return;
    }
    let bytes = host.shared_data(&key(plugin)).unwrap_or_default();
    let places = InForce::read(&bytes).places(plan);
    for index in (0..plan.splits().len()).filter_map(|index| u16::try_from(index).ok()) {
        let index = SplitIndex::new(index);
        let own = places.iter().filter(|(split, _)| *split == index);
        let braked = own.fold(Variants::default(), |all, (_, variants)| all.and(*variants));
        if plan.set_braked(index, braked)
            && let Some(split) = plan.split(index)
        {
            show(host, plugin, split);
        }
    }
}

fn show<H: Host>(host: &H, plugin: &str, split: &Split) {
    for (variant, name) in split.definition.named_variants().skip(1) {
        show_one(
            host,
            plugin,
            &split.definition.name,
            name,
            split.is_braked(variant),
        );
    }
}

fn show_one<H: Host>(host: &H, plugin: &str, split: &str, variant: &str, is_braked: bool) {
    let labels = [("plugin", plugin), ("split", split), ("variant", variant)];
    host.set_gauge("braked", &labels, u64::from(is_braked));
}

/// Shows what a configuration ended, also of a split or challenger that it does not know any more.
fn show_ended<H: Host>(
    host: &H,
    plugin: &str,
    listed: &Listed,
    plan: &Plan,
    previous: Option<&Plan>,
) {
    let former = previous.and_then(|plan| plan.split_named(&listed.split));
    let now = plan.split_named(&listed.split);
    let names = |split: &Split| split.definition.challengers().to_vec();
    let mut names: Vec<Arc<str>> = former.into_iter().chain(now).flat_map(names).collect();
    names.extend(listed.challenger.as_deref().map(Into::into));
    for name in names {
        let is_braked = |split: &Split| {
            let variant = split.definition.variant(name.as_bytes());
            variant.is_some_and(|variant: VariantIndex| split.is_braked(variant))
        };
        show_one(
            host,
            plugin,
            &listed.split,
            &name,
            now.is_some_and(is_braked),
        );
    }
}

/// Logs what could not be read of an answer.
pub fn say_left_out<H: Host>(host: &H, plugin: &str, problems: &[Problem]) {
    let problems = problems.iter().take(MAX_BRAKE_LINES);
    for problem in problems {
        let line = format!("sluice {plugin}: brake: {problem}; left out");
        host.log(Level::Warning, &line);
    }
}

fn say<H: Host>(host: &H, plugin: &str, changes: &Changes) {
    let begun = changes.begun.iter().map(|listed| {
        let whom = in_words(listed);
        format!(
            "{whom} braked, as if the weight were 0 (brake {})",
            listed.id
        )
    });
    let ended = changes.ended.iter().map(|(listed, end)| {
        let (whom, why) = (in_words(listed), why(*end));
        format!("{whom} not braked any more: {why} (brake {})", listed.id)
    });
    let number = changes.begun.len() + changes.ended.len();
    for line in begun.chain(ended).take(MAX_BRAKE_LINES) {
        host.log(Level::Warning, &format!("sluice {plugin}: {line}"));
    }
    if number > MAX_BRAKE_LINES {
        let more = number - MAX_BRAKE_LINES;
        let line = format!("sluice {plugin}: {more} more brakes that began or ended");
        host.log(Level::Warning, &line);
    }
}

fn in_words(listed: &Listed) -> String {
    match &listed.challenger {
        Some(challenger) => format!("split {}: {challenger} is", listed.split),
        None => format!("split {}: every challenger is", listed.split),
    }
}

fn why(end: End) -> &'static str {
    match end {
        End::Released => "it was released",
        End::Changed => "the split has other weights, another draw or another definition",
        End::Needless => "it is not asked for any more, and the weights give it nobody",
        End::Off => "the configuration has no brake any more",
        End::Forgotten => "there are more than are kept",
    }
}

fn key(plugin: &str) -> String {
    ["sluice/", plugin, "/brake.1"].concat()
}
