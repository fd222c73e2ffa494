//! Which version was promoted: what a Rollout's copy serves everyone with, as its status says it, and
//! why there is none to hand on. Pure; asked before anything is read of where it is to go.

use crate::model::workload::copy_of;
use crate::rollout::status::{Phase, Status};

/// What a run under way where it was promoted means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Its end is to be waited for.
    Refused,
    /// What was promoted before it is meant.
    Overlooked,
}

/// The copy of a Deployment, and which versions it may be said to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copied<'c> {
    /// The Rollout.
    pub(super) rollout: &'c str,
    /// Its namespace, as typed.
    pub(super) place: &'c str,
    /// The Deployment that is followed.
    pub(super) deployment: &'c str,
    /// The version that the copy was given last.
    pub(super) given: &'c str,
    /// The version that its template is.
    pub(super) own: &'c str,
}

/// Why what a copy has is not handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpromoted {
    /// The copy was made of the only template that there was.
    #[error(
        "Deployment {copy} of Rollout {rollout} in {place} has {version}, which no run has judged: nothing was promoted \
         there yet"
    )]
    Unjudged {
        /// The Deployment that has it.
        copy: String,
        /// The Rollout.
        rollout: String,
        /// The namespace, as typed.
        place: String,
        /// What it has.
        version: String,
    },
    /// The copy has another version than the one that was promoted last.
    #[error(
        "Deployment {copy} of Rollout {rollout} in {place} was given {version}, which is not promoted there; {promoted} \
         was, last. What is under way is waited for by `sluice rollout status {rollout} --wait`"
    )]
    Given {
        /// The Deployment that has it.
        copy: String,
        /// The Rollout.
        rollout: String,
        /// The namespace, as typed.
        place: String,
        /// What it was given.
        version: String,
        /// What was promoted last.
        promoted: String,
    },
    /// A run is not over.
    #[error(
        "Rollout {rollout} in {place} has a run under way, of {version} ({phase:?}); wait for it by `sluice rollout \
         status {rollout} --wait`, or take {promoted}, which was promoted before, by --during-run"
    )]
    UnderWay {
        /// The Rollout.
        rollout: String,
        /// The namespace, as typed.
        place: String,
        /// What the run brings.
        version: String,
        /// How far it is.
        phase: Phase,
        /// What was promoted last.
        promoted: String,
    },
}

/// The version that was promoted last.
///
/// # Errors
/// Where no run has judged what the copy has, where it has another one than was promoted, and where a
/// run is not over and does not count as overlooked.
pub(super) fn promoted<'c>(
    status: &Status,
    copied: Copied<'c>,
    runs: Runs,
) -> Result<&'c str, Box<Unpromoted>> {
    let promoted = served(status, copied)?;
    match runs {
        Runs::Overlooked => Ok(promoted),
        Runs::Refused => is_over(status, copied, promoted).map(|()| promoted),
    }
}

/// What the copy serves everyone with.
fn served<'c>(status: &Status, copied: Copied<'c>) -> Result<&'c str, Box<Unpromoted>> {
    let Copied {
        rollout,
        place,
        deployment,
        given,
        own,
    } = copied;
    let kept = status.workload.as_ref();
    // What is remembered of another Deployment says nothing of this one.
    let kept = kept.filter(|kept| {
        let of = kept.deployment.as_deref();
        of.is_none_or(|of| of == deployment)
    });
    let Some(kept) = kept else {
        return Ok(given);
    };
    let (rollout, place) = (rollout.to_owned(), place.to_owned());
    let (copy, version) = (copy_of(deployment), given.to_owned());
    if kept.is_unjudged {
        let unjudged = Unpromoted::Unjudged {
            copy,
            rollout,
            place,
            version,
        };
        return Err(unjudged.into());
    }
    let Some(last) = kept.promotions.last() else {
        return Ok(given);
    };
    // Whoever gives the copy a version by hand does not note it there, and it may be promoted so.
    let mut has = [given, own].into_iter();
    has.find(|version| *version == last).ok_or_else(|| {
        let promoted = last.to_owned();
        let given = Unpromoted::Given {
            copy,
            rollout,
            place,
            version,
            promoted,
        };
        given.into()
    })
}

