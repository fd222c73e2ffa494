//! Refuses a native library that some Envoy or some system could not load, before anybody ships it.
//!
//! A library whose symbols are not all found is not loaded at all, and what is missing on another
//! machine does not show on the one that built it. `make native` and `make native-aarch64` run
//! this after linking: `check-native LIBRARY CALLBACKS`, where CALLBACKS is a file with the names
//! of what Envoy exports. It reads the library, and never loads it.

mod library;
mod rules;

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, callbacks] = arguments.as_slice() else {
        bail!("usage: check-native LIBRARY CALLBACKS");
    };
    let bytes = std::fs::read(path).with_context(|| path.clone())?;
    let library = library::Library::read(&bytes).with_context(|| path.clone())?;
    let listed = std::fs::read_to_string(callbacks).with_context(|| callbacks.clone())?;
    let callbacks: BTreeSet<&str> = listed
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let problems = rules::problems(&library, &callbacks);
    if !problems.is_empty() {
        bail!("{path}: {}", problems.join("\n  "));
    }
    println!(
        "{path}: {} bytes for {}, {}; {} callbacks of Envoy's",
        bytes.len(),
        library.machine,
        library
            .newest_glibc()
            .map_or_else(|| "no glibc".to_owned(), |version| version.to_string()),
        library.callbacks().count(),
    );
    Ok(())
}
