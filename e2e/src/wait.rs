//! Waiting for what is not there yet: the one loop that every harness and test waits with.
//!
//! A look is repeated until it finds what it is for. The bound is generous, because it only decides
//! how late a failure is said; nothing is measured here.

use std::time::{Duration, Instant};

/// How long anything may take. Chosen: V8, Go and two busy cores.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Looks again and again until the look gives `Ok`, which is returned.
///
/// An `Err` says what was seen instead. After [`PATIENCE`], the test fails with the last one.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(
                began.elapsed() < PATIENCE,
                "waited {} s for {what}; last seen: {seen}",
                PATIENCE.as_secs()
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