/// Whether what a Rollout promoted last is what it brought last.
fn is_over(status: &Status, copied: Copied<'_>, promoted: &str) -> Result<(), Box<Unpromoted>> {
    let run = status.run.as_ref();
    // The run is over, and the copy has not taken its version yet.
    let taken = |version: &String| version == promoted || status.phase != Phase::Succeeded;
    let is_over =
        status.under_way().is_none() && run.and_then(|run| run.version.as_ref()).is_none_or(taken);
    if is_over {
        return Ok(());
    }
    let version = run.and_then(|run| run.version.clone());
    let under_way = Unpromoted::UnderWay {
        rollout: copied.rollout.to_owned(),
        place: copied.place.to_owned(),
        version: version.unwrap_or_else(|| "an unknown version".to_owned()),
        phase: status.phase,
        promoted: promoted.to_owned(),
    };
    Err(under_way.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const V1: &str = "web:v1 (01)";
    const V2: &str = "web:v2 (02)";

    fn status(phase: &str, version: &str, workload: Value) -> Status {
        let status = json!({
            "phase": phase, "workload": workload,
            "run": {
                "number": 2, "version": version, "began": "2026-11-21T09:00:00Z", "step": 0,
                "since": "2026-11-21T09:00:00Z", "weights": {}, "wanted": {},
                "stage": if phase == "Progressing" { "Holding" } else { "Over" },
            },
        });
        serde_json::from_value(status).unwrap()
    }

    fn said(status: &Status, (given, own): (&str, &str), runs: Runs) -> Result<String, String> {
        let copied = Copied {
            rollout: "web",
            place: "stage",
            deployment: "web",
            given,
            own,
        };
        let promoted = promoted(status, copied, runs);
        promoted.map(str::to_owned).map_err(|why| why.to_string())
    }

    fn after(last: &str) -> Value {
        json!({"deployment": "web", "promotions": [{"version": last, "run": 1}]})
    }

    #[test]
    fn what_serves_everyone_is_what_was_promoted() {
        let cases = [
            ("of an earlier controller", Value::Null, (V1, V1), V1),
            ("at first sight", json!({"deployment": "web"}), (V1, V1), V1),
            ("promoted", after(V1), (V1, V1), V1),
            ("changed since", after(V1), (V1, V2), V1),
            ("given by hand, and promoted", after(V2), (V1, V2), V2),
            (
                "of another Deployment",
                json!({"deployment": "api", "isUnjudged": true}),
                (V1, V1),
                V1,
            ),
        ];
        for (label, workload, versions, expected) in cases {
            let status = status("RolledBack", "web:v3 (03)", workload);
            let said = said(&status, versions, Runs::Refused);
            assert_eq!(said, Ok(expected.to_owned()), "{label}");
        }
        let during = status("Progressing", "web:v3 (03)", after(V1));
        assert_eq!(said(&during, (V1, V1), Runs::Overlooked), Ok(V1.to_owned()));
    }

    #[test]
    fn what_no_run_has_judged_is_not_handed_on() {
        let unjudged = || json!({"deployment": "web", "isUnjudged": true});
        let expected = "Deployment web-stable of Rollout web in stage has web:v2 (02), which no run has judged: nothing was \
                        promoted there yet";
        let before = Status {
            run: None,
            ..status("Idle", V2, unjudged())
        };
        for runs in [Runs::Refused, Runs::Overlooked] {
            assert_eq!(said(&before, (V2, V2), runs), Err(expected.to_owned()));
            for phase in ["Progressing", "RolledBack", "Aborted"] {
                let status = status(phase, V2, unjudged());
                let said = said(&status, (V2, V2), runs);
                assert_eq!(said, Err(expected.to_owned()), "{phase}");
            }
        }
    }

    #[test]
    fn what_the_copy_was_given_and_did_not_serve_everyone_with_is_not_handed_on() {
        let expected = "Deployment web-stable of Rollout web in stage was given web:v2 (02), which is not promoted there; \
                        web:v1 (01) was, last. What is under way is waited for by `sluice rollout status web --wait`";
        for phase in ["Succeeded", "Aborted"] {
            for runs in [Runs::Refused, Runs::Overlooked] {
                let status = status(phase, V2, after(V1));
                let said = said(&status, (V2, V2), runs);
                assert_eq!(said, Err(expected.to_owned()), "{phase}");
            }
        }
    }

    #[test]
    fn a_run_that_is_not_over_is_waited_for() {
        let expected = |phase: &str| {
            format!(
                "Rollout web in stage has a run under way, of web:v2 (02) ({phase}); wait for it by `sluice rollout status \
                 web --wait`, or take web:v1 (01), which was promoted before, by --during-run"
            )
        };
        for phase in ["Progressing", "Succeeded"] {
            let status = status(phase, V2, after(V1));
            let said = said(&status, (V1, V1), Runs::Refused);
            assert_eq!(said, Err(expected(phase)), "{phase}");
        }
    }
}
