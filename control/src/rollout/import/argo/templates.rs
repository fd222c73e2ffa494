//! The AnalysisTemplates that Argo's Rollout names, with their arguments filled in.

mod metric;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::fields::Fields;
use super::super::notes::Notes;
use super::arguments::arguments;
use super::resource::{GROUP, Read, Source};
use metric::Metric;

/// The most templates that one analysis reads, those that templates name included. Chosen: more
/// would have more metrics than a Rollout has checks.
pub(super) const MAX_TEMPLATES: usize = 50;

/// Adds the checks of an analysis. Returns how long its measurements take.
pub(super) fn read(
    source: &Source<'_>,
    mut analysis: Fields,
    read: &mut Read,
    notes: &mut Notes,
) -> Duration {
    let given = arguments(source, &mut analysis, notes);
    let mut dry = dry_run(&mut analysis, notes);
    analysis.all_lost(
        &[
            (
                "measurementRetention",
                "a status keeps what a check measured last",
            ),
            ("analysisRunMetadata", "there are no AnalysisRuns"),
        ],
        notes,
    );
    let mut found = Templates {
        source,
        seen: BTreeSet::new(),
        specs: Vec::new(),
    };
    found.named(&mut analysis, notes);
    analysis.end(notes);
    let mut values = BTreeMap::new();
    let mut metrics = Vec::new();
    for mut spec in found.specs {
        values.extend(arguments(source, &mut spec, notes));
        dry.extend(dry_run(&mut spec, notes));
        spec.lost(
            "measurementRetention",
            "a status keeps what a check measured last",
            notes,
        );
        metrics.extend(spec.maps("metrics", notes));
        spec.end(notes);
    }
    // What a Rollout gives goes before a template's default.
    values.extend(given);
    let mut longest = Duration::ZERO;
    for fields in metrics {
        let metric = Metric::of(fields, &values, notes);
        longest = longest.max(metric.lasts());
        metric.add(&dry, read, notes);
    }
    longest
}

/// The templates of one analysis.
struct Templates<'s, 'i> {
    source: &'s Source<'i>,
    seen: BTreeSet<String>,
    specs: Vec<Fields>,
}

impl Templates<'_, '_> {
    /// Reads those that a list of `templates` names, and those that they name.
    fn named(&mut self, fields: &mut Fields, notes: &mut Notes) {
        for mut reference in fields.maps("templates", notes) {
            let name = reference.text("templateName", notes).unwrap_or_default();
            let kind = match reference.flag("clusterScope", notes) {
                Some(true) => "ClusterAnalysisTemplate",
                _ => "AnalysisTemplate",
            };
            let path = reference.at("templateName");
            reference.end(notes);
            if !self.seen.insert(format!("{kind} {name}")) {
                continue;
            }
            if self.seen.len() > MAX_TEMPLATES {
                notes.lost(&path, format!("more than {MAX_TEMPLATES} templates"));
                return;
            }
            let Some((_, input)) = self.source.beside((GROUP, kind), &name) else {
                notes.lost(
                    &path,
                    format!("{kind} {name:.80} is not among the documents"),
                );
                continue;
            };
            notes.name(input);
            let path = format!("{kind} {name}: spec");
            let mut spec = Fields::of(path, input.value.get("spec").cloned(), notes);
            self.named(&mut spec, notes);
            self.specs.push(spec);
        }
    }
}

/// The names of metrics that decide nothing; `.*` is every one.
fn dry_run(fields: &mut Fields, notes: &mut Notes) -> Vec<String> {
    let mut names = Vec::new();
    for mut dry in fields.maps("dryRun", notes) {
        names.extend(dry.text("metricName", notes));
        dry.end(notes);
    }
    names
}
