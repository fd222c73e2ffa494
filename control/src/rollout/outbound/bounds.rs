//! Where messages may go: whoever may write a Rollout chooses their addresses, and a controller
//! stands where that person may not.
//!
//! Names are judged as they are written, addresses when a connection is made to them: what a name
//! means may change between the two.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The most hosts that a controller's list may have; see docs/limits.md.
pub const MAX_OUTBOUND_HOSTS: usize = 64;

/// What clouds tell a machine about itself, passwords included, outside of link-local addresses:
/// Alibaba's, Azure's and AWS's.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Where messages may go.
#[derive(Clone, Debug, Default)]
pub enum Bounds {
    /// Anywhere: whoever runs a Rollout has written it.
    #[default]
    Anywhere,
    /// Not everywhere.
    Bounded(Arc<Bounded>),
}

/// What a controller may reach.
#[derive(Clone, Debug, Default)]
pub struct Bounded {
    /// These hosts alone; `None`: all.
    pub hosts: Option<Vec<Host>>,
    /// The API server's addresses.
    pub api_server: Vec<IpAddr>,
}

/// A host of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// This one, in small letters.
    Name(String),
    /// Every name that ends so, from the full stop on.
    Below(String),
    /// This address, whatever it is of.
    Address(IpAddr),
}

/// A text that is no host of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}; accepted: a name, *.NAME or an address, without a scheme, a port or a path")]
pub struct NoHost(String);

/// Why a message does not go there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The operator's list lacks it.
    #[error("the controller's --outbound-hosts does not list {0}")]
    Unlisted(String),
    /// Nobody's message goes there.
    #[error("{0} is {1}, which the controller sends nothing to")]
    Address(IpAddr, &'static str),
}

impl FromStr for Host {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        let wrong = || NoHost(text.chars().take(100).collect());
        if let Ok(address) = without_brackets(text).parse() {
            return Ok(Self::Address(address));
        }
        let below = text.strip_prefix("*.");
        let name = below.unwrap_or(text).trim_end_matches('.');
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > 253 || !name.bytes().all(is_good) {
            return Err(wrong());
        }
        let name = name.to_ascii_lowercase();
        Ok(match below {
            Some(_) => Self::Below(format!(".{name}")),
            None => Self::Name(name),
        })
    }
}

impl Bounds {
    /// Whether a message may be sent to a URL, as far as that is known before its name is resolved.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let Self::Bounded(bounded) = self else {
            return Ok(());
        };
        let host = url.host_str().unwrap_or_default();
        // A URL has every way to write an IPv4 address in one form already.
        match without_brackets(host).parse() {
            Ok(address) => bounded.literal(address),
            Err(_) => bounded.name(host),
        }
    }

    /// What resolves names to the addresses that may be reached alone.
    pub(super) fn resolver(&self) -> Option<Arc<dyn Resolve>> {
        match self {
            Self::Anywhere => None,
            Self::Bounded(bounded) => Some(Arc::new(Resolver(Arc::clone(bounded)))),
        }
    }
}

impl Bounded {
    fn name(&self, name: &str) -> Result<(), Forbidden> {
        let Some(hosts) = &self.hosts else {
            return Ok(());
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_listed = |host: &Host| match host {
            Host::Name(listed) => *listed == name,
            Host::Below(end) => name.ends_with(end) && name.len() > end.len(),
            Host::Address(_) => false,
        };
        match hosts.iter().any(is_listed) {
            true => Ok(()),
            false => Err(Forbidden::Unlisted(name)),
        }
    }

    fn literal(&self, address: IpAddr) -> Result<(), Forbidden> {
        self.address(address)?;
        match self.hosts.is_none() || self.lists(address) {
            true => Ok(()),
            false => Err(Forbidden::Unlisted(address.to_string())),
        }
    }

    /// Whether a connection may be made to an address: one that is listed itself is meant.
    fn address(&self, address: IpAddr) -> Result<(), Forbidden> {
        let kind = match self.api_server.contains(&plain(address)) {
            true => Some("the API server"),
            false => kind(plain(address)),
        };
        match kind.filter(|_| !self.lists(address)) {
            None => Ok(()),
            Some(kind) => Err(Forbidden::Address(address, kind)),
        }
    }

    fn lists(&self, address: IpAddr) -> bool {
        let mut hosts = self.hosts.iter().flatten();
        hosts.any(|host| matches!(host, Host::Address(listed) if plain(*listed) == plain(address)))
    }
}

/// A host as URLs have it: an IPv6 address stands in brackets there.
fn without_brackets(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// An IPv4 address also where it is written as an IPv6 one: mapped, or translated (RFC 6052).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    match (six.to_ipv4_mapped(), six.segments()) {
        (Some(four), _) => four.into(),
        (None, [0x64, 0xff9b, 0, 0, 0, 0, high, low]) => {
            let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
            Ipv4Addr::new(a, b, c, d).into()
        }
        _ => address,
    }
}

/// What an address is that no message goes to.
fn kind(address: IpAddr) -> Option<&'static str> {
    if METADATA.contains(&address) {
        return Some("a cloud's metadata service");
    }
    let kinds = match address {
        IpAddr::V4(four) => [
            (four.is_loopback(), "loopback"),
            (four.is_link_local(), "link-local"),
            (four.octets()[0] == 0, "no address of a server"),
            (
                four.is_multicast() || four.is_broadcast(),
                "many servers' address",
            ),
        ],
        IpAddr::V6(six) => [
            (six.is_loopback(), "loopback"),
            (six.is_unicast_link_local(), "link-local"),
            (six.is_unspecified(), "no address of a server"),
            (six.is_multicast(), "many servers' address"),
        ],
    };
    kinds
        .into_iter()
        .find(|(is_so, _)| *is_so)
        .map(|(_, kind)| kind)
}

