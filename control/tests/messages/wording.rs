//! How a literal of the sources is written on a page: its placeholders as what a reader may expect
//! there. Called by what reads the sources, and by what says that a line is missing.

/// The text of a literal in one line, with its placeholders' names in capitals, those without a name
/// as `…`, and those of constants as the value that `constant` has for them.
pub(crate) fn shown<'c>(text: &str, constant: impl Fn(&str) -> Option<&'c str>) -> String {
    let mut shown = String::new();
    let mut rest = text.trim();
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        rest = &from[1..];
        if let Some(after) = rest.strip_prefix(&from[..1]) {
            shown.push_str(&from[..1]);
            rest = after;
        } else if let Some((name, after)) = placeholder(from, &constant) {
            shown.push_str(&name);
            rest = after;
        } else {
            shown.push_str(&from[..1]);
        }
    }
    shown.push_str(rest);
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is shown of a placeholder that a text begins with, and what follows it.
fn placeholder<'f, 'c>(
    from: &'f str,
    constant: &impl Fn(&str) -> Option<&'c str>,
) -> Option<(String, &'f str)> {
    let (inside, after) = from.strip_prefix('{')?.split_once('}')?;
    let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_format = !format.contains(|letter: char| letter.is_whitespace() || letter == '"');
    if !name.chars().all(is_part) || !is_format {
        return None;
    }
    let is_named = name.starts_with(|first: char| !first.is_ascii_digit());
    let name = match constant(name) {
        Some(value) => value.to_owned(),
        None if is_named => name.to_uppercase(),
        None => "…".to_owned(),
    };
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let is_quoted = format.ends_with('?') && !format.contains('#') && !is_number;
    Some((
        if is_quoted {
            format!("\"{name}\"")
        } else {
            name
        },
        after,
    ))
}

/// Whether a text says something: at least three words.
pub(crate) fn is_prose(shown: &str) -> bool {
    let is_word = |word: &&str| {
        let word = word.trim_start_matches(['(', '"', '\'', '`']);
        let word = word.trim_end_matches([',', '.', ';', ':', ')', '"', '\'', '`', '?', '!']);
        let mut letters = word.chars();
        letters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && word.len() > 1
            && letters.all(|letter| letter.is_ascii_lowercase() || letter == '\'')
    };
    shown.split_whitespace().filter(is_word).count() >= 3
}

/// The line of a page that is this message.
pub(crate) fn line(message: &str) -> String {
    let fence = if message.contains('`') { "``" } else { "`" };
    let needs_room = message.starts_with('`') || message.ends_with('`');
    let room = if needs_room { " " } else { "" };
    format!("- {fence}{room}{message}{room}{fence}")
}

#[test]
fn placeholders_are_shown_as_what_stands_there() {
    let rows = [
        (
            "there is no split {split:?}; {hint}",
            "there is no split \"SPLIT\"; HINT",
        ),
        ("{}: {0} of {most:.1}, {{quoted}}", "…: … of MOST, {quoted}"),
        (
            "cookie: {{name: sluice}}\n  and",
            "cookie: {name: sluice} and",
        ),
        ("match: [{mode: CLIENT}]", "match: [{mode: CLIENT}]"),
        ("at most {MAX} of {KIND:?}", "at most 10 of \"KIND\""),
    ];
    for (literal, expected) in rows {
        assert_eq!(
            shown(literal, |name| (name == "MAX").then_some("10")),
            expected,
            "{literal}"
        );
    }
}

#[test]
fn prose_has_three_words() {
    for (text, expected) in [
        ("must be \"quoted\"", true),
        ("no split", false),
        ("application/vnd.oci.image.config.v1+json", false),
        ("SPLIT of PLACE", false),
    ] {
        assert_eq!(is_prose(text), expected, "{text}");
    }
}
