//! A copy that is gone is made again, and one that was given a version that nobody wants any more gets
//! the former one back: of the template that was kept.

use crate::rollout::resource::FirstSight;
use crate::rollout::workload::facing::{Action, Between, Facing, Rest, unready};
use crate::rollout::workload::kept::Kept;

/// Between two runs: of the version that served everyone last; at first sight, and where no template
/// was kept, of what Git states.
pub(super) fn made(facing: &Facing<'_>, between: &Between<'_>, mut rest: Rest) -> Rest {
    let Facing {
        workload,
        both,
        kept,
        ..
    } = *facing;
    let wanted = &*both.wanted.version;
    // Everybody is at the challenger, which succeeded: the copy would be given its version anyway.
    let is_to_promote = !between.is_empty && between.succeeded == Some(wanted);
    let former = kept.rightful().filter(|_| !is_to_promote);
    let version = former.filter(|version| both.has_template(version));
    let version = version.unwrap_or(wanted);
    let name = workload.copy();
    let is_known = former.is_some_and(|former| former == version);
    if !is_known && between.is_empty && workload.on_first_sight == FirstSight::Run {
        rest.kept.is_unjudged = true;
    }
    rest.says = Some(match former {
        Some(_) => format!("Deployment {name} is gone, and made again of {version}"),
        None => format!("Deployment {name} is made"),
    });
    let replicas = match kept.serving {
        0 => both.wanted.replicas.max(1),
        serving => serving,
    };
    rest.action = Some(Action::Copy {
        version: version.to_owned(),
        replicas,
    });
    rest
}

/// In a run: why its steps wait, and what is done about it.
pub fn in_run(facing: &Facing<'_>, kept: &mut Kept) -> Option<(String, Option<Action>)> {
    let both = facing.both;
    let name = facing.workload.copy();
    let Some(copy) = &both.copy else {
        kept.is_remade = true;
        let version = kept.rightful();
        let version =
            version.filter(|version| both.mistake.is_none() && both.has_template(version));
        let Some(version) = version else {
            return Some((format!("Deployment {name} is gone"), None));
        };
        let again = Action::Copy {
            version: version.to_owned(),
            replicas: kept.serving.max(1),
        };
        let why = format!("Deployment {name} is gone, and made again of {version}");
        return Some((why, Some(again)));
    };
    let needed = copy.replicas.max(1);
    kept.is_remade &= !copy.has(needed);
    kept.is_remade.then(|| (unready(&name, copy, needed), None))
}

/// What gives the copy back what it had before a run that failed gave it its version.
pub fn undo(facing: &Facing<'_>, failed: Option<&str>) -> Option<Action> {
    let both = facing.both;
    let former = facing.kept.promotions.last()?;
    let is_given = failed.is_some() && both.given.as_deref() == failed && failed != Some(former);
    let is_possible = both.mistake.is_none() && both.has_template(former);
    (is_given && is_possible).then(|| promote(facing.kept, former))
}

/// What gives the copy as many pods as it had when its users left, before they are all back: an autoscaler
/// may have taken them away.
pub fn grow_back(facing: &Facing<'_>, kept: &mut Kept) -> Option<Action> {
    let copy = facing.both.copy.as_ref()?;
    let serving = facing.serving(copy);
    kept.note_copy_scale(copy.replicas, serving);
    let is_possible = facing.both.mistake.is_none() && !kept.is_copy_given_up();
    let is_short = is_possible && copy.replicas < serving;
    is_short.then_some(Action::ScaleCopy { replicas: serving })
}

/// Gives the copy a version, and keeps those that were promoted beside it.
pub(super) fn promote(kept: &Kept, version: &str) -> Action {
    let mut all: Vec<String> = kept.promotions.versions().map(str::to_owned).collect();
    all.extend(kept.promoted.clone());
    all.push(version.to_owned());
    Action::Promote {
        version: version.to_owned(),
        kept: all,
    }
}
