//! What is allowed and yet likely a mistake: warnings of `sluice validate`.

use serde_json::Value;
use sluice_core::config::Document;
use sluice_core::identity::Source;
use sluice_core::matching::{Matcher, Subject};
use sluice_core::plan::{Node, Plan, Split};

use super::claims::asks_for_claims;

/// Everything that is worth a warning in a configuration.
pub fn warnings(plan: &Plan, config: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for split in plan.splits() {
        cookie_header_rules(split, &mut warnings);
        identities(split, &mut warnings);
        unreachable_rules(split, &mut warnings);
        guard(split, &mut warnings);
    }
    yaml_names(config, &mut warnings);
    for meeting in crate::model::churn::meetings(plan) {
        let [one, other] = &meeting.challengers;
        warnings.push(format!(
            "weights.{}.{}: the ranges of {one} and {other} meet; changing either weight may now \
            move users between them",
            meeting.split, meeting.audience
        ));
    }
    warnings
}

/// An identity counts once a second.
fn guard(split: &Split, warnings: &mut Vec<String>) {
    let Some(guard) = split.definition.guard else {
        return;
    };
    if guard.responses <= guard.within {
        let (responses, within) = (guard.responses, guard.within);
        warnings.push(format!(
            "splits.{}.guard: a single client whose requests fail each second gives {within} \
             responses in {within} s, and {responses} are enough: it takes a challenger from \
             everybody; ask for more responses than seconds",
            split.definition.name
        ));
    }
}

/// The rule that Istio's canary blog made popular, and its relatives: a regex over the whole cookie
/// header.
fn cookie_header_rules(split: &Split, warnings: &mut Vec<String>) {
    for (rule, condition) in conditions(split) {
        let (Subject::Header(name), Matcher::Regex(expression)) =
            (&condition.subject, &condition.matcher)
        else {
            continue;
        };
        let pattern = expression.text();
        if name.as_ref() != "cookie" {
            continue;
        }
        let path = format!(
            "splits.{}.rules {rule}: headers.cookie",
            split.definition.name
        );
        let instead = match named_cookie(pattern) {
            Some((cookie, value)) => format!("write cookies: {{{cookie}: {{regex: '{value}'}}}}"),
            None => "match the cookie by its name under `cookies`".to_owned(),
        };
        if pattern.contains("(.*?;)?") {
            let corrected = escape_domain(&pattern.replace("(.*?;)?", r"(.*?;\s*)?"));
            warnings.push(format!(
                "{path}: browsers join cookies with \"; \", so '{pattern}' misses a cookie that \
                is not the first; {instead}, or correct it to '{corrected}'"
            ));
        } else {
            warnings.push(format!(
                "{path}: a regex over the whole cookie header is slow and easy to get wrong; \
                {instead}"
            ));
        }
    }
}

/// The cookie's name and value in `^(.*?;)?(email=[^;]*@example.com)(;.*)?$`.
pub fn named_cookie(pattern: &str) -> Option<(String, String)> {
    let body = pattern.trim_start_matches('^').trim_end_matches('$');
    let body = body
        .strip_prefix("(.*?;)?")
        .or_else(|| body.strip_prefix(r"(.*?;\s*)?"))?;
    let body = body.strip_suffix("(;.*)?")?;
    let (name, value) = body.strip_prefix('(')?.strip_suffix(')')?.split_once('=')?;
    let is_plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !is_plain {
        return None;
    }
    let value = escape_domain(value);
    Some((
        name.to_owned(),
        value
            .strip_prefix("[^;]*@")
            .map_or(value.clone(), |domain| format!("[^@]+@{domain}")),
    ))
}

/// Escapes the dots of the domain after an "@": unescaped they match any character, and were meant
/// as dots.
fn escape_domain(pattern: &str) -> String {
    let Some((local, rest)) = pattern.split_once('@') else {
        return pattern.to_owned();
    };
    let end = rest
        .find(|character: char| !(character.is_ascii_alphanumeric() || "-.".contains(character)))
        .unwrap_or(rest.len());
    let (domain, after) = rest.split_at(end);
    format!("{local}@{}{after}", domain.replace('.', r"\."))
}

fn identities(split: &Split, warnings: &mut Vec<String>) {
    let name = &split.definition.name;
    let identity = &split.definition.identity;
    let anonymous = identity
        .iter()
        .position(|source| *source == Source::Anonymous);
    if let (Some(address), Some(anonymous)) = (
        identity
            .iter()
            .position(|source| *source == Source::Address),
        anonymous,
    ) && address < anonymous
        && anonymous + 1 == identity.len()
    {
        warnings.push(format!(
            "splits.{name}.identity: every request has an address, so the anonymous cookie after \
            it is never used; users behind one address share a variant"
        ));
    }
    if asks_for_claims(&split.definition) && split.definition.inherit {
        warnings.push(format!(
            "splits.{name}: claims are read on gateways only (phase AUTHZ); sidecars that inherit \
            rely on a gateway before them"
        ));
    }
}

