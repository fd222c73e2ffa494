//! An abort by both ways at once: the zeros, which are the truth, and the brake, which is past istiod.

use futures::StreamExt as _;

use super::pull::{Given, Pulled, give};
use crate::operations::abort::{self as zeros, Abort, AbortOutcome};
use crate::operations::plugins::TitledStore;
use crate::operations::{Caller, MAX_AT_ONCE, OperationError};
use crate::store::Store;

/// What became of both.
#[derive(Debug)]
pub struct Braked {
    /// The zeros.
    pub aborted: Result<AbortOutcome, OperationError>,
    /// The brake.
    pub given: Result<Given, Pulled>,
}

/// Aborts in one store, and brakes what that reaches where there are proxies that ask. With `once`,
/// which tells an occasion from all others, as often as it is called for the same.
pub async fn abort(
    store: &impl Store,
    caller: &Caller,
    order: &Abort,
    once: Option<&str>,
) -> Braked {
    let giving = async {
        match store.in_cluster() {
            Some(plugin) => give(plugin, caller, order, once).await,
            None => Err(Pulled::NotThere),
        }
    };
    let (aborted, given) = tokio::join!(zeros::abort(store, caller, order), giving);
    let is_in_force = |aborted: &AbortOutcome| aborted.not_in_force.is_none();
    if let (Ok(given), true) = (&given, aborted.as_ref().is_ok_and(is_in_force)) {
        given.written(caller).await;
    }
    Braked { aborted, given }
}

/// What became of the abort of one of several plugins.
#[derive(Debug)]
pub struct PluginAbort {
    /// The plugin; `None` where its store has no title.
    pub plugin: Option<String>,
    /// What was changed, and braked, or why nothing was.
    pub braked: Braked,
}

/// Aborts in all stores at once, and answers by title; one that fails stops no other.
pub async fn abort_everywhere(
    stores: Vec<TitledStore>,
    caller: &Caller,
    order: &Abort,
) -> Vec<PluginAbort> {
    let aborts: Vec<_> = stores
        .into_iter()
        .map(|TitledStore { title, store }| async move {
            PluginAbort {
                plugin: title,
                braked: abort(&store, caller, order, None).await,
            }
        })
        .collect();
    let aborts = futures::stream::iter(aborts).buffer_unordered(MAX_AT_ONCE);
    let mut all: Vec<PluginAbort> = aborts.collect().await;
    all.sort_by(|one, other| one.plugin.cmp(&other.plugin));
    all
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::reach::Reach;
    use crate::store::AnyStore;
    use crate::store::directory::Directory;

    fn titled(title: &str, plugin: &str) -> (tempfile::TempDir, TitledStore) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plugin.yaml"), plugin).unwrap();
        let store = AnyStore::Directory(Directory::open(folder.path()).unwrap());
        let title = Some(title.to_owned());
        (folder, TitledStore { title, store })
    }

    #[tokio::test]
    async fn an_abort_of_several_plugins_tells_the_one_that_lacks_the_split_and_stops_for_none() {
        let (_folder, web) = titled(
            "b",
            "splits: {web: {}}\nweights: {web: {everyone: {canary: 5}}}",
        );
        let (_other_folder, other) = titled("a", "splits: {other: {}}");
        let stores = vec![web, other];
        let caller = Caller {
            name: "ann".to_owned(),
            clock: || Timestamp::UNIX_EPOCH,
        };
        let order = Abort {
            reach: Reach::of_split("web"),
            reason: None,
        };
        let all = tokio::spawn(async move { abort_everywhere(stores, &caller, &order).await });
        let all = all.await.unwrap();
        let seen: Vec<_> = all
            .iter()
            .map(|one| {
                let changes = one
                    .braked
                    .aborted
                    .as_ref()
                    .map(|aborted| aborted.changes.len());
                let lacks_split = changes.as_ref().is_err_and(|error| error.lacks_split());
                (one.plugin.as_deref(), changes.ok(), lacks_split)
            })
            .collect();
        assert_eq!(seen, [(Some("a"), None, true), (Some("b"), Some(1), false)]);
    }
}
