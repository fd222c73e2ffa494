//! Which share of an audience's users a change moves, and from where to where: exact, from the
//! ranges of both plans.
//!
//! No user is drawn for it (the simulate operation does that), and who is in an audience is
//! not known here. Every change is described with it before it is made.

use serde::Serialize;
use sluice_core::allocation::{Allocation, Percent};
use sluice_core::index::VariantIndex;
use sluice_core::plan::{EVERYONE, Plan, Split};

/// One move of users between two variants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Move {
    /// The split.
    pub split: String,
    /// Whose users.
    pub audience: String,
    /// The variant they leave.
    pub from: String,
    /// The variant they get.
    pub to: String,
    /// Percent of the audience's users.
    pub percent: f64,
}

/// The moves between two plans, for every split and audience that both have. Matching rules may
/// change too; who is in an audience is not known here.
pub fn moves(before: &Plan, after: &Plan) -> Vec<Move> {
    let mut moves = Vec::new();
    for later in after.splits() {
        let Some(earlier) = before.split_named(&later.definition.name) else {
            continue;
        };
        for (audience, rule) in audiences(later) {
            let earlier_rule = earlier
                .definition
                .rules
                .iter()
                .position(|rule| *rule.name == *audience);
            if audience != EVERYONE && earlier_rule.is_none() {
                continue;
            }
            moves.extend(moves_of(
                earlier,
                earlier.allocation(earlier_rule),
                later,
                later.allocation(rule),
                &audience,
            ));
        }
    }
    moves
}

/// The audiences of a split: its rules in order, then everyone.
pub fn audiences(split: &Split) -> Vec<(String, Option<usize>)> {
    let rules = split
        .definition
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| (rule.name.to_string(), Some(index)));
    rules.chain([(EVERYONE.to_owned(), None)]).collect()
}

/// A variant's part of an audience's users.
pub struct VariantShare<'s> {
    /// A rule's name, or `everyone`.
    pub audience: String,
    /// The variant's place.
    pub index: VariantIndex,
    /// Its name.
    pub variant: &'s str,
    /// Its part.
    pub percent: Percent,
}

/// The share of every variant of every audience, in the split's order.
pub fn shares(split: &Split) -> impl Iterator<Item = VariantShare<'_>> {
    let all = audiences(split).into_iter();
    all.flat_map(move |(audience, rule)| shares_of(split, audience, rule))
}

/// The share of every variant of one of a split's [`audiences`].
pub fn shares_of(
    split: &Split,
    audience: String,
    rule: Option<usize>,
) -> impl Iterator<Item = VariantShare<'_>> {
    let variants = split.definition.named_variants();
    variants.map(move |(index, variant)| VariantShare {
        audience: audience.clone(),
        index,
        variant,
        percent: split.allocation(rule).share(index),
    })
}

fn moves_of(
    earlier: &Split,
    old: &Allocation,
    later: &Split,
    new: &Allocation,
    audience: &str,
) -> Vec<Move> {
    let same_draw = earlier.seed == later.seed;
    let mut shares: Vec<(String, String, f64)> = Vec::new();
    for before in old.ranges() {
        for after in new.ranges() {
            let (from, to) = (
                variant(earlier, before.variant),
                variant(later, after.variant),
            );
            let overlap = if same_draw {
                f64::from(
                    before
                        .end
                        .min(after.end)
                        .saturating_sub(before.start.max(after.start)),
                )
            } else {
                // Other letters draw independently: every pair of ranges shares its product of
                // users.
                f64::from(before.end - before.start) * f64::from(after.end - after.start)
                    / f64::from(Percent::HUNDRED.buckets())
            };
            if from == to || overlap == 0.0 {
                continue;
            }
            match shares
                .iter_mut()
                .find(|share| share.0 == from && share.1 == to)
            {
                Some(share) => share.2 += overlap,
                None => shares.push((from, to, overlap)),
            }
        }
    }
    let to_move = |(from, to, buckets): (String, String, f64)| Move {
        split: later.definition.name.to_string(),
        audience: audience.to_owned(),
        from,
        to,
        percent: buckets / 1_000.0,
    };
    shares.into_iter().map(to_move).collect()
}

fn variant(split: &Split, variant: VariantIndex) -> String {
    split.definition.variant_name(variant).to_owned()
}

/// Two challengers whose ranges meet for an audience: a ramp may then move users between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Meeting {
    /// The split.
    pub split: String,
    /// Whose users.
    pub audience: String,
    /// Both challengers, the one with the lower buckets first.
    pub challengers: [String; 2],
}

/// Every two challengers of a split of more than two whose ranges meet for some audience.
pub fn meetings(plan: &Plan) -> Vec<Meeting> {
    let mut meetings = Vec::new();
    for split in plan.splits() {
        for (audience, rule) in audiences(split) {
            let ranges = split.allocation(rule).ranges();
            let touching = ranges.windows(2).filter(|pair| {
                pair.iter()
                    .all(|range| range.variant != VariantIndex::FALLBACK)
            });
            // Up to two challengers meet only when nothing is left to the fallback, and then nobody
            // moves between them unless both weights change.
            let is_at_risk = split.definition.challengers().len() > 2;
            meetings.extend(touching.filter(|_| is_at_risk).map(|pair| Meeting {
                split: split.definition.name.to_string(),
                audience: audience.clone(),
                challengers: [pair[0].variant, pair[1].variant].map(|index| variant(split, index)),
            }));
        }
    }
    meetings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sluice_core::config::Document;
    use sluice_core::plan::Node;

    fn plan(config: serde_json::Value) -> Plan {
        Plan::build(
            &Document::from_value(config).unwrap(),
            &Node::default(),
            None,
        )
    }

    fn between(before: serde_json::Value, after: serde_json::Value) -> Vec<(String, String, f64)> {
        moves(&plan(before), &plan(after))
            .into_iter()
            .map(|one| (one.from, one.to, one.percent))
            .collect()
    }

    #[test]
    fn a_ramp_moves_exactly_the_difference() {
        let at = |percent: f64| json!({"splits": {"web": {}}, "weights": {"web": {"everyone": {"canary": percent}}}});
        let up = ("stable".to_owned(), "canary".to_owned(), 5.0);
        let down = ("canary".to_owned(), "stable".to_owned(), 10.0);
        assert_eq!(between(at(5.0), at(10.0)), [up]);
        assert_eq!(between(at(10.0), at(0.0)), [down]);
        assert_eq!(between(at(10.0), at(10.0)), []);
    }

    #[test]
    fn another_draw_moves_the_product() {
        let at = |draw: &str| json!({"splits": {"web": {}}, "weights": {"web": {"everyone": {"canary": 10}}}, "draws": {"web": draw}});
        let moves = between(at("a"), at("b"));
        assert_eq!(
            moves,
            [
                ("canary".to_owned(), "stable".to_owned(), 9.0),
                ("stable".to_owned(), "canary".to_owned(), 9.0)
            ]
        );
    }
}