fn unreachable_rules(split: &Split, warnings: &mut Vec<String>) {
    let rules = &split.definition.rules;
    for (index, rule) in rules.iter().enumerate() {
        let same = |other: &sluice_core::matching::Rule| {
            let text = |rule: &sluice_core::matching::Rule| {
                rule.alternatives
                    .iter()
                    .map(|all| {
                        all.iter()
                            .map(|one| format!("{} {}", one.subject, one.matcher))
                            .collect()
                    })
                    .collect::<Vec<Vec<_>>>()
            };
            text(other) == text(rule)
        };
        if let Some(earlier) = rules.iter().take(index).find(|earlier| same(earlier)) {
            warnings.push(format!(
                "splits.{}.rules[{index}]: {} matches the same as {}, which comes first",
                split.definition.name, rule.name, earlier.name
            ));
        }
    }
}

fn conditions(split: &Split) -> impl Iterator<Item = (&str, &sluice_core::matching::Condition)> {
    split.definition.rules.iter().flat_map(|rule| {
        rule.alternatives
            .iter()
            .flatten()
            .map(move |condition| (rule.name.as_ref(), condition))
    })
}

/// Names that kubectl, whose YAML is 1.1, reads as booleans unless they are quoted. The files that
/// `sluice` reads itself are YAML 1.2, where they are text.
fn yaml_names(config: &Value, warnings: &mut Vec<String>) {
    let is_boolean = |name: &str| ["on", "off", "yes", "no", "y", "n"].contains(&name);
    for (split, fields) in config
        .get("splits")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let variants = fields
            .get("variants")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        for name in variants
            .chain([split.as_str()])
            .filter(|name| is_boolean(name))
        {
            warnings.push(format!(
                "splits.{split}: kubectl reads the name {name} as a boolean unless it is quoted \
                everywhere; another name is safer"
            ));
        }
    }
}

/// What replacing one configuration by another would do to users, beyond its weights.
pub fn against(earlier: &Document, later: &Document) -> Vec<String> {
    let (earlier, later) = (
        Plan::build(earlier, &Node::default(), None),
        Plan::build(later, &Node::default(), None),
    );
    let mut warnings = Vec::new();
    for old in earlier.splits() {
        let name = &old.definition.name;
        let Some(new) = later.split_named(name) else {
            warnings.push(format!(
                "splits.{name}: removed; its users get what the routes say without its header"
            ));
            continue;
        };
        let (before, after) = (&old.definition.variants, &new.definition.variants);
        if !after.starts_with(before) {
            warnings.push(format!(
                "splits.{name}.variants: [{}] became [{}], which moves users between variants; \
                append only",
                before.join(", "),
                after.join(", ")
            ));
        }
        if old.definition.salt != new.definition.salt {
            warnings.push(format!(
                "splits.{name}.salt: {:?} became {:?}, which draws every user again",
                old.definition.salt, new.definition.salt
            ));
        } else if old.seed != new.seed {
            warnings.push(format!(
                "draws.{name}: changed, which draws every user again"
            ));
        }
        if old.definition.header != new.definition.header {
            warnings.push(format!(
                "splits.{name}.header: {} became {}; routes that match the former send everybody \
                to the stable version",
                old.definition.header, new.definition.header
            ));
        }
        if old.definition.identity != new.definition.identity {
            warnings.push(format!(
                "splits.{name}.identity: changed; users whose id now comes from another source \
                are drawn again"
            ));
        }
    }
    if earlier.cookie().name != later.cookie().name {
        warnings.push(format!(
            "cookie.name: {} became {}; anonymous users are drawn again",
            earlier.cookie().name,
            later.cookie().name
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn warned(config: Value) -> Vec<String> {
        let plan = Plan::build(
            &Document::from_value(config.clone()).unwrap(),
            &Node::default(),
            None,
        );
        assert_eq!(plan.problems(), []);
        warnings(&plan, &config)
    }

    #[test]
    fn the_classic_rule_is_accepted_and_corrected() {
        let pattern = "^(.*?;)?(email=[^;]*@some-company-name.com)(;.*)?$";
        let matched = json!([{"headers": {"cookie": {"regex": pattern}}}]);
        let rules = json!([{"name": "staff", "match": matched}]);
        let config = json!({"splits": {"web": {"rules": rules}}});
        assert_eq!(
            warned(config),
            [
                r#"splits.web.rules staff: headers.cookie: browsers join cookies with "; ", so '^(.*?;)?(email=[^;]*@some-company-name.com)(;.*)?$' misses a cookie that is not the first; write cookies: {email: {regex: '[^@]+@some-company-name\.com'}}, or correct it to '^(.*?;\s*)?(email=[^;]*@some-company-name\.com)(;.*)?$'"#
            ]
        );
    }

    #[test]
    fn changes_that_move_users_are_named() {
        let document = |config| Document::from_value(config).unwrap();
        let before = document(
            json!({"splits": {"web": {"variants": ["stable", "canary", "blue"]}, "old": {}}}),
        );
        let after = document(
            json!({"splits": {"web": {"variants": ["stable", "blue", "canary"], "salt": "x"}}}),
        );
        assert_eq!(
            against(&before, &after),
            [
                "splits.old: removed; its users get what the routes say without its header",
                "splits.web.variants: [stable, canary, blue] became [stable, blue, canary], \
                 which moves users between variants; append only",
                "splits.web.salt: \"web\" became \"x\", which draws every user again",
            ]
        );
    }
}
