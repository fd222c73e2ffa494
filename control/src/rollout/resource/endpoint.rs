//! A URL that a run sends something to.

use std::borrow::Cow;
use std::fmt;

use reqwest::Url;
use schemars::JsonSchema;
use serde_json::Value;
use sluice_core::decode::{Decode, mismatch};
use sluice_core::problem::{Accepted, Problem};

/// The longest URL that something is sent to. Chosen: what servers commonly take.
pub const MAX_URL_BYTES: usize = 2_048;

/// An address by HTTP or HTTPS. Whoever knows a webhook's path may often write to it, so only its
/// host is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The address, when a text is one.
    pub fn new(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(Url::has_host)?;
        let is_http = ["http", "https"].contains(&url.scheme());
        (is_http && text.len() <= MAX_URL_BYTES).then_some(Self(url))
    }

    /// The whole address, which is not to be shown.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

/// The host, and the port where it is not the scheme's own.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{self}/…", self.0.scheme())
    }
}

impl Decode for Endpoint {
    fn accepted() -> Cow<'static, str> {
        "a URL such as https://ci.example.com/gate".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        match value.as_str() {
            None => problems.push(mismatch(path, value, Self::accepted())),
            Some(text) => {
                let endpoint = Self::new(text);
                if endpoint.is_none() {
                    let accepted = Accepted::value(Self::accepted());
                    // Not what was found: it may be a secret with a typing mistake.
                    problems.push(Problem::new(path, "another text", accepted));
                }
                return endpoint;
            }
        }
        None
    }
}

impl JsonSchema for Endpoint {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 2_048,
            "pattern": "^https?://[^/?#]+",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_an_address_is_shown() {
        let cases = [
            (
                "https://hooks.example.com/services/s3cret",
                "hooks.example.com",
            ),
            ("http://ann:s3cret@[::1]:8080/?key=s3cret", "[::1]:8080"),
        ];
        for (text, shown) in cases {
            let endpoint = Endpoint::new(text).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert!(!format!("{endpoint:?}").contains("s3cret"), "{endpoint:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        let long = format!("https://a/{}", "b".repeat(MAX_URL_BYTES));
        for text in ["", "s3cret", "ftp://a/b", "htps://hooks/s3cret", &long] {
            let mut problems = Vec::new();
            assert_eq!(Endpoint::decode("p", &text.into(), &mut problems), None);
            let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
            let expected = "p: another text; accepted: a URL such as https://ci.example.com/gate";
            assert_eq!(said, [expected]);
        }
    }
}
