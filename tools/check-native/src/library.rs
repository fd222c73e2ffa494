//! What a shared library needs and gives, as its dynamic section and symbols say: facts, no
//! judgement.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, bail};
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, Sym as _};
use object::{LittleEndian, SymbolIndex};

/// What the names of Envoy's callbacks begin with.
const CALLBACK: &str = "envoy_dynamic_module_callback_";

type Header = FileHeader64<LittleEndian>;

/// A shared library.
#[derive(Debug, Default)]
pub(crate) struct Library {
    /// Its processor, as Rust calls it.
    pub(crate) machine: &'static str,
    /// The libraries that are loaded with it.
    pub(crate) needed: BTreeSet<String>,
    /// The versions of other libraries' symbols, such as `GLIBC_2.17`.
    pub(crate) versions: BTreeSet<String>,
    /// What it lets others call.
    pub(crate) exports: BTreeSet<String>,
    /// What has to be there where it is loaded: symbols without a version that are not weak.
    pub(crate) undefined: BTreeSet<String>,
}

/// A version of glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Glibc(pub(crate) u32, pub(crate) u32);

impl fmt::Display for Glibc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GLIBC_{}.{}", self.0, self.1)
    }
}

impl Library {
    /// Reads a library.
    ///
    /// # Errors
    /// When the bytes are no shared library of 64 bits for a processor that we build for.
    pub(crate) fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let header = Header::parse(bytes).context("not an ELF file of 64 bits")?;
        let endian = LittleEndian;
        if header.e_type.get(endian) != elf::ET_DYN {
            bail!("not a shared library");
        }
        let mut library = Self {
            machine: match header.e_machine.get(endian) {
                elf::EM_X86_64 => "x86_64",
                elf::EM_AARCH64 => "aarch64",
                other => bail!("machine {other}; accepted: x86_64 and aarch64"),
            },
            ..Self::default()
        };
        let sections = header.sections(endian, bytes)?;
        let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM)?;
        let versions = sections.versions(endian, bytes)?;
        if let Some((entries, strings)) = sections.dynamic(endian, bytes)? {
            let strings = sections.strings(endian, bytes, strings)?;
            for entry in entries {
                if entry.tag(endian) == elf::DT_NEEDED {
                    let name = entry.string(endian, strings)?;
                    library.needed.insert(text(name));
                }
            }
        }
        for index in 1..symbols.len() {
            let index = SymbolIndex(index);
            let symbol = symbols.symbol(index)?;
            let name = text(symbols.symbol_name(endian, symbol)?);
            if !symbol.is_undefined(endian) {
                library.exports.insert(name);
                continue;
            }
            let version = match &versions {
                Some(versions) => versions.version(versions.version_index(endian, index))?,
                None => None,
            };
            if let Some(version) = version {
                library.versions.insert(text(version.name()));
            } else if symbol.st_bind() != elf::STB_WEAK {
                library.undefined.insert(name);
            }
        }
        Ok(library)
    }

    /// The newest glibc that it needs a symbol of.
    pub(crate) fn newest_glibc(&self) -> Option<Glibc> {
        self.versions.iter().filter_map(|name| glibc(name)).max()
    }

    /// Envoy's callbacks that it calls, without their common prefix.
    pub(crate) fn callbacks(&self) -> impl Iterator<Item = &str> {
        let names = self.undefined.iter();
        names.filter_map(|name| name.strip_prefix(CALLBACK))
    }

    /// What else it calls that nothing is known of.
    pub(crate) fn strangers(&self) -> impl Iterator<Item = &String> {
        let names = self.undefined.iter();
        names.filter(|name| !name.starts_with(CALLBACK))
    }
}

/// The version of glibc that a symbol's version names. `GLIBC_2.2.5` counts as 2.2.
pub(crate) fn glibc(name: &str) -> Option<Glibc> {
    let mut numbers = name.strip_prefix("GLIBC_")?.split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some(Glibc(next()?, next()?))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
