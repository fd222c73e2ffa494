//! A split's guard: its defaults, and what is wrong with it.

use super::Reader;
use crate::allocation::Percent;
use crate::config;
use crate::guard::{Guard, MAX_RESPONSES, MAX_WITHIN};
use crate::problem::Accepted;

impl Reader<'_> {
    pub(super) fn guard(&mut self, path: &str, written: &config::Guard) -> Guard {
        let default = Guard::default();
        Guard {
            failures: self
                .failures(path, written.failures)
                .unwrap_or(default.failures),
            responses: self
                .responses(path, written.responses)
                .unwrap_or(default.responses),
            within: self
                .within(path, written.within.as_deref())
                .unwrap_or(default.within),
        }
    }

    fn failures(&mut self, path: &str, written: Option<f64>) -> Option<Percent> {
        let written = written?;
        let percent = Percent::new(written).filter(|percent| *percent > Percent::ZERO);
        if percent.is_none() {
            let accepted = Accepted::value("0.001 to 100, in steps of 0.001");
            self.report(format!("{path}.failures"), written.to_string(), accepted);
        }
        percent
    }

    fn responses(&mut self, path: &str, written: Option<f64>) -> Option<u32> {
        let written = written?;
        let is_accepted =
            written.fract() == 0.0 && (1.0..=f64::from(MAX_RESPONSES)).contains(&written);
        if !is_accepted {
            let accepted = Accepted::value(format!("a whole number from 1 to {MAX_RESPONSES}"));
            self.report(format!("{path}.responses"), written.to_string(), accepted);
        }
        is_accepted.then_some(written as u32)
    }

    fn within(&mut self, path: &str, written: Option<&str>) -> Option<u32> {
        let written = written?;
        let digits = written.strip_suffix('s');
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let seconds = digits.and_then(|digits| digits.parse().ok());
        let accepted = seconds.filter(|seconds| (1..=MAX_WITHIN).contains(seconds));
        if accepted.is_none() {
            let rule = Accepted::value(format!("1s to {MAX_WITHIN}s, a whole number and s"));
            self.report(format!("{path}.within"), format!("{written:?}"), rule);
        }
        accepted
    }
}
