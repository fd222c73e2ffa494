//! One split as teams write it: each type is declared once, with the names of its fields, its
//! decoding and what editors know of it.
//!
//! What is allowed together is [`crate::definition`]'s.

use crate::decode::{Named, fields, names};

fields! {
    /// One split.
    #[derive(Default)]
    #[cfg_attr(feature = "schema", serde(default))]
    pub struct Split, accepted as "a split" {
        /// Hosts: `shop.example.com`, `*.example.com`. Neither hosts nor services: every host.
        "hosts" => hosts: Vec<String>,
        /// Kubernetes services, `name.namespace`, by every name that a caller may use.
        "services" => services: Vec<String>,
        /// Paths that the split applies to, without the query. Default: every path.
        "paths" => paths: Vec<StringMatch>,
        /// The fallback, then the challengers. Append only. Default: stable, canary.
        "variants" => variants: Option<Vec<String>>,
        /// The request header that carries the variant. Default: `x-sluice-` and the split's name.
        "header" => header: Option<String>,
        /// What makes this split's draw independent of others. Default: the split's name.
        "salt" => salt: Option<String>,
        /// Sources of the user's identity: the first that gives bytes. Last: the anonymous cookie.
        "identity" => identity: Vec<Source>,
        /// What happens to a request without identity.
        "anonymous" => anonymous: Anonymous,
        /// A sidecar keeps a known variant that is already in the header.
        "inherit" => inherit: bool,
        /// A header or cookie that names a variant outright.
        "override" => override_by: Option<Override>,
        /// Who: ordered; the first that matches names the request's audience.
        "rules" => rules: Vec<Rule>,
        /// When a proxy takes a failing challenger out by itself. Default: never.
        "guard" => guard: Option<Guard>,
    }
}

fields! {
    /// One source of identity: exactly one of the fields.
    #[derive(Default)]
    #[cfg_attr(feature = "schema", serde(default))]
    pub struct Source, accepted as "a source" {
        /// A cookie's name.
        "cookie" => cookie: Option<String>,
        /// A request header's name.
        "header" => header: Option<String>,
        /// A query parameter's name.
        "query" => query: Option<String>,
        /// A JWT claim's name; gateways only, at phase AUTHZ or later.
        "claim" => claim: Option<String>,
        /// A source without a name.
        "source" => source: Option<NamelessSource>,
    }
}

names! {
    /// A source of identity that needs no name.
    pub enum NamelessSource, accepted as "a source's name" {
        /// The client address that Envoy trusts, without the port.
        "address" => Address,
        /// The anonymous cookie.
        "anonymous" => Anonymous,
    }
}

names! {
    /// What happens to a request without identity.
    #[derive(Default)]
    pub enum Anonymous, accepted as "a way" {
        /// A random identity decides at once and is set as a cookie.
        #[default]
        "issueCookie" => IssueCookie,
        /// It takes the fallback.
        "fallback" => Fallback,
        /// Each request draws anew.
        "perRequest" => PerRequest,
    }
}

fields! {
    /// Where a request may name its variant outright.
    #[derive(Default)]
    #[cfg_attr(feature = "schema", serde(default))]
    pub struct Override, accepted as "a map" {
        /// A request header's name; asked first.
        "header" => header: Option<String>,
        /// A cookie's name.
        "cookie" => cookie: Option<String>,
    }
}

fields! {
    /// How many of a challenger's responses must fail for a proxy to take it out.
    #[derive(Default)]
    #[cfg_attr(feature = "schema", serde(default))]
    pub struct Guard, accepted as "a guard" {
        /// How many percent of the responses. Default: 50.
        "failures" => failures: Option<f64>,
        /// Of how many responses at least. Default: 20.
        "responses" => responses: Option<f64>,
        /// In which time: a whole number and s. Default: 10s.
        "within" => within: Option<String>,
    }
}

fields! {
    /// One rule.
    #[derive(Default)]
    pub struct Rule, accepted as "a rule" {
        /// The audience that the rule names.
        "name" => name: String,
        /// Alternatives: one must hold.
        "match" => alternatives: Vec<Match>,
    }
}

fields! {
    /// One alternative of a rule: everything in it must hold.
    #[derive(Default)]
    #[cfg_attr(feature = "schema", serde(default))]
    pub struct Match, accepted as "an alternative" {
        /// Cookies by name.
        "cookies" => cookies: Named<StringMatch>,
        /// Request headers by name.
        "headers" => headers: Named<StringMatch>,
        /// Query parameters by name, not percent-decoded.
        "query" => query: Named<StringMatch>,
        /// JWT claims by name.
        "claims" => claims: Named<StringMatch>,
    }
}

fields! {
    /// How a value is compared: exactly one of the fields.
    #[derive(Default)]
    #[cfg_attr(feature = "schema", serde(default))]
    pub struct StringMatch, accepted as "a comparison" {
        /// The whole value.
        "exact" => exact: Option<String>,
        /// How the value begins.
        "prefix" => prefix: Option<String>,
        /// How the value ends.
        "suffix" => suffix: Option<String>,
        /// A regular expression for the whole value, of the syntax that RE2 and Rust agree on.
        "regex" => regex: Option<String>,
        /// One of several whole values.
        "in" => one_of: Option<Vec<String>>,
        /// Whether there is a value at all; an empty one is present.
        "present" => present: Option<bool>,
    }
}
