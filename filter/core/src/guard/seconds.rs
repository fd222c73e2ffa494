//! What each variant of a split answered each audience in each of the last seconds.

use super::marks::Marks;
use super::{Answers, Fallback, Stratum};
use crate::allocation::Percent;
use crate::decide::Audience;
use crate::index::VariantIndex;
use crate::plan::Split;
use crate::wire;

/// Of how many seconds the identities are kept. Chosen: VMs flush several times a second, and what
/// one sees later than this is lost.
const KEPT_SECONDS: u64 = 3;

/// The most seconds of variants and audiences that are kept; of more, the latest.
const MAX_SECONDS: usize = 4_096;

/// One second of one variant of one audience.
#[derive(Clone, Debug, PartialEq)]
struct Second {
    /// Since the epoch.
    at: u64,
    audience: Audience,
    variant: VariantIndex,
    /// The identities, or the numbers where those are not kept any more.
    seen: Result<Marks, Answers>,
}

impl Second {
    fn answers(&self) -> Answers {
        self.seen
            .as_ref()
            .map_or_else(|answers| *answers, Marks::answers)
    }
}

/// The seconds of one split.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seconds(Vec<Second>);

impl Seconds {
    /// Adds what was answered.
    pub(super) fn add(&mut self, at: u64, audience: Audience, variant: VariantIndex, mark: u32) {
        self.change(at, audience, variant, |marks| marks.add(mark));
    }

    /// Changes the identities of a second, which begins with none.
    fn change(
        &mut self,
        at: u64,
        audience: Audience,
        variant: VariantIndex,
        change: impl FnOnce(&mut Marks),
    ) {
        let is_it =
            |own: &&mut Second| (own.at, own.audience, own.variant) == (at, audience, variant);
        match self.0.iter_mut().find(is_it) {
            Some(own) => {
                if let Ok(marks) = &mut own.seen {
                    change(marks);
                }
            }
            None => {
                if self.0.len() >= MAX_SECONDS {
                    let oldest = self.0.iter().map(|own| own.at).min();
                    self.0.retain(|own| Some(own.at) != oldest);
                }
                let mut marks = Marks::default();
                change(&mut marks);
                let seen = Ok(marks);
                self.0.push(Second {
                    at,
                    audience,
                    variant,
                    seen,
                });
            }
        }
    }

    /// Takes over what a VM saw, and keeps `within` seconds, of the last of them the identities. What
    /// is too old is lost, and so is what a clock that went back left in the future.
    pub(super) fn join(&mut self, fresh: &Self, within: u32) {
        if self.last() > fresh.last().saturating_add(KEPT_SECONDS) {
            self.0.clear();
        }
        let last = self.last().max(fresh.last());
        let is_within = |second: &Second, seconds: u64| second.at.saturating_add(seconds) > last;
        self.0.retain(|second| is_within(second, within.into()));
        for second in &mut self.0 {
            if !is_within(second, KEPT_SECONDS) {
                second.seen = Err(second.answers());
            }
        }
        let kept = fresh.0.iter();
        for second in kept.filter(|second| is_within(second, KEPT_SECONDS)) {
            if let Ok(fresh) = &second.seen {
                let Second {
                    at,
                    audience,
                    variant,
                    ..
                } = *second;
                self.change(at, audience, variant, |marks| marks.join(fresh));
            }
        }
    }

    /// What a challenger and the fallback answered each audience in the last seconds.
    pub(super) fn strata(
        &self,
        challenger: VariantIndex,
        within: u32,
        split: &Split,
    ) -> Vec<Stratum> {
        let last = self.last();
        let mut strata: Vec<(Audience, Stratum)> = Vec::new();
        for second in &self.0 {
            let is_challenger = second.variant == challenger;
            if !is_challenger && second.variant != VariantIndex::FALLBACK {
                continue;
            }
            let of = |(audience, _): &(Audience, Stratum)| *audience == second.audience;
            if !strata.iter().any(of) {
                let stratum = Stratum::empty(fallback(split, second.audience), within);
                strata.push((second.audience, stratum));
            }
            let ago = usize::try_from(last - second.at).unwrap_or(usize::MAX);
            let mut own = strata.iter_mut().filter(|stratum| of(stratum));
            let seconds = own
                .next()
                .and_then(|(_, stratum)| stratum.seconds.get_mut(ago));
            if let Some((of_challenger, of_fallback)) = seconds {
                match is_challenger {
                    true => *of_challenger = second.answers(),
                    false => *of_fallback = second.answers(),
                }
            }
        }
        strata.into_iter().map(|(_, stratum)| stratum).collect()
    }

    fn last(&self) -> u64 {
        self.0
            .iter()
            .map(|second| second.at)
            .max()
            .unwrap_or_default()
    }

    /// Writes what [`Seconds::read`] reads.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        for second in &self.0 {
            bytes.extend_from_slice(&second.at.to_le_bytes());
            bytes.extend_from_slice(&second.audience.number().to_le_bytes());
            bytes.push(second.variant.number());
            match &second.seen {
                Ok(marks) => {
                    bytes.extend_from_slice(&(marks.iter().len() as u32).to_le_bytes());
                    bytes.extend(marks.iter().flat_map(u32::to_le_bytes));
                }
                Err(answers) => {
                    bytes.extend_from_slice(&NUMBERS_ONLY.to_le_bytes());
                    bytes.extend_from_slice(&answers.responses.to_le_bytes());
                    bytes.extend_from_slice(&answers.failed.to_le_bytes());
                }
            }
        }
    }

    /// What was written; nothing of what cannot be read.
    pub(super) fn read(mut bytes: &[u8]) -> Self {
        let mut seconds = Self::default();
        while let Some(second) = read_second(&mut bytes) {
            seconds.0.push(second);
        }
        seconds
    }
}

/// Whether anybody of an audience is given the fallback.
fn fallback(split: &Split, audience: Audience) -> Fallback {
    let rule = match audience {
        Audience::Rule(index) => Some(usize::from(index)),
        _ => None,
    };
    match split.allocation(rule).share(VariantIndex::FALLBACK) > Percent::ZERO {
        true => Fallback::Served,
        false => Fallback::ServedToNobody,
    }
}

/// Instead of a number of identities.
const NUMBERS_ONLY: u32 = u32::MAX;

fn read_second(bytes: &mut &[u8]) -> Option<Second> {
    let at = wire::number(bytes)?;
    let audience = Audience::of_number(wire::short(bytes)?)?;
    let [variant] = wire::take(bytes)?;
    let seen = match wire::short(bytes)? {
        NUMBERS_ONLY => Err(Answers {
            responses: wire::short(bytes)?,
            failed: wire::short(bytes)?,
        }),
        number => {
            let mut marks = Marks::default();
            for _ in 0..number {
                marks.add(wire::short(bytes)?);
            }
            Ok(marks)
        }
    };
    Some(Second {
        at,
        audience,
        variant: VariantIndex::new(variant),
        seen,
    })
}
