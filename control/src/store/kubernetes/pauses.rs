//! How long one waits before one tries again: longer each time, and by chance, so that those who
//! wait for each other do not meet again.

use std::time::Duration;

use tower::retry::backoff::{ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff as _};
use tower::util::rng::HasherRng;

/// Pauses that double, each longer by chance by up to as much again.
#[expect(
    clippy::expect_used,
    reason = "constants: the shortest is shorter than the longest, which is not zero"
)]
pub(super) fn pauses(min: Duration, max: Duration) -> ExponentialBackoff {
    let maker = ExponentialBackoffMaker::new(min, max, 1.0, HasherRng::new());
    maker.expect("a valid backoff").make_backoff()
}
