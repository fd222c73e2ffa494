//! The weights in force: the share of every variant, as the filter serves it.

use serde::Serialize;
use sluice_core::allocation::Percent;
use sluice_core::plan::{Node, Plan, Split};

use super::OperationError;
use super::plugins::TitledStore;
use crate::cluster::authors::{Author, others};
use crate::model::churn::{VariantShare, shares};
use crate::model::refusal::find_split;
use crate::store::{AnyStore, Snapshot, Store as _};

/// The share of one variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServedShare {
    /// Where it is, as people call it: `directory ./shop`, or `context kind, WasmPlugin shop/sluice`.
    pub store: String,
    /// The plugin; `None` where only one store is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The split.
    pub split: String,
    /// Whose share: a rule's name, or `everyone`.
    pub audience: String,
    /// The variant.
    pub variant: String,
    /// Its part of the audience's users.
    pub percent: Percent,
    /// Other field managers that its weight belongs to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
}

/// The shares in several stores.
#[derive(Debug, Default)]
pub struct ServedShares {
    /// Every share that is known.
    pub shares: Vec<ServedShare>,
    /// Every store of several that cannot be read, or that no proxy reads.
    pub unreadable: Vec<anyhow::Error>,
}

/// The shares in every store; of one split where one is named, which then need not be in every
/// plugin.
///
/// # Errors
/// The only store, if it cannot be read, and a split that is in none.
pub async fn weights(
    stores: Vec<TitledStore>,
    split: Option<&str>,
) -> Result<ServedShares, OperationError> {
    let mut all = ServedShares::default();
    for TitledStore { title, store } in stores {
        let (plan, authors) = match (plan(&store).await, &title) {
            (Ok(planned), _) => planned,
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(_)) => {
                all.unreadable.push(error);
                continue;
            }
        };
        match (chosen(&plan, split), &title) {
            (Ok(splits), _) => {
                let of_split = |split| of_split(split, &store.title(), title.as_deref(), &authors);
                all.shares.extend(splits.into_iter().flat_map(of_split));
            }
            // Of several plugins, some may lack the split.
            (Err(_), Some(_)) => {}
            (Err(refusal), None) => return Err(refusal),
        }
    }
    match split {
        Some(split) if all.shares.is_empty() && all.unreadable.is_empty() => {
            Err(OperationError::NowhereSplit {
                split: split.to_owned(),
                hint: None,
            })
        }
        _ => Ok(all),
    }
}

async fn plan(store: &AnyStore) -> anyhow::Result<(Plan, Vec<Author>)> {
    let Snapshot {
        plugin, authors, ..
    } = store.snapshot().await?;
    Ok((plugin.plan(&Node::default())?, authors))
}

fn chosen<'p>(plan: &'p Plan, split: Option<&str>) -> Result<Vec<&'p Split>, OperationError> {
    match split {
        Some(split) => Ok(vec![find_split(plan, split)?]),
        None => Ok(plan.splits().iter().collect()),
    }
}

fn of_split(
    split: &Split,
    store: &str,
    plugin: Option<&str>,
    authors: &[Author],
) -> Vec<ServedShare> {
    let name = &*split.definition.name;
    let served = |share: VariantShare<'_>| ServedShare {
        store: store.to_owned(),
        plugin: plugin.map(str::to_owned),
        split: name.to_owned(),
        managers: others(authors, &["weights", name, &share.audience, share.variant]),
        audience: share.audience,
        variant: share.variant.to_owned(),
        percent: share.percent,
    };
    shares(split).map(served).collect()
}
