//! Who: a split's rules, and the comparisons that rules and paths are made of.

use super::{MAX_RULES, RESERVED, Reader, is_name, names};
use crate::config;
use crate::decode::below;
use crate::matching::{Condition, Matcher, Rule, Subject};
use crate::problem::Accepted;

/// The most alternatives a rule may have, and conditions an alternative; see docs/limits.md.
const MAX_ALTERNATIVES: usize = 64;

impl Reader<'_> {
    pub(super) fn rules(&mut self, path: &str, received: Vec<config::Rule>) -> Box<[Rule]> {
        if received.len() > MAX_RULES {
            self.report(
                path,
                format!("{} rules", received.len()),
                Accepted::rule(format!("at most {MAX_RULES}")),
            );
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(received.len().min(MAX_RULES));
        for (index, rule) in received.into_iter().take(MAX_RULES).enumerate() {
            let path = format!("{path}[{index}]");
            let name_path = format!("{path}.name");
            if RESERVED.contains(&rule.name.as_str()) {
                self.report(
                    &name_path,
                    format!("{:?} is reserved", rule.name),
                    Accepted::rule(format!("a name other than {}", RESERVED.join(", "))),
                );
            } else if !is_name(&rule.name) {
                self.report(
                    &name_path,
                    format!("{:?} is not a name", rule.name),
                    names::accepted(),
                );
            }
            if rules.iter().any(|earlier| *earlier.name == *rule.name) {
                self.report(
                    &name_path,
                    format!("{:?} occurs twice", rule.name),
                    Accepted::rule("each rule once"),
                );
            }
            if rule.alternatives.is_empty() {
                let accepted = Accepted::rule("at least one");
                self.report(format!("{path}.match"), "no alternative", accepted);
            }
            let match_path = format!("{path}.match");
            self.at_most(MAX_ALTERNATIVES, &match_path, rule.alternatives.len());
            let alternatives = rule
                .alternatives
                .into_iter()
                .take(MAX_ALTERNATIVES)
                .enumerate()
                .map(|(index, alternative)| {
                    self.alternative(&format!("{match_path}[{index}]"), alternative)
                })
                .collect();
            rules.push(Rule {
                name: rule.name.into(),
                alternatives,
            });
        }
        rules.into_boxed_slice()
    }

    fn alternative(&mut self, path: &str, received: config::Match) -> Box<[Condition]> {
        let mut conditions = Vec::new();
        let named = [
            &received.cookies,
            &received.headers,
            &received.query,
            &received.claims,
        ];
        let number = named.iter().map(|named| named.0.len()).sum();
        self.at_most(MAX_ALTERNATIVES, path, number);
        for (name, comparison) in received.cookies.0 {
            let path = below(&below(path, "cookies"), &name);
            let subject = Subject::Cookie(self.cookie_name(&path, name));
            conditions.extend(self.condition(&path, subject, &comparison));
        }
        for (name, comparison) in received.headers.0 {
            let path = below(&below(path, "headers"), &name);
            let subject = Subject::Header(self.header_name(&path, &name));
            conditions.extend(self.condition(&path, subject, &comparison));
        }
        for (name, comparison) in received.query.0 {
            let path = below(&below(path, "query"), &name);
            let subject = Subject::Query(self.parameter_name(&path, name));
            conditions.extend(self.condition(&path, subject, &comparison));
        }
        for (name, comparison) in received.claims.0 {
            let path = below(&below(path, "claims"), &name);
            let subject = Subject::Claim(self.claim_name(&path, name));
            conditions.extend(self.condition(&path, subject, &comparison));
        }
        if conditions.is_empty() && self.problems.is_empty() {
            self.report(
                path,
                "nothing to match",
                Accepted::rule("at least one of cookies, headers, query, claims"),
            );
        }
        conditions.into_boxed_slice()
    }

    fn condition(
        &mut self,
        path: &str,
        subject: Subject,
        received: &config::StringMatch,
    ) -> Option<Condition> {
        Some(Condition {
            subject,
            matcher: self.matcher(path, received)?,
        })
    }

    pub(super) fn matchers(
        &mut self,
        path: &str,
        received: &[config::StringMatch],
    ) -> Box<[Matcher]> {
        received
            .iter()
            .enumerate()
            .filter_map(|(index, comparison)| self.matcher(&format!("{path}[{index}]"), comparison))
            .collect()
    }

    fn matcher(&mut self, path: &str, received: &config::StringMatch) -> Option<Matcher> {
        let config::StringMatch {
            exact,
            prefix,
            suffix,
            regex,
            one_of,
            present,
        } = received;
        let mut matchers = Vec::new();
        matchers.extend(exact.as_deref().map(|text| Matcher::Exact(text.into())));
        matchers.extend(prefix.as_deref().map(|text| Matcher::Prefix(text.into())));
        matchers.extend(suffix.as_deref().map(|text| Matcher::Suffix(text.into())));
        matchers.extend(one_of.as_ref().map(|values| {
            let mut values: Vec<Box<str>> =
                values.iter().map(|value| value.as_str().into()).collect();
            values.sort_unstable();
            Matcher::OneOf(values.into_boxed_slice())
        }));
        matchers.extend(present.map(Matcher::Present));
        let number = matchers.len() + usize::from(regex.is_some());
        if let Some(pattern) = regex {
            match self.patterns.compile(pattern) {
                Ok(expression) => matchers.push(Matcher::Regex(expression)),
                Err(error) => self.problems.push(error.at(format!("{path}.regex"))),
            }
        }
        if number != 1 {
            self.report(
                path,
                format!("{number} comparisons"),
                Accepted::rule("exactly one of exact, prefix, suffix, regex, in, present"),
            );
        }
        if one_of.as_ref().is_some_and(Vec::is_empty) {
            self.report(
                format!("{path}.in"),
                "an empty list, which matches nobody",
                Accepted::rule("at least one value"),
            );
        }
        matchers.pop()
    }
}
