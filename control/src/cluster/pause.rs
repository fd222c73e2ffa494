//! How long a watch that failed is left alone.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// The first pause. Chosen: an API server that restarts is back within seconds.
const FIRST: Duration = Duration::from_millis(250);

/// Pauses that are twice as long each, up to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    /// Up to so long.
    pub fn up_to(longest: Duration) -> Self {
        let next = FIRST.min(longest);
        Self { next, longest }
    }
}

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        Some(pause)
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {
        *self = Self::up_to(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_anew() {
        let mut pause = Pause::up_to(Duration::from_secs(1));
        let mut some = |count| -> Vec<u128> {
            let pauses = pause.by_ref().take(count);
            pauses.map(|pause| pause.as_millis()).collect()
        };
        assert_eq!(some(4), [250, 500, 1_000, 1_000]);
        pause.reset();
        assert_eq!(pause.next(), Some(FIRST));
    }
}
