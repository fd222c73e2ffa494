//! Hosts as splits name them, and which splits apply to the host of a request.
//!
//! The grammar of hosts and services is here; how Envoy reads an `:authority` is
//! `authority`'s, and the look-up [`HostIndex`]'s.

mod authority;
mod index;

use std::fmt;

pub use index::{Claim, HostIndex, LeftOut, MAX_SPLITS_PER_HOST, Places};

use crate::problem::Accepted;

/// The longest host name that is looked up (RFC 1035: 253, and room for a trailing dot).
const MAX_HOST_BYTES: usize = 255;

/// Where a split applies by host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// On every host.
    Every,
    /// On these. None is nowhere: what was written there cannot be read.
    These(Box<[MatchHost]>),
}

/// A host as a split names it, normalized: in lower case, without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchHost {
    /// This host.
    Exact(Box<str>),
    /// Every host below this one, at any depth, but not this one: `*.example.com` is the suffix
    /// `example.com`.
    Suffix(Box<str>),
    /// This host, one of the names of a Kubernetes service.
    Service(Box<str>),
}

impl MatchHost {
    /// The host; of a wildcard, what follows `*.`.
    pub fn name(&self) -> &str {
        match self {
            Self::Exact(name) | Self::Suffix(name) | Self::Service(name) => name,
        }
    }
}

impl fmt::Display for MatchHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) | Self::Service(name) => f.write_str(name),
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
        .map(|name| MatchHost::Service(name.into()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

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
