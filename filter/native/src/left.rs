//! What a version of the module counted that does not hand it to Envoy by itself, and which the version
//! that took its place does at its next tick.
//!
//! The last configuration of a version ends on whatever thread its last stream ends on, which must not
//! touch metrics; and before, a series that it began would end with it. So counts are written down where
//! all versions look, a line each.

use sluice_core::host::{Host, Kind, Labels, METRICS, Update};

use crate::abi::shared;
use crate::envoy::Sink;

/// Writes down counts.
pub(crate) struct Leaving<'a> {
    /// The plugin's name.
    pub(crate) plugin: &'a str,
}

impl Sink for Leaving<'_> {
    fn add(&self, name: &str, labels: Labels<'_>, number: u64) {
        let mut line = name.to_owned();
        for (_, value) in labels {
            line.extend(["\t", value]);
        }
        line += &format!("\t{number}\n");
        shared::append(&key(self.plugin), line.as_bytes());
    }

    /// Whoever takes over shows what is shared by itself.
    fn set(&self, _name: &str, _labels: Labels<'_>, _value: u64) {}
}

/// Hands to a host what was left for a plugin, once.
pub(crate) fn take_over<H: Host>(host: &H, plugin: &str) {
    let mut left = Vec::new();
    let update = host.update_shared_data(&key(plugin), &mut |bytes| {
        left = bytes.to_vec();
        (!bytes.is_empty()).then(Vec::new)
    });
    // What was not taken out comes again.
    if update == Update::Lost {
        return;
    }
    for line in String::from_utf8_lossy(&left).lines() {
        let _ = hand_over(host, line);
    }
}

/// A line of another form is none.
fn hand_over<H: Host>(host: &H, line: &str) -> Option<()> {
    let mut parts: Vec<&str> = line.split('\t').collect();
    let number = parts.pop()?.parse().ok()?;
    let (name, values) = parts.split_first()?;
    let metric = METRICS.iter().find(|metric| metric.name == *name)?;
    if metric.labels.len() != values.len() {
        return None;
    }
    let names = metric.labels.iter().copied();
    let labels: Vec<(&str, &str)> = names.zip(values.iter().copied()).collect();
    if metric.kind == Kind::Counter {
        host.add_to_counter(name, &labels, number);
    }
    Some(())
}

/// It ends in the number of the format.
fn key(plugin: &str) -> String {
    ["sluice/", plugin, "/left.1"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::RefCell;

    use crate::envoy::Process;

    /// What is added and set.
    #[derive(Default)]
    struct Heir(RefCell<Vec<String>>);

    impl Sink for Heir {
        fn add(&self, name: &str, labels: Labels<'_>, number: u64) {
            let line = format!("{name} {labels:?} + {number}");
            self.0.borrow_mut().push(line);
        }

        fn set(&self, name: &str, labels: Labels<'_>, value: u64) {
            let line = format!("{name} {labels:?} = {value}");
            self.0.borrow_mut().push(line);
        }
    }

    #[test]
    fn what_was_left_is_taken_over_once() {
        let leaving = Process(Leaving { plugin: "left" });
        let split = ("split", "web");
        leaving.add_to_counter("cut_total", &[split], 7);
        leaving.set_gauge("config_valid", &[("plugin", "left")], 1);
        shared::append(
            &key("left"),
            b"cut_total\t7\nnothing\tweb\t1\ncut_total\tweb\tx\nconfig_valid\tleft\t1\n",
        );
        let heir = Process(Heir::default());
        take_over(&heir, "left");
        take_over(&heir, "left");
        take_over(&heir, "another");
        let expected = [r#"cut_total [("split", "web")] + 7"#];
        assert_eq!(*heir.0.0.borrow(), expected);
    }
}
