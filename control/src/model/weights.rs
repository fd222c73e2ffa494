//! How much every challenger gets, and the draws: the half of a configuration that `sluice` writes.
//!
//! One type for every such set: the weights in force, those that managed fields say are `sluice`'s,
//! those after a change. It reads leaf by leaf: what stands where a percentage belongs and is none
//! is kept as it is, hides no other and is lost by no write; what is wrong with it is the plan's to
//! say. Called by changes, stores and commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use sluice_core::allocation::{Percent, PercentError};
use sluice_core::config::weights::Weights;

/// Whose weight it is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct WeightKey {
    /// The split.
    pub split: String,
    /// The audience: a rule's name, or `everyone`.
    pub audience: String,
    /// The challenger.
    pub challenger: String,
}

impl WeightKey {
    /// The key of a challenger's weight for an audience of a split.
    pub fn new(split: &str, audience: &str, challenger: &str) -> Self {
        Self {
            split: split.to_owned(),
            audience: audience.to_owned(),
            challenger: challenger.to_owned(),
        }
    }
}

/// One weight with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightShare {
    /// Whose it is.
    pub key: WeightKey,
    /// How much.
    pub percent: Percent,
}

/// What stands where a weight belongs.
#[derive(Clone, Debug, PartialEq)]
pub enum Weight {
    /// A percentage.
    Percent(Percent),
    /// Something else, such as 140 or a text: the split is served as if it were 0.
    Unreadable(Value),
}

impl Default for Weight {
    fn default() -> Self {
        Self::Percent(Percent::ZERO)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => percent.fmt(formatter),
            Self::Unreadable(value) => value.fmt(formatter),
        }
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Percent(percent) => percent.serialize(serializer),
            Self::Unreadable(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let percent = Percent::deserialize(&value);
        Ok(percent.map_or(Self::Unreadable(value), Self::Percent))
    }
}

/// Weights and draws, of one split or of many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightSet {
    weights: BTreeMap<WeightKey, Weight>,
    /// Split → draw.
    draws: BTreeMap<String, String>,
}

impl WeightSet {
    /// The weights and draws of a configuration, but for draws that cannot be read.
    pub fn of_config(config: &Value) -> Self {
        let mut weights = BTreeMap::new();
        for (split, leaves) in fields(config.get("weights")) {
            for (audience, challenger, percent) in Weights::read(split, leaves).leaves() {
                let key = WeightKey::new(split, audience, challenger);
                weights.insert(key, Weight::Percent(percent));
            }
        }
        for (key, leaf) in leaves(config).filter(|(_, leaf)| !leaf.is_null()) {
            let entry = weights.entry(key);
            entry.or_insert_with(|| Weight::Unreadable(leaf.clone()));
        }
        let draws = fields(config.get("draws"))
            .filter_map(|(split, draw)| Some((split.clone(), draw.as_str()?.to_owned())))
            .collect();
        Self { weights, draws }
    }

    /// Every weight, by split, audience and challenger.
    pub fn iter(&self) -> impl Iterator<Item = (&WeightKey, &Weight)> {
        self.weights.iter()
    }

    /// Every weight of a split.
    pub fn of_split(&self, split: &str) -> impl Iterator<Item = (&WeightKey, &Weight)> {
        let of_split = self.weights.range(WeightKey::new(split, "", "")..);
        of_split.take_while(move |(key, _)| key.split == split)
    }

    /// One weight; `None` when nothing is said, which is served as zero.
    pub fn weight(&self, key: &WeightKey) -> Option<&Weight> {
        self.weights.get(key)
    }

    /// Sets one weight.
    pub fn set(&mut self, key: WeightKey, percent: Percent) {
        self.put(key, Weight::Percent(percent));
    }

    /// Takes over one weight, readable or not.
    pub fn put(&mut self, key: WeightKey, weight: Weight) {
        self.weights.insert(key, weight);
    }

    /// Leaves one weight out.
    pub fn remove(&mut self, key: &WeightKey) {
        self.weights.remove(key);
    }

