//! Who asks for brakes in this process: its one instance of the filter, by a random number.

use std::sync::LazyLock;

use sluice_core::brake::lease::Vm;

/// This process' number; 0: it has no randomness, and nobody asks.
pub(crate) fn instance() -> Vm {
    static INSTANCE: LazyLock<Vm> = LazyLock::new(|| {
        let mut random = [0; 8];
        let _ = getrandom::fill(&mut random);
        Vm(u64::from_le_bytes(random))
    });
    *INSTANCE
}
