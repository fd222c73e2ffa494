//! A header that a route matches, against the splits that set it, and the hosts on which they do.

use sluice_core::hosts::{Hosts, MatchHost};
use sluice_core::plan::Split;

use crate::analyze::findings::{Findings, Planned};
use crate::model::suggest;

/// What our headers begin with unless a split names another.
const PREFIX: &str = "x-sluice-";

/// A split and the plugin that decides it.
#[derive(Clone, Copy)]
pub(super) struct Decided<'p> {
    pub(super) plugin: &'p Planned<'p>,
    pub(super) split: &'p Split,
}

/// A match of a header.
pub(super) struct HeaderMatch {
    /// The field, such as `spec.http[0].match[0].headers.x-sluice-web`.
    pub(super) path: String,
    /// In lower case.
    pub(super) header: String,
    /// The value, where it is matched exactly.
    pub(super) value: Option<String>,
}

impl HeaderMatch {
    /// The split whose header it is; says when it is nobody's, or the value is no variant.
    pub(super) fn split<'p>(
        &self,
        title: &str,
        splits: &[Decided<'p>],
        findings: &mut Findings,
    ) -> Option<&'p Split> {
        let split = splits
            .iter()
            .map(|decided| decided.split)
            .find(|split| *split.definition.header == *self.header);
        match split {
            Some(split) => self.value_of(title, split, findings),
            None if self.header.starts_with(PREFIX) && !splits.is_empty() => {
                let headers = splits
                    .iter()
                    .map(|decided| decided.split.definition.header.as_ref());
                let hint = suggest::hint(&self.header, headers);
                findings.problem(
                    title,
                    format!("{}: no split sets this header; {hint}", self.path),
                );
            }
            None => {}
        }
        split
    }

    fn value_of(&self, title: &str, split: &Split, findings: &mut Findings) {
        let path = &self.path;
        let variants = || split.definition.variants.iter().map(AsRef::as_ref);
        match &self.value {
            Some(value) if variants().any(|variant| variant == value) => {}
            Some(value) => {
                let hint = suggest::hint(value, variants());
                findings.problem(
                    title,
                    format!(
                        "{path}: {value:?} is no variant of split {}; {hint}",
                        split.definition.name
                    ),
                );
            }
            None => findings.warning(title, format!("{path}: not an exact match of a variant")),
        }
    }
}

/// A host of a route must be one on which the split decides: elsewhere a client's own header would
/// be routed on.
pub(super) fn must_be_decided(
    title: &str,
    field: &str,
    host: &str,
    split: &Split,
    findings: &mut Findings,
) {
    let is_decided = match &split.definition.hosts {
        Hosts::Every => true,
        Hosts::These(hosts) => hosts.iter().any(|own| covers(own, host)),
    };
    if is_decided {
        return;
    }
    findings.problem(
        title,
        format!(
            "{field}: {host} is none of the hosts of split {}: nobody sets {} there, and a \
             client's own would be routed on",
            split.definition.name, split.definition.header
        ),
    );
}

/// Whether a split's host covers a route's host, which may be a wildcard too.
fn covers(own: &MatchHost, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    match own {
        MatchHost::Exact(name) | MatchHost::Service(name) => host == **name,
        // What is left of a name below is a label and a dot; of a wildcard, at least `*.`.
        MatchHost::Suffix(suffix) => host
            .strip_suffix(suffix.as_ref())
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
    }
}
