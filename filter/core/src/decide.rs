//! What happens: a plan and a request in, one decision a split out.
//!
//! Pure: no clock, no host, and no allocation that grows with the configuration. The same function
//! runs in Envoy, in `sluice explain` and in tests. What each step means is in docs/semantics.md.

use std::cell::{Cell, OnceCell};

use crate::allocation::Allocation;
use crate::bucket::Point;
use crate::config::Anonymous;
use crate::definition::Definition;
use crate::hosts::{MAX_SPLITS_PER_HOST, Places};
use crate::identity::NewIdentity;
use crate::index::{SplitIndex, VariantIndex};
use crate::matching::on_path;
use crate::plan::{NodeKind, Plan, Split};
use crate::request::{Request, Seen};

/// Which group of users a request belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Audience {
    /// Whoever matches no rule.
    #[default]
    Everyone,
    /// Whoever matches the rule with this index first.
    Rule(u8),
    /// Whoever named a variant outright.
    Forced,
    /// Whoever was decided by an earlier proxy of the call chain.
    Inherited,
}

impl Audience {
    /// A number of its own, below 512.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Rule(index) => u32::from(index),
            Self::Everyone => 256,
            Self::Forced => 257,
            Self::Inherited => 258,
        }
    }

    /// The audience of [`Audience::number`].
    pub(crate) fn of_number(number: u32) -> Option<Self> {
        match number {
            256 => Some(Self::Everyone),
            257 => Some(Self::Forced),
            258 => Some(Self::Inherited),
            _ => u8::try_from(number).ok().map(Self::Rule),
        }
    }

    /// Its name, as in weights and metric labels.
    pub fn name(self, definition: &Definition) -> &str {
        match self {
            Self::Everyone => crate::plan::EVERYONE,
            Self::Rule(index) => definition
                .rules
                .get(usize::from(index))
                .map_or("", |rule| &rule.name),
            Self::Forced => "forced",
            Self::Inherited => "inherited",
        }
    }
}

/// Why a request got its variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The split does not apply to this path: its header is removed.
    #[default]
    OffPath,
    /// The split has a problem: everybody gets the fallback.
    Broken,
    /// The override header or cookie names the variant.
    Forced,
    /// The header already held a known variant, and this sidecar inherits.
    Inherited,
    /// The identity's bucket lies in the variant's range.
    Bucket,
    /// A new random identity decided; it is issued as a cookie.
    Issued,
    /// There was no identity, but everybody of this audience gets this variant.
    OneOutcome,
    /// There was no identity, and the split sends such requests to the fallback.
    NoIdentity,
    /// There was no identity, and this request must not be issued one.
    NotIssued,
    /// There was no identity, and each request draws anew.
    PerRequest,
}

impl Reason {
    /// Its name in `explain -o json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OffPath => "offPath",
            Self::Broken => "broken",
            Self::Forced => "forced",
            Self::Inherited => "inherited",
            Self::Bucket => "bucket",
            Self::Issued => "issued",
            Self::OneOutcome => "oneOutcome",
            Self::NoIdentity => "noIdentity",
            Self::NotIssued => "notIssued",
            Self::PerRequest => "perRequest",
        }
    }
}

/// What happens to one split's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The split.
    pub split: SplitIndex,
    /// The variant to be set; `None`: the header is removed.
    pub variant: Option<VariantIndex>,
    /// Which group of users the request belongs to.
    pub audience: Audience,
    /// The index of the source that gave the identity.
    pub identity: Option<u8>,
    /// What was drawn, if something was.
    pub point: Option<Point>,
    /// Why.
    pub reason: Reason,
    /// Whether something of the request was absent for it only because it lies beyond a limit.
    pub is_cut: bool,
}

impl Decision {
    /// The bucket that was drawn, if one was: 0 to 99,999.
    pub fn bucket(&self) -> Option<u32> {
        self.point.map(Point::bucket)
    }
}

/// One decision for each split that applies by host, in byte order of the split names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decisions {
    decisions: [Decision; MAX_SPLITS_PER_HOST],
    number: usize,
    /// Where in the index of hosts the request was found: [`crate::hosts::HostIndex::left_out`]
    /// says which headers are to be removed because their splits found no place.
    pub places: Places,
    /// The identity that the response must set as the anonymous cookie.
    pub issued: Option<NewIdentity>,
}