    /// A split's draw.
    pub fn draw(&self, split: &str) -> Option<&str> {
        self.draws.get(split).map(String::as_str)
    }

    /// Sets a split's draw.
    pub fn set_draw(&mut self, split: &str, draw: &str) {
        self.draws.insert(split.to_owned(), draw.to_owned());
    }

    /// What belongs to one split.
    pub fn only(&self, split: &str) -> Self {
        let mut only = Self::default();
        only.replace(split, self);
        only
    }

    /// What belongs to these splits.
    pub fn of_splits(&self, splits: &BTreeSet<String>) -> Self {
        let mut chosen = Self::default();
        for split in splits {
            chosen.replace(split, self);
        }
        chosen
    }

    /// Takes over what `other` has for a split, and nothing else.
    pub fn replace(&mut self, split: &str, other: &Self) {
        let former: Vec<WeightKey> = self.of_split(split).map(|(key, _)| key.clone()).collect();
        for key in &former {
            self.weights.remove(key);
        }
        let weights = other.of_split(split);
        self.weights
            .extend(weights.map(|(key, weight)| (key.clone(), weight.clone())));
        match other.draws.get(split) {
            Some(draw) => self.draws.insert(split.to_owned(), draw.clone()),
            None => self.draws.remove(split),
        };
    }

    /// Every split with a weight or a draw.
    pub fn splits(&self) -> BTreeSet<&str> {
        let weighted = self.weights.keys().map(|key| key.split.as_str());
        weighted
            .chain(self.draws.keys().map(String::as_str))
            .collect()
    }

    /// The same as fields of a plugin configuration; whole numbers as integers, as people write
    /// them.
    pub fn to_config(&self) -> Value {
        let mut config = json!({"weights": self.nested(number)});
        if !self.draws.is_empty() {
            config["draws"] = json!(self.draws);
        }
        config
    }

    /// The weights and draws of `config`, with those of these splits as they are here. What other
    /// splits have stays as it stands, readable or not: it is not this write's to lose.
    pub fn written_over(&self, config: &Value, splits: &BTreeSet<String>) -> Value {
        let ours = self.to_config();
        let mut written = json!({"weights": {}});
        for field in ["weights", "draws"] {
            let mut by_split: Map<String, Value> = fields(config.get(field))
                .filter(|(split, _)| !splits.contains(*split))
                .map(|(split, value)| (split.clone(), value.clone()))
                .collect();
            by_split.extend(
                fields(ours.get(field))
                    .filter(|(split, _)| splits.contains(*split))
                    .map(|(split, value)| (split.clone(), value.clone())),
            );
            if !by_split.is_empty() {
                written[field] = Value::Object(by_split);
            }
        }
        written
    }

    /// Split → audience → challenger → what `leaf` makes of the weight.
    fn nested<'a, T>(&'a self, leaf: impl Fn(&'a Weight) -> T) -> Nested<'a, T> {
        let mut nested = Nested::new();
        for (key, weight) in self.iter() {
            let by_audience = nested.entry(&key.split).or_default();
            let by_challenger = by_audience.entry(&key.audience).or_default();
            by_challenger.insert(&key.challenger, leaf(weight));
        }
        nested
    }
}

type Nested<'a, T> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeMap<&'a str, T>>>;

/// As the history keeps it: `{"weights": …, "draws": …}`, without draws where there are none.
impl Serialize for WeightSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            weights: Nested<'a, &'a Weight>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            draws: &'a BTreeMap<String, String>,
        }
        let fields = Fields {
            weights: self.nested(|weight| weight),
            draws: &self.draws,
        };
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WeightSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of_config(&Value::deserialize(deserializer)?))
    }
}

/// Everything that stands where a weight would, whether or not it is one.
pub fn leaves(config: &Value) -> impl Iterator<Item = (WeightKey, &Value)> {
    fields(config.get("weights")).flat_map(|(split, audiences)| {
        fields(Some(audiences)).flat_map(move |(audience, challengers)| {
            let key = move |challenger: &String| WeightKey::new(split, audience, challenger);
            fields(Some(challengers)).map(move |(challenger, leaf)| (key(challenger), leaf))
        })
    })
}

