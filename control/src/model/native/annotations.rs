//! Which plugins run as the native module, and of which file: the annotations of a plugin, read and
//! written.
//!
//! Pure. What a plugin becomes is [`super::envoy_filter`]'s; who writes that into a cluster is
//! `store::kubernetes::native`. Called by `sluice render`, the store and the controller.

use std::collections::BTreeMap;

use super::refusal::NativeError;

/// The annotation of a plugin that makes it native: `"true"` or `"false"`, which is the default.
pub const NATIVE: &str = "sluice.dev/native";

/// The annotation whose edit makes proxies fetch, or load, a module again that they lack.
pub const REFETCH: &str = "sluice.dev/refetch";

/// The annotation with the file of the native module, as proxies see it.
const LIBRARY: &str = "sluice.dev/native-library";

/// The annotations with where proxies fetch it instead: its URI, its hash, and the cluster of Envoy
/// by which that is reached.
const FETCH: &str = "sluice.dev/native-fetch";
const SHA256: &str = "sluice.dev/native-sha256";
const CLUSTER: &str = "sluice.dev/native-cluster";

/// Where proxies have the module of this version, if nobody says where. A module is upgraded under
/// another name: Envoy never loads a file twice.
pub const DEFAULT_LIBRARY: &str =
    concat!("/opt/sluice/libsluice-", env!("CARGO_PKG_VERSION"), ".so");

/// The longest path of a module. Chosen: as the longest name of a file.
const MAX_LIBRARY_PATH_BYTES: usize = 255;

/// The longest URI of a module, and name of a cluster. Chosen: as browsers take it, and istiod's
/// longest.
const MAX_FETCHED_BYTES: usize = 2_048;

/// Where a proxy has the native module from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// A file that it sees, by a volume for instance.
    File(String),
    /// It fetches it by HTTP, and keeps it in its temporary folder.
    Fetched {
        /// Where it is: `http://…` or `https://…`.
        uri: String,
        /// 64 hex digits.
        sha256: String,
        /// The cluster of Envoy that has the URI's host.
        cluster: String,
    },
}

/// Whether a plugin is to be native, and by which file; `None`: it is not.
///
/// # Errors
/// An annotation whose value is not accepted.
///
/// ```
/// use std::collections::BTreeMap;
/// use sluice::model::native::annotations::{DEFAULT_LIBRARY, Library, wanted};
/// let on = BTreeMap::from([("sluice.dev/native".to_owned(), "true".to_owned())]);
/// assert_eq!(wanted(&on), Ok(Some(Library::File(DEFAULT_LIBRARY.to_owned()))));
/// assert_eq!(wanted(&BTreeMap::new()), Ok(None));
/// ```
pub fn wanted(annotations: &BTreeMap<String, String>) -> Result<Option<Library>, NativeError> {
    let value = |name: &str| annotations.get(name).map(String::as_str);
    match value(NATIVE) {
        None | Some("false") => return Ok(None),
        Some("true") => {}
        Some(other) => return Err(refused(NATIVE, other, "\"true\" or \"false\"")),
    }
    let names = [LIBRARY, FETCH, SHA256, CLUSTER];
    library(names, names.map(value)).map(Some)
}

/// Where a module is, of what was said of it: its path, or its URI, sha256 and cluster. `names` are
/// what these are called, for errors. Nothing said is [`DEFAULT_LIBRARY`].
///
/// # Errors
/// What is not accepted, or does not go together.
pub fn library(names: [&str; 4], values: [Option<&str>; 4]) -> Result<Library, NativeError> {
    let [of_path, of_uri, of_sha256, of_cluster] = names;
    match values {
        [None, None, None, None] => Ok(Library::default()),
        [Some(path), None, None, None] if is_path(path) => Ok(Library::File(path.to_owned())),
        [Some(path), None, None, None] => Err(refused(of_path, path, PATH)),
        [None, Some(uri), _, _] if !is_uri(uri) => Err(refused(of_uri, uri, URI)),
        [None, _, Some(sha256), _] if !is_sha256(sha256) => {
            Err(refused(of_sha256, sha256, "64 hex digits in lower case"))
        }
        [None, _, _, Some(cluster)] if !is_word(cluster) => Err(refused(
            of_cluster,
            cluster,
            "the name of a cluster of Envoy",
        )),
        [None, Some(uri), Some(sha256), Some(cluster)] => Ok(Library::Fetched {
            uri: uri.to_owned(),
            sha256: sha256.to_owned(),
            cluster: cluster.to_owned(),
        }),
        values => {
            let said = names.into_iter().zip(values);
            let said = said.filter_map(|(name, value)| value.map(|_| name));
            let what = said.collect::<Vec<_>>().join(" and ");
            Err(NativeError::Incomplete { what })
        }
    }
}

impl Default for Library {
    fn default() -> Self {
        Self::File(DEFAULT_LIBRARY.to_owned())
    }
}

impl Library {
    /// The annotations that say it, with the one that makes a plugin native.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let said = match self {
            Self::File(path) => vec![(LIBRARY, path)],
            Self::Fetched {
                uri,
                sha256,
                cluster,
            } => vec![(FETCH, uri), (SHA256, sha256), (CLUSTER, cluster)],
        };
        let on = (NATIVE.to_owned(), "true".to_owned());
        let said = said.into_iter();
        let said = said.map(|(name, value)| (name.to_owned(), value.clone()));
        said.chain([on]).collect()
    }
}

