//! Where an image comes from: an in-toto statement with SLSA's predicate (slsa.dev/provenance/v1).
//!
//! It says what `make image` knows, and no time and no machine, so that the same sources give the
//! same statement; who vouches for it is who signs it.

use serde_json::{Value, json};

/// What registries call it by.
pub const TYPE: &str = "application/vnd.in-toto+json";

/// What its predicate is.
const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// What is built by `make image` of this repository.
const BUILD: &str = "https://sluice.dev/build/image/v1";

/// Whoever runs `make image` by hand.
const BUILDER: &str = "https://sluice.dev/builder/make";

/// What an image was made of.
pub struct Sources<'a> {
    /// The repository's address, if it is said.
    pub source: Option<&'a str>,
    /// The commit, if nothing was changed since.
    pub revision: Option<&'a str>,
    /// `sha256:…` of Cargo.lock.
    pub lock: &'a str,
    /// What `rustc --version` says.
    pub rustc: &'a str,
    /// Other tools: name, version, `sha256:…` of what was fetched.
    pub tools: &'a [(String, String, String)],
}

/// The statement of an image, whose digest is `sha256:…`.
pub fn statement(name: &str, image: &str, sources: &Sources<'_>) -> Value {
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let mut dependencies = Vec::new();
    if let Some(revision) = sources.revision {
        let source = sources.source.unwrap_or("https://sluice.dev/source");
        dependencies.push(json!({
            "uri": format!("git+{source}@{revision}"), "digest": {"gitCommit": revision},
        }));
    }
    let lock = hex(sources.lock);
    dependencies.push(json!({"name": "Cargo.lock", "digest": {"sha256": lock}}));
    for (name, version, digest) in sources.tools {
        dependencies.push(json!({
            "uri": format!("pkg:pypi/{name}@{version}"), "digest": {"sha256": hex(digest)},
        }));
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": hex(image)}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"target": "image", "name": name},
                "internalParameters": {"rustc": sources.rustc},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": BUILDER}},
        },
    })
}
