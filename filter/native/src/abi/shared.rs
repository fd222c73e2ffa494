//! Bytes that all versions of the module in one process share: each library has statics of its own, so
//! the first that is loaded keeps them, and lends the others a function through Envoy's registry.
//!
//! The function's name ends in the number of its form. Libraries are never unloaded.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{LazyLock, OnceLock};

use fnv::FnvBuildHasher;
use parking_lot::Mutex;

use super::Buffer;
use super::callbacks::{
    envoy_dynamic_module_callback_get_function as get_function,
    envoy_dynamic_module_callback_register_function as register_function,
};

/// What the function is registered as.
const NAME: &[u8] = b"sluice.shared.1";

/// Gives a value to `take`, if there is one.
const READ: u32 = 0;
/// Puts `value` in place of whatever is there.
const WRITE: u32 = 1;
/// Does so where `expected` is there; nothing is as good as an empty value. Answers 1 if it did.
const EXCHANGE: u32 = 2;
/// Adds `value` at the end of what is there.
const APPEND: u32 = 3;

/// Takes a value for the time of the call.
type Take = extern "C" fn(context: *mut c_void, value: Buffer);

/// The function that is shared.
type Shared = extern "C" fn(
    operation: u32,
    key: Buffer,
    value: Buffer,
    expected: Buffer,
    take: Take,
    context: *mut c_void,
) -> u32;

static VALUES: LazyLock<Mutex<HashMap<Vec<u8>, Vec<u8>, FnvBuildHasher>>> =
    LazyLock::new(Mutex::default);

/// This library's own; it must not unwind into another one.
extern "C" fn own(
    operation: u32,
    key: Buffer,
    value: Buffer,
    expected: Buffer,
    take: Take,
    context: *mut c_void,
) -> u32 {
    super::panics::guarded(0, || {
        // SAFETY: the caller's, for the time of the call.
        let (key, value, expected) = unsafe { (key.bytes(), value.bytes(), expected.bytes()) };
        let mut values = VALUES.lock();
        match operation {
            READ => {
                if let Some(found) = values.get(key) {
                    take(context, Buffer::of(found));
                }
            }
            WRITE => {
                values.insert(key.to_vec(), value.to_vec());
            }
            EXCHANGE => {
                if values.get(key).map_or(&[][..], Vec::as_slice) != expected {
                    return 0;
                }
                values.insert(key.to_vec(), value.to_vec());
            }
            APPEND => values.entry(key.to_vec()).or_default().extend(value),
            _ => return 0,
        }
        1
    })
}

fn shared() -> Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    *SHARED.get_or_init(|| {
        let name = Buffer::of(NAME);
        let mut found = std::ptr::null_mut();
        // SAFETY: Envoy copies the name, and writes what it found. Under this name nothing else is ever
        // registered than a function of this form, in a library that stays loaded.
        unsafe {
            if get_function(name, &mut found) && !found.is_null() {
                return std::mem::transmute::<*mut c_void, Shared>(found);
            }
            if !register_function(name, own as *mut c_void)
                && get_function(name, &mut found)
                && !found.is_null()
            {
                return std::mem::transmute::<*mut c_void, Shared>(found);
            }
        }
        own
    })
}

/// The value of a key.
pub(crate) fn read(key: &str) -> Option<Vec<u8>> {
    read_from(key, 0)
}

/// The value of a key from a byte on; empty where it has no more.
pub(crate) fn read_from(key: &str, start: usize) -> Option<Vec<u8>> {
    extern "C" fn take(context: *mut c_void, value: Buffer) {
        // SAFETY: the variable below, and bytes for the time of the call.
        let (found, value) = unsafe {
            (
                &mut *context.cast::<(usize, Option<Vec<u8>>)>(),
                value.bytes(),
            )
        };
        found.1 = Some(value.get(found.0..).unwrap_or_default().to_vec());
    }
    let mut found: (usize, Option<Vec<u8>>) = (start, None);
    let context = std::ptr::from_mut(&mut found).cast();
    let (key, empty) = (Buffer::of(key.as_bytes()), Buffer::EMPTY);
    shared()(READ, key, empty, empty, take, context);
    found.1
}

/// Sets the value of a key.
pub(crate) fn write(key: &str, value: &[u8]) {
    change(WRITE, key, value, &[]);
}

/// Sets the value of a key that has `expected`, or none where that is empty. Whether it did.
pub(crate) fn exchange(key: &str, expected: &[u8], value: &[u8]) -> bool {
    change(EXCHANGE, key, value, expected)
}

/// Adds to the value of a key.
pub(crate) fn append(key: &str, value: &[u8]) {
    change(APPEND, key, value, &[]);
}

fn change(operation: u32, key: &str, value: &[u8], expected: &[u8]) -> bool {
    extern "C" fn nothing(_: *mut c_void, _: Buffer) {}
    let key = Buffer::of(key.as_bytes());
    let (value, expected) = (Buffer::of(value), Buffer::of(expected));
    let context = std::ptr::null_mut();
    shared()(operation, key, value, expected, nothing, context) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_exchanged_only_where_they_are_what_was_read() {
        assert_eq!(read("shared one"), None);
        assert!(exchange("shared one", b"", b"a"));
        assert!(!exchange("shared one", b"", b"b"));
        assert!(exchange("shared one", b"a", b"b"));
        append("shared one", b"c");
        assert_eq!(read("shared one").as_deref(), Some(&b"bc"[..]));
        write("shared one", b"");
        assert_eq!(read("shared one").as_deref(), Some(&b""[..]));
    }
}
