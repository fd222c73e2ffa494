//! An HTTPRoute: the headers that its rules match, and its hosts.

use super::header::{Decided, HeaderMatch, must_be_decided};
use crate::analyze::findings::Findings;
use crate::model::resources::Resource;
use crate::model::resources::gateway::{HttpRoute, Rule};

pub(super) fn check(route: &Resource<HttpRoute>, splits: &[Decided<'_>], findings: &mut Findings) {
    let title = &route.title();
    let mut matched = Vec::new();
    for header in header_matches(&route.spec.rules) {
        matched.extend(header.split(title, splits, findings));
    }
    for split in matched {
        for host in &route.spec.hostnames {
            must_be_decided(title, "spec.hostnames", host, split, findings);
        }
    }
}

/// The headers that its rules ask for, in lower case.
pub(crate) fn headers(route: &Resource<HttpRoute>) -> impl Iterator<Item = String> {
    let matches = header_matches(&route.spec.rules).into_iter();
    matches.map(|one| one.header)
}

fn header_matches(rules: &[Rule]) -> Vec<HeaderMatch> {
    let mut matches = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for (number, alternative) in rule.matches.iter().enumerate() {
            matches.extend(alternative.headers.iter().map(|header| {
                let name = header.name.to_ascii_lowercase();
                HeaderMatch {
                    path: format!("spec.rules[{index}].matches[{number}].headers.{name}"),
                    value: header.exact().map(str::to_owned),
                    header: name,
                }
            }));
        }
    }
    matches
}
