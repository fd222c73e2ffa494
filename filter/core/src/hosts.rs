//! Which splits apply to a host: one look-up, whatever the number of splits.
//!
//! Exact, wildcard and hostless splits all apply to a request; the index holds their union for
//! every name that the configuration mentions, so that a request finds it at once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use fnv::FnvBuildHasher;

use crate::index::SplitIndex;
use crate::problem::Accepted;

/// The most splits that may apply to one host; beyond, see docs/limits.md.
pub const MAX_SPLITS_PER_HOST: usize = 16;

/// The longest host name that is looked up (RFC 1035: 253, and room for a trailing dot).
const MAX_HOST_BYTES: usize = 255;

/// Hosts as a split names them, normalized: in lower case, without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchHost {
    /// This host.
    Exact(Box<str>),
    /// Every host below this one, at any depth, but not this one: `*.example.com` is the suffix
    /// `example.com`.
    Suffix(Box<str>),
}

impl fmt::Display for MatchHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(name) => write!(f, "*.{name}"),
        }
    }
}

/// Why a text names no hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// `*`: every host is meant by naming none.
    EveryHost,
    /// Neither a host's name nor `*.` and a host's name.
    NotAHost,
    /// Not a service's name and its namespace.
    NotAService,
}

impl HostError {
    /// What is accepted instead.
    pub fn accepted(self) -> Accepted {
        match self {
            Self::EveryHost => Accepted::rule("for every host, leave hosts and services out"),
            Self::NotAHost => Accepted::value(
                "a host name without port, or *. and a host name (international: xn--…)",
            ),
            Self::NotAService => Accepted::value("a service and its namespace, such as web.shop"),
        }
    }
}

impl MatchHost {
    /// Reads `shop.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        if name == "*" {
            return Err(HostError::EveryHost);
        }
        let (labels, is_wildcard) = match name.strip_prefix("*.") {
            Some(labels) => (labels, true),
            None => (name, false),
        };
        let is_literal = !is_wildcard && name.starts_with('[') && name.ends_with(']');
        if name.len() > MAX_HOST_BYTES || !(is_literal || labels.split('.').all(is_label)) {
            return Err(HostError::NotAHost);
        }
        Ok(if is_wildcard {
            Self::Suffix(labels.into())
        } else {
            Self::Exact(name.into())
        })
    }
}

fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.len() <= 63 && label.bytes().all(is_inner)
}

/// The names by which a caller may reach the service `name.namespace`; `web` alone only from its
/// own namespace.
///
/// # Errors
/// When it is not a service's name and its namespace.
pub fn service_names(
    service: &str,
    caller_namespace: Option<&str>,
) -> Result<Vec<MatchHost>, HostError> {
    let (name, namespace) = service.split_once('.').ok_or(HostError::NotAService)?;
    if namespace.contains('.') || namespace.is_empty() || MatchHost::parse(service).is_err() {
        return Err(HostError::NotAService);
    }
    let service = service.to_ascii_lowercase();
    let mut names = vec![
        format!("{service}.svc.cluster.local"),
        format!("{service}.svc"),
        service,
    ];
    if caller_namespace == Some(namespace) {
        names.push(name.to_ascii_lowercase());
    }
    Ok(names
        .into_iter()
        .map(|name| MatchHost::Exact(name.into()))
        .collect())
}

/// Splits by host.
#[derive(Clone, Debug, Default)]
pub struct HostIndex {
    exact: HashMap<Box<[u8]>, Box<[SplitIndex]>, FnvBuildHasher>,
    /// By suffix, without the dot before it.
    below: HashMap<Box<[u8]>, Box<[SplitIndex]>, FnvBuildHasher>,
    hostless: Box<[SplitIndex]>,
}

/// A split that is not served on some host, because it is one too many there or clashes with
/// another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where; `None` is every host that no split names.
    pub host: Option<MatchHost>,
    /// The split.
    pub split: SplitIndex,
    /// The split whose header it shares there; `None`: it is beyond the sixteenth.
    pub clashes_with: Option<SplitIndex>,
}

