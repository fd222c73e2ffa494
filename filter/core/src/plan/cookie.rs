//! The anonymous cookie: how it is issued, and what its attributes may be together (RFC 6265bis).

use serde_json::Value;

use crate::config;
use crate::decode::Decode as _;
use crate::definition::{TOKEN, is_cookie_name};
use crate::hosts::MatchHost;
use crate::problem::{Accepted, Problem};

/// The anonymous cookie, ready to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: Box<str>,
    /// What follows the value in Set-Cookie. `None`: the configuration of it is wrong, so none is
    /// issued.
    pub attributes: Option<Box<str>>,
}

impl Cookie {
    /// Decodes what was received; nothing received is the safe default. With a problem it is never
    /// issued, but still read by its name, so that whoever has one keeps their variant.
    pub(super) fn decode(value: Option<&Value>, problems: &mut Vec<Problem>) -> Self {
        let before = problems.len();
        let decoded = value.and_then(|value| config::Cookie::decode("cookie", value, problems));
        let cookie = decoded.unwrap_or_default();
        check_cookie_name(&cookie, problems);
        let seconds = max_age_seconds(&cookie.max_age);
        if seconds.is_none() {
            problems.push(Problem::new(
                "cookie.maxAge",
                format!("{:?}", cookie.max_age),
                Accepted::value("1s to 400d, a whole number and s, m, h or d"),
            ));
        }
        if cookie.same_site == config::SameSite::None && !cookie.secure {
            problems.push(Problem::new(
                "cookie.sameSite",
                "None without secure, which browsers refuse",
                Accepted::rule("Lax or Strict, or secure: true"),
            ));
        }
        let is_good = problems.len() == before;
        let attributes = seconds
            .filter(|_| is_good)
            .map(|seconds| attributes(&cookie, seconds).into());
        Self {
            name: cookie.name.into(),
            attributes,
        }
    }
}

fn check_cookie_name(cookie: &config::Cookie, problems: &mut Vec<Problem>) {
    let mut report = |path: &str, found: String, accepted: Accepted| {
        problems.push(Problem::new(path, found, accepted))
    };
    let name = &cookie.name;
    if !is_cookie_name(name) {
        report(
            "cookie.name",
            format!("{name:?} is not a cookie name"),
            Accepted::value(TOKEN),
        );
    }
    let (is_host, is_secure) = (name.starts_with("__Host-"), name.starts_with("__Secure-"));
    if is_host && cookie.domain.is_some() {
        report(
            "cookie.domain",
            format!("a domain with the name {name:?}"),
            Accepted::rule("with a domain, a name that does not begin with __Host-"),
        );
    }
    if (is_host || is_secure) && !cookie.secure {
        report(
            "cookie.secure",
            format!("false with the name {name:?}"),
            Accepted::rule("without secure, a name that begins with neither __Host- nor __Secure-"),
        );
    }
    if let Some(domain) = &cookie.domain
        && !is_domain(domain.strip_prefix('.').unwrap_or(domain))
    {
        report(
            "cookie.domain",
            format!("{domain:?}"),
            Accepted::value("a host name such as example.com"),
        );
    }
}

fn is_domain(text: &str) -> bool {
    matches!(MatchHost::parse(text), Ok(MatchHost::Exact(name)) if !name.starts_with('['))
}

/// `90s`, `30m`, `12h`, `180d` in seconds; at most 400 days, where browsers cut (RFC 6265bis).
fn max_age_seconds(text: &str) -> Option<u64> {
    let unit = text.bytes().last()?;
    let seconds_per_unit = match unit {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        _ => return None,
    };
    let number = text
        .get(..text.len() - 1)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds_per_unit)?;
    (1..=400 * 86_400).contains(&seconds).then_some(seconds)
}

fn attributes(cookie: &config::Cookie, max_age_seconds: u64) -> String {
    let domain = cookie
        .domain
        .as_ref()
        .map(|domain| format!("; Domain={domain}"))
        .unwrap_or_default();
    let secure = if cookie.secure { "; Secure" } else { "" };
    format!(
        "; Path=/; Max-Age={max_age_seconds}; HttpOnly{secure}; SameSite={:?}{domain}",
        cookie.same_site
    )
}
