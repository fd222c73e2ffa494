//! An abort by both ways at once: the zeros, which are the truth, and the brake, which is past istiod.

use std::pin::pin;

use futures::StreamExt as _;
use futures::future::{Either, select};

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

/// Who hears of a brake that is in force while the zeros are still to be written.
#[derive(Clone, Copy, Debug)]
pub struct Told<'t> {
    /// How the plugin is called, where there are several.
    pub plugin: Option<&'t str>,
    /// What hears it.
    pub tell: Option<Tell>,
}

/// Hears of a plugin how far its brake is.
pub type Tell = fn(Option<&str>, &Pulled);

impl Told<'_> {
    /// Nobody.
    pub const NOBODY: Self = Self {
        plugin: None,
        tell: None,
    };
}

/// Aborts in one store, and brakes what that reaches where there are proxies that ask. With `once`,
/// which tells an occasion from all others, as often as it is called for the same. Where the zeros
/// take longer than the brake, `told` hears of it meanwhile.
pub async fn abort(
    store: &impl Store,
    caller: &Caller,
    order: &Abort,
    once: Option<&str>,
    told: Told<'_>,
) -> Braked {
    let giving = async {
        match store.in_cluster() {
            Some(plugin) => give(plugin, caller, order, once).await,
            None => Err(Pulled::NotThere),
        }
    };
    let zeros = pin!(zeros::abort(store, caller, order));
    let (aborted, given) = match select(zeros, pin!(giving)).await {
        Either::Left((aborted, giving)) => (aborted, giving.await),
        Either::Right((given, zeros)) => (meanwhile(zeros, &given, told).await, given),
    };
    let is_in_force = |aborted: &AbortOutcome| aborted.not_in_force.is_none();
    if let (Ok(given), true) = (&given, aborted.as_ref().is_ok_and(is_in_force)) {
        given.written(caller).await;
    }
    Braked { aborted, given }
}

/// Waits for the zeros, and tells of the brake if it is first.
async fn meanwhile<T>(
    zeros: impl Future<Output = T>,
    given: &Result<Given, Pulled>,
    told: Told<'_>,
) -> T {
    let telling = async {
        if let (Ok(given), Some(tell)) = (given, told.tell) {
            tell(told.plugin, &given.followed().await);
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        aborted = zeros => aborted,
        never = telling => never,
    }
}

/// What became of the abort of one of several plugins.
#[derive(Debug)]
pub struct PluginAbort {
    /// The plugin; `None` where its store has no title.
    pub plugin: Option<String>,
    /// What was changed, and braked, or why nothing was.
    pub braked: Braked,
}

/// Aborts in all stores at once, and answers by title; one that fails stops no other. `tell` hears of
/// a plugin whose brake is in force before its zeros are.
pub async fn abort_everywhere(
    stores: Vec<TitledStore>,
    caller: &Caller,
    order: &Abort,
    tell: Tell,
) -> Vec<PluginAbort> {
    let aborts: Vec<_> = stores
        .into_iter()
        .map(|TitledStore { title, store }| async move {
            let plugin = title.as_deref();
            let tell = Some(tell);
            let braked = abort(&store, caller, order, None, Told { plugin, tell }).await;
            PluginAbort {
                plugin: title,
                braked,
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
        let all =
            tokio::spawn(async move { abort_everywhere(stores, &caller, &order, |_, _| {}).await });
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
