//! Numbers and names as bytes of a proxy's shared data, which every VM of one module writes alike.

use crate::revision::Revision;

/// What is counted for: a fingerprint, and which time that fingerprint is served. A request of an earlier
/// time counts for nothing, though what it was decided by looks the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) of: Revision,
    /// From 1; wraps around.
    pub(crate) epoch: u16,
}

impl Stamp {
    /// That of a fingerprint before its VM knows which time it is served.
    pub(crate) const fn unserved(of: Revision) -> Self {
        Self { of, epoch: 0 }
    }

    /// The next time, of any fingerprint.
    pub(crate) fn next(self, of: Revision) -> Self {
        let epoch = self.epoch.wrapping_add(1).max(1);
        Self { of, epoch }
    }

    /// What it becomes when `of` is begun: nothing, where that is served already.
    pub(crate) fn begun(self, of: Revision) -> Option<Self> {
        (self.of != of).then(|| self.next(of))
    }

    /// What [`Stamp::read`] reads: a fingerprint has 48 bits.
    pub(crate) fn bytes(self) -> [u8; 8] {
        (self.of.as_gauge() | u64::from(self.epoch) << 48).to_le_bytes()
    }

    /// The next eight bytes; none of ours, where there are none.
    pub(crate) fn read(bytes: &mut &[u8]) -> Self {
        let number = number(bytes).unwrap_or_default();
        Self {
            of: Revision::from_gauge(number),
            epoch: (number >> 48) as u16,
        }
    }
}

/// The next `N` bytes.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// The next number of eight bytes.
pub(crate) fn number(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

/// The next number of four bytes.
pub(crate) fn short(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

/// The next name.
pub(crate) fn name(bytes: &mut &[u8]) -> Option<Box<str>> {
    let [length] = take(bytes)?;
    let (name, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    std::str::from_utf8(name).ok().map(Into::into)
}

/// Writes a name of at most 255 bytes.
pub(crate) fn push_name(bytes: &mut Vec<u8>, name: &str) {
    bytes.push(u8::try_from(name.len()).unwrap_or_default());
    bytes.extend_from_slice(name.as_bytes());
}
