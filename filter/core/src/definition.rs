//! One split without its weights, from what was received to what decides.
//!
//! Reports every problem. A split with any problem is kept as far as it can be read, and marked
//! broken: it is served as if all its weights were 0, on the hosts and paths that can be read, so
//! that a client's own header still does not survive there. Called by [`crate::plan`], which keeps definitions across
//! configurations.

mod common;
mod guard;
mod names;
mod rules;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

pub use common::Common;
pub use names::{TOKEN, is_cookie_name, is_name};

use names::{HeaderUse, MAX_HEADER_BYTES};

use crate::allocation::MAX_VARIANTS;
use crate::config::{self, Anonymous};
use crate::decode::{Decode as _, below};
use crate::guard::Guard;
use crate::hosts::{Hosts, MatchHost, service_names};
use crate::identity::Source;
use crate::index::VariantIndex;
use crate::matching::{Matcher, Rule};
use crate::pattern::{Patterns, Used};
use crate::problem::{Accepted, Problem};

/// The most hosts and services a split may name; see docs/limits.md.
pub const MAX_HOSTS: usize = 64;

/// The most paths a split may name; see docs/limits.md.
const MAX_PATHS: usize = 64;

/// The most sources of identity; see docs/limits.md. They are read whatever a request costs.
const MAX_SOURCES: usize = 8;

/// The most rules a split may have; see docs/limits.md.
pub const MAX_RULES: usize = 64;

/// Audience names that no rule may have. `inherited` labels what a sidecar kept.
pub const RESERVED: [&str; 5] = ["everyone", "forced", "holdout", "layer", "inherited"];

/// One split without its weights.
///
/// What every decision reads comes first and in this order, so that it lies in three lines of the
/// processor's cache and not in five: with a thousand splits nearly every request reads another one's
/// from memory.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Definition {
    /// Everything that is wrong with it; if anything is, it decides nothing.
    pub problems: Vec<Problem>,
    /// Paths; empty is every path.
    pub paths: Box<[Matcher]>,
    /// A header that may name a variant outright.
    pub override_header: Option<Arc<str>>,
    /// A cookie that may name a variant outright.
    pub override_cookie: Option<Arc<str>>,
    /// Who: ordered.
    pub rules: Box<[Rule]>,
    /// Where identity comes from; the anonymous cookie is always among them.
    pub identity: Arc<[Source]>,
    /// The request header that carries the variant, in lower case.
    pub header: Arc<str>,
    /// The fallback, then the challengers. Empty only when broken.
    pub variants: Arc<[Arc<str>]>,
    /// What happens without identity.
    pub anonymous: Anonymous,
    /// Whether a sidecar keeps a known variant.
    pub inherit: bool,
    /// When a proxy takes a challenger out by itself.
    pub guard: Option<Guard>,
    /// The split's name.
    pub name: Box<str>,
    /// Where it applies by host. Nowhere, when neither hosts nor services can be read, or the
    /// header is one that it must not touch.
    pub hosts: Hosts,
    /// How many hosts and services it names.
    pub named_hosts: usize,
    /// What makes this split's draw its own.
    pub salt: Box<str>,
    /// The expressions it uses, and what was spent on those that were refused.
    pub patterns: Used,
}

impl Definition {
    /// Decodes and compiles the split `name`. In its own namespace a caller may leave out a
    /// service's namespace.
    pub fn compile(
        name: &str,
        value: &Value,
        caller_namespace: Option<&str>,
        patterns: &mut Patterns,
        common: &mut Common,
    ) -> Self {
        let path = below("splits", name);
        let mut reader = Reader {
            problems: Vec::new(),
            patterns,
            common,
        };
        if !is_name(name) {
            reader.report(&path, format!("{name:?} is not a name"), names::accepted());
        }
        let split = config::Split::decode(&path, value, &mut reader.problems).unwrap_or_default();
        let mut definition = reader.definition(name, &path, split, caller_namespace);
        if definition.hosts == Hosts::Every && !leaves_out_hosts(value) {
            definition.hosts = Hosts::These(Box::default());
        }
        definition
    }

    /// Whether something is wrong with it, so that it must decide nothing.
    pub fn is_broken(&self) -> bool {
        !self.problems.is_empty()
    }

    /// A variant by its name.
    pub fn variant(&self, name: &[u8]) -> Option<VariantIndex> {
        self.variants
            .iter()
            .position(|variant| variant.as_bytes() == name)
            .and_then(|index| u8::try_from(index).ok())
            .map(VariantIndex::new)
    }