impl HostIndex {
    /// The index of splits with these hosts; an empty list is every host. `header` names a split's
    /// header. Also says which splits were left out on some host; they do not apply there.
    pub fn build<'a>(
        splits: impl Iterator<Item = (SplitIndex, &'a [MatchHost])>,
        header: impl Fn(SplitIndex) -> &'a str,
    ) -> (Self, Vec<LeftOut>) {
        let (mut exact, mut below) = (BTreeMap::new(), BTreeMap::new());
        let mut hostless = Vec::new();
        for (split, hosts) in splits {
            if hosts.is_empty() {
                hostless.push(split);
            }
            for host in hosts {
                let (named, name) = match host {
                    MatchHost::Exact(name) => (&mut exact, name),
                    MatchHost::Suffix(name) => (&mut below, name),
                };
                let own: &mut Vec<SplitIndex> = named.entry(name.as_ref()).or_default();
                own.push(split);
            }
        }
        let mut left_out = Vec::new();
        let mut served = |host: Option<MatchHost>, name: &str, own: &[SplitIndex]| {
            let above = suffixes(name).filter_map(|suffix| below.get(suffix));
            let all = own.iter().chain(above.flatten()).chain(&hostless);
            leave_out(host, in_order(all.copied()), &header, &mut left_out)
        };
        let mut by_name = |named: &BTreeMap<&str, Vec<SplitIndex>>,
                           host: fn(Box<str>) -> MatchHost| {
            let served = |(name, own): (&&str, &Vec<SplitIndex>)| {
                let splits = served(Some(host((*name).into())), name, own);
                (name.as_bytes().into(), splits)
            };
            named.iter().map(served).collect()
        };
        let index = Self {
            below: by_name(&below, MatchHost::Suffix),
            exact: by_name(&exact, MatchHost::Exact),
            hostless: served(None, "", &[]),
        };
        (index, left_out)
    }

    /// Whether the host matters at all.
    pub fn needs_authority(&self) -> bool {
        !self.exact.is_empty() || !self.below.is_empty()
    }

    /// The splits for an `:authority`, in the order of their places.
    pub fn splits(&self, authority: Option<&[u8]>) -> &[SplitIndex] {
        let mut buffer = [0; MAX_HOST_BYTES];
        authority
            .and_then(|authority| normalized(authority, &mut buffer))
            .and_then(|host| self.look_up(host))
            .unwrap_or(&self.hostless)
    }

    fn look_up(&self, host: &[u8]) -> Option<&[SplitIndex]> {
        if let Some(splits) = self.exact.get(host) {
            return Some(splits);
        }
        if self.below.is_empty() {
            return None;
        }
        let dots = host
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, byte)| **byte == b'.');
        dots.filter_map(|(at, _)| self.below.get(host.get(at + 1..)?))
            .next()
            .map(AsRef::as_ref)
    }
}

/// Which of the splits that apply to a host are served there: the first sixteen of those with
/// different headers.
fn leave_out<'a>(
    host: Option<MatchHost>,
    all: Vec<SplitIndex>,
    header: impl Fn(SplitIndex) -> &'a str,
    left_out: &mut Vec<LeftOut>,
) -> Box<[SplitIndex]> {
    let mut kept: Vec<SplitIndex> = Vec::with_capacity(all.len().min(MAX_SPLITS_PER_HOST));
    for split in all {
        let clashes_with = kept
            .iter()
            .copied()
            .find(|&other| header(other) == header(split));
        if clashes_with.is_some() || kept.len() == MAX_SPLITS_PER_HOST {
            left_out.push(LeftOut {
                host: host.clone(),
                split,
                clashes_with,
            });
        } else {
            kept.push(split);
        }
    }
    kept.into_boxed_slice()
}

/// The splits by place, each once. They come almost in order, and `sort` would cost 3 KB of the
/// module.
fn in_order(splits: impl Iterator<Item = SplitIndex>) -> Vec<SplitIndex> {
    let mut all = Vec::new();
    for split in splits {
        if let Err(at) = all.binary_search(&split) {
            all.insert(at, split);
        }
    }
    all
}

