//! A request as somebody describes it, with flags or in a case file, for the core to decide.
//!
//! What is not described is not there: no header, no claim, no address. What was decided, and why,
//! is [`super::explain`]'s.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sluice_core::request::{Bytes, Request};

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

/// The random bits of a described request. They are always these, so that the same description gets
/// the same answer; whoever reports a variant that was drawn with them says that it is open
/// ([`super::explain::is_open`]).
const FIXED_BITS: [u8; 16] = [0; 16];

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
        Some(FIXED_BITS)
    }
}
