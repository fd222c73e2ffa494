//! From which challengers an abort takes the users, and of which audiences: all of them, those of a
//! split, or one challenger of some audiences, which is what a rollout moved.

use std::collections::BTreeSet;
use std::fmt;

use super::weights::WeightKey;

/// Which weights become zero; by default, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Those of this split; without it, of all.
    pub split: Option<String>,
    /// Of these, those of one challenger.
    pub challenger: Option<String>,
    /// Of these, those of these audiences.
    pub audiences: Option<BTreeSet<String>>,
}

impl Reach {
    /// Every weight of a split.
    pub fn of_split(split: &str) -> Self {
        Self {
            split: Some(split.to_owned()),
            ..Self::default()
        }
    }

    /// Whether anything of a split may be meant.
    pub fn has_split(&self, name: &str) -> bool {
        self.split.as_ref().is_none_or(|split| split == name)
    }

    /// Whether a weight is meant.
    pub fn has(&self, key: &WeightKey) -> bool {
        let challenger = self.challenger.as_ref();
        let audiences = self.audiences.as_ref();
        self.has_split(&key.split)
            && challenger.is_none_or(|challenger| *challenger == key.challenger)
            && audiences.is_none_or(|audiences| audiences.contains(&key.audience))
    }
}

/// As the history shows it: `--all`, `web`, `web canary everyone,staff`.
impl fmt::Display for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.split.as_deref().unwrap_or("--all"))?;
        if let Some(challenger) = &self.challenger {
            write!(formatter, " {challenger}")?;
        }
        if let Some(audiences) = &self.audiences {
            let names: Vec<&str> = audiences.iter().map(String::as_str).collect();
            write!(formatter, " {}", names.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_canary() -> Reach {
        Reach {
            challenger: Some("canary".to_owned()),
            audiences: Some(["everyone", "staff"].map(str::to_owned).into()),
            ..Reach::of_split("web")
        }
    }

    #[test]
    fn a_reach_has_what_it_names_and_nothing_else() {
        let cases = [
            (["web", "everyone", "canary"], [true, true, true]),
            (["web", "staff", "canary"], [true, true, true]),
            (["web", "beta", "canary"], [true, true, false]),
            (["web", "everyone", "next"], [true, true, false]),
            (["shop", "everyone", "canary"], [true, false, false]),
        ];
        for ([split, audience, challenger], expected) in cases {
            let key = WeightKey::new(split, audience, challenger);
            let reaches = [Reach::default(), Reach::of_split("web"), of_canary()];
            assert_eq!(reaches.map(|reach| reach.has(&key)), expected, "{key:?}");
        }
    }

    #[test]
    fn a_reach_is_shown_as_the_command_that_has_it() {
        let reaches = [Reach::default(), Reach::of_split("web"), of_canary()];
        let shown = reaches.map(|reach| reach.to_string());
        assert_eq!(shown, ["--all", "web", "web canary everyone,staff"]);
    }
}