struct Resolver(Arc<Bounded>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let bounded = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut allowed = Vec::new();
            let mut forbidden = None;
            for address in found {
                match bounded.address(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(why) => forbidden = Some(why),
                }
            }
            match forbidden.filter(|_| allowed.is_empty()) {
                Some(why) => Err(why.into()),
                None => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// The addresses of a host, as they are now; none where it is not known.
pub async fn addresses(host: &str) -> Vec<IpAddr> {
    let found = tokio::net::lookup_host((without_brackets(host), 0)).await;
    let found = found.map(|found| {
        found
            .map(|address: SocketAddr| plain(address.ip()))
            .collect()
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(hosts: Option<&[&str]>) -> Bounds {
        let hosts = hosts.map(|hosts| hosts.iter().map(|host| host.parse().unwrap()).collect());
        let api_server = vec!["10.96.0.1".parse().unwrap()];
        Bounds::Bounded(Arc::new(Bounded { hosts, api_server }))
    }

    fn said(bounds: &Bounds, url: &str) -> String {
        let checked = bounds.check(&url.parse().unwrap());
        checked.map_or_else(|why| why.to_string(), |()| "goes".to_owned())
    }

    #[test]
    fn without_a_list_everything_goes_but_to_what_no_message_is_for() {
        let bounds = bounded(None);
        let refused = |what: &str| format!("{what}, which the controller sends nothing to");
        let cases = [
            ("https://ci.example.com/gate", "goes".to_owned()),
            ("http://10.1.2.3/", "goes".to_owned()),
            ("http://[2001:db8::1]/", "goes".to_owned()),
            ("http://127.0.0.1:6443/", refused("127.0.0.1 is loopback")),
            ("http://127.1/", refused("127.0.0.1 is loopback")),
            ("http://2130706433/", refused("127.0.0.1 is loopback")),
            ("http://[::1]/", refused("::1 is loopback")),
            (
                "http://[::ffff:127.0.0.1]/",
                refused("::ffff:127.0.0.1 is loopback"),
            ),
            (
                "http://169.254.169.254/latest",
                refused("169.254.169.254 is link-local"),
            ),
            (
                "http://[64:ff9b::a9fe:a9fe]/",
                refused("64:ff9b::a9fe:a9fe is link-local"),
            ),
            ("http://[fe80::1]/", refused("fe80::1 is link-local")),
            (
                "http://100.100.100.200/",
                refused("100.100.100.200 is a cloud's metadata service"),
            ),
            (
                "http://[fd00:ec2::254]/",
                refused("fd00:ec2::254 is a cloud's metadata service"),
            ),
            (
                "http://0.0.0.0/",
                refused("0.0.0.0 is no address of a server"),
            ),
            ("http://[::]/", refused(":: is no address of a server")),
            (
                "http://224.0.0.1/",
                refused("224.0.0.1 is many servers' address"),
            ),
            ("https://10.96.0.1/", refused("10.96.0.1 is the API server")),
        ];
        for (url, expected) in cases {
            assert_eq!(said(&bounds, url), expected, "{url}");
        }
    }

    #[test]
    fn a_list_leaves_its_hosts_alone_and_an_address_in_it_is_meant() {
        let bounds = bounded(Some(&[
            "CI.example.com",
            "*.hooks.example.com.",
            "10.1.2.3",
            "127.0.0.1",
        ]));
        let unlisted =
            |what: &str| format!("the controller's --outbound-hosts does not list {what}");
        let cases = [
            ("https://ci.example.com/gate", "goes".to_owned()),
            ("https://CI.example.com.:8443/", "goes".to_owned()),
            ("https://a.b.hooks.example.com/", "goes".to_owned()),
            ("https://hooks.example.com/", unlisted("hooks.example.com")),
            (
                "https://evil-hooks.example.com/",
                unlisted("evil-hooks.example.com"),
            ),
            (
                "https://ci.example.com.evil.com/",
                unlisted("ci.example.com.evil.com"),
            ),
            ("https://ci.example.com@evil.com/", unlisted("evil.com")),
            ("http://10.1.2.3/", "goes".to_owned()),
            ("http://10.1.2.4/", unlisted("10.1.2.4")),
            ("http://[::ffff:127.0.0.1]/", "goes".to_owned()),
        ];
        for (url, expected) in cases {
            assert_eq!(said(&bounds, url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_what_is_one() {
        for text in [
            "",
            "*",
            "*.",
            "https://a.example",
            "a.example:443",
            "a/b",
            "a*.example",
        ] {
            let said = text.parse::<Host>().unwrap_err().to_string();
            let expected =
                "accepted: a name, *.NAME or an address, without a scheme, a port or a path";
            assert_eq!(said, format!("{text:?}; {expected}"));
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_only_to_what_may_be_reached() {
        let resolved = async |hosts: &[&str]| {
            let resolver = bounded(Some(hosts)).resolver().unwrap();
            let found = resolver.resolve("localhost".parse().unwrap()).await;
            found.map(Iterator::count).map_err(|why| why.to_string())
        };
        let refused = resolved(&["localhost"]).await.unwrap_err();
        assert!(
            refused.ends_with("is loopback, which the controller sends nothing to"),
            "{refused}"
        );
        assert_eq!(resolved(&["localhost", "127.0.0.1"]).await, Ok(1));
    }
}