    /// A variant's name. `fallback` for a place that this split does not have: its variants could
    /// then not be read, so that it decides nothing and everybody stays where no header leads.
    pub fn variant_name(&self, variant: VariantIndex) -> &str {
        self.variants
            .get(usize::from(variant))
            .map_or("fallback", AsRef::as_ref)
    }

    /// Every variant with its name: the fallback, then the challengers.
    pub fn named_variants(&self) -> impl Iterator<Item = (VariantIndex, &str)> {
        let names = self.variants.iter().map(AsRef::as_ref);
        (0..).map(VariantIndex::new).zip(names)
    }

    /// The challengers' names, in order.
    pub fn challengers(&self) -> &[Arc<str>] {
        self.variants.get(1..).unwrap_or_default()
    }
}

/// Whether a split as received names no hosts and no services, which means every host.
fn leaves_out_hosts(value: &Value) -> bool {
    let is_left_out = |name: &str| {
        let named = value.get(name);
        named.is_none_or(|named| named.as_array().is_some_and(Vec::is_empty))
    };
    value.is_object() && is_left_out("hosts") && is_left_out("services")
}

struct Reader<'p> {
    problems: Vec<Problem>,
    patterns: &'p mut Patterns,
    common: &'p mut Common,
}

impl Reader<'_> {
    fn report(
        &mut self,
        path: impl Into<String>,
        found: impl Into<Cow<'static, str>>,
        accepted: Accepted,
    ) {
        self.problems.push(Problem::new(path, found, accepted));
    }

    /// Reports a list that is longer than it may be.
    fn at_most(&mut self, most: usize, path: &str, number: usize) {
        if number > most {
            let accepted = Accepted::rule(format!("at most {most}"));
            self.report(path, format!("{number} of them"), accepted);
        }
    }

    fn definition(
        mut self,
        name: &str,
        path: &str,
        split: config::Split,
        namespace: Option<&str>,
    ) -> Definition {
        let named_hosts = split.hosts.len() + split.services.len();
        let hosts = self.hosts(path, &split, namespace);
        self.at_most(MAX_PATHS, &format!("{path}.paths"), split.paths.len());
        let paths = self.matchers(&format!("{path}.paths"), &split.paths);
        let variants = self.variants(&format!("{path}.variants"), split.variants);
        let header = self.header(path, name, split.header.as_deref());
        let hosts = match header {
            Some(_) => hosts,
            None => Hosts::These(Box::default()),
        };
        let salt = self.salt(&format!("{path}.salt"), split.salt, name);
        let identity = self.identity(&format!("{path}.identity"), split.identity);
        let override_by = split.override_by.unwrap_or_default();
        let override_header = override_by
            .header
            .map(|name| self.header_name(&format!("{path}.override.header"), &name));
        let override_cookie = override_by
            .cookie
            .map(|name| self.cookie_name(&format!("{path}.override.cookie"), name));
        let rules = self.rules(&format!("{path}.rules"), split.rules);
        let guard = split
            .guard
            .map(|guard| self.guard(&format!("{path}.guard"), &guard));
        Definition {
            name: name.into(),
            header: header.unwrap_or_else(|| default_header(name).into()),
            variants,
            hosts,
            named_hosts: named_hosts.min(MAX_HOSTS),
            paths,
            salt,
            identity,
            anonymous: split.anonymous,
            inherit: split.inherit,
            override_header,
            override_cookie,
            rules,
            guard,
            patterns: self.patterns.next_split(),
            problems: self.problems,
        }
    }

    fn hosts(&mut self, path: &str, split: &config::Split, namespace: Option<&str>) -> Hosts {
        let mut all = Vec::new();
        let named = split.hosts.len() + split.services.len();
        self.at_most(MAX_HOSTS, &format!("{path}.hosts"), named);
        for (index, host) in split.hosts.iter().take(MAX_HOSTS).enumerate() {
            match MatchHost::parse(host) {
                Ok(host) => all.push(host),
                Err(error) => self.report(
                    format!("{path}.hosts[{index}]"),
                    format!("{host:?}"),
                    error.accepted(),
                ),
            }
        }
        let left = MAX_HOSTS.saturating_sub(split.hosts.len());
        for (index, service) in split.services.iter().take(left).enumerate() {
            match service_names(service, namespace) {
                Ok(names) => all.extend(names),
                Err(error) => self.report(
                    format!("{path}.services[{index}]"),
                    format!("{service:?}"),
                    error.accepted(),
                ),
            }
        }
        match all.is_empty() {
            true => Hosts::Every,
            false => Hosts::These(all.into_boxed_slice()),
        }
    }

    fn variants(&mut self, path: &str, named: Option<Vec<String>>) -> Arc<[Arc<str>]> {
        let variants = named.unwrap_or_else(|| vec!["stable".to_owned(), "canary".to_owned()]);
        if !(2..=MAX_VARIANTS).contains(&variants.len()) {
            self.report(
                path,
                format!("{} variants", variants.len()),
                Accepted::rule("2 to 8: the fallback, then the challengers"),
            );
        }
        for (index, variant) in variants.iter().take(MAX_VARIANTS).enumerate() {
            if !is_name(variant) {
                self.report(
                    format!("{path}[{index}]"),
                    format!("{variant:?} is not a name"),
                    names::accepted(),
                );
            }
            if variants
                .iter()
                .take(index)
                .any(|earlier| earlier == variant)
            {
                self.report(
                    format!("{path}[{index}]"),
                    format!("{variant:?} occurs twice"),
                    Accepted::rule("each variant once"),
                );
            }
        }
        let named = variants.into_iter().take(MAX_VARIANTS);
        self.common.list(named.filter(|variant| is_name(variant)))
    }

    /// The header; `None` when it must not be touched, whatever else is right.
    fn header(&mut self, path: &str, name: &str, own: Option<&str>) -> Option<Arc<str>> {
        let default = default_header(name);
        let path = format!("{path}.header");
        let header = self.header_name(&path, own.unwrap_or(&default));
        let found = match names::header_use(&header) {
            HeaderUse::Free => return Some(header),
            HeaderUse::NotAHeader => return None,
            HeaderUse::Taken => format!("{header:?} has a meaning of its own"),
            HeaderUse::NotOurs => format!("{header:?} does not begin with x-"),
            HeaderUse::TooLong => format!("a name of {} bytes", header.len()),
        };
        let rule = format!("another, such as {default}, of at most {MAX_HEADER_BYTES} bytes");
        self.report(path, found, Accepted::rule(rule));
        None
    }

    fn salt(&mut self, path: &str, own: Option<String>, name: &str) -> Box<str> {
        let salt = own.unwrap_or_else(|| name.to_owned());
        if salt.contains('\0') {
            self.report(path, "a NUL character", Accepted::rule("text without NUL"));
        }
        salt.into()
    }

    fn identity(&mut self, path: &str, received: Vec<config::Source>) -> Arc<[Source]> {
        let mut sources = Vec::with_capacity(MAX_SOURCES + 1);
        self.at_most(MAX_SOURCES, path, received.len());
        for (index, source) in received.into_iter().take(MAX_SOURCES).enumerate() {
            if let Some(source) = self.source(&format!("{path}[{index}]"), source) {
                if sources.contains(&source) {
                    self.report(
                        format!("{path}[{index}]"),
                        "the same source again",
                        Accepted::rule("each source once"),
                    );
                }
                sources.push(source);
            }
        }
        if !sources.contains(&Source::Anonymous) {
            sources.push(Source::Anonymous);
        }
        self.common.sources(sources)
    }

    fn source(&mut self, path: &str, received: config::Source) -> Option<Source> {
        let config::Source {
            cookie,
            header,
            query,
            claim,
            source,
        } = received;
        let mut sources = Vec::new();
        sources.extend(
            cookie.map(|name| Source::Cookie(self.cookie_name(&format!("{path}.cookie"), name))),
        );
        sources.extend(
            header.map(|name| Source::Header(self.header_name(&format!("{path}.header"), &name))),
        );
        sources.extend(
            query.map(|name| Source::Query(self.parameter_name(&format!("{path}.query"), name))),
        );
        sources.extend(
            claim.map(|name| Source::Claim(self.claim_name(&format!("{path}.claim"), name))),
        );
        sources.extend(source.map(|source| match source {
            config::NamelessSource::Address => Source::Address,
            config::NamelessSource::Anonymous => Source::Anonymous,
        }));
        if sources.len() != 1 {
            self.report(
                path,
                format!("{} sources", sources.len()),
                Accepted::rule("exactly one of cookie, header, query, claim, source"),
            );
        }
        sources.pop()
    }
}

fn default_header(name: &str) -> String {
    format!("x-sluice-{}", name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