fn fields(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

/// A percentage as people write it in JSON: `5`, not `5.0`.
fn number(weight: &Weight) -> Value {
    let percent = match weight {
        Weight::Percent(percent) => percent.as_f64(),
        Weight::Unreadable(value) => return value.clone(),
    };
    if percent.fract() == 0.0 {
        Value::from(percent as i64)
    } else {
        Value::from(percent)
    }
}

/// `canary=10`, as one types it.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The challenger.
    pub challenger: String,
    /// Its percentage.
    pub percent: Percent,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (challenger, percent) = text
            .split_once('=')
            .ok_or("write CHALLENGER=PERCENT, such as canary=10")?;
        Ok(Self {
            challenger: challenger.to_owned(),
            percent: percent
                .parse()
                .map_err(|error: PercentError| error.to_string())?,
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
                    percent: Percent::new(percent).unwrap()
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

    fn example() -> WeightSet {
        let mut weights = WeightSet::default();
        for (audience, percent) in [("everyone", 12.5), ("staff", 50.0)] {
            let key = WeightKey::new("web", audience, "canary");
            weights.set(key, Percent::new(percent).unwrap());
        }
        weights.set_draw("web", "2026-11-20");
        weights
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let weights = example();
        assert_eq!(WeightSet::of_config(&weights.to_config()), weights);
        assert_eq!(
            weights.to_config()["weights"]["web"]["staff"]["canary"].to_string(),
            "50"
        );
    }

    #[test]
    fn the_history_keeps_the_form_that_it_always_had() {
        let text = r#"{"weights":{"web":{"everyone":{"canary":12.5},"staff":{"canary":50.0}}},"draws":{"web":"2026-11-20"}}"#;
        assert_eq!(serde_json::to_string(&example()).unwrap(), text);
        assert_eq!(serde_json::from_str::<WeightSet>(text).unwrap(), example());
        assert_eq!(
            serde_json::to_string(&WeightSet::default()).unwrap(),
            r#"{"weights":{}}"#
        );
    }

    #[test]
    fn a_write_of_one_split_leaves_another_s_as_it_stands() {
        let mut config = json!({
            "weights": {"shop": {"everyone": {"canary": 140}}, "web": {"staff": {"canary": "x"}}},
            "draws": {"shop": 7, "web": "a"},
        });
        let mut weights = example();
        let written = weights.written_over(&config, &BTreeSet::from(["web".to_owned()]));
        config["weights"]["web"] = json!({"everyone": {"canary": 12.5}, "staff": {"canary": 50}});
        config["draws"]["web"] = json!("2026-11-20");
        assert_eq!(written, config);
        weights.replace("web", &WeightSet::default());
        let splits = BTreeSet::from(["web".to_owned(), "shop".to_owned()]);
        assert_eq!(
            weights.written_over(&config, &splits),
            json!({"weights": {}})
        );
    }

    #[test]
    fn a_leaf_that_cannot_be_read_hides_no_other() {
        let mut config = example().to_config();
        config["weights"]["web"]["everyone"]["blue"] = json!("ten");
        config["weights"]["web"]["staff"]["blue"] = json!(140);
        config["weights"]["web"]["beta"] = json!(5);
        config["weights"]["shop"] = json!(null);
        config["draws"]["shop"] = json!(7);
        let read = WeightSet::of_config(&config);
        let mut expected = example();
        for (audience, value) in [("everyone", json!("ten")), ("staff", json!(140))] {
            let key = WeightKey::new("web", audience, "blue");
            expected.put(key, Weight::Unreadable(value));
        }
        assert_eq!(read, expected);
        let kept = serde_json::to_value(&read).unwrap();
        assert_eq!(kept["weights"]["web"]["staff"]["blue"], json!(140));
        assert_eq!(
            read.to_config()["weights"]["web"]["everyone"]["blue"],
            json!("ten")
        );
    }
}
