//! An `:authority` as Envoy reads it when it looks for the virtual host of a request.
//!
//! Envoy cuts at the last colon unless a bracket closes after it, whatever stands behind the colon
//! (`HeaderUtility::getPortStart`, where a route configuration says `ignore_port_in_host_matching`,
//! as all of Istio's do); without that switch it compares the whole, and a domain such as
//! `shop.example.com:*` the part before the first colon. No honest client sends what these read
//! differently, so only the first reading decides; [`super::HostIndex`] sees to it that in the
//! others no header of a client survives.

use super::MAX_HOST_BYTES;

/// The host of an authority that everybody reads alike, as nearly all are: nothing stands behind it
/// but a port.
pub(super) fn plain_host(authority: &[u8]) -> Option<&[u8]> {
    let Some(colon) = authority.iter().position(|&byte| byte == b':') else {
        return Some(authority);
    };
    let (host, port) = authority.split_at_checked(colon)?;
    is_port(port).then_some(host)
}

/// Whether this is what stands behind a host: nothing, or a colon and digits.
fn is_port(rest: &[u8]) -> bool {
    rest.iter().skip(1).all(u8::is_ascii_digit)
}

/// The hosts that an authority may be read as.
pub(super) struct Readings<'a> {
    /// As Envoy reads it for Istio.
    pub(super) host: &'a [u8],
    /// As others may read it; the same where there is nothing to doubt.
    pub(super) others: [&'a [u8]; 2],
}

impl<'a> Readings<'a> {
    pub(super) fn of(authority: &'a [u8]) -> Self {
        let last = |wanted| authority.iter().rposition(|&byte| byte == wanted);
        let colon = last(b':').filter(|colon| last(b']').is_none_or(|bracket| bracket < *colon));
        let (host, port) = authority
            .split_at_checked(colon.unwrap_or(authority.len()))
            .unwrap_or((authority, b""));
        let is_address = host.starts_with(b"[") && host.ends_with(b"]");
        let before_first = authority.split(|&byte| byte == b':').next();
        let before_first = before_first.unwrap_or_default();
        let others = if is_port(port) && (is_address || before_first == host) {
            [host; 2]
        } else {
            [before_first, authority]
        };
        Self { host, others }
    }
}

/// A host in the form in which hosts are looked up.
pub(super) struct Normalized<'b> {
    /// In lower case, without one trailing dot. The end of it, where it is longer than any name.
    pub(super) name: &'b [u8],
    /// Whether that is all of it.
    pub(super) is_whole: bool,
}

/// Whether a host is in that form already.
pub(super) fn is_normalized(host: &[u8]) -> bool {
    host.len() <= MAX_HOST_BYTES
        && host.last() != Some(&b'.')
        // Without an early end the compiler takes sixteen bytes at a time.
        && !host
            .iter()
            .fold(false, |is_any, byte| is_any | byte.is_ascii_uppercase())
}

/// Brings a host into the form in which hosts are looked up.
pub(super) fn normalized<'b>(host: &[u8], buffer: &'b mut [u8; MAX_HOST_BYTES]) -> Normalized<'b> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let end = host.len().saturating_sub(MAX_HOST_BYTES);
    let kept = host.get(end..).unwrap_or_default();
    let name = buffer.get_mut(..kept.len()).unwrap_or_default();
    name.copy_from_slice(kept);
    name.make_ascii_lowercase();
    Normalized {
        name,
        is_whole: end == 0,
    }
}

/// The service of which Istio's virtual host has this name: `web.shop` of
/// `web.shop.svc.cluster.local:8080`, whatever the cluster's domain.
pub(super) fn service_of(virtual_host: &[u8]) -> Option<&[u8]> {
    let mut dots = virtual_host
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'.');
    let (end, _) = dots.nth(1)?;
    let is_service = virtual_host
        .get(end + 1..)?
        .strip_prefix(b"svc")
        .is_some_and(|rest| rest.starts_with(b".") || rest.starts_with(b":"));
    virtual_host.get(..end).filter(|_| is_service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn envoy_s_reading_comes_first_and_what_may_be_read_otherwise_is_kept() {
        type Case<'a> = (&'a str, &'a str, &'a str, Option<[&'a str; 2]>);
        let cases: &[Case<'_>] = &[
            ("a host", "a.org", "a.org", None),
            ("a port", "a.org:80", "a.org", None),
            ("no port", "a.org:", "a.org", None),
            ("nothing", "", "", None),
            ("an address", "[::1]", "[::1]", None),
            ("an address and a port", "[::1]:80", "[::1]", None),
            ("a bracket", "[x].a.org", "[x].a.org", None),
            ("an open bracket", "[x.a.org", "[x.a.org", None),
            (
                "a user",
                "user:pw@a.org:80",
                "user:pw@a.org",
                Some(["user", "user:pw@a.org:80"]),
            ),
            (
                "two colons",
                "a:b.org:80",
                "a:b.org",
                Some(["a", "a:b.org:80"]),
            ),
            (
                "a port that is a host",
                "a.org:b.org",
                "a.org",
                Some(["a.org", "a.org:b.org"]),
            ),
            (
                "a bracket behind the port",
                "a.org:80]",
                "a.org:80]",
                Some(["a.org", "a.org:80]"]),
            ),
            (
                "a host behind an address",
                "[::1].a.org",
                "[::1].a.org",
                Some(["[", "[::1].a.org"]),
            ),
        ];
        for (label, authority, host, others) in cases {
            let authority = authority.as_bytes();
            let Readings {
                host: read,
                others: read_otherwise,
            } = Readings::of(authority);
            assert_eq!(read, host.as_bytes(), "{label}");
            let others = others.unwrap_or([*host; 2]).map(str::as_bytes);
            assert_eq!(read_otherwise, others, "{label}");
            if let Some(plain) = plain_host(authority) {
                assert_eq!((plain, [plain; 2]), (read, others), "{label}");
            }
        }
    }

    #[test]
    fn a_plain_host_needs_no_other_look() {
        let cases = [
            ("A.org.", Some("A.org.")),
            ("a.org:8080", Some("a.org")),
            ("a.org:", Some("a.org")),
            ("", Some("")),
            ("a.org:http", None),
            ("a:b.org:80", None),
            ("[::1]:80", None),
        ];
        for (authority, host) in cases {
            let plain = plain_host(authority.as_bytes());
            assert_eq!(plain, host.map(str::as_bytes), "{authority}");
        }
    }

    #[test]
    fn istio_names_a_virtual_host_after_its_service() {
        let cases: [(&str, Option<&str>); 9] = [
            ("web.shop.svc.cluster.local:8080", Some("web.shop")),
            ("web.shop.svc.corp.example:80", Some("web.shop")),
            ("web.shop.svc:80", Some("web.shop")),
            ("web.shop.svcx.cluster.local:80", None),
            ("shop.example.com:80", None),
            ("allow_any", None),
            ("inbound|http|8080", None),
            ("a.b.c.svc.cluster.local:80", None),
            ("", None),
        ];
        for (name, service) in cases {
            let found = service_of(name.as_bytes());
            assert_eq!(found, service.map(str::as_bytes), "{name}");
        }
    }
}
