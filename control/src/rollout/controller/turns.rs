//! One at a time for Rollouts that share a split: of two that would begin, the second one sees the
//! first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// The turns of every split on which a Rollout is run just now.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<(String, String), Arc<Turn<()>>>>);

impl Turns {
    /// Waits for the turn of a split of a namespace; it is over when the guard is dropped.
    pub(super) async fn of(&self, namespace: &str, split: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            let key = (namespace.to_owned(), split.to_owned());
            Arc::clone(turns.entry(key).or_default())
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn a_split_has_one_turn_at_a_time_and_no_memory() {
        let turns = Turns::default();
        let first = turns.of("shop", "web").now_or_never();
        assert!(first.is_some());
        assert!(turns.of("shop", "web").now_or_never().is_none());
        assert!(turns.of("shop", "api").now_or_never().is_some());
        assert!(turns.of("other", "web").now_or_never().is_some());
        drop(first);
        assert!(turns.of("shop", "web").now_or_never().is_some());
        drop(turns.of("shop", "last").now_or_never());
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
