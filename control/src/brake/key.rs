//! The controller's key: a brake for the day on which the API server is down too.
//!
//! Whoever has the key signs a [`request`] with it, which never carries the key itself; a replica that
//! is asked ([`listener`]) brakes at once and in memory ([`held`]), and writes the Brake as soon as the
//! API server takes it ([`writing`]). [`asking`] is the other end, `sluice brake pull`. Each use is said:
//! in the log, in a metric, in an Event, and to whom [`uses`] hands it.

pub mod asking;
pub mod held;
pub mod listener;
pub mod request;
pub mod uses;
pub mod writing;

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretSlice};

use crate::files::{self, FileError};

/// The shortest key, in bytes: as long as what SHA-256 gives, which RFC 2104 asks of a key.
pub const MIN_KEY_BYTES: usize = 32;

/// The longest key, in bytes; see docs/limits.md. Chosen: no file that is a key is longer.
pub const MAX_KEY_BYTES: usize = 4_096;

/// A key. Nothing prints it.
#[derive(Clone, Debug)]
pub struct Key(SecretSlice<u8>);

/// Why a file is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] FileError),
    /// It is too short, or too long.
    #[error(
        "{path}: {length} bytes without the end of the line; accepted: {MIN_KEY_BYTES} to {MAX_KEY_BYTES}, \
         as `openssl rand -base64 48` gives"
    )]
    Length {
        /// The file.
        path: String,
        /// How long it is.
        length: usize,
    },
}

impl Key {
    /// The key that a file holds, without ends of lines behind it.
    ///
    /// # Errors
    /// When it cannot be read, or is too short or too long.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        // A key that is too long by some bytes is said to be so long.
        let mut bytes = files::bytes(path, MAX_KEY_BYTES * 2)?;
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        let length = bytes.len();
        let key = Self(bytes.into());
        match (MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&length) {
            true => Ok(key),
            false => Err(KeyError::Length {
                path: path.display().to_string(),
                length,
            }),
        }
    }

    /// For signatures.
    fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_length_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let said = |length: usize| {
            let path = path.display();
            format!(
                "{path}: {length} bytes without the end of the line; accepted: 32 to 4096, as `openssl rand -base64 48` gives"
            )
        };
        let cases = [
            ("short", "k".repeat(31) + "\r\n", Err(said(31))),
            ("long enough", "k".repeat(32) + "\n", Ok(32)),
            ("the longest", "k".repeat(4_096), Ok(4_096)),
            ("long", "k".repeat(4_097), Err(said(4_097))),
            ("nothing", "\n".to_owned(), Err(said(0))),
        ];
        for (label, text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            let read = Key::read(&path);
            assert!(!format!("{read:?}").contains("kkk"), "{label}");
            let length = read.map(|key| key.bytes().len());
            assert_eq!(
                length.map_err(|error| error.to_string()),
                expected,
                "{label}"
            );
        }
        std::fs::remove_file(&path).unwrap();
        let missing = Key::read(&path).unwrap_err().to_string();
        assert_eq!(missing, format!("{}: cannot be read", path.display()));
    }
}
