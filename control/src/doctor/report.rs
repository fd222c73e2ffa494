//! Everything that was found, in the order in which it is told.

use std::collections::BTreeMap;

use serde::Serialize;

use super::codes::Code;
use super::finding::{Finding, Look, MAX_FINDINGS_OF_A_CODE};
use super::subjects::{Severity, Subject};

/// What a look at a cluster came to; serialized, it is the JSON of `sluice doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The cluster, as people call it.
    pub cluster: String,
    /// This sluice's version.
    pub version: &'static str,
    /// Whether nothing is broken.
    pub is_good: bool,
    /// How many findings there are of each severity, those that are not listed too.
    pub counts: Counts,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// How many more there are of a code than are listed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unlisted: BTreeMap<Code, usize>,
    /// What was looked at and is good, by subject.
    pub good: Vec<Good>,
}

/// How many findings there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// What does not work.
    pub broken: usize,
    /// What will not in a case that comes.
    pub warnings: usize,
    /// What one should know.
    pub notes: usize,
}

/// What is good of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Good {
    /// Of what.
    pub subject: Subject,
    /// A phrase each.
    pub seen: Vec<String>,
}

impl Report {
    /// Nothing yet.
    pub fn new(cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            version: super::versions::OWN,
            is_good: true,
            counts: Counts::default(),
            findings: Vec::new(),
            unlisted: BTreeMap::new(),
            good: Vec::new(),
        }
    }

    /// Adds what a look at a subject came to. What was not looked at is of that subject.
    pub fn add(&mut self, subject: Subject, look: Look) {
        for mut finding in look.findings {
            if finding.code == Code::NotLookedAt {
                finding.subject = subject;
            }
            let count = match finding.severity {
                Severity::Broken => &mut self.counts.broken,
                Severity::Warning => &mut self.counts.warnings,
                Severity::Note => &mut self.counts.notes,
            };
            *count += 1;
            self.is_good &= finding.severity != Severity::Broken;
            let is_same = |kept: &&Finding| kept.code == finding.code;
            if self.findings.iter().filter(is_same).count() < MAX_FINDINGS_OF_A_CODE {
                self.findings.push(finding);
            } else {
                *self.unlisted.entry(finding.code).or_default() += 1;
            }
        }
        if look.good.is_empty() {
            return;
        }
        match self.good.iter_mut().find(|good| good.subject == subject) {
            Some(good) => good.seen.extend(look.good),
            None => self.good.push(Good {
                subject,
                seen: look.good,
            }),
        }
    }

    /// The same with the worst findings first, by subject and place.
    pub fn sorted(mut self) -> Self {
        self.findings.sort_by(|one, other| {
            let key = |finding: &Finding| (finding.severity, finding.subject, finding.code);
            (key(one), &one.place).cmp(&(key(other), &other.place))
        });
        self.good.sort_by_key(|good| good.subject);
        for good in &mut self.good {
            good.seen.truncate(MAX_FINDINGS_OF_A_CODE);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_findings_of_a_code_the_first_are_kept_and_all_are_counted() {
        let mut report = Report::new("a test");
        for number in 0..=MAX_FINDINGS_OF_A_CODE {
            let mut look = Look::default();
            let place = format!("{number:02}");
            look.find(Finding::new(
                Code::PluginUnpinned,
                place,
                "no digest",
                "a digest",
            ));
            look.praise("this");
            report.add(Subject::Plugins, look);
        }
        assert!(report.is_good);
        let mut worse = Look::default();
        worse.find(Finding::new(Code::ProxiesRefused, "p", "x", "y"));
        worse.miss("clocks", "no");
        report.add(Subject::Clocks, worse);
        let report = report.sorted();
        assert!(!report.is_good);
        assert_eq!(report.findings.len(), MAX_FINDINGS_OF_A_CODE + 2);
        assert_eq!(report.findings[0].code, Code::ProxiesRefused);
        assert_eq!(report.findings.last().unwrap().subject, Subject::Clocks);
        assert_eq!(report.unlisted, BTreeMap::from([(Code::PluginUnpinned, 1)]));
        let Counts {
            broken,
            warnings,
            notes,
        } = report.counts;
        assert_eq!(
            (broken, warnings, notes),
            (1, MAX_FINDINGS_OF_A_CODE + 2, 0)
        );
        assert_eq!(report.good[0].seen.len(), MAX_FINDINGS_OF_A_CODE);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["findings"][0]["code"], "proxies-refused");
        assert_eq!(json["findings"][0]["severity"], "broken");
        assert_eq!(json["unlisted"]["plugin-unpinned"], 1);
    }
}
