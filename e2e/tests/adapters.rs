//! The adapters differ in nothing: random requests through the core and through both.

use sluice_e2e::differences::search;

/// A few of each kind of proxy; `make fuzz-adapters` goes on for as long as one likes, with other seeds.
const CONFIGURATIONS: usize = 36;

#[tokio::test(flavor = "multi_thread")]
async fn random_requests_meet_the_same_in_the_core_and_in_both_adapters() {
    let outcome = search(20_261_123, |done| done < CONFIGURATIONS).await;
    assert_eq!(outcome, Ok(CONFIGURATIONS * 25));
}
