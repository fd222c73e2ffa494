//! The beginning of a text that is longer than what may be kept or sent. Pure.

/// The beginning of a text, of at most so many bytes; what is cut ends in `…`. Words are left whole,
/// but for one that is most of it.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    let (beginning, rest) = text.split_at(end);
    let is_whole = rest.starts_with(char::is_whitespace);
    let words = beginning.rsplit_once(char::is_whitespace);
    let words = words.filter(|(words, _)| !is_whole && words.len() >= most / 2);
    let beginning = words.map_or(beginning, |(words, _)| words);
    format!("{}…", beginning.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_whole_words_are_left_and_a_sign_that_it_goes_on() {
        let long = "é".repeat(40);
        let cases = [
            ("it fits", 7, "it fits"),
            ("two words too long", 12, "two words…"),
            ("two words too long", 13, "two words…"),
            ("two  words", 8, "two…"),
            ("a connection-refused error", 15, "a connection…"),
            ("several\nlines\nof text", 18, "several\nlines…"),
            (&long, 8, "éé…"),
            ("too short", 0, "…"),
        ];
        for (text, most, expected) in cases {
            assert_eq!(cut(text, most), expected, "{text} {most}");
        }
    }
}
