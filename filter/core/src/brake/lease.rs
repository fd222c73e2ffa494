//! Which VM of a proxy asks: the one that holds the lease in the proxy's shared data. And whether it was
//! answered last, which its successor goes on from.

use std::time::Duration;

use crate::host::{Host, Level};
use crate::wire;

/// For so many milliseconds a VM holds the lease that it renews at each of its ticks. Chosen: a tick may
/// be late by two; a VM that ends releases it.
const LEASE: u64 = 3_500;

/// A VM of a proxy: a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vm(pub u64);

/// What became of the last question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heard {
    /// There was none.
    #[default]
    Nothing,
    /// It was answered.
    Answer,
    /// It was not.
    Failure,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    /// 0: nobody.
    holder: u64,
    /// In milliseconds since the epoch.
    until: u64,
    heard: Heard,
}

impl Lease {
    fn read(mut bytes: &[u8]) -> Self {
        let mut number = || wire::number(&mut bytes).unwrap_or_default();
        let (holder, until) = (number(), number());
        let heard = match bytes {
            [1] => Heard::Answer,
            [2] => Heard::Failure,
            _ => Heard::Nothing,
        };
        Self {
            holder,
            until,
            heard,
        }
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = [self.holder.to_le_bytes(), self.until.to_le_bytes()].concat();
        bytes.push(self.heard as u8);
        bytes
    }

    /// Whether another VM holds it. A time that is too far away is one of a clock that went back.
    fn is_of_another(self, vm: Vm, now: u64) -> bool {
        let left = self.until.saturating_sub(now);
        ![0, vm.0].contains(&self.holder) && (1..=LEASE).contains(&left)
    }
}

/// Takes or renews the lease. What the holder heard last; `None` where another VM holds it.
pub fn hold<H: Host>(host: &H, plugin: &str, vm: Vm, now: Duration) -> Option<Heard> {
    let now = u64::try_from(now.as_millis()).unwrap_or_default();
    let (mut held, mut is_taken) = (None, false);
    let update = host.update_shared_data(&key(plugin), &mut |bytes| {
        let mut lease = Lease::read(bytes);
        held = (!lease.is_of_another(vm, now)).then_some(lease.heard);
        held?;
        is_taken = lease.holder != vm.0;
        lease.holder = vm.0;
        lease.until = now + LEASE;
        Some(lease.bytes())
    });
    let held = held.filter(|_| update != crate::host::Update::Lost)?;
    if is_taken {
        show(host, plugin, held);
    }
    Some(held)
}

/// Gives the lease back, so that another VM need not wait for its end. Whether it was this one's.
pub fn release<H: Host>(host: &H, plugin: &str, vm: Vm) -> bool {
    let mut is_own = false;
    host.update_shared_data(&key(plugin), &mut |bytes| {
        let lease = Lease::read(bytes);
        is_own = lease.holder == vm.0;
        is_own.then(|| Lease { holder: 0, ..lease }.bytes())
    });
    is_own
}

/// Notes and shows what became of a question; says it, where that is news.
pub fn hear<H: Host>(host: &H, plugin: &str, heard: Heard, words: &str) {
    let mut former = heard;
    host.update_shared_data(&key(plugin), &mut |bytes| {
        let lease = Lease::read(bytes);
        former = lease.heard;
        (former != heard).then(|| Lease { heard, ..lease }.bytes())
    });
    if former == heard {
        return;
    }
    show(host, plugin, heard);
    let line = match (former, heard) {
        (_, Heard::Failure) => "no answer to which challengers are braked; what is known stays",
        (Heard::Failure, Heard::Answer) => "answered again which challengers are braked",
        _ => return,
    };
    host.log(Level::Warning, &format!("sluice {plugin}: {line}{words}"));
}

/// Nobody is asked any more.
pub(crate) fn end<H: Host>(host: &H, plugin: &str) {
    host.set_shared_data(&key(plugin), &Lease::default().bytes());
    show(host, plugin, Heard::Nothing);
}

fn show<H: Host>(host: &H, plugin: &str, heard: Heard) {
    let is_connected = u64::from(heard == Heard::Answer);
    host.set_gauge("brake_connected", &[("plugin", plugin)], is_connected);
}

fn key(plugin: &str) -> String {
    ["sluice/", plugin, "/asks.1"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const A: Vm = Vm(7);
    const B: Vm = Vm(8);

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(1_000_000 + milliseconds)
    }

    #[test]
    fn one_vm_holds_the_lease_until_it_ends_or_is_released() {
        let host = MemoryHost::default();
        let steps = [
            ("the first takes it", A, 0, true),
            ("another one waits", B, 1_000, false),
            ("it is renewed", A, 3_000, true),
            ("and lasts from then", B, 6_499, false),
            ("until it ends", B, 6_500, true),
            ("the former waits", A, 6_501, false),
            ("a clock that went back is no end", B, 0, true),
            ("but also no beginning", A, 1, false),
        ];
        for (label, vm, now, is_held) in steps {
            assert_eq!(hold(&host, "p", vm, at(now)).is_some(), is_held, "{label}");
        }
        assert_eq!(
            hold(&host, "q", A, at(0)),
            Some(Heard::Nothing),
            "another plugin"
        );
        assert!(!release(&host, "p", A), "not its own");
        assert_eq!(hold(&host, "p", A, at(2)), None);
        assert!(release(&host, "p", B));
        assert_eq!(hold(&host, "p", A, at(2)), Some(Heard::Nothing));
    }

    #[test]
    fn a_time_far_ahead_is_one_of_a_clock_that_went_back() {
        let host = MemoryHost::default();
        hold(&host, "p", A, at(1_000_000));
        assert_eq!(hold(&host, "p", B, at(0)), Some(Heard::Nothing));
    }

    #[test]
    fn who_loses_every_race_does_not_ask() {
        let host = MemoryHost::default();
        host.lost.set(1);
        assert_eq!(hold(&host, "p", A, at(0)), None);
    }

    #[test]
    fn garbage_is_nobodys_lease() {
        for bytes in [&[1; 5][..], &[0xff; 17], &[0xff; 300]] {
            let host = MemoryHost::default();
            host.set_shared_data(&key("p"), bytes);
            assert_eq!(
                hold(&host, "p", A, at(0)),
                Some(Heard::Nothing),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_successor_goes_on_from_what_was_heard_and_only_news_are_said() {
        let host = MemoryHost::default();
        hold(&host, "p", A, at(0));
        assert_eq!(host.metric("brake_connected p"), Some(0));
        let steps = [
            (Heard::Answer, 1, 0),
            (Heard::Answer, 1, 0),
            (Heard::Failure, 0, 1),
            (Heard::Failure, 0, 1),
            (Heard::Answer, 1, 2),
        ];
        for (heard, connected, lines) in steps {
            hear(&host, "p", heard, "");
            assert_eq!(host.metric("brake_connected p"), Some(connected));
            assert_eq!(host.lines.borrow().len(), lines);
        }
        release(&host, "p", A);
        host.set_gauge("brake_connected", &[("plugin", "p")], 0);
        assert_eq!(hold(&host, "p", B, at(0)), Some(Heard::Answer));
        assert_eq!(host.metric("brake_connected p"), Some(1));
        end(&host, "p");
        assert_eq!(host.metric("brake_connected p"), Some(0));
        assert_eq!(hold(&host, "p", A, at(1)), Some(Heard::Nothing));
    }
}
