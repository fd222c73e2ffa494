//! Requests as clients may send them, and how the core sees each of them behind Envoy.

mod claims;
mod values;

use std::borrow::Cow;

pub use claims::{CLAIMS, Claim, claims_filter};
use serde_json::{Value, json};
use sluice_core::request::{Bytes, Request};

use super::Random;
use values::{beyond_limits, values};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What it is sent with.
    pub protocol: Protocol,
    /// The method.
    pub method: &'static str,
    /// The Host header, or `:authority`.
    pub authority: &'static str,
    /// The path with its query.
    pub path: String,
    /// Header lines: name and value.
    pub lines: Vec<(&'static str, Vec<u8>)>,
    /// Verified claims: their place in [`CLAIMS`].
    pub claims: Vec<(usize, Claim)>,
    /// The client's address.
    pub source: &'static str,
}

/// Authorities, and the virtual hosts of [`routes`] that Envoy gives them.
const AUTHORITIES: [(&str, &str); 11] = [
    ("shop.example.com", "all"),
    ("shop.example.com", "all"),
    ("SHOP.example.com:8443", "all"),
    ("a.example.com", "all"),
    ("example.com", "all"),
    ("a.org", "all"),
    ("[::1]:80", "all"),
    ("web.shop", "all"),
    ("10.0.0.7:8080", "web.shop.svc.cluster.local:80"),
    ("old.alias", "web.shop.svc.cluster.local:80"),
    ("10.0.0.8", "api.shop.svc.cluster.local:80"),
];

/// Headers of which Envoy joins the lines itself.
const ONE_LINE: [&str; 3] = ["accept", "content-type", "user-agent"];

/// Envoy's routes: virtual hosts named as istiod names them. Some paths Envoy answers itself; everything
/// else goes to `default`, and the answer says by `x-route` where the split `web` chose the route.
pub fn routes() -> Value {
    let host = |name: &str, domains: &[&str]| {
        let canary = json!([{"name": "x-sluice-web", "string_match": {"exact": "canary"}}]);
        let added = json!([{"header": {"key": "x-route", "value": "canary"}}]);
        let route = json!({"cluster": "default"});
        let routes = [
            json!({"match": {"path": "/gone"}, "direct_response": {"status": 503}}),
            json!({"match": {"path": "/moved"}, "redirect": {"path_redirect": "/"}}),
            json!({"match": {"path": "/down"}, "route": {"cluster": "nowhere"}}),
            json!({"match": {"prefix": "/", "headers": canary}, "route": route, "response_headers_to_add": added}),
            json!({"match": {"prefix": "/"}, "route": route}),
        ];
        json!({"name": name, "domains": domains, "routes": routes})
    };
    let hosts = [
        host("web.shop.svc.cluster.local:80", &["10.0.0.7", "old.alias"]),
        host("api.shop.svc.cluster.local:80", &["10.0.0.8"]),
        host("all", &["*"]),
    ];
    json!({"virtual_hosts": hosts, "ignore_port_in_host_matching": true})
}

