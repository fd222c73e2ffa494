//! Setting weights of one audience of a split; the others stay.

use futures::StreamExt as _;
use sluice_core::plan::EVERYONE;

use super::change::{ChangeOutcome, Subject, Terms, make};
use super::{Caller, MAX_AT_ONCE, OperationError};
use crate::model::change;
use crate::model::weights::{Share, WeightSet};
use crate::store::{Snapshot, Store};

/// Which weights are set.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting<'a> {
    /// The split.
    pub split: &'a str,
    /// Whose weights: a rule's name, or `everyone`.
    pub audience: &'a str,
    /// The challengers with their percentages.
    pub shares: &'a [Share],
}

/// Sets the weights of one audience.
///
/// # Errors
/// What the plugin does not have, problems that the change would bring, and a store that cannot be
/// read or written.
pub async fn set(
    store: &impl Store,
    caller: &Caller,
    setting: &Setting<'_>,
    terms: &Terms,
) -> Result<ChangeOutcome, OperationError> {
    set_on(store, caller, setting, terms, Basis::default()).await
}

/// What a change of weights stands on, and whether other users are drawn with it.
#[derive(Clone, Debug, Default)]
pub struct Basis {
    /// What was there when the caller looked: where somebody else has changed or aborted the split
    /// since, nothing is set.
    pub begun: Option<Snapshot>,
    /// Who is drawn.
    pub draw: Draw,
}

/// Who is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draw {
    /// The users that were.
    #[default]
    Same,
    /// Others, where no challenger of the split has some users and not all.
    Anew,
}

/// Sets the weights of one audience of every split that has these challengers and this audience: in
/// one write where the store has one for several splits, and refused as a whole otherwise.
///
/// # Errors
/// As [`set`]; and when no split has them.
pub async fn set_all(
    store: &impl Store,
    caller: &Caller,
    all: &SettingOfAll<'_>,
    terms: &Terms,
) -> Result<ChangeOutcome, OperationError> {
    let SettingOfAll { audience, shares } = *all;
    let setting = Setting {
        split: EVERY_SPLIT,
        audience,
        shares,
    };
    let subject = Subject {
        split: None,
        command: command(&setting),
    };
    let made = make(store, caller, &subject, terms, None, |snapshot, plan| {
        change::set_all(&snapshot.state(), plan, audience, shares)
    });
    made.await
}

/// How a command names every split.
const EVERY_SPLIT: &str = "--all";

/// Which weights are set of every split that has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SettingOfAll<'a> {
    /// Whose weights: a rule's name, or `everyone`.
    pub audience: &'a str,
    /// The challengers with their percentages.
    pub shares: &'a [Share],
}

/// The same, on what the caller saw.
///
/// # Errors
/// As [`set`], and a change meanwhile.
pub async fn set_on(
    store: &impl Store,
    caller: &Caller,
    setting: &Setting<'_>,
    terms: &Terms,
    basis: Basis,
) -> Result<ChangeOutcome, OperationError> {
    let Basis { begun, draw } = basis;
    let date = caller.today();
    let Setting {
        split,
        audience,
        shares,
    } = *setting;
    let subject = Subject {
        split: Some(split),
        command: command(setting),
    };
    let made = make(store, caller, &subject, terms, begun, |snapshot, plan| {
        let mut state = snapshot.state();
        if draw == Draw::Anew {
            let in_force = WeightSet::of_config(&state.config);
            let letters = change::letters(&date, in_force.draw(split));
            // In the middle of another challenger's ramp, that one's users stay where they are.
            if let Ok(drawn) = change::redraw(&state, plan, split, &letters) {
                state.managed = drawn;
            }
        }
        change::set(&state, plan, split, audience, shares)
    });
    made.await
}

/// What became of a change of one of several plugins.
#[derive(Debug)]
pub struct PluginChange {
    /// The plugin.
    pub plugin: String,
    /// What was changed, or why nothing was.
    pub result: Result<ChangeOutcome, OperationError>,
}

/// Sets the weights of one audience in several plugins, many at once, and answers by title; one
/// that fails stops no other.
pub async fn set_everywhere<S: Store>(
    stores: Vec<(String, S)>,
    caller: &Caller,
    setting: &Setting<'_>,
    terms: &Terms,
) -> Vec<PluginChange> {
    let changes: Vec<_> = stores
        .into_iter()
        .map(|(plugin, store)| async move {
            let result = set(&store, caller, setting, terms).await;
            PluginChange { plugin, result }
        })
        .collect();
    let changes = futures::stream::iter(changes).buffered(MAX_AT_ONCE);
    changes.collect().await
}

/// The same of every split of several plugins, many plugins at once.
pub async fn set_all_everywhere<S: Store>(
    stores: Vec<(String, S)>,
    caller: &Caller,
    all: &SettingOfAll<'_>,
    terms: &Terms,
) -> Vec<PluginChange> {
    let changes: Vec<_> = stores
        .into_iter()
        .map(|(plugin, store)| async move {
            let result = set_all(&store, caller, all, terms).await;
            PluginChange { plugin, result }
        })
        .collect();
    let changes = futures::stream::iter(changes).buffered(MAX_AT_ONCE);
    changes.collect().await
}

/// `set web canary=10 --audience staff`, as the history shows it.
fn command(setting: &Setting<'_>) -> String {
    let shares = setting.shares.iter();
    let shares: Vec<String> = shares
        .map(|share| format!("{}={}", share.challenger, share.percent))
        .collect();
    let audience = if setting.audience == EVERYONE {
        String::new()
    } else {
        format!(" --audience {}", setting.audience)
    };
    format!("set {} {}{audience}", setting.split, shares.join(" "))
}
