//! Aborts of a directory, judged by what lies there afterwards.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
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
        split: Some("web".to_owned()),
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
        assert_eq!(aborted.notes, [], "{label}");
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