fn refused(what: &str, found: &str, accepted: &'static str) -> NativeError {
    // Annotations may have a quarter of a megabyte.
    let end = found.floor_char_boundary(256);
    NativeError::Value {
        what: what.to_owned(),
        found: found[..end].to_owned(),
        accepted,
    }
}

const PATH: &str = "an absolute path of letters, digits and -_./, without .., that ends with .so";

fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    path.len() <= MAX_LIBRARY_PATH_BYTES
        && path.starts_with('/')
        && path.ends_with(".so")
        && path.bytes().all(is_plain)
        && !path.split('/').any(|part| part == "..")
}

const URI: &str = "http:// or https:// and a host, of visible ASCII characters";

fn is_uri(uri: &str) -> bool {
    let rest = uri
        .strip_prefix("https://")
        .or_else(|| uri.strip_prefix("http://"));
    is_word(uri) && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

fn is_word(text: &str) -> bool {
    (1..=MAX_FETCHED_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn annotated(annotations: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        annotations.iter().map(owned).collect()
    }

    fn fetched() -> Library {
        Library::Fetched {
            uri: "http://modules.shop/libsluice.so".to_owned(),
            sha256: HASH.to_owned(),
            cluster: "outbound|80||modules.shop.svc.cluster.local".to_owned(),
        }
    }

    #[test]
    fn a_plugin_is_native_once_it_says_so() {
        let longest = format!("/{}.so", "a".repeat(MAX_LIBRARY_PATH_BYTES - 4));
        let file = |path: &str| Some(Library::File(path.to_owned()));
        let cases = [
            ("nothing said", vec![], None),
            ("no", vec![(NATIVE, "false"), (LIBRARY, "x")], None),
            ("a file alone makes none", vec![(LIBRARY, "/a.so")], None),
            ("yes", vec![(NATIVE, "true")], file(DEFAULT_LIBRARY)),
            (
                "a file",
                vec![(NATIVE, "true"), (LIBRARY, "/a/b-1.so")],
                file("/a/b-1.so"),
            ),
            (
                "the longest path",
                vec![(NATIVE, "true"), (LIBRARY, &longest)],
                file(&longest),
            ),
        ];
        for (label, annotations, expected) in cases {
            assert_eq!(wanted(&annotated(&annotations)), Ok(expected), "{label}");
        }
    }

    #[test]
    fn what_is_annotated_is_read_again() {
        for library in [Library::File("/a/libsluice-2.so".to_owned()), fetched()] {
            assert_eq!(wanted(&library.annotations()), Ok(Some(library)));
        }
    }

    #[test]
    fn what_is_no_file_and_no_source_is_refused_by_name() {
        let long = format!("/{}.so", "a".repeat(MAX_LIBRARY_PATH_BYTES - 3));
        let far = format!("http://{}", "a".repeat(MAX_FETCHED_BYTES - 6));
        let cases = [
            (
                vec![(NATIVE, "yes")],
                "sluice.dev/native: \"yes\"; accepted: \"true\" or \"false\"",
            ),
            (
                vec![(NATIVE, "true"), (LIBRARY, "a.so")],
                "sluice.dev/native-library: \"a.so\"",
            ),
            (
                vec![(NATIVE, "true"), (LIBRARY, "/a/../b.so")],
                "sluice.dev/native-library: ",
            ),
            (
                vec![(NATIVE, "true"), (LIBRARY, "/a b.so")],
                "sluice.dev/native-library: ",
            ),
            (
                vec![(NATIVE, "true"), (LIBRARY, "/a.wasm")],
                "sluice.dev/native-library: ",
            ),
            (
                vec![(NATIVE, "true"), (LIBRARY, &long)],
                "sluice.dev/native-library: ",
            ),
            (
                vec![(NATIVE, "true"), (FETCH, "ftp://a/b")],
                "sluice.dev/native-fetch: ",
            ),
            (
                vec![(NATIVE, "true"), (FETCH, &far)],
                "sluice.dev/native-fetch: ",
            ),
            (
                vec![(NATIVE, "true"), (SHA256, "0F")],
                "sluice.dev/native-sha256: \"0F\"",
            ),
            (
                vec![(NATIVE, "true"), (CLUSTER, "a b")],
                "sluice.dev/native-cluster: \"a b\"",
            ),
            (
                vec![(NATIVE, "true"), (FETCH, "http://a/b"), (SHA256, HASH)],
                "sluice.dev/native-fetch and sluice.dev/native-sha256; accepted: the path",
            ),
            (
                vec![(NATIVE, "true"), (LIBRARY, "/a.so"), (FETCH, "http://a/b")],
                "sluice.dev/native-library and sluice.dev/native-fetch; accepted: the path",
            ),
        ];
        for (annotations, expected) in cases {
            let error = wanted(&annotated(&annotations)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_long_value_is_quoted_in_part() {
        let long = "é".repeat(100_000);
        let error = wanted(&annotated(&[(NATIVE, &long)]))
            .unwrap_err()
            .to_string();
        assert!(error.len() < 400, "{}", error.len());
    }
}
