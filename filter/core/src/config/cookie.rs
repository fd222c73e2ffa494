//! The anonymous cookie as it is written; what its attributes may be together is
//! [`crate::plan::cookie`]'s.

use crate::decode::{fields, names};

fields! {
    /// The anonymous cookie.
    #[cfg_attr(feature = "schema", serde(default))]
    pub struct Cookie, accepted as "a cookie" {
        /// Its name.
        "name" => name: String,
        /// How long a browser keeps it: a whole number and s, m, h or d.
        "maxAge" => max_age: String,
        /// When a browser sends it along from other sites.
        "sameSite" => same_site: SameSite,
        /// The domain it is shared with; the name must then not begin with `__Host-`.
        "domain" => domain: Option<String>,
        /// Whether browsers send it over HTTPS only.
        "secure" => secure: bool,
    }
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "__Host-sluice".to_owned(),
            max_age: "180d".to_owned(),
            same_site: SameSite::Lax,
            domain: None,
            secure: true,
        }
    }
}

names! {
    /// The SameSite attribute of a cookie (RFC 6265bis).
    #[derive(Default)]
    pub enum SameSite, accepted as "a name" {
        /// Sent when the user follows a link from another site.
        #[default]
        "Lax" => Lax,
        /// Never sent from another site.
        "Strict" => Strict,
        /// Always sent; browsers demand `secure`.
        "None" => None,
    }
}
