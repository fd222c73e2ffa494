//! Which library of this process asks for brakes and hands counts to Envoy, where several versions of the
//! module run side by side: the one that was configured last.

use std::sync::LazyLock;

use sluice_core::brake::lease::Vm;

use crate::abi::shared;

/// This library's number, a random one; 0: there is no randomness, and nobody asks.
pub(crate) fn instance() -> Vm {
    static INSTANCE: LazyLock<Vm> = LazyLock::new(|| {
        let mut random = [0; 8];
        let _ = getrandom::fill(&mut random);
        Vm(u64::from_le_bytes(random))
    });
    *INSTANCE
}

/// A plugin was configured in this library.
pub(crate) fn claim(plugin: &str) {
    shared::write(&key(plugin), &instance().0.to_le_bytes());
}

/// Whether a plugin was configured in another version of the module since, which still has it.
pub(crate) fn is_superseded(plugin: &str) -> bool {
    let own = instance().0.to_le_bytes();
    shared::read(&key(plugin)).is_some_and(|last| !last.is_empty() && last != own)
}

/// A plugin's last configuration in this library has ended.
pub(crate) fn release(plugin: &str) {
    shared::exchange(&key(plugin), &instance().0.to_le_bytes(), &[]);
}

/// It ends in the number of the format.
fn key(plugin: &str) -> String {
    ["sluice/", plugin, "/instance.1"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_configured_last_has_a_plugin_until_it_leaves() {
        assert!(!is_superseded("claimed"));
        claim("claimed");
        assert!(!is_superseded("claimed"));
        shared::write(&key("claimed"), b"another!");
        assert!(is_superseded("claimed"));
        release("claimed");
        assert!(is_superseded("claimed"), "only the one that has it leaves");
        shared::write(&key("claimed"), b"");
        assert!(!is_superseded("claimed"));
    }
}
