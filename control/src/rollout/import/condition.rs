//! Argo's conditions on a measurement (`result[0] >= 0.95`) as thresholds.
//!
//! Argo takes any expression; these are the shapes that people write and that a threshold can say:
//! comparisons of the result with a number, several of them joined, and what is said of no result
//! and of NaN. Everything else is refused.

/// The longest condition that is read. Chosen: some comparisons.
const LONGEST: usize = 512;

/// What a condition says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Condition {
    /// Comparisons as thresholds write them, such as `>=` and 0.95.
    pub(super) comparisons: Vec<(&'static str, f64)>,
    /// Whether one of several comparisons is enough, and not all are needed.
    pub(super) is_any: bool,
    /// Whether it holds where there is no result; `None`: it does not say.
    pub(super) without_data: Option<bool>,
    /// Whether it holds for NaN; `None`: it does not say.
    pub(super) for_nan: Option<bool>,
}

/// Reads a condition.
///
/// # Errors
/// The part of it that no threshold can say.
pub(super) fn read(text: &str) -> Result<Condition, String> {
    if text.len() > LONGEST {
        return Err(format!("a condition of {} bytes", text.len()));
    }
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let alternatives = parts(unwrapped(&text), "||");
    let mut condition = Condition::default();
    let mut compared = 0;
    for alternative in &alternatives {
        let conjuncts = parts(unwrapped(alternative), "&&");
        let before = condition.comparisons.len();
        for conjunct in &conjuncts {
            let is_alone = conjuncts.len() == 1 && alternatives.len() > 1;
            condition.add(unwrapped(conjunct), is_alone, alternatives.len() > 1)?;
        }
        compared += usize::from(condition.comparisons.len() > before);
        if compared > 1 && condition.comparisons.len() > compared {
            return Err(format!("{alternative}, beside other ranges"));
        }
    }
    if condition.comparisons.is_empty() {
        return Err("no comparison of the result with a number".to_owned());
    }
    condition.is_any = compared > 1;
    Ok(condition)
}

impl Condition {
    /// One comparison or call. Alone beside an `||` it lets the condition hold by itself.
    fn add(&mut self, atom: &str, is_alone: bool, has_others: bool) -> Result<(), String> {
        let no_data = ["len(result)==0", "len(result)<1", "len(result)<=0"];
        let some_data = ["len(result)>0", "len(result)!=0", "len(result)>=1"];
        let nan = ["isNaN(result)", "isNaN(result[0])"];
        let refused = || Err(format!("{atom:.80}"));
        if no_data.contains(&atom) {
            self.without_data = Some(true);
            return if is_alone { Ok(()) } else { refused() };
        }
        if some_data.contains(&atom) {
            self.without_data = Some(false);
            return if has_others { refused() } else { Ok(()) };
        }
        if nan.contains(&atom) {
            self.for_nan = Some(true);
            return if is_alone { Ok(()) } else { refused() };
        }
        if atom
            .strip_prefix('!')
            .is_some_and(|call| nan.contains(&call))
        {
            self.for_nan = Some(false);
            return if has_others { refused() } else { Ok(()) };
        }
        let Some((subject, sign, number)) = comparison(atom) else {
            return refused();
        };
        if let Some(default) = subject {
            self.without_data = Some(holds(default, sign, number));
        }
        self.comparisons.push((sign, number));
        Ok(())
    }
}

/// A comparison of the result with a number, either way round; first what stands for no result,
/// where `default(result, 0)` is written.
fn comparison(atom: &str) -> Option<(Option<f64>, &'static str, f64)> {
    // Longer ones first.
    const SIGNS: [(&str, &str); 4] = [(">=", "<="), ("<=", ">="), (">", "<"), ("<", ">")];
    let found = SIGNS.iter().find(|(sign, _)| atom.contains(sign))?;
    let (left, right) = atom.split_once(found.0)?;
    if let (Some(default), Some(number)) = (result(left), number(right)) {
        return Some((default, found.0, number));
    }
    let (number, default) = (number(left)?, result(right)?);
    Some((default, found.1, number))
}

