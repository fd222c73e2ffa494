//! What the words typed so far say about where names are to be looked for: the folder, the cluster,
//! the namespace, the plugin.
//!
//! A line that is still typed cannot be parsed as a whole; only these flags are looked for, as
//! kubectl's completion does.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::arguments::{ClusterArgs, StoreArgs};

/// How many words of a line are looked at; nobody types more. Chosen.
const MAX_WORDS_COMPLETED: usize = 1_000;

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    words: Vec<String>,
}

impl Asked {
    /// Of the words of a line, the program's name first. Words that are no UTF-8 say nothing.
    pub(super) fn of(words: &[OsString]) -> Self {
        let words = words.iter().take(MAX_WORDS_COMPLETED);
        let words = words.map(|word| word.to_str().unwrap_or_default().to_owned());
        Self {
            words: words.collect(),
        }
    }

    /// Which store is meant so far.
    pub(super) fn store(&self) -> StoreArgs {
        let dir = self.value("--dir", None).map(PathBuf::from);
        StoreArgs {
            dir: dir.or_else(|| std::env::var_os("SLUICE_DIR").map(PathBuf::from)),
            cluster: ClusterArgs {
                namespace: self.value("--namespace", Some('n')),
                contexts: self.value("--context", None).into_iter().collect(),
                kubeconfig: self.kubeconfig(),
                plugin: self.value("--plugin", None),
            },
        }
    }

    /// Whether every plugin of the cluster is meant.
    pub(super) fn is_everywhere(&self) -> bool {
        self.has("--all-namespaces") || self.has("-A")
    }

    /// The configuration that `-f` names; standard input is not read while somebody types.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let file = self.value("--file", Some('f'))?;
        (file != "-").then(|| PathBuf::from(file))
    }

    /// The kubeconfig that is named.
    pub(super) fn kubeconfig(&self) -> Option<PathBuf> {
        self.value("--kubeconfig", None).map(PathBuf::from)
    }

    /// Whether a word was typed just so.
    pub(super) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|typed| typed == word)
    }

    /// The last value of a flag: `--flag value`, `--flag=value`, `-f value` or `-fvalue`.
    fn value(&self, long: &str, short: Option<char>) -> Option<String> {
        let short = short.map(|short| format!("-{short}"));
        let mut found = None;
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            let is_short = short.as_deref() == Some(word.as_str());
            if word == long || is_short {
                found = words.next().cloned();
            } else if let Some(value) = word.strip_prefix(long) {
                found = value.strip_prefix('=').map(str::to_owned).or(found);
            } else if let Some(value) = short.as_deref().and_then(|short| word.strip_prefix(short))
            {
                let value = value.strip_prefix('=').unwrap_or(value);
                found = Some(value.to_owned());
            }
        }
        found.filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Asked {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Asked::of(&words)
    }

    #[test]
    fn flags_are_found_in_every_way_to_type_them() {
        let cases = [
            ("sluice get -n shop ", Some("shop")),
            ("sluice get -nshop ", Some("shop")),
            ("sluice get -n=shop ", Some("shop")),
            ("sluice get --namespace shop w", Some("shop")),
            ("sluice get --namespace=shop w", Some("shop")),
            ("sluice get -n a -n b ", Some("b")),
            ("sluice get --namespaces x", None),
            ("sluice get -n ", None),
            ("sluice get", None),
        ];
        for (line, namespace) in cases {
            let found = asked(line).store().cluster.namespace;
            assert_eq!(found.as_deref(), namespace, "{line}");
        }
    }

    #[test]
    fn standard_input_is_not_read_while_somebody_types() {
        assert_eq!(asked("sluice render -f - ").file(), None);
        let file = asked("sluice render --file=a.yaml ").file();
        assert_eq!(file, Some(PathBuf::from("a.yaml")));
    }

    #[test]
    fn words_that_nobody_types_are_not_looked_at() {
        let mut words = vec![OsString::from("x"); MAX_WORDS_COMPLETED];
        words.push("-A".into());
        assert!(!Asked::of(&words).is_everywhere());
        assert!(asked("sluice get -A").is_everywhere());
    }
}