/// A request.
pub fn request(random: &mut Random) -> Sent {
    let paths = [
        "/",
        "/a",
        "/a/b.js",
        "/xy",
        "/public",
        "/no-store",
        "/status/404",
        "/status/302",
        "/gone",
        "/moved",
        "/down",
    ];
    let queries = [
        "",
        "",
        "?",
        "?uid=u1",
        "?uid=&beta=1",
        "?beta=ios&uid=%41",
        "?uid=u2&uid=u3",
    ];
    let values = values();
    let mut lines: Vec<(&'static str, Vec<u8>)> = Vec::new();
    for (name, values) in &values {
        // The second line of a header, too.
        while random.one_in(4) {
            lines.push((name, random.pick(values).to_vec()));
        }
    }
    if random.one_in(20) {
        lines.push(random.pick(&beyond_limits()));
    }
    let kinds = [
        Claim::Text,
        Claim::Text,
        Claim::Text,
        Claim::Number,
        Claim::Boolean,
        Claim::List,
        Claim::Map,
    ];
    let mut claims = Vec::new();
    for place in 0..CLAIMS.len() {
        if random.one_in(3) {
            let kind = random.pick(&kinds);
            let texts = ["ios", "gold", "5", "1.1", "true", "", "a\tb", "u1@b.com"];
            let value = match kind("") {
                Claim::Number(_) => random.pick(&texts[2..4]),
                _ => random.pick(&texts),
            };
            claims.push((place, kind(value)));
        }
    }
    let mut path = format!("{}{}", random.pick(&paths), random.pick(&queries));
    if random.one_in(40) {
        path += &format!("?{}uid=u1", "b=1&".repeat(300));
    }
    let method = random.pick(&["GET", "GET", "GET", "POST", "OPTIONS", "DELETE", "HEAD"]);
    let protocol = match method {
        // Which says how long the body is that does not come.
        "HEAD" => Protocol::Http2,
        _ => random.pick(&[Protocol::Http1, Protocol::Http1, Protocol::Http2]),
    };
    Sent {
        protocol,
        method,
        authority: random.pick(&AUTHORITIES).0,
        path,
        lines,
        claims,
        source: random.pick(&["203.0.113.9", "203.0.113.10", "2001:db8::1"]),
    }
}

impl Sent {
    /// Every header line, with those that Envoy takes claims and address from.
    pub fn all_lines(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut lines = self.lines.clone();
        if !self.claims.is_empty() {
            let claim = |(place, claim): &(usize, Claim)| match claim {
                Claim::Text(value) => format!("{place}s{value};"),
                Claim::Number(value) => format!("{place}n{value};"),
                Claim::Boolean(value) => format!("{place}b{value};"),
                Claim::List(value) => format!("{place}l{value};"),
                Claim::Map(value) => format!("{place}m{value};"),
            };
            let claims: String = self.claims.iter().map(claim).collect();
            lines.push(("x-test-claims", claims.into_bytes()));
        }
        lines.push(("x-forwarded-for", self.source.into()));
        lines
    }

    /// The same request with another cookie before its own ones.
    pub fn with_cookie(&self, name: &str, value: &str) -> Self {
        let mut sent = self.clone();
        let cookie = format!("{name}={value}").into_bytes();
        match sent.lines.iter_mut().find(|(name, _)| *name == "cookie") {
            Some((_, own)) => *own = [cookie, b"; ".to_vec(), own.clone()].concat(),
            None => sent.lines.push(("cookie", cookie)),
        }
        sent
    }

    /// The values of a header as a client sent them, without the blanks around them.
    pub fn values<'s, 'n>(&'s self, name: &'n str) -> impl Iterator<Item = &'s [u8]> + use<'s, 'n> {
        let own = self.lines.iter().filter(move |(own, _)| *own == name);
        own.map(|(_, value)| value.trim_ascii())
    }
}

/// As Envoy shows it to a filter.
impl Request for Sent {
    fn authority(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.authority.as_bytes()))
    }

    fn virtual_host(&self) -> Option<Bytes<'_>> {
        let host = AUTHORITIES.iter().find(|(name, _)| *name == self.authority);
        host.map(|(_, host)| Cow::Borrowed(host.as_bytes()))
    }

    fn path(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.path.as_bytes()))
    }

    fn header(&self, name: &str) -> Option<Bytes<'_>> {
        if name == ":method" {
            return Some(Cow::Borrowed(self.method.as_bytes()));
        }
        // The lines of a cookie are one in HTTP/2 (RFC 9113, section 8.2.3), which Envoy has only where
        // something stands in it.
        if name == "cookie" && self.protocol == Protocol::Http2 {
            let mut joined = Vec::new();
            for crumb in self.values(name) {
                if !joined.is_empty() {
                    joined.extend(b"; ");
                }
                joined.extend(crumb);
            }
            return (!joined.is_empty()).then_some(Cow::Owned(joined));
        }
        if ONE_LINE.contains(&name) {
            let has_any = self.values(name).next().is_some();
            let values: Vec<&[u8]> = self
                .values(name)
                .filter(|value| !value.is_empty())
                .collect();
            return has_any.then(|| Cow::Owned(values.join(&b","[..])));
        }
        self.values(name).next().map(Cow::Borrowed)
    }

    fn claim(&self, name: &str) -> Option<Bytes<'_>> {
        let mut own = self
            .claims
            .iter()
            .filter(|(place, _)| CLAIMS[*place] == name);
        match own.next()?.1 {
            Claim::Text(text) if !text.is_empty() && !text.contains(char::is_control) => {
                Some(Cow::Borrowed(text.as_bytes()))
            }
            _ => None,
        }
    }

    fn source_address(&self) -> Option<Bytes<'_>> {
        Some(Cow::Borrowed(self.source.as_bytes()))
    }

    fn random(&self) -> Option<[u8; 16]> {
        Some([0; 16])
    }
}
