//! The half of the configuration that `sluice` owns: weights and draws, and one share of them as typed.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_core::allocation::Percent;

/// Audience → challenger → percent.
pub type ByAudience = BTreeMap<String, BTreeMap<String, f64>>;

/// Weights and draws, by split: exactly what a write carries.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Owned {
    /// Split → audience → challenger → percent.
    pub weights: BTreeMap<String, ByAudience>,
    /// Split → draw.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub draws: BTreeMap<String, String>,
}

impl Owned {
    /// The weights and draws of a configuration, as far as they have the right shape.
    pub fn of_config(config: &Value) -> Self {
        let field = |name: &str| {
            config
                .get(name)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        Self {
            weights: readable(field("weights")),
            draws: readable(field("draws")),
        }
    }

    /// One weight; zero when nothing is said.
    pub fn weight(&self, split: &str, audience: &str, challenger: &str) -> f64 {
        let weight = self
            .weights
            .get(split)
            .and_then(|split| split.get(audience)?.get(challenger));
        weight.copied().unwrap_or(0.0)
    }

    /// Sets one weight.
    pub fn set(&mut self, split: &str, audience: &str, challenger: &str, percent: f64) {
        let by_audience = self.weights.entry(split.to_owned()).or_default();
        by_audience
            .entry(audience.to_owned())
            .or_default()
            .insert(challenger.to_owned(), percent);
    }

    /// What belongs to one split.
    pub fn only(&self, split: &str) -> Self {
        let mut only = Self::default();
        only.replace(split, self);
        only
    }

    /// Takes over what `other` has for a split, and nothing else.
    pub fn replace(&mut self, split: &str, other: &Self) {
        match other.weights.get(split) {
            Some(weights) => self.weights.insert(split.to_owned(), weights.clone()),
            None => self.weights.remove(split),
        };
        match other.draws.get(split) {
            Some(draw) => self.draws.insert(split.to_owned(), draw.clone()),
            None => self.draws.remove(split),
        };
    }

    /// Every split with a weight or a draw.
    pub fn splits(&self) -> impl Iterator<Item = &String> {
        self.weights.keys().chain(self.draws.keys())
    }

    /// The same as fields of a plugin configuration; whole numbers as integers, as people write them.
    pub fn to_config(&self) -> Value {
        let mut config = serde_json::json!({"weights": {}});
        for (split, by_audience) in &self.weights {
            for (audience, by_challenger) in by_audience {
                for (challenger, percent) in by_challenger {
                    config["weights"][split][audience][challenger] = number(*percent);
                }
            }
        }
        if !self.draws.is_empty() {
            config["draws"] = self
                .draws
                .iter()
                .map(|(split, draw)| (split.clone(), Value::from(draw.as_str())))
                .collect();
        }
        config
    }
}

fn readable<T: serde::de::DeserializeOwned>(fields: Map<String, Value>) -> BTreeMap<String, T> {
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, serde_json::from_value(value).ok()?)))
        .collect()
}

/// A percentage as JSON: `5`, not `5.0`.
pub fn number(percent: f64) -> Value {
    if percent.fract() == 0.0 {
        Value::from(percent as i64)
    } else {
        Value::from(percent)
    }
}

/// `canary=10`, as typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The challenger.
    pub challenger: String,
    /// Its percentage.
    pub percent: f64,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (challenger, percent) = text
            .split_once('=')
            .ok_or("write CHALLENGER=PERCENT, such as canary=10")?;
        let digits = percent.strip_suffix('%').unwrap_or(percent);
        let number = digits
            .parse::<f64>()
            .map_err(|_| format!("{percent:?} is not a percentage; use 0 to 100"))?;
        let share = Percent::new(number).ok_or_else(|| {
            format!("{percent} is not a percentage; use 0 to 100 in steps of 0.001")
        })?;
        Ok(Self {
            challenger: challenger.to_owned(),
            percent: share.as_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_challenger_and_a_percentage() {
        for (text, percent) in [
            ("canary=10", 10.0),
            ("canary=0.001", 0.001),
            ("canary=12.5%", 12.5),
            ("canary=100", 100.0),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Share {
                    challenger: "canary".to_owned(),
                    percent
                })
            );
        }
        let cases = [
            ("canary", "write CHALLENGER=PERCENT, such as canary=10"),
            ("canary=ten", "\"ten\" is not a percentage; use 0 to 100"),
            (
                "canary=140",
                "140 is not a percentage; use 0 to 100 in steps of 0.001",
            ),
            (
                "canary=-1",
                "-1 is not a percentage; use 0 to 100 in steps of 0.001",
            ),
            (
                "canary=0.0001",
                "0.0001 is not a percentage; use 0 to 100 in steps of 0.001",
            ),
            (
                "canary=NaN",
                "NaN is not a percentage; use 0 to 100 in steps of 0.001",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Share>(), Err(expected.to_owned()));
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let mut owned = Owned::default();
        owned.set("web", "everyone", "canary", 12.5);
        owned.set("web", "staff", "canary", 50.0);
        owned
            .draws
            .insert("web".to_owned(), "2026-11-20".to_owned());
        assert_eq!(Owned::of_config(&owned.to_config()), owned);
        assert_eq!(
            owned.to_config()["weights"]["web"]["staff"]["canary"].to_string(),
            "50"
        );
    }
}
