//! Queries of other tools with what stands for `{{…}}` in them filled in.

use crate::rollout::analysis::plan::MAX_QUERY_BYTES;

/// What stands between `{{` and `}}` is asked of `value`, without the spaces around it.
///
/// # Errors
/// What `value` says of a name, a brace that nothing closes, and more than a query may have.
pub(super) fn filled(
    query: &str,
    value: impl Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = query.trim();
    let too_long = || format!("more than {MAX_QUERY_BYTES} bytes; write a recording rule");
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, tail)) = after.split_once("}}") else {
            return Err("{{ without }}".to_owned());
        };
        filled.push_str(&value(name.trim())?);
        if filled.len() > MAX_QUERY_BYTES {
            return Err(too_long());
        }
        rest = tail;
    }
    filled.push_str(rest);
    match filled.len() > MAX_QUERY_BYTES {
        true => Err(too_long()),
        false => Ok(filled),
    }
}

/// A value that is filled in must not bring braces of its own: they would be filled in again.
///
/// # Errors
/// When it does.
pub(super) fn plain(name: &str, value: &str) -> Result<String, String> {
    match value.contains("{{") {
        true => Err(format!("the value of {name} has {{{{ in it")),
        false => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(query: &str) -> Result<String, String> {
        filled(query, |name| match name {
            "a" => Ok("web".to_owned()),
            "long" => Ok("x".repeat(MAX_QUERY_BYTES)),
            other => Err(format!("no {other}")),
        })
    }

    #[test]
    fn names_are_filled_in() {
        assert_eq!(
            fill(" up{a=\"{{ a }}\", b=\"{{a}}\"} "),
            Ok("up{a=\"web\", b=\"web\"}".to_owned())
        );
        assert_eq!(fill("{{ b }}"), Err("no b".to_owned()));
        assert_eq!(fill("{{ a"), Err("{{ without }}".to_owned()));
    }

    #[test]
    fn a_query_has_a_longest_length() {
        assert_eq!(
            fill("{{long}}").map(|query| query.len()),
            Ok(MAX_QUERY_BYTES)
        );
        let expected = Err("more than 4096 bytes; write a recording rule".to_owned());
        assert_eq!(fill("{{long}}{{long}}"), expected);
        assert_eq!(fill("{{long}}x"), expected);
    }
}
