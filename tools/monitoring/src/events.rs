//! The Events of Rollouts, their phases and how their runs end, as the code's own enums say them: read
//! out of the sources with the comments of each variant, so that no table can fall behind.

/// What one variant of an enum means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Its name, which is what tools see.
    pub name: String,
    /// In a sentence.
    pub says: String,
}

const TURN: &str = include_str!("../../../control/src/rollout/engine/turn.rs");
const STATUS: &str = include_str!("../../../control/src/rollout/status.rs");

/// The reasons of the Events of Rollouts.
pub fn reasons() -> Vec<Meaning> {
    variants(TURN, "EventKind")
}

/// Whether an Event of a reason is a warning.
pub fn is_warning(reason: &str) -> bool {
    let kinds = TURN.split("const fn is_warning(").nth(1);
    let warnings = kinds.unwrap_or_default().split("\n    }").next();
    let mut named = warnings.unwrap_or_default().split("Self::").skip(1);
    named.any(|rest| rest.split(|c: char| !c.is_alphanumeric()).next() == Some(reason))
}

/// What a Rollout does.
pub fn phases() -> Vec<Meaning> {
    variants(STATUS, "Phase")
}

/// Why a run stands still.
pub fn pauses() -> Vec<Meaning> {
    variants(STATUS, "PauseReason")
}

/// What became of a run.
pub fn outcomes() -> Vec<Meaning> {
    variants(STATUS, "RunOutcome")
}

/// The variants of an enum without data, with their comments.
fn variants(source: &str, name: &str) -> Vec<Meaning> {
    let start = format!("pub enum {name} {{\n");
    let body = source.split(&start).nth(1).unwrap_or_default();
    let body = body.split("\n}").next().unwrap_or_default();
    let (mut found, mut says) = (Vec::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            says.push(comment.trim());
        } else if let Some(name) = line.strip_suffix(',') {
            found.push(Meaning {
                name: name.to_owned(),
                says: says.join(" "),
            });
            says.clear();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_read_with_their_comments() {
        let source = "pub enum A {\n    /// It is\n    /// one.\n    #[default]\n    One,\n    \
            /// Two.\n    Two,\n}\n";
        let found: Vec<(String, String)> = variants(source, "A")
            .into_iter()
            .map(|meaning| (meaning.name, meaning.says))
            .collect();
        let expected = [("One", "It is one."), ("Two", "Two.")];
        let expected = expected.map(|(name, says)| (name.to_owned(), says.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(variants(source, "B"), []);
    }

    #[test]
    fn what_goes_wrong_is_a_warning_and_what_goes_well_is_not() {
        for (reason, expected) in [
            ("RolledBack", true),
            ("Unkept", true),
            ("Stepped", false),
            ("Rolled", false),
        ] {
            assert_eq!(is_warning(reason), expected, "{reason}");
        }
    }
}
