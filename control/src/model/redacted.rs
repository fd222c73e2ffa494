//! URLs without the password that they may carry: what may stand in messages.
//!
//! Wherever a URL that somebody typed or configured is shown, it goes through here; so does the
//! text of every error, since libraries name the URLs that they were given.

use std::borrow::Cow;

/// What stands for a user and a password.
const HIDDEN: &str = "***@";

/// A URL, well formed or not, without its user and password: everything before its last `@` is
/// hidden, since in what is no URL nobody can say where a password ends.
pub fn url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("{HIDDEN}{host}"),
        Some((_, host)) => format!("{scheme}://{HIDDEN}{host}"),
        None => url.to_owned(),
    }
}

/// A text in which every URL is without its user and password.
pub fn text(text: &str) -> Cow<'_, str> {
    if !text.contains("://") || !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        safe.push_str(before);
        safe.push_str("://");
        let secret = secret_bytes(after);
        if secret > 0 {
            safe.push_str(HIDDEN);
        }
        rest = after.get(secret..).unwrap_or_default();
    }
    safe.push_str(rest);
    Cow::Owned(safe)
}

/// How long the user and password are with which `after`, what follows `://`, begins; with the `@`.
fn secret_bytes(after: &str) -> usize {
    let end = after.find(|one: char| one.is_whitespace() || "\"'<>`".contains(one));
    let url = after.get(..end.unwrap_or(after.len())).unwrap_or_default();
    let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    // A password with a slash that is not encoded ends the authority early, and leaves it with a
    // port that is none. Other @ behind it belong to the path: `host/image@sha256:…`.
    let is_cut = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !is_port(port) && !port.ends_with(']'));
    let within = if is_cut { url } else { authority };
    within.rfind('@').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_user_and_password() {
        let cases = [
            ("https://host:6443/", "https://host:6443/"),
            ("https://user:pw@host:6443/a", "https://***@host:6443/a"),
            ("https://token@host", "https://***@host"),
            ("http://u:p@w@host/", "http://***@host/"),
            ("http://u:p/w@host", "http://***@host"),
            ("u:pw@host:9090", "***@host:9090"),
            ("garbage", "garbage"),
        ];
        for (typed, expected) in cases {
            assert_eq!(url(typed), expected);
        }
    }

    #[test]
    fn a_text_keeps_everything_but_passwords() {
        let cases = [
            ("no URL: a@b", "no URL: a@b"),
            (
                "error for url (http://u:pw@host:9090/api?q=a@b): refused",
                "error for url (http://***@host:9090/api?q=a@b): refused",
            ),
            (
                "\"http://u:p/w@host\", http://a:b@c and https://[::1]:80/x@y",
                "\"http://***@host\", http://***@c and https://[::1]:80/x@y",
            ),
            ("https://[::1]/x@y", "https://[::1]/x@y"),
            (
                "oci://registry/sluice@sha256:0",
                "oci://registry/sluice@sha256:0",
            ),
            (
                "oci://u:pw@registry:5000/a:1",
                "oci://***@registry:5000/a:1",
            ),
        ];
        for (said, expected) in cases {
            assert_eq!(text(said), expected);
        }
    }
}
