//! Why one request goes where it goes: the core's decisions, and for each the steps that led to it.
//!
//! The steps repeat for a reader what [`sluice_core::decide`] did in one pass: which rules failed
//! on what, which identities were looked for, whose range the bucket lies in. How they are told is
//! the command's.

use anyhow::bail;
use serde::{Serialize, Serializer};
use sluice_core::allocation::Percent;
use sluice_core::config::Anonymous;

use sluice_core::decide::{Audience, Decision, Reason, decide};
use sluice_core::index::{VariantIndex, Variants};
use sluice_core::matching::Rule;
use sluice_core::plan::{Node, NodeKind, Plan, Split};
use sluice_core::problem::Problem;
use sluice_core::request::Seen;

use super::described::Described;
use super::validate::Subject;
use crate::analyze::proxies::{Decider, kind_name};
use crate::analyze::{self, ROOT_NAMESPACE};
use crate::model::plugin::Plugin;

/// What becomes of one request; serialized, it is the JSON of `sluice explain`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The kind of proxy that decides.
    #[serde(serialize_with = "name_of_kind")]
    pub proxy: NodeKind,
    /// One for each split that applies to the host, in byte order of their names.
    pub splits: Vec<ExplainedSplit>,
    /// The cookie that the response would set.
    pub set_cookie: Option<String>,
}

/// What becomes of one split's header.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedSplit {
    /// The split.
    pub split: String,
    /// Its header.
    pub header: String,
    /// The variant that the header names; `None` where the header is removed, or where chance
    /// decides.
    pub variant: Option<String>,
    /// The audience; `None` where the split did not get as far as asking.
    pub audience: Option<String>,
    /// The source that gave the identity.
    pub identity: Option<ExplainedIdentity>,
    /// The bucket, 0 to 99,999, where an identity gave one.
    pub bucket: Option<u32>,
    /// Why.
    #[serde(serialize_with = "name_of")]
    pub reason: Reason,
    /// What is wrong with the split; then everybody gets the fallback.
    #[serde(skip)]
    pub problems: Vec<Problem>,
    /// How the variant was drawn; `None` where a draw was not needed to know it.
    #[serde(skip)]
    pub draw: Option<Draw>,
}

/// A source of identity.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedIdentity {
    /// Its kind, as the configuration names it: `cookie`, `header`, ….
    pub source: &'static str,
    /// The cookie's or header's name, where the kind has one.
    pub name: Option<String>,
}

/// The steps from a request to a variant.
#[derive(Clone, Debug)]
pub struct Draw {
    /// The rules that were asked and did not match, in their order.
    pub rules_failed: Vec<FailedRule>,
    /// The rule that matched; `None` where none did, and the audience is everyone.
    pub rule_matched: Option<String>,
    /// The audience's shares by variant, the fallback last.
    pub shares: Vec<(String, Percent)>,
    /// The sources of identity that were asked, in their order, up to the one that gave it.
    pub sources: Vec<AskedSource>,
    /// The range that the bucket lies in.
    pub range: Option<OwnedRange>,
    /// The challengers that the proxy's guard took out.
    pub tripped: Vec<String>,
    /// The challengers that are braked.
    pub braked: Vec<String>,
    /// Whether a proxy may take challengers out by itself.
    pub is_guarded: bool,
    /// What the split does with requests without identity.
    pub anonymous: Anonymous,
    /// The cookie that issued identities are kept in.
    pub cookie: String,
}

/// A rule that did not match.
#[derive(Clone, Debug)]
pub struct FailedRule {
    /// Its name.
    pub name: String,
    /// Of each alternative, the first condition that failed.
    pub failures: Vec<FailedCondition>,
}

/// A condition that does not hold.
#[derive(Clone, Debug)]
pub struct FailedCondition {
    /// What it is about, such as `header x-team`.
    pub subject: String,
    /// What it accepts.
    pub matcher: String,
    /// What the request has; `None`: nothing.
    pub value: Option<String>,
}

/// A source that was asked for an identity.
#[derive(Clone, Debug)]
pub struct AskedSource {
    /// Its kind, as the configuration names it.
    pub kind: &'static str,
    /// The cookie's or header's name, where the kind has one.
    pub name: Option<String>,
    /// The identity, from the source that decided.
    pub value: Option<String>,
}

