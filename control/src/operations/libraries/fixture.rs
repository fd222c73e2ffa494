//! A native library for tests, small enough to be written by hand: nobody could load it, and it says
//! of itself what a real one says.
//!
//! The tests of `sluice push` take it in by its path, too.

/// The smallest shared library that has a dynamic symbol of a name: ELF header, string table,
/// symbol table, and the headers of these sections (System V ABI, "Object Files").
pub(crate) fn library(machine: u16, symbol: &str) -> Vec<u8> {
    let strings = [b"\0", symbol.as_bytes(), b"\0"].concat();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let symbols_at = 64 + strings.len() as u64;
    let sections_at = symbols_at + 48;
    for (value, bytes) in [
        (3, 2), // a shared library
        (u64::from(machine), 2),
        (1, 4),
        (0, 8),
        (0, 8),
        (sections_at, 8),
        (0, 4),
        (64, 2),
        (0, 2),
        (0, 2),
        (64, 2),
        (3, 2), // sections
        (1, 2), // whose names are in the first of them
    ] {
        file.extend(&value.to_le_bytes()[..bytes]);
    }
    file.extend(&strings);
    file.extend([0; 24]);
    file.extend([1, 0, 0, 0, 0x12, 0, 1, 0]); // a global function in a section
    file.extend([0; 16]);
    file.extend([0; 64]);
    for (kind, at, length, link, info, entry) in [
        (3_u32, 64, strings.len() as u64, 0_u32, 0_u32, 0_u64),
        (11, symbols_at, 48, 1, 1, 24),
    ] {
        file.extend(0_u32.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend([0; 16]);
        file.extend(at.to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(link.to_le_bytes());
        file.extend(info.to_le_bytes());
        file.extend(8_u64.to_le_bytes());
        file.extend(entry.to_le_bytes());
    }
    file
}
