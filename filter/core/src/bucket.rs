//! Which of 100,000 buckets an identity falls into: the one place where a user's luck is drawn.
//!
//! `((fmix64(fnv1a64(salt ‖ 0x00 ‖ id)) >> 32) * 100_000) >> 32`. FNV-1a alone is not uniform
//! enough and makes splits with different salts agree; MurmurHash3's finalizer mends both, as
//! measured in docs/semantics.md, "The bucket".

use std::hash::Hasher;

use fnv::FnvHasher;

/// How many buckets there are: one for each 0.001 percent.
pub const BUCKETS: u32 = 100_000;

/// The bucket of `id` in a split with this salt and draw: 0 to 99,999.
///
/// ```
/// use sluice_core::bucket::bucket;
/// assert_eq!(bucket("web", None, b"alice"), 56_066);
/// ```
pub fn bucket(salt: &str, draw: Option<&str>, id: &[u8]) -> u32 {
    Seed::new(salt, draw).bucket(id)
}

/// The hash of everything before the identity, computed once per configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The seed of a salt and, if users were drawn again, the draw.
    pub fn new(salt: &str, draw: Option<&str>) -> Self {
        let mut hash = FnvHasher::default();
        hash.write(salt.as_bytes());
        hash.write(&[0]);
        if let Some(draw) = draw {
            hash.write(draw.as_bytes());
            hash.write(&[0]);
        }
        Self(hash.finish())
    }

    /// Where `id` falls.
    pub fn point(self, id: &[u8]) -> Point {
        let mut hash = FnvHasher::with_key(self.0);
        hash.write(id);
        Point((fmix64(hash.finish()) >> 32) as u32)
    }

    /// The bucket of `id`: 0 to 99,999.
    pub fn bucket(self, id: &[u8]) -> u32 {
        self.point(id).bucket()
    }
}

/// Where an identity falls in a split: 32 bits of its hash, which are finer than a bucket. All that
/// is kept of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point(u32);

impl Point {
    /// The point of 32 random bits.
    pub const fn of_random(random: u32) -> Self {
        Self(random)
    }

    /// The bucket that it lies in: 0 to 99,999.
    pub fn bucket(self) -> u32 {
        ((u64::from(self.0) * u64::from(BUCKETS)) >> 32) as u32
    }

    /// 64 bits that say nothing of the bucket, so that users of one bucket's range spread over all
    /// of them.
    pub const fn spread(self) -> u64 {
        fmix64(self.0 as u64 ^ 0x9e37_79b9_7f4a_7c15)
    }
}

/// MurmurHash3's 64-bit finalizer (Austin Appleby, public domain).
const fn fmix64(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn golden_buckets_never_change() {
        let cases: &[(&str, &[u8], u32)] = &[
            ("web", b"alice", 56_066),
            ("web", b"bob", 45_061),
            ("checkout", b"alice", 53_706),
            ("web", b"1", 59_710),
            ("web", b"alice@some-company-name.com", 34_455),
            ("", b"", 72_270),
            ("web", b"\xff\xfe", 30_126),
            ("收银", "张三".as_bytes(), 37_564),
        ];
        for (salt, id, expected) in cases {
            assert_eq!(bucket(salt, None, id), *expected, "{salt} {id:?}");
        }
    }

    #[test]
    fn a_draw_is_part_of_the_salt() {
        assert_eq!(
            bucket("web", Some("2026"), b"alice"),
            bucket("web\x002026", None, b"alice")
        );
    }

    #[test]
    fn random_bits_cover_all_buckets() {
        let bucket = |random| Point::of_random(random).bucket();
        assert_eq!((bucket(0), bucket(u32::MAX)), (0, BUCKETS - 1));
    }
}
