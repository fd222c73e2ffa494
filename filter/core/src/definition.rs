//! One split, from what was typed to what decides: Git's half of the configuration.
//!
//! Reports every problem. A split with any problem is kept as far as it can be read, and marked broken: it is served
//! as if all its weights were 0, on its hosts and paths, so that a client's own header still does not survive.
//! Called by [`crate::plan`], which keeps definitions across configurations.

use serde_json::Value;

use crate::allocation::MAX_VARIANTS;
use crate::config::{self, Anonymous};
use crate::hosts::{MatchHost, service_names};
use crate::identity::Source;
use crate::index::VariantIndex;
use crate::matching::{Condition, Matcher, Rule, Subject};
use crate::pattern::Patterns;
use crate::problem::Problem;
use crate::shape::Shape as _;

/// The most rules a split may have (DESIGN section 2, limits).
pub const MAX_RULES: usize = 64;

/// Audience names that no rule may have. `inherited` labels what a sidecar kept.
pub const RESERVED: [&str; 5] = ["everyone", "forced", "holdout", "layer", "inherited"];

/// What names of headers (RFC 9110) and cookies (RFC 6265) are made of.
pub(crate) const TOKEN: &str = "accepted: letters, digits and !#$%&'*+-.^_`|~";

const NAME: &str =
    "accepted: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit";

/// One split without its weights.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The split's name.
    pub name: Box<str>,
    /// The request header that carries the variant, in lower case.
    pub header: Box<str>,
    /// The fallback, then the challengers. Empty only when broken.
    pub variants: Box<[Box<str>]>,
    /// Hosts and services, normalized; empty is every host.
    pub hosts: Box<[MatchHost]>,
    /// Paths; empty is every path.
    pub paths: Box<[Matcher]>,
    /// What makes this split's draw its own.
    pub salt: Box<str>,
    /// Where identity comes from; the anonymous cookie is always among them.
    pub identity: Box<[Source]>,
    /// What happens without identity.
    pub anonymous: Anonymous,
    /// Whether a sidecar keeps a known variant.
    pub inherit: bool,
    /// A header that may name a variant outright.
    pub override_header: Option<Box<str>>,
    /// A cookie that may name a variant outright.
    pub override_cookie: Option<Box<str>>,
    /// Who: ordered.
    pub rules: Box<[Rule]>,
    /// Everything that is wrong with it; if anything is, it decides nothing.
    pub problems: Vec<Problem>,
}

impl Definition {
    /// Reads and compiles the split `name`.
    pub fn compile(
        name: &str,
        typed: &Value,
        caller_namespace: Option<&str>,
        patterns: &mut Patterns,
    ) -> Self {
        let path = format!("splits.{name}");
        let mut reader = Reader {
            problems: Vec::new(),
            patterns,
        };
        if !is_name(name) {
            reader.report(&path, format!("{name:?} is not a name"), NAME);
        }
        let split = config::Split::read(&path, typed, &mut reader.problems).unwrap_or_default();
        reader.definition(name, &path, split, caller_namespace)
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
            .and_then(|place| u8::try_from(place).ok())
            .map(VariantIndex::new)
    }

    /// A variant's name. `fallback` for a place that this split does not have: its variants could then not be read, so
    /// that it decides nothing and everybody stays where no header leads.
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
    pub fn challengers(&self) -> &[Box<str>] {
        self.variants.get(1..).unwrap_or_default()
    }
}

/// Whether `text` fits the grammar of split, variant and rule names.
pub fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 63
        && !text.is_empty()
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

struct Reader<'p> {
    problems: Vec<Problem>,
    patterns: &'p mut Patterns,
}

