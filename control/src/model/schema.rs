//! The JSON Schema of the plugin configuration, for editors: generated from the types that read it.
//!
//! It helps while writing; what is refused is the plan's to say. `sluice schema` prints it.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;
use sluice_core::config::{Brake, Cookie, Split};
use std::collections::BTreeMap;

/// The top level: what [`sluice_core::config::Document`] reads by hand, so that one team's mistake stays its own.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Sluice plugin configuration")]
#[expect(dead_code, reason = "a shape for the generator; never built")]
struct Configuration {
    /// The configuration's version; only 1 so far.
    #[schemars(range(min = 1, max = 1))]
    version: Option<u32>,
    /// Git's: what is split, and who is who.
    #[schemars(default)]
    splits: BTreeMap<String, Split>,
    /// `sluice`'s: how much, in percent: split → audience → challenger → percent.
    #[schemars(default)]
    weights: BTreeMap<String, BTreeMap<String, BTreeMap<String, Share>>>,
    /// `sluice`'s: new letters draw other users for the next canary.
    #[schemars(default)]
    draws: BTreeMap<String, String>,
    /// The anonymous cookie; one for all splits.
    cookie: Option<Cookie>,
    /// Counts responses and times by split, variant and status class.
    #[schemars(default)]
    response_metrics: bool,
    /// The service that proxies ask for brakes. Default: none.
    brake: Option<Brake>,
}

/// A percentage, in steps of 0.001.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape for the generator; never built")]
struct Share(#[schemars(range(min = 0, max = 100))] f64);

/// The schema (JSON Schema draft 2020-12).
pub fn schema() -> Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Configuration>();
    schema.to_value()
}
