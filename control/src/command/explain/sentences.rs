//! The sentences that tell why a request was decided as it was.

use sluice_core::config::Anonymous;
use sluice_core::decide::Reason;
use sluice_core::plan::NodeKind;

use crate::analyze::proxies::kind_name;
use crate::operations::described::Described;
use crate::operations::explain::{
    AskedSource, Draw, ExplainedSplit, Explanation, FailedRule, is_open,
};

/// The whole explanation, a sentence a line.
/// `why` says why this kind of proxy answers.
pub(super) fn text(request: &Described, explanation: &Explanation, why: &str) -> String {
    if explanation.splits.is_empty() {
        let host = if request.host.is_empty() {
            "a request without host".to_owned()
        } else {
            format!("host {}", request.host)
        };
        return format!("no split applies to {host}; the request passes untouched");
    }
    let proxy = explanation.proxy;
    let splits = explanation.splits.iter();
    let sentences = splits.flat_map(|split| sentences(request, split, proxy));
    std::iter::once(format!("a {} decides: {why}", kind_name(proxy)))
        .chain(sentences)
        .collect::<Vec<_>>()
        .join("\n")
}

fn sentences(request: &Described, split: &ExplainedSplit, proxy: NodeKind) -> Vec<String> {
    let outcome = match &split.variant {
        _ if is_open(split.reason) => "open until a user is drawn".to_owned(),
        Some(variant) => format!("{variant}, in header {}", split.header),
        None => format!("header {} is removed", split.header),
    };
    let mut lines = vec![format!("{}: {outcome}", split.split)];
    match split.reason {
        Reason::OffPath => lines.push(format!(
            "  the split applies to this host, but not to the path {}",
            request.path
        )),
        Reason::Broken => {
            lines.push("  the split has a problem, so everybody gets the fallback:".to_owned());
            lines.extend(
                split
                    .problems
                    .iter()
                    .map(|problem| format!("    {problem}")),
            );
        }
        Reason::Forced => {
            lines.push("  the request names its variant itself (override)".to_owned());
        }
        Reason::Inherited => lines.push(
            "  an earlier proxy decided; this sidecar inherits what the header says".to_owned(),
        ),
        _ => {}
    }
    if let Some(draw) = &split.draw {
        lines.extend(drawn(split, draw, proxy));
    }
    lines
}

fn drawn(split: &ExplainedSplit, draw: &Draw, proxy: NodeKind) -> Vec<String> {
    let mut lines: Vec<String> = draw
        .rules_failed
        .iter()
        .map(|rule| format!("  rule {} does not match: {}", rule.name, why_not(rule)))
        .collect();
    lines.push(match &draw.rule_matched {
        Some(rule) => format!("  rule {rule} matches: audience {rule}"),
        None => "  no rule matches: audience everyone".to_owned(),
    });
    let shares: Vec<String> = draw
        .shares
        .iter()
        .map(|(variant, percent)| format!("{percent} {variant}"))
        .collect();
    lines.push(format!("  shares in percent: {}", shares.join(", ")));
    let tripped = draw.tripped.iter();
    lines.extend(tripped.map(|challenger| {
        format!("  this proxy's guard took {challenger} out: its weight counts as 0")
    }));
    let braked = draw.braked.iter();
    lines.extend(
        braked.map(|challenger| format!("  {challenger} is braked: its weight counts as 0")),
    );
    if draw.is_guarded && draw.tripped.is_empty() {
        let text = "  guarded: a proxy on which a challenger fails counts its weight as 0; \
                    `sluice status` names such proxies, --tripped explains one";
        lines.push(text.to_owned());
    }
    lines.extend(draw.sources.iter().map(source));
    lines.push(format!("  {}", by_identity(split, draw, proxy)));
    lines
}

/// Of each alternative of a rule the first condition that fails.
fn why_not(rule: &FailedRule) -> String {
    let reasons: Vec<String> = rule
        .failures
        .iter()
        .map(|condition| match &condition.value {
            Some(value) => format!(
                "{} is {value:?}, not {}",
                condition.subject, condition.matcher
            ),
            None => format!("{} is not there", condition.subject),
        })
        .collect();
    reasons.join("; ")
}

fn source(source: &AskedSource) -> String {
    let named = match &source.name {
        Some(name) => format!("{} {name}", source.kind),
        None => source.kind.to_owned(),
    };
    match &source.value {
        Some(value) => format!("  identity: {named} = {value}"),
        None => format!("  identity: {named} is not there"),
    }
}

fn by_identity(split: &ExplainedSplit, draw: &Draw, proxy: NodeKind) -> String {
    match (split.reason, split.bucket, &draw.range) {
        (Reason::Bucket, Some(bucket), Some(range)) => format!(
            "bucket {bucket} of 100000 lies in {}..{}, which is {}'s",
            range.start, range.end, range.variant
        ),
        (Reason::Issued, ..) => format!(
            "a random identity would be drawn and set as cookie {}; \
             the odds are the shares above",
            draw.cookie
        ),
        (Reason::PerRequest, ..) => {
            "each request draws anew (anonymous: perRequest); the odds are the shares above"
                .to_owned()
        }
        (Reason::OneOutcome, ..) => {
            "without identity; everybody of this audience gets the same, so none is needed"
                .to_owned()
        }
        (Reason::NoIdentity, ..) if draw.anonymous == Anonymous::Fallback => {
            "without identity: the fallback (anonymous: fallback)".to_owned()
        }
        _ if proxy != NodeKind::Gateway => format!(
            "without identity: the fallback: {}s issue no cookie",
            kind_name(proxy)
        ),
        _ => "without identity, and for this request no cookie is issued (a preflight, gRPC, a \
              sub-resource fetch, or a cookie with problems): the fallback"
            .to_owned(),
    }
}
