//! The names that somebody may have meant.

/// `; did you mean "canary"?`, or the list of what there is; empty when there is nothing.
pub fn hint<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let nearest = known
        .iter()
        .map(|name| (distance(typed, name), *name))
        .min();
    match nearest {
        Some((far, name)) if far <= typed.len().max(3) / 3 => format!("did you mean {name:?}?"),
        _ if known.is_empty() => "there are none".to_owned(),
        _ => format!(
            "accepted: {}",
            known
                .iter()
                .take(10)
                .copied()
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// Levenshtein's distance, in bytes.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, byte) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, wanted) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
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
