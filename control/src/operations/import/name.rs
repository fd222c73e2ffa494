//! Names of other tools' resources, as names of ours.

/// A name in the grammar of splits, variants and rules, made of any text.
pub fn name_of(text: &str) -> String {
    let mapped: String = text
        .to_ascii_lowercase()
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect();
    let name: String = mapped.trim_matches('-').chars().take(63).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        "split".to_owned()
    } else {
        name
    }
}
