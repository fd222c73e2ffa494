//! The analysis that an import writes, put together check by check.
//!
//! A Rollout asks one Prometheus, has so many checks, and each has a name of its own; what does not
//! fit is refused here, with the reason.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::length;
use crate::rollout::analysis::plan::MAX_CHECK_NAME_BYTES;
use crate::rollout::resource::MAX_CHECKS;

/// What is known of the analysis so far.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// The Prometheus, whatever a resource names.
    forced: Option<String>,
    server: Option<Value>,
    checks: Vec<Value>,
    names: BTreeSet<String>,
    /// Whether a check has no query of its own.
    pub(super) needs_istio: bool,
}

impl Analysis {
    /// One whose Prometheus a person has named, if any.
    pub(super) fn new(forced: Option<&str>) -> Self {
        Self {
            forced: forced.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Asks this Prometheus, written as `spec.analysis.prometheus` is.
    ///
    /// # Errors
    /// When another one is asked already.
    pub(super) fn ask(&mut self, mut server: Value) -> Result<(), String> {
        if let Some(forced) = &self.forced {
            server = json!({"address": forced});
        } else if let Some(Value::String(address)) = server.get_mut("address") {
            *address = address.trim_end_matches('/').to_owned();
        }
        match &self.server {
            None => self.server = Some(server),
            Some(one) if *one == server => {}
            Some(one) => {
                return Err(format!(
                    "it asks another Prometheus, or otherwise, than {}; a Rollout asks one: give it by --prometheus \
                     where one has all series",
                    one["address"].as_str().unwrap_or_default()
                ));
            }
        }
        Ok(())
    }

    /// Adds a check, under its name as far as that fits.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn add(&mut self, name: &str, mut check: Map<String, Value>) -> Result<(), String> {
        let is_same = |other: &Value| {
            let mut other = other.as_object().cloned().unwrap_or_default();
            other.remove("name");
            other == check
        };
        // A template that several steps name is one check.
        if self.checks.iter().any(is_same) {
            return Ok(());
        }
        if self.checks.len() >= MAX_CHECKS {
            return Err(format!("more than {MAX_CHECKS} checks"));
        }
        let name = self.free_name(name);
        check.insert("name".to_owned(), json!(name));
        self.names.insert(name);
        self.checks.push(Value::Object(check));
        Ok(())
    }

    /// Whether there is no check.
    pub(super) const fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// Whether a Prometheus is known.
    pub(super) const fn has_server(&self) -> bool {
        self.server.is_some() || self.forced.is_some()
    }

    /// The analysis as a Rollout has it, but for what `others` says.
    pub(super) fn written(self, others: Value) -> Value {
        let mut written = json!({"checks": self.checks});
        let forced = self.forced.map(|address| json!({"address": address}));
        if let Some(server) = self.server.or(forced) {
            written["prometheus"] = server;
        }
        for (name, value) in others.as_object().into_iter().flatten() {
            written[name] = value.clone();
        }
        written
    }

    fn free_name(&self, name: &str) -> String {
        let shown: String = name.chars().filter(|c| !c.is_control()).collect();
        let shown = match shown.trim() {
            "" => "check",
            shown => shown,
        };
        let first = cut(shown, "");
        let numbered = (2..).map(|number: u32| cut(shown, &format!(" {number}")));
        let mut names = std::iter::once(first).chain(numbered);
        let free = names.find(|name| !self.names.contains(name));
        free.unwrap_or_default()
    }
}

/// As much of a name as fits before an end.
fn cut(name: &str, end: &str) -> String {
    let mut room = MAX_CHECK_NAME_BYTES
        .saturating_sub(end.len())
        .min(name.len());
    while !name.is_char_boundary(room) {
        room -= 1;
    }
    format!("{}{end}", name[..room].trim_end())
}

/// A number as a threshold has it: digits and a point, never an exponent.
///
/// # Errors
/// When it is none, or longer than a threshold.
pub(super) fn decimal(number: f64) -> Result<String, String> {
    const LONGEST: usize = 24;
    let text = format!("{number}");
    match number.is_finite() && text.len() <= LONGEST {
        true => Ok(text),
        false => Err(format!("{number:e} is no threshold that a check may have")),
    }
}

/// How long a window or an interval is, within what may be written.
pub(super) fn within(length: Duration, least: &str, most: &str) -> Option<String> {
    let limits = [least, most].map(|text| length::of_go(text).unwrap_or_default());
    length::written(length.max(limits[0]).min(limits[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(index: usize) -> Map<String, Value> {
        Map::from_iter([("query".to_owned(), json!(index))])
    }

    #[test]
    fn a_name_is_cut_and_made_another() {
        let mut analysis = Analysis::default();
        let long = "é".repeat(30);
        for (index, name) in [&*long, &long, "a\nb", ""].iter().enumerate() {
            analysis.add(name, numbered(index)).unwrap();
        }
        let names: Vec<&Value> = analysis.checks.iter().map(|check| &check["name"]).collect();
        let expected = [
            "é".repeat(20),
            "é".repeat(19) + " 2",
            "ab".to_owned(),
            "check".to_owned(),
        ];
        assert_eq!(names, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn one_prometheus_and_so_many_checks() {
        let mut analysis = Analysis::default();
        assert_eq!(analysis.ask(json!({"address": "http://a:9090/"})), Ok(()));
        assert_eq!(analysis.ask(json!({"address": "http://a:9090"})), Ok(()));
        assert!(analysis.ask(json!({"address": "http://b:9090"})).is_err());
        for index in 0..MAX_CHECKS {
            analysis.add("c", numbered(index)).unwrap();
        }
        let expected = Err("more than 30 checks".to_owned());
        assert_eq!(analysis.add("c", numbered(MAX_CHECKS)), expected);
        assert_eq!(analysis.add("c", numbered(0)), Ok(()));
        let mut forced = Analysis::new(Some("http://c"));
        assert_eq!(forced.ask(json!({"address": "http://a"})), Ok(()));
        assert_eq!(forced.ask(json!({"address": "http://b"})), Ok(()));
        assert_eq!(
            forced.written(json!({}))["prometheus"],
            json!({"address": "http://c"})
        );
    }

    #[test]
    fn thresholds_have_no_exponent() {
        assert_eq!(decimal(0.001), Ok("0.001".to_owned()));
        assert_eq!(decimal(1e9), Ok("1000000000".to_owned()));
        assert_eq!(decimal(-2.5), Ok("-2.5".to_owned()));
        assert!(decimal(1e-30).is_err());
        assert!(decimal(f64::INFINITY).is_err());
    }
}
