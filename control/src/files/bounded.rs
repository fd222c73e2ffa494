//! Reading no more than is accepted, of what kind of file ever.
//!
//! Called by everything that reads a file.

use std::fs::File;
use std::io::Read;

use super::FileError;

/// How long an input may be: a file, standard input, a folder's files together. Chosen: a
/// configuration is refused above 512 KiB; a dump of a cluster's plugins and routes may be much
/// longer.
pub const MAX_INPUT_BYTES: usize = 16 * 1024 * 1024;

/// How long a module may be that is published. Chosen: ours has half a megabyte.
pub const MAX_MODULE_BYTES: usize = 16 * 1024 * 1024;

/// How long a native library may be that is published. Chosen: ours has two megabytes.
pub const MAX_LIBRARY_BYTES: usize = 32 * 1024 * 1024;

/// What a reader gives, if it ends within so many bytes.
pub(super) fn bytes(
    path: &str,
    reader: &mut impl Read,
    max_bytes: usize,
) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let limit = max_bytes as u64 + 1;
    let read = reader.take(limit).read_to_end(&mut bytes);
    read.map_err(|source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() > max_bytes {
        return Err(FileError::TooLong {
            path: path.to_owned(),
            max_bytes,
        });
    }
    Ok(bytes)
}

/// What an open file holds, if it is one: no pipe, whose other end nobody may hold, and no device.
pub(super) fn regular(path: &str, mut file: File, max_bytes: usize) -> Result<Vec<u8>, FileError> {
    let metadata = file.metadata().map_err(|source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(FileError::NoFile {
            path: path.to_owned(),
            found: kind(metadata.file_type()),
        });
    }
    bytes(path, &mut file, max_bytes)
}

/// A kind of file, in words.
pub(super) fn kind(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        _ if kind.is_dir() => "a folder",
        _ if kind.is_symlink() => "a link",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

/// Bytes as text.
///
/// # Errors
/// When they are no UTF-8.
pub fn text(path: &str, bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|error| FileError::NoText {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })
}