/// The suffixes by which a host is below others, longest first: `b.c` and `c` for `a.b.c`.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.')
        .filter_map(|(at, _)| host.get(at + 1..))
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

    fn host(text: &str) -> MatchHost {
        MatchHost::parse(text).unwrap()
    }

    fn places(splits: &[SplitIndex]) -> Vec<u16> {
        splits.iter().map(|split| split.number()).collect()
    }

    fn index(splits: &[&[&str]]) -> (HostIndex, Vec<LeftOut>) {
        let parsed: Vec<Vec<MatchHost>> = splits
            .iter()
            .map(|hosts| hosts.iter().map(|text| host(text)).collect())
            .collect();
        let headers: Vec<String> = (0..splits.len())
            .map(|index| format!("x-{index}"))
            .collect();
        let pairs = parsed
            .iter()
            .enumerate()
            .map(|(index, hosts)| (SplitIndex::new(index as u16), hosts.as_slice()));
        HostIndex::build(pairs, |split| headers[usize::from(split)].as_str())
    }

    #[test]
    fn exact_wildcard_and_hostless_splits_all_apply() {
        let (index, left_out) = index(&[
            &["shop.example.com"],
            &["*.example.com"],
            &[],
            &["*.shop.example.com"],
            &["[::1]"],
        ]);
        assert_eq!(left_out, []);
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
            assert_eq!(places(index.splits(Some(host))), *expected, "{label}");
        }
        assert_eq!(places(index.splits(None)), [2], "no host at all");
    }

    #[test]
    fn a_seventeenth_split_finds_no_place() {
        let (index, left_out) = index(&[["a.org"].as_slice(); 17]);
        assert_eq!(index.splits(Some(b"a.org")).len(), 16);
        assert_eq!(
            left_out,
            [LeftOut {
                host: Some(host("a.org")),
                split: SplitIndex::new(16),
                clashes_with: None
            }]
        );
    }

    #[test]
    fn two_splits_cannot_share_a_header_on_one_host() {
        let hosts = [host("a.org")];
        let splits = [0, 1].map(|index| (SplitIndex::new(index), hosts.as_slice()));
        let (index, left_out) = HostIndex::build(splits.into_iter(), |_| "x-same");
        assert_eq!(places(index.splits(Some(b"a.org"))), [0]);
        assert_eq!(
            left_out,
            [LeftOut {
                host: Some(host("a.org")),
                split: SplitIndex::new(1),
                clashes_with: Some(SplitIndex::new(0))
            }]
        );
    }

    #[test]
    fn hosts_are_names_without_ports() {
        let (exact, suffix) = (
            |name: &str| MatchHost::Exact(name.into()),
            |name: &str| MatchHost::Suffix(name.into()),
        );
        let ok = [
            ("Shop.Example.com.", exact("shop.example.com")),
            ("*.example.com", suffix("example.com")),
            ("[::1]", exact("[::1]")),
            ("web", exact("web")),
        ];
        for (text, expected) in ok {
            assert_eq!(MatchHost::parse(text), Ok(expected));
        }
        assert_eq!(MatchHost::parse("*"), Err(HostError::EveryHost));
        for text in [
            "",
            "a.org:80",
            "a..org",
            "*.*.org",
            "a.*.org",
            "http://a.org",
            "bücher.example",
            "a b",
        ] {
            assert_eq!(MatchHost::parse(text), Err(HostError::NotAHost), "{text}");
        }
    }

    #[test]
    fn a_service_has_every_name_a_caller_may_use() {
        let names = |namespace| -> Vec<String> {
            let names = service_names("web.shop", Some(namespace)).unwrap();
            names.iter().map(ToString::to_string).collect()
        };
        let long = ["web.shop.svc.cluster.local", "web.shop.svc", "web.shop"];
        assert_eq!(names("team-a"), long);
        assert_eq!(names("shop").last().map(String::as_str), Some("web"));
        for service in ["web", "web.shop.svc", "web.", ".shop", "we b.shop"] {
            let refused = service_names(service, None);
            assert_eq!(refused, Err(HostError::NotAService), "{service}");
        }
    }
}
