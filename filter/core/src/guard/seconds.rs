//! What each variant of a split answered in each of the last seconds.

use super::marks::Marks;
use super::{Answers, MAX_WITHIN};
use crate::index::VariantIndex;
use crate::wire;

/// Of how many seconds the identities are kept. Chosen: VMs flush several times a second, and what
/// one sees later than this is lost.
const KEPT_SECONDS: u64 = 3;

/// The most seconds of variants that are kept: of eight variants the longest time that a guard may look
/// back.
const MAX_SECONDS: usize = 480;

/// One variant's second.
#[derive(Clone, Debug, PartialEq)]
struct Second {
    /// Since the epoch.
    at: u64,
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
    pub(super) fn add(&mut self, at: u64, variant: VariantIndex, mark: u32) {
        let is_full = self.0.len() >= MAX_SECONDS;
        let own = self.0.iter_mut();
        let mut own = own.filter(|own| own.at == at && own.variant == variant);
        match own.next().map(|own| &mut own.seen) {
            Some(Ok(marks)) => marks.add(mark),
            None if !is_full => {
                let mut marks = Marks::default();
                marks.add(mark);
                let seen = Ok(marks);
                self.0.push(Second { at, variant, seen });
            }
            Some(Err(_)) | None => {}
        }
    }

    /// Takes over what a VM saw, and keeps `within` seconds, of the last of them the identities. What
    /// is too old is lost, and so is what a clock that went back left in the future.
    pub(super) fn join(&mut self, fresh: &Self, within: u32) {
        if self.last() > fresh.last().saturating_add(MAX_WITHIN.into()) {
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
            for mark in second.seen.iter().flat_map(Marks::iter) {
                self.add(second.at, second.variant, mark);
            }
        }
    }

    /// What a challenger and the fallback answered, second for second, the last one first.
    pub(super) fn seconds_back(
        &self,
        challenger: VariantIndex,
    ) -> impl Iterator<Item = (Answers, Answers)> + '_ {
        let last = self.last();
        let answers = move |variant, ago| self.answers(last.saturating_sub(ago), variant);
        let of_both = move |ago| {
            (
                answers(challenger, ago),
                answers(VariantIndex::FALLBACK, ago),
            )
        };
        (0..u64::from(MAX_WITHIN)).map(of_both)
    }

    fn answers(&self, at: u64, variant: VariantIndex) -> Answers {
        let mut own = self
            .0
            .iter()
            .filter(|own| own.at == at && own.variant == variant);
        own.next().map(Second::answers).unwrap_or_default()
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

/// Instead of a number of identities.
const NUMBERS_ONLY: u32 = u32::MAX;

fn read_second(bytes: &mut &[u8]) -> Option<Second> {
    let at = wire::number(bytes)?;
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
        variant: VariantIndex::new(variant),
        seen,
    })
}