/// Buckets and whose they are.
#[derive(Clone, Debug)]
pub struct OwnedRange {
    /// The first bucket.
    pub start: u32,
    /// One past the last bucket.
    pub end: u32,
    /// The variant that gets them.
    pub variant: String,
}

/// Decides a request and says why.
pub fn explain(plan: &Plan, request: &Described) -> Explanation {
    let decisions = decide(plan, request);
    Explanation {
        proxy: plan.node().kind,
        splits: decisions
            .iter()
            .filter_map(|decision| explained(plan, request, decision))
            .collect(),
        set_cookie: decisions.issued.map(|_| plan.cookie().name.to_string()),
    }
}

/// Brakes a challenger of a plan's split, or every one; nothing where there is none.
pub fn brake(plan: &mut Plan, split: &str, challenger: Option<&str>) {
    let index = plan.index_of(split);
    let Some((index, own)) = index.and_then(|index| Some((index, plan.split(index)?))) else {
        return;
    };
    let is_meant = |variant: VariantIndex, name: &str| {
        let is_named = challenger.is_none_or(|challenger| challenger == name);
        variant != VariantIndex::FALLBACK && (is_named || own.is_braked(variant))
    };
    let variants = own.definition.named_variants();
    let meant = variants.filter(|(variant, name)| is_meant(*variant, name));
    let meant = meant.fold(Variants::default(), |all, (variant, _)| {
        all.and(Variants::of(variant))
    });
    plan.set_braked(index, meant);
}

/// The names of the variants of which something holds.
fn named(split: &Split, holds: impl Fn(VariantIndex) -> bool) -> Vec<String> {
    let variants = split.definition.named_variants();
    let named = variants.filter(|(variant, _)| holds(*variant));
    named.map(|(_, name)| name.to_owned()).collect()
}

/// Takes a challenger out of a plan, as a proxy's guard does.
///
/// # Errors
/// When there is no such split or challenger, or the split has no guard.
pub fn take_out(plan: &mut Plan, split: &str, challenger: &str) -> anyhow::Result<()> {
    let index = plan.index_of(split);
    let Some((index, own)) = index.and_then(|index| Some((index, plan.split(index)?))) else {
        let known: Vec<&str> = plan
            .splits()
            .iter()
            .map(|split| &*split.definition.name)
            .collect();
        bail!(
            "there is no split {split:?}; accepted: one of {}",
            known.join(", ")
        );
    };
    let definition = &own.definition;
    if !own.is_guarded() {
        bail!("split {split} has no guard");
    }
    let variant = definition.variant(challenger.as_bytes());
    let Some(variant) = variant.filter(|variant| *variant != VariantIndex::FALLBACK) else {
        let known = definition.challengers().join(", ");
        bail!("split {split} has no challenger {challenger:?}; accepted: one of {known}");
    };
    plan.trip(index, variant);
    Ok(())
}

/// Which kind of proxy decides a request, and what tells: that of the splits that apply to it, and
/// a gateway where several kinds do. `None` where nothing tells.
pub fn decider(plugin: &Plugin, subject: &Subject, request: &Described) -> Option<Decider> {
    let node = Node {
        namespace: plugin.namespace.clone(),
        ..Node::default()
    };
    let plan = plugin.plan(&node).ok()?;
    let mut deciders = analyze::deciders(plugin, &subject.surroundings(ROOT_NAMESPACE));
    let applying = decide(&plan, request);
    let applying = applying.iter().filter_map(|decision| {
        let split = plan.split(decision.split)?;
        deciders.remove(&*split.definition.name)
    });
    let mut all: Vec<Decider> = applying.collect();
    let is_gateway = |decider: &Decider| decider.kind == NodeKind::Gateway;
    let place = all.iter().position(is_gateway).unwrap_or(0);
    (place < all.len()).then(|| all.swap_remove(place))
}

/// Whether chance decided, so that a description cannot name the variant.
pub const fn is_open(reason: Reason) -> bool {
    matches!(reason, Reason::Issued | Reason::PerRequest)
}

