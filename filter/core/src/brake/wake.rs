//! Who is to be woken when there is news: the queues of a proxy's VMs, in its shared data.
//!
//! The host keeps the queue of a VM that is gone, and takes what is put there; so each VM says now and
//! then that it lives, and who does not is forgotten.

use std::time::Duration;

use super::lease::Vm;
use crate::host::Host;
use crate::wire;

/// The most VMs that are woken; see docs/limits.md. The others follow at their next tick.
const MAX_WOKEN: usize = 1_024;

/// How often a VM says that it lives, in milliseconds.
const NEWS: u64 = 10_000;

/// After so many milliseconds of silence a VM is forgotten.
const PATIENCE: u64 = 30_000;

/// A VM that can be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    vm: u64,
    queue: u32,
    /// When it said that it lives, in milliseconds since the epoch.
    at: u64,
}

/// Says that a VM lives and waits at a queue.
pub fn join<H: Host>(host: &H, plugin: &str, vm: Vm, queue: u32, now: Duration) {
    let at = u64::try_from(now.as_millis()).unwrap_or_default();
    let own = Member {
        vm: vm.0,
        queue,
        at,
    };
    host.update_shared_data(&key(plugin), &mut |bytes| {
        let mut all = read(bytes);
        let is_own = |member: &Member| (member.vm, member.queue) == (own.vm, own.queue);
        if all
            .iter()
            .any(|member| is_own(member) && member.at.abs_diff(at) < NEWS)
        {
            return None;
        }
        all.retain(|member| member.vm != own.vm && member.at.abs_diff(at) < PATIENCE);
        all.truncate(MAX_WOKEN - 1);
        all.push(own);
        Some(bytes_of(&all))
    });
}

/// Forgets a VM.
pub fn leave<H: Host>(host: &H, plugin: &str, vm: Vm) {
    host.update_shared_data(&key(plugin), &mut |bytes| {
        let mut all = read(bytes);
        let before = all.len();
        all.retain(|member| member.vm != vm.0);
        (all.len() < before).then(|| bytes_of(&all))
    });
}

/// The queues of the other VMs.
pub fn others<H: Host>(host: &H, plugin: &str, vm: Vm) -> Vec<u32> {
    let bytes = host.shared_data(&key(plugin)).unwrap_or_default();
    let others = read(&bytes).into_iter().filter(|member| member.vm != vm.0);
    others.map(|member| member.queue).collect()
}

fn read(mut bytes: &[u8]) -> Vec<Member> {
    let mut one = || {
        Some(Member {
            vm: wire::number(&mut bytes)?,
            queue: wire::short(&mut bytes)?,
            at: wire::number(&mut bytes)?,
        })
    };
    std::iter::from_fn(&mut one).take(MAX_WOKEN).collect()
}

fn bytes_of(all: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in all {
        bytes.extend_from_slice(&member.vm.to_le_bytes());
        bytes.extend_from_slice(&member.queue.to_le_bytes());
        bytes.extend_from_slice(&member.at.to_le_bytes());
    }
    bytes
}

fn key(plugin: &str) -> String {
    ["sluice/", plugin, "/wakes.1"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_others_that_live_are_woken() {
        let host = MemoryHost::default();
        let join = |vm, queue, seconds: u64| {
            join(
                &host,
                "p",
                Vm(vm),
                queue,
                Duration::from_secs(1_000 + seconds),
            );
        };
        let others = |vm| others(&host, "p", Vm(vm));
        join(1, 11, 0);
        join(2, 12, 0);
        join(3, 13, 0);
        assert_eq!(others(1), [12, 13]);
        join(1, 11, 9);
        join(2, 12, 9);
        assert_eq!(others(3), [11, 12], "known already");
        join(1, 11, 25);
        join(2, 12, 25);
        assert_eq!(others(1), [13, 12]);
        join(1, 11, 35);
        assert_eq!(others(1), [12], "who was silent for long is forgotten");
        join(2, 22, 36);
        assert_eq!(others(1), [22], "another queue of the same one");
        leave(&host, "p", Vm(2));
        assert_eq!((others(1), others(2)), (vec![], vec![11]));
    }

    #[test]
    fn garbage_and_a_crowd_are_bounded() {
        let host = MemoryHost::default();
        host.set_shared_data(&key("p"), &[0xff; 100_000]);
        assert_eq!(others(&host, "p", Vm(1)).len(), MAX_WOKEN);
        join(&host, "p", Vm(1), 11, Duration::from_secs(1_000));
        assert_eq!(others(&host, "p", Vm(2)), [11]);
        for vm in 0..2_000 {
            join(&host, "p", Vm(vm), 11, Duration::from_secs(1_000));
        }
        assert_eq!(others(&host, "p", Vm(2_000)).len(), MAX_WOKEN);
    }
}
