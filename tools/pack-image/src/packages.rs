//! Which crates are linked: what `cargo tree` prints, joined with the checksums of Cargo.lock.
//!
//! `cargo tree -e normal,no-proc-macro --target …` rather than `cargo metadata`, because it leaves
//! out what only builds, and features that only other members of the workspace turn on.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};

/// A crate that is linked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// An SPDX expression.
    pub licence: String,
    /// The SHA-256 of what the registry has, in hexadecimal; `None` for ours.
    pub checksum: Option<String>,
    /// The identities of those that it needs.
    pub needs: BTreeSet<Identity>,
}

/// A crate's name and version.
pub type Identity = (String, String);

/// Every crate that is linked, and which of them is the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// The one that is built.
    pub root: Identity,
    /// All of them, that one too.
    pub all: BTreeMap<Identity, Package>,
}

impl Packages {
    /// Reads what `cargo tree --prefix depth -f '|{p}|{l}'` printed, for one target after another,
    /// and Cargo.lock.
    ///
    /// # Errors
    /// The first line that is no such line, and a crate that is not in Cargo.lock.
    pub fn read(tree: &str, lock: &str) -> anyhow::Result<Self> {
        let checksums = checksums(lock);
        let mut all: BTreeMap<Identity, Package> = BTreeMap::new();
        let mut path: Vec<Identity> = Vec::new();
        for (at, line) in tree.lines().enumerate() {
            let (depth, identity, licence) =
                line_of(line).with_context(|| format!("line {} of the tree: {line:?}", at + 1))?;
            if depth > path.len() {
                bail!(
                    "line {} of the tree: depth {depth} below {}",
                    at + 1,
                    path.len()
                );
            }
            path.truncate(depth);
            if let Some(parent) = path.last().and_then(|parent| all.get_mut(parent)) {
                parent.needs.insert(identity.clone());
            }
            let Some(checksum) = checksums.get(&identity) else {
                bail!("{} {}: not in Cargo.lock", identity.0, identity.1);
            };
            let package = all.entry(identity.clone()).or_default();
            package.licence = licence;
            package.checksum.clone_from(checksum);
            path.push(identity);
        }
        let root = path.into_iter().next();
        let root = root.context("the tree is empty; accepted: what `cargo tree` prints")?;
        Ok(Self { root, all })
    }
}

/// `3|utf8parse v0.2.2|Apache-2.0 OR MIT (*)`, with the folder after the version of a crate of ours.
fn line_of(line: &str) -> Option<(usize, Identity, String)> {
    let mut cells = line.split('|');
    let depth = cells.next()?.parse().ok()?;
    let mut words = cells.next()?.split(' ');
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    // Some older crates write MIT/Apache-2.0, which means OR.
    let licence = cells.next()?.trim_end_matches(" (*)").replace('/', " OR ");
    Some((depth, (name, version), licence))
}

/// The checksums of Cargo.lock's packages; ours have none.
fn checksums(lock: &str) -> BTreeMap<Identity, Option<String>> {
    let packages = lock.split("[[package]]").skip(1);
    let value = |package: &str, name: &str| {
        package.lines().find_map(|line| {
            let (key, value) = line.split_once(" = ")?;
            (key == name).then(|| value.trim_matches('"').to_owned())
        })
    };
    packages
        .filter_map(|package| {
            let identity = (value(package, "name")?, value(package, "version")?);
            Some((identity, value(package, "checksum")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0|sluice v0.1.0 (/somewhere/control)|Apache-2.0\n\
                        1|a v1.0.0|MIT/Apache-2.0\n2|b v2.0.0|ISC\n1|b v2.0.0|ISC (*)\n";
    const LOCK: &str = "version = 4\n\n\
                        [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"aa\"\n\n\
                        [[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"bb\"\n\n\
                        [[package]]\nname = \"sluice\"\nversion = \"0.1.0\"\n";

    fn identity(name: &str, version: &str) -> Identity {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn a_tree_says_what_needs_what() {
        let packages = Packages::read(TREE, LOCK).unwrap();
        let (a, b) = (identity("a", "1.0.0"), identity("b", "2.0.0"));
        assert_eq!(packages.root, identity("sluice", "0.1.0"));
        assert_eq!(
            packages.all[&packages.root].needs,
            [a.clone(), b.clone()].into()
        );
        assert_eq!(packages.all[&packages.root].checksum, None);
        let expected = Package {
            licence: "MIT OR Apache-2.0".to_owned(),
            checksum: Some("aa".to_owned()),
            needs: [b.clone()].into(),
        };
        assert_eq!(packages.all[&a], expected);
        assert_eq!(packages.all[&b].needs, BTreeSet::new());
        // For two targets, one after the other.
        assert_eq!(Packages::read(&TREE.repeat(2), LOCK).unwrap(), packages);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let cases = [
            ("", "the tree is empty"),
            ("sluice v0.1.0", "line 1 of the tree: \"sluice v0.1.0\""),
            ("1|a v1.0.0|MIT", "line 1 of the tree: depth 1 below 0"),
            ("0|c v1.0.0|MIT", "c 1.0.0: not in Cargo.lock"),
        ];
        for (tree, expected) in cases {
            let error = Packages::read(tree, LOCK).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