fn explained(plan: &Plan, request: &Described, decision: &Decision) -> Option<ExplainedSplit> {
    let split = plan.split(decision.split)?;
    let definition = &split.definition;
    let is_open = is_open(decision.reason);
    let was_drawn = !matches!(
        decision.reason,
        Reason::OffPath | Reason::Broken | Reason::Forced | Reason::Inherited
    );
    let is_audience_known = !matches!(decision.reason, Reason::OffPath | Reason::Broken);
    let source = decision
        .identity
        .and_then(|index| definition.identity.get(usize::from(index)));
    Some(ExplainedSplit {
        split: definition.name.to_string(),
        header: definition.header.to_string(),
        variant: decision
            .variant
            .filter(|_| !is_open)
            .map(|index| variant(split, index)),
        audience: is_audience_known.then(|| decision.audience.name(definition).to_owned()),
        identity: source.map(|source| ExplainedIdentity {
            source: source.kind(),
            name: source.name().map(str::to_owned),
        }),
        bucket: decision.bucket().filter(|_| !is_open),
        reason: decision.reason,
        problems: match decision.reason {
            Reason::Broken => definition.problems.to_vec(),
            _ => Vec::new(),
        },
        draw: was_drawn.then(|| draw(plan, split, request, decision)),
    })
}

fn draw(plan: &Plan, split: &Split, request: &Described, decision: &Decision) -> Draw {
    let rules = &split.definition.rules;
    let matched = match decision.audience {
        Audience::Rule(index) => Some(usize::from(index)),
        _ => None,
    };
    let seen = Seen::new(request);
    let allocation = split.allocation(matched);
    let range = decision
        .bucket()
        .filter(|_| decision.reason == Reason::Bucket)
        .map(|bucket| allocation.range(bucket));
    let challengers = split.definition.named_variants().skip(1);
    Draw {
        rules_failed: rules
            .iter()
            .take(matched.unwrap_or(rules.len()))
            .map(|rule| failed(rule, &seen))
            .collect(),
        rule_matched: matched
            .and_then(|index| rules.get(index))
            .map(|rule| rule.name.to_string()),
        shares: challengers
            .map(|(challenger, _)| challenger)
            .chain([VariantIndex::FALLBACK])
            .map(|index| (variant(split, index), allocation.share(index)))
            .collect(),
        sources: asked(plan, split, &seen, decision),
        range: range.map(|range| OwnedRange {
            start: range.start,
            end: range.end,
            variant: variant(split, range.variant),
        }),
        tripped: named(split, |challenger| split.is_tripped(challenger)),
        braked: named(split, |challenger| split.is_braked(challenger)),
        is_guarded: split.is_guarded(),
        anonymous: split.definition.anonymous,
        cookie: plan.cookie().name.to_string(),
    }
}

fn failed<'r>(rule: &'r Rule, seen: &Seen<'r, Described>) -> FailedRule {
    let failures = rule
        .alternatives
        .iter()
        .filter_map(|alternative| alternative.iter().find(|condition| !condition.holds(seen)))
        .map(|condition| FailedCondition {
            subject: condition.subject.to_string(),
            matcher: condition.matcher.to_string(),
            value: condition
                .subject
                .value(seen)
                .map(|value| String::from_utf8_lossy(value).into_owned()),
        });
    FailedRule {
        name: rule.name.to_string(),
        failures: failures.collect(),
    }
}

fn asked<'r>(
    plan: &'r Plan,
    split: &'r Split,
    seen: &Seen<'r, Described>,
    decision: &Decision,
) -> Vec<AskedSource> {
    let used = decision.identity.map(usize::from);
    let mut asked = Vec::new();
    for (index, source) in split.definition.identity.iter().enumerate() {
        let value = source
            .value(seen, &plan.cookie().name)
            .filter(|_| used == Some(index));
        let gave_it = value.is_some();
        asked.push(AskedSource {
            kind: source.kind(),
            name: source.name().map(str::to_owned),
            value: value.map(|value| String::from_utf8_lossy(&value).into_owned()),
        });
        if gave_it {
            break;
        }
    }
    asked
}

fn variant(split: &Split, index: VariantIndex) -> String {
    split.definition.variant_name(index).to_owned()
}

fn name_of_kind<S: Serializer>(kind: &NodeKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind_name(*kind))
}

fn name_of<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.name())
}
