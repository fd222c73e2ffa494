//! The request that flags describe. One that no proxy would take is refused: an answer for it would
//! be an answer about nothing.

use anyhow::{Context as _, bail, ensure};
use sluice_core::definition::{TOKEN, is_cookie_name};

use super::Explain;
use crate::operations::described::Described;

pub(super) fn described(arguments: &Explain) -> anyhow::Result<Described> {
    let Explain {
        host, path, method, ..
    } = arguments;
    let is_unbroken = |text: &str| !text.chars().any(|c| c.is_whitespace() || c.is_control());
    ensure!(
        is_unbroken(host) && !host.contains('/'),
        "--host {host:?}: accepted: a host such as shop.example.com, without scheme, path and spaces"
    );
    ensure!(
        path.starts_with('/') && is_unbroken(path),
        "--path {path:?}: accepted: a path that begins with /, without spaces and line breaks"
    );
    ensure!(
        is_cookie_name(method),
        "--method {method:?}: accepted: {TOKEN}"
    );
    let mut request = Described {
        host: host.clone(),
        path: path.clone(),
        source: arguments.source.map(|address| address.to_string()),
        ..Described::default()
    };
    let headers = &mut request.headers;
    headers.insert(":method".to_owned(), method.clone().into_bytes());
    for text in &arguments.header {
        let (name, value) = header(text)?;
        // The first of several values, as the filter reads them.
        headers.entry(name).or_insert(value);
    }
    if let Some(cookies) = cookies(&arguments.cookie)? {
        if headers.contains_key("cookie") {
            bail!("--cookie together with --header 'cookie: …': accepted: one of them");
        }
        headers.insert("cookie".to_owned(), cookies);
    }
    for claim in &arguments.claim {
        let (name, value) = claim
            .split_once('=')
            .with_context(|| format!("--claim {claim:?}: accepted: NAME=VALUE"))?;
        request.claims.insert(name.to_owned(), value.to_owned());
    }
    Ok(request)
}

/// The name of a header in lower case, and its value.
fn header(text: &str) -> anyhow::Result<(String, Vec<u8>)> {
    ensure!(
        !text.starts_with(':'),
        "--header {text:?}: a pseudo-header; accepted: --host, --path and --method instead"
    );
    let (name, value) = text
        .split_once(':')
        .with_context(|| format!("--header {text:?}: accepted: 'NAME: VALUE'"))?;
    ensure!(
        is_cookie_name(name),
        "--header {text:?}: {name:?} is not a header name; accepted: {TOKEN}"
    );
    let name = name.to_ascii_lowercase();
    ensure!(
        name != "host",
        "--header {text:?}: accepted: --host instead"
    );
    let value = value.trim_matches([' ', '\t']);
    ensure!(
        is_field_value(value),
        "--header {text:?}: accepted: a value without line breaks and other control characters"
    );
    Ok((name, value.as_bytes().to_vec()))
}

/// The cookie header, if there is one.
fn cookies(cookies: &[String]) -> anyhow::Result<Option<Vec<u8>>> {
    for cookie in cookies {
        ensure!(
            cookie.contains('=') && is_field_value(cookie),
            "--cookie {cookie:?}: accepted: NAME=VALUE, without control characters"
        );
    }
    Ok((!cookies.is_empty()).then(|| cookies.join("; ").into_bytes()))
}

/// Whether a header may have this value: RFC 9110, section 5.5.
fn is_field_value(text: &str) -> bool {
    !text.chars().any(|c| c.is_ascii_control() && c != '\t')
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        explain: Explain,
    }

    fn read(arguments: &[&str]) -> Result<Described, String> {
        let line = Line::parse_from([&["explain"], arguments].concat());
        described(&line.explain).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_that_no_proxy_takes_is_refused() {
        const HEADER: &str =
            "is not a header name; accepted: 1 to 256 letters, digits and !#$%&'*+-.^_`|~";
        const VALUE: &str = "accepted: a value without line breaks and other control characters";
        const PSEUDO: &str = "a pseudo-header; accepted: --host, --path and --method instead";
        let refused = [
            ("a space in a name", ["--header", "x y: 1"], format!("--header \"x y: 1\": \"x y\" {HEADER}")),
            ("a space after a name", ["--header", "x : 1"], format!("--header \"x : 1\": \"x \" {HEADER}")),
            ("a name that is no ASCII", ["--header", "ü: 1"], format!("--header \"ü: 1\": \"ü\" {HEADER}")),
            ("a line break in a name", ["--header", "x\ny: 1"], format!("--header \"x\\ny: 1\": \"x\\ny\" {HEADER}")),
            ("a line break in a value", ["--header", "x: 1\r\ny: 2"], format!("--header \"x: 1\\r\\ny: 2\": {VALUE}")),
            ("at its end", ["--header", "x: 1\n"], format!("--header \"x: 1\\n\": {VALUE}")),
            ("a pseudo-header", ["--header", ":path: /a"], format!("--header \":path: /a\": {PSEUDO}")),
            ("no name", ["--header", ": a"], format!("--header \": a\": {PSEUDO}")),
            ("no colon", ["--header", "x"], "--header \"x\": accepted: 'NAME: VALUE'".to_owned()),
            ("the host", ["--header", "Host: a"], "--header \"Host: a\": accepted: --host instead".to_owned()),
            ("a host of two lines", ["--host", "a\nb"], "--host \"a\\nb\": accepted: a host such as shop.example.com, without scheme, path and spaces".to_owned()),
            ("a URL as host", ["--host", "https://a.org"], "--host \"https://a.org\": accepted: a host such as shop.example.com, without scheme, path and spaces".to_owned()),
            ("a path with a space", ["--path", "/a b"], "--path \"/a b\": accepted: a path that begins with /, without spaces and line breaks".to_owned()),
            ("a path without /", ["--path", "a"], "--path \"a\": accepted: a path that begins with /, without spaces and line breaks".to_owned()),
            ("a method of two words", ["--method", "GET /"], "--method \"GET /\": accepted: 1 to 256 letters, digits and !#$%&'*+-.^_`|~".to_owned()),
            ("a cookie of two lines", ["--cookie", "a=1\nb"], "--cookie \"a=1\\nb\": accepted: NAME=VALUE, without control characters".to_owned()),
        ];
        for (label, arguments, error) in refused {
            assert_eq!(read(&arguments).unwrap_err(), error, "{label}");
        }
    }

    #[test]
    fn what_a_header_may_hold_is_taken_as_it_stands() {
        let request = read(&["--header", "X-Name:  a\tü: b ", "--header", "x-name: c"]).unwrap();
        assert_eq!(request.headers["x-name"], "a\tü: b".as_bytes());
        let request = read(&["--cookie", "a=1", "--cookie", "b=ü"]).unwrap();
        assert_eq!(request.headers["cookie"], "a=1; b=ü".as_bytes());
    }
}