impl Decisions {
    fn push(&mut self, decision: Decision) {
        if let Some(slot) = self.decisions.get_mut(self.number) {
            *slot = decision;
            self.number += 1;
        }
    }
}

impl std::ops::Deref for Decisions {
    type Target = [Decision];

    fn deref(&self) -> &[Decision] {
        self.decisions.get(..self.number).unwrap_or_default()
    }
}

/// Decides a request.
///
/// ```
/// # use std::borrow::Cow;
/// # use sluice_core::config::Document;
/// # use sluice_core::decide::{decide, Reason};
/// # use sluice_core::index::VariantIndex;
/// # use sluice_core::plan::{Node, Plan};
/// # use sluice_core::request::{Bytes, Request};
/// struct Alice;
/// impl Request for Alice {
///     fn header(&self, name: &str) -> Option<Bytes<'_>> {
///         (name == "x-user-id").then_some(Cow::Borrowed(b"alice"))
///     }
/// }
/// let document = Document::read(br#"{
///     "splits": {"web": {"identity": [{"header": "x-user-id"}]}},
///     "weights": {"web": {"everyone": {"canary": 56.067}}}
/// }"#).unwrap();
/// let plan = Plan::build(&document, &Node::default(), None);
/// let decision = decide(&plan, &Alice)[0];
/// assert_eq!((decision.variant, decision.bucket()), (Some(VariantIndex::new(1)), Some(56_066)));
/// assert_eq!(decision.reason, Reason::Bucket);
/// ```
pub fn decide<R: Request>(plan: &Plan, request: &R) -> Decisions {
    let authority = if plan.hosts().needs_authority() {
        request.authority()
    } else {
        None
    };
    let places = plan
        .hosts()
        .places(authority.as_deref(), || request.virtual_host());
    let splits = plan.hosts().splits(places);
    let mut decisions = Decisions {
        places,
        ..Decisions::default()
    };
    if splits.is_empty() {
        return decisions;
    }
    let newcomer = Newcomer::default();
    let seen = Seen::new(request);
    for (&index, turns_before) in splits.iter().zip(0_u32..) {
        seen.begin_turn(splits.len() as u32 - turns_before);
        if let Some(split) = plan.split(index) {
            let decision = Turn {
                plan,
                split,
                seen: &seen,
                newcomer: &newcomer,
            }
            .decide();
            decisions.push(Decision {
                split: index,
                is_cut: seen.is_cut(),
                ..decision
            });
        }
    }
    decisions.issued = newcomer.identity.get();
    decisions
}

/// What the splits of one request share about a user who has no identity yet.
#[derive(Default)]
struct Newcomer {
    may_be_issued: OnceCell<bool>,
    identity: Cell<Option<NewIdentity>>,
}

impl Newcomer {
    /// The one identity of this request; drawn when first needed. `None`: the host has no
    /// randomness.
    fn identity<R: Request>(&self, request: &R) -> Option<NewIdentity> {
        if self.identity.get().is_none() {
            self.identity.set(request.random().map(NewIdentity::of));
        }
        self.identity.get()
    }
}

/// One split's turn at a request.
struct Turn<'a, 'r, R> {
    plan: &'r Plan,
    split: &'r Split,
    seen: &'a Seen<'r, R>,
    newcomer: &'a Newcomer,
}

