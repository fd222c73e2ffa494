//! Which users a change, or another configuration, would move; writes nothing.

use sluice_core::plan::Node;

use super::OperationError;
use super::set::Setting;
use crate::model::change;
use crate::model::churn::{Move, moves};
use crate::model::plugin::Plugin;
use crate::model::refusal;
use crate::store::Store;

/// What the configuration in force is compared with.
#[derive(Clone, Debug)]
pub enum Against<'a> {
    /// Another configuration.
    Plugin(Plugin),
    /// The same with other weights.
    Setting(Setting<'a>),
}

/// Which users would move.
///
/// # Errors
/// What the plugin does not have, problems that the weights would bring, a store that cannot be
/// read, and a configuration that is unreadable as a whole.
pub async fn diff(store: &impl Store, against: &Against<'_>) -> Result<Vec<Move>, OperationError> {
    let snapshot = store.snapshot().await?;
    let before = snapshot.plugin.plan(&Node::default())?;
    let after = match against {
        Against::Plugin(plugin) => plugin.plan(&Node::default())?,
        Against::Setting(Setting {
            split,
            audience,
            shares,
        }) => {
            let state = snapshot.state();
            let managed = change::set(&state, &before, split, audience, shares)?;
            let after = state.plan_with(&managed).map_err(anyhow::Error::from)?;
            refusal::check(&before, &after, Some(split))?;
            after
        }
    };
    Ok(moves(&before, &after))
}
