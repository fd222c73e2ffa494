//! Aborts of a directory, judged by what lies there afterwards.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::model::weights::WeightKey;
use crate::operations::change::{Mode, Terms};
use crate::operations::set::{Setting, set};
use crate::store::OthersFields;
use crate::store::directory::Directory;

fn caller() -> Caller {
    Caller {
        name: "ann".to_owned(),
        clock: || Timestamp::UNIX_EPOCH,
    }
}

fn directory(plugin: &str, weights: &str) -> (tempfile::TempDir, Directory) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plugin.yaml"), plugin).unwrap();
    std::fs::write(folder.path().join("weights.yaml"), weights).unwrap();
    let directory = Directory::open(folder.path()).unwrap();
    (folder, directory)
}

fn of_web() -> Abort {
    Abort {
        reach: Reach::of_split("web"),
        reason: None,
    }
}

fn written(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("weights.yaml")).unwrap();
    yaml_serde::from_str(&text).unwrap()
}

#[tokio::test]
async fn only_what_was_written_is_reported() {
    let git = "splits: {web: {}, shop: {}}\nweights: {web: {everyone: {canary: 5}}, shop: {everyone: {canary: 7}}}";
    let (_folder, store) = directory(git, "weights: {}");
    let aborted = abort(&store, &caller(), &of_web()).await.unwrap();
    let changes: Vec<String> = aborted.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["web everyone canary: 5 -> 0"]);
    assert_eq!(aborted.not_in_force, None);
}

#[tokio::test]
async fn what_stands_in_the_way_is_replaced() {
    let zeros = json!({"web": {"everyone": {"canary": 0}}});
    let long = "y".repeat(600_000);
    let of_other = format!("weights: {{x: {{everyone: {{canary: {long}}}}}}}");
    let of_web_itself = format!("weights: {{web: {{everyone: {{canary: 5}}, x: {long}}}}}");
    let cases = [
        ("a list", "weights: []"),
        ("a text", "weights: x"),
        ("a split's text", "weights: {web: x}"),
        (
            "draws that are a list",
            "weights: {web: {everyone: {canary: 5}}}\ndraws: []",
        ),
        ("too long for another's sake", &of_other),
        ("too long", &of_web_itself),
    ];
    for (label, weights) in cases {
        let (folder, store) = directory("splits: {web: {}}", weights);
        let aborted = abort(&store, &caller(), &of_web()).await.unwrap();
        assert_eq!(aborted.not_in_force, None, "{label}");
        assert_eq!(written(folder.path())["weights"], zeros, "{label}");
        // What was the abort's to replace is no loss, the rest is kept aside.
        let lost = label != "a split's text" && label != "too long";
        assert_eq!(aborted.notes.len(), usize::from(lost), "{label}");
        let kept = std::fs::read_to_string(folder.path().join("weights.yaml.unreadable"));
        assert_eq!(kept.is_ok(), lost, "{label}");
    }
}

/// Of each: the weights' file, what of others is left, and what is said of it.
#[tokio::test]
async fn an_abort_keeps_what_it_can_of_others_and_says_what_it_cannot() {
    let shop = json!({"everyone": {"canary": 50}});
    let history = r#"{"revision":1,"at":"2026-11-20T09:00:00Z","by":"bob","command":"set shop canary=50","changes":[],"after":{"weights":{"shop":{"everyone":{"canary":50}},"web":{"everyone":{"canary":5}}}}}"#;
    let of_history = "other splits get the weights of the last change in the history, `set shop canary=50` of bob at \
                      2026-11-20T09:00:00Z";
    let conflict = "weights:\n<<<<<<< HEAD\n  shop: {everyone: {canary: 50}}\n";
    let cases: [(&str, &str, Value, &[&str]); 6] = [
        (
            "readable",
            "weights: {web: {everyone: {canary: 5}}, shop: {everyone: {canary: 50}}}",
            shop.clone(),
            &[],
        ),
        (
            "another's text stays",
            "weights: {shop: x}\ndraws: {shop: y}",
            json!("x"),
            &[],
        ),
        (
            "a list",
            "weights: []\ndraws: {shop: y}",
            Value::Null,
            &["could not read it: weights (a list of 0); as it was, it is kept in "],
        ),
        (
            "a conflict in Git",
            conflict,
            shop.clone(),
            &[
                of_history,
                "could not read it: weights.yaml; as it was, it is kept in ",
            ],
        ),
        (
            "bytes",
            "weights: {shop: \u{1}",
            shop.clone(),
            &[
                of_history,
                "could not read it: weights.yaml; as it was, it is kept in ",
            ],
        ),
        (
            "two plugins",
            "kind: WasmPlugin\nmetadata: {name: a}\n---\nkind: WasmPlugin\nmetadata: {name: b}\n",
            shop.clone(),
            &[
                of_history,
                "could not read it: weights.yaml; as it was, it is kept in ",
            ],
        ),
    ];
    for (label, weights, left, said) in cases {
        let (folder, store) = directory("splits: {web: {}, shop: {}}", weights);
        std::fs::write(folder.path().join("history.jsonl"), history).unwrap();
        let aborted = abort(&store, &caller(), &of_web()).await.unwrap();
        assert_eq!(aborted.not_in_force, None, "{label}");
        let written = written(folder.path());
        assert_eq!(written["weights"]["shop"], left, "{label}");
        assert_eq!(written["weights"]["web"]["everyone"]["canary"], json!(0));
        let notes: Vec<String> = aborted.notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes.len(), said.len(), "{label}: {notes:?}");
        for (note, said) in notes.iter().zip(said) {
            assert!(note.contains(said), "{label}: {note}");
        }
        let kept = std::fs::read_to_string(folder.path().join("weights.yaml.unreadable"));
        assert_eq!(kept.ok().as_deref(), (!said.is_empty()).then_some(weights));
    }
}