/// Whether a text is the result; within it the number that stands for none.
#[expect(
    clippy::option_option,
    reason = "whether it is one, and what it has for none"
)]
fn result(text: &str) -> Option<Option<f64>> {
    if ["result", "result[0]"].contains(&text) {
        return Some(None);
    }
    let (call, inner) = text.strip_suffix(')')?.split_once('(')?;
    match call {
        "asFloat" | "asInt" => result(inner),
        "default" => {
            let (inner, default) = inner.rsplit_once(',')?;
            result(inner)?;
            Some(Some(number(default)?))
        }
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse()
        .ok()
        .filter(|number: &f64| is_number && number.is_finite())
}

fn holds(value: f64, sign: &str, limit: f64) -> bool {
    match sign {
        ">=" => value >= limit,
        "<=" => value <= limit,
        ">" => value > limit,
        _ => value < limit,
    }
}

/// The parts of a text between separators that stand in no brackets.
fn parts<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ if depth == 0 && at >= begin && text[at..].starts_with(separator) => {
                parts.push(&text[begin..at]);
                begin = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// A text without brackets around the whole of it.
fn unwrapped(text: &str) -> &str {
    let inner = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    let Some(inner) = inner else { return text };
    let mut depth = 0_i32;
    let closes_early = inner.chars().any(|character| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth < 0
    });
    if closes_early { text } else { unwrapped(inner) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_that_people_write_are_thresholds() {
        let plain = |comparisons: &[(&'static str, f64)]| Condition {
            comparisons: comparisons.to_vec(),
            ..Condition::default()
        };
        let cases = [
            ("result[0] >= 0.95", plain(&[(">=", 0.95)])),
            ("result<0.95", plain(&[("<", 0.95)])),
            ("( 0.95 <= result[0] )", plain(&[(">=", 0.95)])),
            ("asFloat(result[0]) > -1", plain(&[(">", -1.0)])),
            (
                "result[0] >= 1 && result[0] <= 5",
                plain(&[(">=", 1.0), ("<=", 5.0)]),
            ),
            (
                "result[0] < 1 || (result[0] > 5)",
                Condition {
                    is_any: true,
                    ..plain(&[("<", 1.0), (">", 5.0)])
                },
            ),
            (
                "len(result) == 0 || result[0] >= 0.95",
                Condition {
                    without_data: Some(true),
                    ..plain(&[(">=", 0.95)])
                },
            ),
            (
                "len(result) > 0 && result[0] >= 0.95",
                Condition {
                    without_data: Some(false),
                    ..plain(&[(">=", 0.95)])
                },
            ),
            (
                "isNaN(result) || result >= 0.95",
                Condition {
                    for_nan: Some(true),
                    ..plain(&[(">=", 0.95)])
                },
            ),
            (
                "default(result, 0) < 0.05",
                Condition {
                    without_data: Some(true),
                    ..plain(&[("<", 0.05)])
                },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_no_threshold_says_is_refused_by_its_part() {
        let long = "result[0] > 1 ||".repeat(40);
        let cases = [
            ("result == 'true'", "result=='true'"),
            ("isInf(result)", "isInf(result)"),
            ("all(result, # < 0.5)", "all(result,#<0.5)"),
            ("result[1] > 0.5", "result[1]>0.5"),
            ("len(result) == 0", "len(result)==0"),
            ("len(result) == 0 && result[0] > 1", "len(result)==0"),
            ("result[0] > inf", "result[0]>inf"),
            (
                "result[0] > 1 || result[0] > 2 && result[0] < 3",
                "result[0]>2&&result[0]<3, beside other ranges",
            ),
            ("", ""),
            (&long, "a condition of 640 bytes"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Err(expected.to_owned()), "{text}");
        }
    }
}
