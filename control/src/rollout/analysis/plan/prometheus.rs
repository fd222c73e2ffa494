//! How a Prometheus is asked, checked: an address without secrets, and at most one way to say who
//! asks.

use std::time::Duration;

use reqwest::Url;
use sluice_core::problem::{Accepted, Problem};

use super::Range;
use crate::rollout::resource::{self, KeyOf};
use crate::rollout::secrets::Place;

/// The longest address, in bytes. Chosen: what servers commonly take.
const LONGEST_ADDRESS: usize = 2_048;

/// The longest path of a file, in bytes, as Linux has it.
const LONGEST_PATH: usize = 4_096;

/// A Prometheus, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// Where it is, without a user, a password or a query.
    pub address: Url,
    /// Who asks.
    pub auth: Auth,
    /// Where the authorities are that its certificate may come from; `None`: the system's.
    pub authorities: Option<Place>,
    /// Whether its certificate is looked at.
    pub certificate: Certificate,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Anybody.
    Anonymous,
    /// Who has this token.
    Bearer(Place),
    /// A user with a password.
    Basic {
        /// The user.
        username: String,
        /// Where the password is.
        password: Place,
    },
}

/// Whether a certificate is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// It must be right.
    Verified,
    /// Whatever it is.
    Ignored,
}

/// The Prometheus at `path`, or every mistake in it.
pub(super) fn checked(
    path: &str,
    written: &resource::Prometheus,
    problems: &mut Vec<Problem>,
) -> Option<Prometheus> {
    let mut reader = Reader { path, problems };
    let address = reader.address(&written.address);
    let bearer = reader.place(
        "bearerToken",
        written.bearer_token_from.as_ref(),
        written.bearer_token_file.as_deref(),
    );
    let basic = written.basic_auth.as_ref().map(|basic| reader.basic(basic));
    if bearer.is_some() && basic.is_some() {
        let accepted = Accepted::rule("one of them");
        reader.report("basicAuth", "a bearer token and basicAuth", accepted);
    }
    let authorities = reader.place("ca", written.ca_from.as_ref(), written.ca_file.as_deref());
    if authorities.is_some() && written.insecure_skip_verify {
        let accepted =
            Accepted::rule("authorities are of use only where a certificate is verified");
        reader.report("insecureSkipVerify", "true, with authorities", accepted);
    }
    let timeout = Range::new("timeout", "100ms", "1m").of(path, written.timeout, problems);
    Some(Prometheus {
        address: address?,
        auth: match (bearer, basic) {
            (Some(place), _) => Auth::Bearer(place),
            (None, Some(basic)) => basic?,
            (None, None) => Auth::Anonymous,
        },
        authorities,
        certificate: match written.insecure_skip_verify {
            true => Certificate::Ignored,
            false => Certificate::Verified,
        },
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
    })
}

struct Reader<'r> {
    path: &'r str,
    problems: &'r mut Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, field: &str, found: impl Into<String>, accepted: Accepted) {
        let path = format!("{}.{field}", self.path);
        self.problems
            .push(Problem::new(path, found.into(), accepted));
    }

    /// What is found is not repeated: a user and password may stand in it.
    fn address(&mut self, written: &str) -> Option<Url> {
        let url = Url::parse(written).ok().filter(Url::has_host);
        let is_http = |url: &Url| ["http", "https"].contains(&url.scheme());
        let url = url.filter(|url| is_http(url) && written.len() <= LONGEST_ADDRESS);
        let Some(url) = url else {
            let found = if written.is_empty() {
                "missing"
            } else {
                "another text"
            };
            let accepted = Accepted::value("a URL such as http://prometheus.istio-system:9090");
            self.report("address", found, accepted);
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            let accepted = Accepted::rule("basicAuth says where a password is");
            self.report("address", "a user or password", accepted);
        }
        if url.query().is_some() || url.fragment().is_some() {
            let accepted = Accepted::rule("scheme, host, port and path");
            self.report("address", "a query or fragment", accepted);
        }
        Some(url)
    }

    fn basic(&mut self, written: &resource::BasicAuth) -> Option<Auth> {
        if written.username.is_empty() || written.username.contains(':') {
            let accepted = Accepted::value("a user without a colon (RFC 7617)");
            self.report(
                "basicAuth.username",
                format!("{:?}", written.username),
                accepted,
            );
        }
        let from = written.password_from.as_ref();
        let place = self.place("basicAuth.password", from, written.password_file.as_deref());
        if place.is_none() {
            let accepted = Accepted::value("passwordFrom or passwordFile");
            self.report("basicAuth", "no password", accepted);
        }
        let username = written.username.clone();
        place.map(|password| Auth::Basic { username, password })
    }

    /// Where something is: `nameFrom` or `nameFile`.
    fn place(&mut self, name: &str, from: Option<&KeyOf>, file: Option<&str>) -> Option<Place> {
        if from.is_some() && file.is_some() {
            let accepted = Accepted::rule("one of them");
            let found = format!("{name}From and {name}File");
            self.report(&format!("{name}File"), found, accepted);
        }
        if let Some(from) = from.filter(|from| from.name.is_empty() || from.key.is_empty()) {
            let accepted = Accepted::value("the name of a Secret and a key in it");
            let found = format!("name {:?}, key {:?}", from.name, from.key);
            self.report(&format!("{name}From"), found, accepted);
        }
        if let Some(file) = file.filter(|file| file.is_empty() || file.len() > LONGEST_PATH) {
            let accepted = Accepted::value("the path of a file");
            self.report(
                &format!("{name}File"),
                format!("{} bytes", file.len()),
                accepted,
            );
        }
        let from = from.map(|from| Place::Secret {
            name: from.name.clone(),
            key: from.key.clone(),
        });
        from.or_else(|| file.map(|file| Place::File(file.into())))
    }
}