#[tokio::test]
async fn without_a_history_other_splits_get_no_weights_and_that_is_said() {
    let (folder, store) = directory("splits: {web: {}, shop: {}}", "weights: {shop: [");
    let aborted = abort(&store, &caller(), &of_web()).await.unwrap();
    let zeros = json!({"web": {"everyone": {"canary": 0}}});
    assert_eq!(written(folder.path())["weights"], zeros);
    let first = aborted.notes[0].to_string();
    assert!(
        first.ends_with("; there is no history either: other splits get no weights"),
        "{first}"
    );
    assert!(aborted.was_unreadable.is_some());
}

#[tokio::test]
async fn each_unreadable_file_is_kept() {
    let (folder, store) = directory("splits: {web: {}}", "a: [");
    abort(&store, &caller(), &of_web()).await.unwrap();
    std::fs::write(folder.path().join("weights.yaml"), "b: [").unwrap();
    let again = abort(&store, &caller(), &of_web()).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("weights.yaml.unreadable"), "a: [");
    assert_eq!(read("weights.yaml.unreadable.2"), "b: [");
    let kept = again.notes.last().unwrap().to_string();
    assert!(kept.ends_with("weights.yaml.unreadable.2"), "{kept}");
}

/// What a `set` that is stopped between its decision and its rename meets when it is continued.
#[tokio::test]
async fn a_change_never_replaces_what_came_after_it_was_decided() {
    let split_s = [
        ("its own", "web", "weights: {web: {everyone: {canary: 0}}}"),
        (
            "another's",
            "shop",
            "weights: {shop: {everyone: {canary: 0}}}",
        ),
    ];
    for (label, split, meanwhile) in split_s {
        let (folder, store) = directory("splits: {web: {}, shop: {}}", "weights: {}");
        let path = folder.path().join("weights.yaml");
        let mut decisions = 0;
        let mut decide = |snapshot: &Snapshot| {
            decisions += 1;
            let mut managed = snapshot.managed.clone();
            managed.set(
                WeightKey::new("web", "everyone", "canary"),
                sluice_core::allocation::Percent::HUNDRED,
            );
            // The second decision is made under the lock.
            match decisions {
                2 => std::fs::write(&path, meanwhile)?,
                3 => return Ok(None),
                _ => {}
            }
            let splits = BTreeSet::from(["web".to_owned()]);
            Ok(Some(write(managed, splits, &caller(), &of_web())))
        };
        let updated = store.update(Manner::IN_TURN, &mut decide).await.unwrap();
        assert_eq!(updated.written.map(|_| ()), None, "{label}");
        assert_eq!(decisions, 3, "{label}");
        let left = &written(folder.path())["weights"];
        assert_eq!(
            left,
            &json!({split: {"everyone": {"canary": 0}}}),
            "{label}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_replaced_is_said() {
    let too_many: String = (0..1_001)
        .map(|number| format!("  s{number}: {{}}\n"))
        .collect();
    let too_many = format!("splits:\n  web: {{}}\n{too_many}");
    let too_long = format!("splits: {{web: {{salt: {}}}}}", "x".repeat(600_000));
    let broken = "splits: {web: {}\n";
    let cases = [
        (
            "version: 2\nsplits: {web: {}}",
            "version: 2; this filter reads version 1; no proxy takes",
        ),
        (
            &too_many,
            "splits: 1002 splits; at most 1000; no proxy takes",
        ),
        (&too_long, "document: 600"),
        (broken, "/plugin.yaml"),
    ];
    for (plugin, why) in cases {
        let weights = "weights: {web: {everyone: {canary: 100}}}";
        let (folder, store) = directory(plugin, weights);
        let aborted = abort(&store, &caller(), &of_web()).await.unwrap();
        let said = aborted.not_in_force.expect(why).to_string();
        assert!(said.contains(why), "{said}");
        assert!(
            said.contains("each goes on with the last one that it could read"),
            "{said}"
        );
        // As soon as the rest is mended, the zeros hold.
        let zero = &written(folder.path())["weights"]["web"]["everyone"]["canary"];
        assert_eq!(zero, &json!(0), "{why}");
    }
}

#[tokio::test]
async fn a_weight_is_not_set_where_no_proxy_would_take_it() {
    let too_long = format!("splits: {{web: {{salt: {}}}}}", "x".repeat(600_000));
    let cases = [
        (
            "version: 2\nsplits: {web: {}}",
            "version: 2; this filter reads version 1",
        ),
        (&too_long, "document: 600043 bytes; at most 524288 bytes"),
    ];
    for (plugin, why) in cases {
        let (folder, store) = directory(plugin, "weights: {}");
        let shares = ["canary=5".parse().unwrap()];
        let setting = Setting {
            split: "web",
            audience: "everyone",
            shares: &shares,
        };
        let terms = Terms {
            mode: Mode::Write,
            others_fields: OthersFields::Respect,
            reason: None,
        };
        let refused = set(&store, &caller(), &setting, &terms).await.unwrap_err();
        let said = format!("{:#}", anyhow::Error::from(refused));
        assert!(
            said.contains("no proxy takes this configuration") && said.ends_with(why),
            "{said}"
        );
        assert_eq!(written(folder.path()), json!({"weights": {}}));
    }
}
