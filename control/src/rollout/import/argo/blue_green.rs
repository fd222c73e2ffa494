//! The strategy `blueGreen` of Argo's Rollout as two steps: nobody, then everyone.

use super::super::fields::Fields;
use super::super::notes::Notes;
use super::super::written::Step;
use super::resource::{Read, Source};
use super::{templates, workload};

pub(super) fn read(
    source: &Source<'_>,
    mut blue_green: Fields,
    read: &mut Read,
    notes: &mut Notes,
) {
    let active = blue_green.text("activeService", notes);
    read.service.clone_from(&active);
    read.services = [active, blue_green.text("previewService", notes)];
    let is_automatic = blue_green.flag("autoPromotionEnabled", notes) != Some(false);
    let delay = workload::seconds(&mut blue_green, "autoPromotionSeconds", notes);
    // Argo leaves the delay aside where somebody promotes.
    let delay = delay.filter(|_| is_automatic).unwrap_or_default();
    read.steps.push(Step {
        hold: delay,
        approval: !is_automatic,
        ..Step::of(0.0)
    });
    if let Some(analysis) = blue_green.map("prePromotionAnalysis", notes) {
        let hold = templates::read(source, analysis, read, notes);
        read.step().hold += hold;
        notes.said(
            &blue_green.at("prePromotionAnalysis"),
            "a Rollout judges a version by its users, so these checks are measured once everyone is there",
        );
    }
    read.steps.push(Step::of(100.0));
    if let Some(analysis) = blue_green.map("postPromotionAnalysis", notes) {
        let hold = templates::read(source, analysis, read, notes);
        read.step().hold += hold;
    }
    read.drain = workload::seconds(&mut blue_green, "scaleDownDelaySeconds", notes);
    read.is_full = !blue_green.has("previewReplicaCount");
    blue_green.all_lost(
        &[
            ("previewReplicaCount", "a preview has one pod, or with spec.workload.scale: full as many as the copy"),
            ("maxUnavailable", "the Deployment's strategy has it"),
            ("antiAffinity", "write it in the template: the versions' pods differ by the label sluice.dev/variant"),
            ("previewMetadata", "the new version's pods have the template's metadata"),
            ("activeMetadata", "the copy's pods have the template's metadata"),
            ("scaleDownDelayRevisionLimit", "one former version is kept, as the copy"),
            ("abortScaleDownDelaySeconds", "after an abort pods stay as long as after a run: spec.workload.drain"),
        ],
        notes,
    );
    blue_green.end(notes);
}
