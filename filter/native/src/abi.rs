//! Envoy's dynamic modules in Rust: what is exported, what is called, and safe handles for both.
//!
//! Bound by hand from Envoy 1.39's interface (source/extensions/dynamic_modules/abi/abi.h), and to
//! nothing that 1.39 does not export: one callback more, and such an Envoy could not load the module.
//! Released functions do not change (policy of Envoy 1.40). Enums are four bytes, bool is one.
//!
//! [`hooks`] are what Envoy calls; each catches panics, since one that left it would end the proxy.

mod callbacks;
mod config;
#[cfg(test)]
mod fake;
mod hooks;
mod log;
mod panics;
pub(crate) mod shared;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use config::{Answer, Config, MetricId, Refusal, Scheduler};
pub(crate) use log::{concurrency, log};
pub(crate) use stream::{Headers, Stream};

/// Bytes of Envoy's, or of ours, that the other side reads during a call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Buffer {
    pointer: *const u8,
    length: usize,
}

impl Buffer {
    /// Nothing.
    const EMPTY: Self = Self {
        pointer: std::ptr::null(),
        length: 0,
    };

    fn of(bytes: &[u8]) -> Self {
        Self {
            pointer: bytes.as_ptr(),
            length: bytes.len(),
        }
    }

    /// The bytes; a null pointer is none.
    ///
    /// # Safety
    /// They must be readable and unchanged for `'a`.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.pointer.is_null() || self.length == 0 {
            return &[];
        }
        // SAFETY: not null, and the caller vouches for the rest.
        unsafe { std::slice::from_raw_parts(self.pointer, self.length) }
    }
}

/// A header in Envoy's memory or ours.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Header {
    name: Buffer,
    value: Buffer,
}

/// An object of Envoy's.
type Raw = *mut std::ffi::c_void;
