//! Which splits apply to a host: one look-up, whatever the number of splits.
//!
//! Exact, wildcard and hostless splits all apply to a request; the index holds their union for every name that the
//! configuration mentions, so that a request finds it at once.

use std::collections::{BTreeMap, HashMap};

use fnv::FnvBuildHasher;

/// The most splits that may apply to one host (DESIGN section 2).
pub const MAX_SPLITS_PER_HOST: usize = 16;

/// The longest host name that is looked up (RFC 1035: 253, and room for a trailing dot).
const MAX_HOST_BYTES: usize = 255;

/// A host as a split names it, normalized: lower case, no trailing dot. A wildcard begins with a dot.
pub type HostPattern = Box<str>;

/// Reads `shop.example.com` or `*.example.com`.
///
/// # Errors
/// What is accepted instead.
pub fn parse(text: &str) -> Result<HostPattern, &'static str> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    let (labels, is_wildcard) = match name.strip_prefix("*.") {
        Some(rest) => (rest, true),
        None => (name, false),
    };
    if name == "*" {
        return Err("for every host, leave hosts and services out");
    }
    let is_literal = !is_wildcard && name.starts_with('[') && name.ends_with(']');
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > MAX_HOST_BYTES || !(is_literal || labels.split('.').all(is_label)) {
        return Err(
            "accepted: a host name without port, or *. and a host name (international: xn--…)",
        );
    }
    Ok(if is_wildcard {
        format!(".{labels}").into()
    } else {
        name.into()
    })
}

/// The names by which a caller may reach the service `name.namespace`; `web` alone only from its own namespace.
///
/// # Errors
/// What is accepted instead.
pub fn service_names(
    service: &str,
    caller_namespace: Option<&str>,
) -> Result<Vec<HostPattern>, &'static str> {
    const ACCEPTED: &str = "accepted: a service and its namespace, such as web.shop";
    let (name, namespace) = service.split_once('.').ok_or(ACCEPTED)?;
    if namespace.contains('.') || namespace.is_empty() || parse(service).is_err() {
        return Err(ACCEPTED);
    }
    let service = service.to_ascii_lowercase();
    let mut names = vec![
        format!("{service}.svc.cluster.local").into(),
        format!("{service}.svc").into(),
        service.as_str().into(),
    ];
    if caller_namespace == Some(namespace) {
        names.push(name.to_ascii_lowercase().into());
    }
    Ok(names)
}

/// Splits by host.
#[derive(Clone, Debug, Default)]
pub struct HostIndex {
    by_name: HashMap<Box<[u8]>, Box<[u16]>, FnvBuildHasher>,
    hostless: Box<[u16]>,
    has_wildcards: bool,
}

/// A split that could not be served on a host, because it is one too many there or clashes with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowded {
    /// The host, as a name, a wildcard with a leading dot, or empty for every host.
    pub host: String,
    /// The split's place.
    pub split: u16,
    /// The split whose header it shares there; `None`: it is beyond the sixteenth.
    pub clashes_with: Option<u16>,
}

impl HostIndex {
    /// The index of splits with these host patterns; an empty list is every host. `header` names a split's header.
    /// Also says which splits found no place on some host; they do not apply there.
    pub fn build<'a>(
        splits: impl Iterator<Item = (u16, &'a [HostPattern])>,
        header: impl Fn(u16) -> &'a str,
    ) -> (Self, Vec<Crowded>) {
        let mut named: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
        let mut hostless = Vec::new();
        for (split, hosts) in splits {
            if hosts.is_empty() {
                hostless.push(split);
            }
            for host in hosts {
                named.entry(host).or_default().push(split);
            }
        }
        let mut crowded = Vec::new();
        let mut fit = |host: &str, all: Vec<u16>| -> Box<[u16]> {
            let mut kept: Vec<u16> = Vec::with_capacity(all.len().min(MAX_SPLITS_PER_HOST));
            for split in all {
                let clashes_with = kept
                    .iter()
                    .copied()
                    .find(|&other| header(other) == header(split));
                if clashes_with.is_some() || kept.len() == MAX_SPLITS_PER_HOST {
                    crowded.push(Crowded {
                        host: host.to_owned(),
                        split,
                        clashes_with,
                    });
                } else {
                    kept.push(split);
                }
            }
            kept.into_boxed_slice()
        };
        let by_name = named
            .iter()
            .map(|(host, own)| {
                let above = suffixes(host)
                    .filter_map(|suffix| named.get(suffix))
                    .flatten();
                let all = in_order(own.iter().chain(above).chain(&hostless).copied());
                (host.as_bytes().into(), fit(host, all))
            })
            .collect();
        let has_wildcards = named.keys().any(|host| host.starts_with('.'));
        let index = Self {
            by_name,
            hostless: fit("", in_order(hostless.iter().copied())),
            has_wildcards,
        };
        (index, crowded)
    }

    /// Whether the host matters at all.
    pub fn needs_authority(&self) -> bool {
        !self.by_name.is_empty()
    }

    /// The splits for an `:authority`, in the order of their places.
    pub fn splits(&self, authority: Option<&[u8]>) -> &[u16] {
        let mut buffer = [0; MAX_HOST_BYTES];
        authority
            .and_then(|authority| normalized(authority, &mut buffer))
            .and_then(|host| self.look_up(host))
            .unwrap_or(&self.hostless)
    }

