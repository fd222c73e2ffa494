//! The name that somebody may have meant, for messages about one that does not exist.
//!
//! Only the sentence at the end of such a message is made here; who looked the name up says what
//! was wrong.

/// The nearest known name, where one is near enough to be a typing mistake, that is within a third of
/// the letters.
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|name| (strsim::levenshtein(unknown, name), name));
    let is_mistake = |distance: usize| distance <= unknown.chars().count().max(3) / 3;
    let (distance, name) = distances.min()?;
    is_mistake(distance).then_some(name)
}

/// The nearest known name as a question (`did you mean "canary"?`) where there is one; else
/// up to ten names that are accepted.
pub fn hint<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    if known.is_empty() {
        return "there are none".to_owned();
    }
    match nearest(unknown, known.iter().copied()) {
        Some(name) => format!("did you mean {name:?}?"),
        None => {
            let first: Vec<&str> = known.into_iter().take(10).collect();
            format!("accepted: {}", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_is_recognized() {
        let known = || ["web", "checkout"].into_iter();
        assert_eq!(hint("chekout", known()), "did you mean \"checkout\"?");
        assert_eq!(hint("wbe", known()), "accepted: web, checkout");
        assert_eq!(hint("wep", known()), "did you mean \"web\"?");
        assert_eq!(hint("zzz", [].into_iter()), "there are none");
    }
}
