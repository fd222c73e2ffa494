//! A request as somebody describes it, and the sentences that tell why it was decided as it was.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sluice_core::allocation::Allocation;
use sluice_core::config::Anonymous;
use sluice_core::decide::{Audience, Decision, Reason};
use sluice_core::matching::Rule;
use sluice_core::plan::{Plan, Split};
use sluice_core::request::{Bytes, Request, Seen};

/// A request as somebody describes it.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// `:authority`; empty is none.
    pub host: String,
    /// The path with its query.
    pub path: String,
    /// Headers by lower-case name, the first value of each; `:method` too.
    pub headers: BTreeMap<String, Vec<u8>>,
    /// Claims by name.
    pub claims: BTreeMap<String, String>,
    /// The client's address.
    pub source: Option<String>,
}

/// The random bits of a described request: fixed, because a description decides nothing. What depends on them is
/// reported as open.
const NO_LUCK: [u8; 16] = [0; 16];

impl Request for Described {
    fn authority(&self) -> Option<Bytes<'_>> {
        (!self.host.is_empty()).then_some(Cow::Borrowed(self.host.as_bytes()))
    }

    fn path(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.path.as_bytes()))
    }

    fn header(&self, name: &str) -> Option<Bytes<'_>> {
        self.headers
            .get(name)
            .map(|value| Cow::Borrowed(value.as_slice()))
    }

    fn claim(&self, name: &str) -> Option<Bytes<'_>> {
        self.claims
            .get(name)
            .map(|value| Cow::Borrowed(value.as_bytes()))
    }

    fn source_address(&self) -> Option<Bytes<'_>> {
        self.source
            .as_ref()
            .map(|address| Cow::Borrowed(address.as_bytes()))
    }

    fn random(&self) -> Option<[u8; 16]> {
        Some(NO_LUCK)
    }
}

/// Whether chance decided, so that a description cannot name the variant.
pub fn is_open(decision: &Decision) -> bool {
    matches!(decision.reason, Reason::Issued | Reason::PerRequest)
}

/// The sentences for one split's decision, one a line.
pub fn sentences(plan: &Plan, request: &Described, decision: &Decision) -> Vec<String> {
    let Some(split) = plan.split(decision.split) else {
        return Vec::new();
    };
    let definition = &split.definition;
    let mut lines = Vec::new();
    let outcome = match (decision.variant, is_open(decision)) {
        (_, true) => "open until a user is drawn".to_owned(),
        (Some(place), false) => {
            format!("{}, in header {}", variant(split, place), definition.header)
        }
        (None, _) => format!("header {} is removed", definition.header),
    };
    lines.push(format!("{}: {outcome}", definition.name));
    match decision.reason {
        Reason::OffPath => lines.push(format!(
            "  the split applies to this host, but not to the path {}",
            request.path
        )),
        Reason::Broken => {
            lines.push("  the split has a problem, so everybody gets the fallback:".to_owned());
            lines.extend(
                definition
                    .problems
                    .iter()
                    .map(|problem| format!("    {problem}")),
            );
        }
        Reason::Forced => {
            lines.push("  the request names its variant itself (override)".to_owned())
        }
        Reason::Inherited => lines.push(
            "  an earlier proxy decided; this sidecar inherits what the header says".to_owned(),
        ),
        _ => drawn(plan, split, request, decision, &mut lines),
    }
    lines
}

fn drawn(
    plan: &Plan,
    split: &Split,
    request: &Described,
    decision: &Decision,
    lines: &mut Vec<String>,
) {
    let seen = Seen::new(request);
    let matched = match decision.audience {
        Audience::Rule(place) => Some(usize::from(place)),
        _ => None,
    };
    let earlier = matched.unwrap_or(split.definition.rules.len());
    for rule in split.definition.rules.iter().take(earlier) {
        lines.push(format!(
            "  rule {} does not match: {}",
            rule.name,
            why_not(rule, &seen)
        ));
    }
    match matched.and_then(|place| split.definition.rules.get(place)) {
        Some(rule) => lines.push(format!(
            "  rule {} matches: audience {}",
            rule.name, rule.name
        )),
        None => lines.push("  no rule matches: audience everyone".to_owned()),
    }
    let allocation = split.allocation(matched);
    lines.push(format!("  {}", shares(split, allocation)));
    lines.extend(identity_lines(plan, split, request, decision, allocation));
}

fn identity_lines(
    plan: &Plan,
    split: &Split,
    request: &Described,
    decision: &Decision,
    allocation: &Allocation,
) -> Vec<String> {
    let definition = &split.definition;
    let seen = Seen::new(request);
    let mut lines = Vec::new();
    for (place, source) in definition.identity.iter().enumerate() {
        let name = source
            .name()
            .map(|name| format!(" {name}"))
            .unwrap_or_default();
        let is_used = decision.identity.map(usize::from) == Some(place);
        let value = source.value(&seen, &plan.cookie().name);
        match value {
            Some(value) if is_used => {
                lines.push(format!(
                    "  identity: {}{name} = {}",
                    source.kind(),
                    String::from_utf8_lossy(&value)
                ));
                break;
            }
            _ => lines.push(format!("  identity: {}{name} is not there", source.kind())),
        }
    }
    match (decision.reason, decision.bucket) {
        (Reason::Bucket, Some(bucket)) => {
            let range = allocation.range(bucket);
            lines.push(format!(
                "  bucket {bucket} of 100000 lies in {}..{}, which is {}'s",
                range.start,
                range.end,
                variant(split, range.variant)
            ));
        }
        (Reason::Issued, _) => lines.push(format!("  a random identity would be drawn and set as cookie {}; the odds are the shares above", plan.cookie().name)),
        (Reason::PerRequest, _) => lines.push("  each request draws anew (anonymous: perRequest); the odds are the shares above".to_owned()),
        (Reason::OneOutcome, _) => lines.push("  without identity; everybody of this audience gets the same, so none is needed".to_owned()),
        (Reason::NoIdentity, _) if definition.anonymous == Anonymous::Fallback => {
            lines.push("  without identity: the fallback (anonymous: fallback)".to_owned());
        }
        _ => lines.push("  without identity, and no cookie is issued here (only by gateways; not for preflights, gRPC or sub-resource fetches): the fallback".to_owned()),
    }
    lines
}

/// `of 100 users 5 get canary and 95 stable`.
fn shares(split: &Split, allocation: &Allocation) -> String {
    let places = (1..split.definition.variants.len())
        .chain([0])
        .filter_map(|place| u8::try_from(place).ok());
    let shares: Vec<String> = places
        .map(|place| format!("{} {}", allocation.share(place), variant(split, place)))
        .collect();
    format!("shares in percent: {}", shares.join(", "))
}

/// Why a rule does not match: of each alternative the first condition that fails.
fn why_not(rule: &Rule, seen: &Seen<'_, Described>) -> String {
    let reasons: Vec<String> = rule
        .alternatives
        .iter()
        .filter_map(|alternative| alternative.iter().find(|condition| !condition.holds(seen)))
        .map(|condition| match condition.subject.value(seen) {
            Some(value) => {
                format!(
                    "{} is {:?}, not {}",
                    condition.subject,
                    String::from_utf8_lossy(&value),
                    condition.matcher
                )
            }
            None => format!("{} is not there", condition.subject),
        })
        .collect();
    reasons.join("; ")
}

fn variant(split: &Split, place: u8) -> &str {
    split
        .definition
        .variants
        .get(usize::from(place))
        .map_or("the fallback", AsRef::as_ref)
}