impl<'r, R: Request> Turn<'_, 'r, R> {
    fn decide(&self) -> Decision {
        let definition: &'r Definition = &self.split.definition;
        if !on_path(&definition.paths, self.seen) {
            return Decision::default();
        }
        if definition.is_broken() {
            let fallback = (!definition.variants.is_empty()).then_some(VariantIndex::FALLBACK);
            return Decision {
                variant: fallback,
                reason: Reason::Broken,
                ..Decision::default()
            };
        }
        if let Some(variant) = self.forced(definition) {
            return Decision {
                variant: Some(variant),
                audience: Audience::Forced,
                reason: Reason::Forced,
                ..Decision::default()
            };
        }
        if let Some(variant) = self.inherited(definition) {
            return Decision {
                variant: Some(variant),
                audience: Audience::Inherited,
                reason: Reason::Inherited,
                ..Decision::default()
            };
        }
        self.draw(definition)
    }

    fn forced(&self, definition: &'r Definition) -> Option<VariantIndex> {
        let by_header = definition
            .override_header
            .as_deref()
            .and_then(|name| self.seen.header(name));
        by_header
            .and_then(|value| definition.variant(value))
            .or_else(|| {
                let name = definition.override_cookie.as_deref()?;
                definition.variant(self.seen.cookie(name.as_bytes())?)
            })
    }

    fn inherited(&self, definition: &'r Definition) -> Option<VariantIndex> {
        let may_inherit = definition.inherit && self.plan.node().kind == NodeKind::Sidecar;
        if !may_inherit {
            return None;
        }
        definition.variant(self.seen.header(&definition.header)?)
    }

    fn draw(&self, definition: &'r Definition) -> Decision {
        let rule = definition
            .rules
            .iter()
            .position(|rule| rule.matches(self.seen));
        let allocation = self.split.allocation(rule);
        let audience = rule
            .and_then(|index| u8::try_from(index).ok())
            .map_or(Audience::Everyone, Audience::Rule);
        let anonymous_cookie = &self.plan.cookie().name;
        let mut sources = definition.identity.iter().zip(0_u8..);
        let identity = self.seen.at_any_price(|| {
            sources.find_map(|(source, index)| {
                let value = source.value(self.seen, anonymous_cookie)?;
                Some((index, self.split.seed.point(&value)))
            })
        });
        match identity {
            Some((index, point)) => Decision {
                variant: Some(allocation.variant(point.bucket())),
                audience,
                identity: Some(index),
                point: Some(point),
                reason: Reason::Bucket,
                ..Decision::default()
            },
            None => Decision {
                audience,
                ..self.draw_without_identity(definition.anonymous, allocation)
            },
        }
    }

    fn draw_without_identity(&self, anonymous: Anonymous, allocation: &Allocation) -> Decision {
        if let Some(variant) = allocation.only_outcome() {
            return Decision {
                variant: Some(variant),
                reason: Reason::OneOutcome,
                ..Decision::default()
            };
        }
        let drawn = match anonymous {
            Anonymous::Fallback => Err(Reason::NoIdentity),
            Anonymous::PerRequest => {
                let random = self
                    .seen
                    .request
                    .random()
                    .map(|bits| u128::from_be_bytes(bits) as u32);
                random
                    .map(|random| (Point::of_random(random), Reason::PerRequest))
                    .ok_or(Reason::NoIdentity)
            }
            Anonymous::IssueCookie if self.may_issue() => {
                let identity = self.newcomer.identity(self.seen.request);
                let point = identity.map(|identity| self.split.seed.point(identity.as_bytes()));
                point
                    .map(|point| (point, Reason::Issued))
                    .ok_or(Reason::NotIssued)
            }
            Anonymous::IssueCookie => Err(Reason::NotIssued),
        };
        match drawn {
            Ok((point, reason)) => Decision {
                variant: Some(allocation.variant(point.bucket())),
                point: Some(point),
                reason,
                ..Decision::default()
            },
            Err(reason) => Decision {
                variant: Some(VariantIndex::FALLBACK),
                reason,
                ..Decision::default()
            },
        }
    }

    fn may_issue(&self) -> bool {
        let is_issuer =
            self.plan.node().kind == NodeKind::Gateway && self.plan.cookie().attributes.is_some();
        is_issuer
            && *self
                .newcomer
                .may_be_issued
                .get_or_init(|| may_carry_cookie(self.seen.request))
    }
}

/// Whether the response to this request may set a cookie: no CORS preflight (whose response sets
/// none), no gRPC (whose clients keep none), no sub-resource fetch (many at once would race for
/// different identities).
fn may_carry_cookie<R: Request>(request: &R) -> bool {
    let is_fetch = || {
        request
            .header("sec-fetch-mode")
            .is_some_and(|mode| mode.as_ref() != b"navigate")
    };
    let is_preflight = || {
        request.header(":method").as_deref() == Some(b"OPTIONS")
            && request.header("access-control-request-method").is_some()
    };
    let is_grpc = || {
        request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with(b"application/grpc"))
    };
    !is_fetch() && !is_preflight() && !is_grpc()
}

#[cfg(test)]
mod tests;