    fn look_up(&self, host: &[u8]) -> Option<&[u16]> {
        if let Some(splits) = self.by_name.get(host).filter(|_| !host.starts_with(b".")) {
            return Some(splits);
        }
        if !self.has_wildcards {
            return None;
        }
        let dots = host
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, byte)| **byte == b'.');
        dots.filter_map(|(at, _)| self.by_name.get(host.get(at..)?))
            .next()
            .map(AsRef::as_ref)
    }
}

/// The splits by place, each once. They come almost in order, and `sort` would cost 3 KB of the module.
fn in_order(splits: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut all = Vec::new();
    for split in splits {
        if let Err(at) = all.binary_search(&split) {
            all.insert(at, split);
        }
    }
    all
}

/// The wildcards above a host or wildcard, longest first, itself excluded: `.b.c` and `.c` for `a.b.c`.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    host.char_indices()
        .skip(1)
        .filter(|(_, char)| *char == '.')
        .filter_map(move |(at, _)| host.get(at..))
}

/// Without port and trailing dot, in lower case; `None` when it is too long to be a host.
fn normalized<'b>(authority: &[u8], buffer: &'b mut [u8; MAX_HOST_BYTES]) -> Option<&'b [u8]> {
    let host = match authority {
        [b'[', ..] => authority.get(..=authority.iter().position(|&byte| byte == b']')?)?,
        _ => authority.split(|&byte| byte == b':').next()?,
    };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let target = buffer.get_mut(..host.len())?;
    target.copy_from_slice(host);
    target.make_ascii_lowercase();
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn index(splits: &[&[&str]]) -> (HostIndex, Vec<Crowded>) {
        let parsed: Vec<Vec<HostPattern>> = splits
            .iter()
            .map(|hosts| hosts.iter().map(|host| parse(host).unwrap()).collect())
            .collect();
        let headers: Vec<String> = (0..splits.len())
            .map(|place| format!("x-{place}"))
            .collect();
        let pairs = parsed
            .iter()
            .enumerate()
            .map(|(place, hosts)| (place as u16, hosts.as_slice()));
        HostIndex::build(pairs, |split| headers[usize::from(split)].as_str())
    }

    #[test]
    fn exact_wildcard_and_hostless_splits_all_apply() {
        let (index, crowded) = index(&[
            &["shop.example.com"],
            &["*.example.com"],
            &[],
            &["*.shop.example.com"],
            &["[::1]"],
        ]);
        assert_eq!(crowded, []);
        let cases: &[(&str, &[u8], &[u16])] = &[
            (
                "exact, its wildcard and the hostless",
                b"shop.example.com",
                &[0, 1, 2],
            ),
            (
                "port, case and trailing dot are dropped",
                b"SHOP.example.com.:8080",
                &[0, 1, 2],
            ),
            ("any depth", b"a.b.example.com", &[1, 2]),
            ("two wildcards", b"a.shop.example.com", &[1, 2, 3]),
            ("but not the name itself", b"example.com", &[2]),
            ("nor one that merely ends so", b"badexample.com", &[2]),
            ("an empty label is no name below", b".example.com", &[2]),
            ("IPv6", b"[::1]:8080", &[2, 4]),
            ("unclosed IPv6", b"[::1", &[2]),
            ("unknown", b"other.org", &[2]),
            ("too long", &[b'a'; 300], &[2]),
        ];
        for (label, host, expected) in cases {
            assert_eq!(index.splits(Some(host)), *expected, "{label}");
        }
        assert_eq!(index.splits(None), [2], "no host at all");
    }

    #[test]
    fn a_seventeenth_split_finds_no_place() {
        let (index, crowded) = index(&[["a.org"].as_slice(); 17]);
        assert_eq!(index.splits(Some(b"a.org")).len(), 16);
        assert_eq!(
            crowded,
            [Crowded {
                host: "a.org".to_owned(),
                split: 16,
                clashes_with: None
            }]
        );
    }

    #[test]
    fn two_splits_cannot_share_a_header_on_one_host() {
        let hosts = [parse("a.org").unwrap()];
        let (index, crowded) = HostIndex::build(
            [(0, hosts.as_slice()), (1, hosts.as_slice())].into_iter(),
            |_| "x-same",
        );
        assert_eq!(index.splits(Some(b"a.org")), [0]);
        assert_eq!(
            crowded,
            [Crowded {
                host: "a.org".to_owned(),
                split: 1,
                clashes_with: Some(0)
            }]
        );
    }

    #[test]
    fn hosts_are_names_without_ports() {
        let ok = [
            ("Shop.Example.com.", "shop.example.com"),
            ("*.example.com", ".example.com"),
            ("[::1]", "[::1]"),
            ("web", "web"),
        ];
        for (text, expected) in ok {
            assert_eq!(parse(text).as_deref(), Ok(expected));
        }
        for text in [
            "",
            "*",
            "a.org:80",
            "a..org",
            "*.*.org",
            "a.*.org",
            "http://a.org",
            "bücher.example",
            "a b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_service_has_every_name_a_caller_may_use() {
        let long = ["web.shop.svc.cluster.local", "web.shop.svc", "web.shop"];
        assert_eq!(
            service_names("web.shop", Some("team-a")).unwrap(),
            long.map(HostPattern::from)
        );
        assert_eq!(
            service_names("web.shop", Some("shop"))
                .unwrap()
                .last()
                .map(AsRef::as_ref),
            Some("web")
        );
        for service in ["web", "web.shop.svc", "web.", ".shop", "we b.shop"] {
            assert!(service_names(service, None).is_err(), "{service}");
        }
    }
}