impl Reader<'_> {
    fn report(
        &mut self,
        path: impl Into<String>,
        found: impl Into<String>,
        accepted: impl Into<String>,
    ) {
        self.problems.push(Problem::new(path, found, accepted));
    }

    fn definition(
        mut self,
        name: &str,
        path: &str,
        split: config::Split,
        namespace: Option<&str>,
    ) -> Definition {
        let hosts = self.hosts(path, &split, namespace);
        let paths = self.matchers(&format!("{path}.paths"), &split.paths);
        let variants = self.variants(&format!("{path}.variants"), split.variants);
        let header = self.header(path, name, split.header.as_deref());
        let salt = self.salt(&format!("{path}.salt"), split.salt, name);
        let identity = self.identity(&format!("{path}.identity"), split.identity);
        let override_by = split.override_by.unwrap_or_default();
        let override_header = override_by
            .header
            .map(|typed| self.header_name(&format!("{path}.override.header"), &typed));
        let override_cookie = override_by
            .cookie
            .map(|typed| self.cookie_name(&format!("{path}.override.cookie"), typed));
        let rules = self.rules(&format!("{path}.rules"), split.rules);
        Definition {
            name: name.into(),
            header,
            variants,
            hosts,
            paths,
            salt,
            identity,
            anonymous: split.anonymous,
            inherit: split.inherit,
            override_header,
            override_cookie,
            rules,
            problems: self.problems,
        }
    }

    fn hosts(
        &mut self,
        path: &str,
        split: &config::Split,
        namespace: Option<&str>,
    ) -> Box<[MatchHost]> {
        let mut all = Vec::new();
        for (index, host) in split.hosts.iter().enumerate() {
            match MatchHost::parse(host) {
                Ok(host) => all.push(host),
                Err(error) => self.report(
                    format!("{path}.hosts[{index}]"),
                    format!("{host:?}"),
                    error.accepted(),
                ),
            }
        }
        for (index, service) in split.services.iter().enumerate() {
            match service_names(service, namespace) {
                Ok(names) => all.extend(names),
                Err(error) => self.report(
                    format!("{path}.services[{index}]"),
                    format!("{service:?}"),
                    error.accepted(),
                ),
            }
        }
        all.into_boxed_slice()
    }

    fn variants(&mut self, path: &str, typed: Option<Vec<String>>) -> Box<[Box<str>]> {
        let variants = typed.unwrap_or_else(|| vec!["stable".to_owned(), "canary".to_owned()]);
        if !(2..=MAX_VARIANTS).contains(&variants.len()) {
            self.report(
                path,
                format!("{} variants", variants.len()),
                "2 to 8: the fallback, then the challengers",
            );
        }
        for (index, variant) in variants.iter().enumerate() {
            if !is_name(variant) {
                self.report(
                    format!("{path}[{index}]"),
                    format!("{variant:?} is not a name"),
                    NAME,
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
                    "each variant once",
                );
            }
        }
        variants
            .into_iter()
            .take(MAX_VARIANTS)
            .filter(|variant| is_name(variant))
            .map(Into::into)
            .collect()
    }

    fn header(&mut self, path: &str, name: &str, typed: Option<&str>) -> Box<str> {
        let default = format!("x-sluice-{}", name.to_ascii_lowercase());
        let header_path = format!("{path}.header");
        let header = self.header_name(&header_path, typed.unwrap_or(&default));
        // Routing headers that others depend on: setting one per variant would break requests.
        const TAKEN: [&str; 9] = [
            "host",
            "cookie",
            "authorization",
            "connection",
            "content-length",
            "content-type",
            "te",
            "transfer-encoding",
            "upgrade",
        ];
        if TAKEN.contains(&header.as_ref()) {
            self.report(
                header_path,
                format!("{header:?} has a meaning of its own"),
                "another, such as x-sluice-web",
            );
        }
        if self.problems.is_empty() || is_header_name(&header) {
            header
        } else {
            default.into()
        }
    }

    fn salt(&mut self, path: &str, typed: Option<String>, name: &str) -> Box<str> {
        let salt = typed.unwrap_or_else(|| name.to_owned());
        if salt.contains('\0') {
            self.report(path, "a NUL character", "text without NUL");
        }
        salt.into()
    }

    fn identity(&mut self, path: &str, typed: Vec<config::Source>) -> Box<[Source]> {
        let mut sources = Vec::with_capacity(typed.len() + 1);
        for (index, source) in typed.into_iter().enumerate() {
            if let Some(source) = self.source(&format!("{path}[{index}]"), source) {
                if sources.contains(&source) {
                    self.report(
                        format!("{path}[{index}]"),
                        "the same source again",
                        "each source once",
                    );
                }
                sources.push(source);
            }
        }
        if !sources.contains(&Source::Anonymous) {
            sources.push(Source::Anonymous);
        }
        sources.into_boxed_slice()
    }

    fn source(&mut self, path: &str, typed: config::Source) -> Option<Source> {
        let config::Source {
            cookie,
            header,
            query,
            claim,
            source,
        } = typed;
        let mut found = Vec::new();
        found.extend(
            cookie.map(|name| Source::Cookie(self.cookie_name(&format!("{path}.cookie"), name))),
        );
        found.extend(
            header.map(|name| Source::Header(self.header_name(&format!("{path}.header"), &name))),
        );
        found.extend(
            query.map(|name| Source::Query(self.parameter_name(&format!("{path}.query"), name))),
        );
        found.extend(
            claim.map(|name| Source::Claim(self.claim_name(&format!("{path}.claim"), name))),
        );
        found.extend(source.map(|source| match source {
            config::NamelessSource::Address => Source::Address,
            config::NamelessSource::Anonymous => Source::Anonymous,
        }));
        if found.len() != 1 {
            self.report(
                path,
                format!("{} sources", found.len()),
                "exactly one of cookie, header, query, claim, source",
            );
        }
        found.pop()
    }

    fn rules(&mut self, path: &str, typed: Vec<config::Rule>) -> Box<[Rule]> {
        if typed.len() > MAX_RULES {
            self.report(
                path,
                format!("{} rules", typed.len()),
                format!("at most {MAX_RULES}"),
            );
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(typed.len());
        for (index, rule) in typed.into_iter().take(MAX_RULES).enumerate() {
            let path = format!("{path}[{index}]");
            let name_path = format!("{path}.name");
            if RESERVED.contains(&rule.name.as_str()) {
                self.report(
                    &name_path,
                    format!("{:?} is reserved", rule.name),
                    format!("a name other than {}", RESERVED.join(", ")),
                );
            } else if !is_name(&rule.name) {
                self.report(&name_path, format!("{:?} is not a name", rule.name), NAME);
            }
            if rules.iter().any(|earlier| *earlier.name == *rule.name) {
                self.report(
                    &name_path,
                    format!("{:?} occurs twice", rule.name),
                    "each rule once",
                );
            }
            if rule.alternatives.is_empty() {
                self.report(format!("{path}.match"), "no alternative", "at least one");
            }
            let alternatives = rule
                .alternatives
                .into_iter()
                .enumerate()
                .map(|(place, alternative)| {
                    self.alternative(&format!("{path}.match[{place}]"), alternative)
                })
                .collect();
            rules.push(Rule {
                name: rule.name.into(),
                alternatives,
            });
        }
        rules.into_boxed_slice()
    }

    fn alternative(&mut self, path: &str, typed: config::Match) -> Box<[Condition]> {
        let mut conditions = Vec::new();
        for (name, typed) in typed.cookies.0 {
            let path = format!("{path}.cookies.{name}");
            let subject = Subject::Cookie(self.cookie_name(&path, name));
            conditions.extend(self.condition(&path, subject, &typed));
        }
        for (name, typed) in typed.headers.0 {
            let path = format!("{path}.headers.{name}");
            let subject = Subject::Header(self.header_name(&path, &name));
            conditions.extend(self.condition(&path, subject, &typed));
        }
        for (name, typed) in typed.query.0 {
            let path = format!("{path}.query.{name}");
            let subject = Subject::Query(self.parameter_name(&path, name));
            conditions.extend(self.condition(&path, subject, &typed));
        }
        for (name, typed) in typed.claims.0 {
            let path = format!("{path}.claims.{name}");
            let subject = Subject::Claim(self.claim_name(&path, name));
            conditions.extend(self.condition(&path, subject, &typed));
        }
        if conditions.is_empty() && self.problems.is_empty() {
            self.report(
                path,
                "nothing to match",
                "at least one of cookies, headers, query, claims",
            );
        }
        conditions.into_boxed_slice()
    }

    fn condition(
        &mut self,
        path: &str,
        subject: Subject,
        typed: &config::StringMatch,
    ) -> Option<Condition> {
        Some(Condition {
            subject,
            matcher: self.matcher(path, typed)?,
        })
    }

    fn matchers(&mut self, path: &str, typed: &[config::StringMatch]) -> Box<[Matcher]> {
        typed
            .iter()
            .enumerate()
            .filter_map(|(index, typed)| self.matcher(&format!("{path}[{index}]"), typed))
            .collect()
    }

    fn matcher(&mut self, path: &str, typed: &config::StringMatch) -> Option<Matcher> {
        let config::StringMatch {
            exact,
            prefix,
            suffix,
            regex,
            one_of,
            present,
        } = typed;
        let mut found = Vec::new();
        found.extend(exact.as_deref().map(|text| Matcher::Exact(text.into())));
        found.extend(prefix.as_deref().map(|text| Matcher::Prefix(text.into())));
        found.extend(suffix.as_deref().map(|text| Matcher::Suffix(text.into())));
        found.extend(one_of.as_ref().map(|values| {
            Matcher::OneOf(values.iter().map(|value| value.as_str().into()).collect())
        }));
        found.extend(present.map(Matcher::Present));
        let number = found.len() + usize::from(regex.is_some());
        if let Some(pattern) = regex {
            match self.patterns.compile(pattern) {
                Ok(program) => found.push(Matcher::Regex(pattern.as_str().into(), program)),
                Err((what, accepted)) => self.report(format!("{path}.regex"), what, accepted),
            }
        }
        if number != 1 {
            self.report(
                path,
                format!("{number} comparisons"),
                "exactly one of exact, prefix, suffix, regex, in, present",
            );
        }
        if one_of.as_ref().is_some_and(Vec::is_empty) {
            self.report(
                format!("{path}.in"),
                "an empty list, which matches nobody",
                "at least one value",
            );
        }
        found.pop()
    }

    fn header_name(&mut self, path: &str, typed: &str) -> Box<str> {
        let name = typed.to_ascii_lowercase();
        if !is_header_name(&name) {
            self.report(path, format!("{typed:?} is not a header name"), TOKEN);
        }
        name.into()
    }

    fn cookie_name(&mut self, path: &str, name: String) -> Box<str> {
        if !is_cookie_name(&name) {
            self.report(path, format!("{name:?} is not a cookie name"), TOKEN);
        }
        name.into()
    }

    fn parameter_name(&mut self, path: &str, name: String) -> Box<str> {
        if name.is_empty()
            || name
                .bytes()
                .any(|byte| matches!(byte, b'&' | b'=' | b'#' | 0..=32))
        {
            self.report(
                path,
                format!("{name:?} can never be a parameter's name"),
                "accepted: text without &, =, # and spaces, as it stands in the URL",
            );
        }
        name.into()
    }

    fn claim_name(&mut self, path: &str, name: String) -> Box<str> {
        if name.is_empty() || name.contains('\0') {
            self.report(
                path,
                format!("{name:?} is not a claim's name"),
                "accepted: a name without NUL",
            );
        }
        name.into()
    }
}

/// Whether `name` is a cookie's name by RFC 6265: an HTTP token.
pub fn is_cookie_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

fn is_header_name(name: &str) -> bool {
    is_cookie_name(name)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests;
