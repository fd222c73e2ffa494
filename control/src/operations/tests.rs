//! Operations on a directory, as a host other than the command line runs them: spawned, with a
//! clock and a caller of its own.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::abort::{Abort, abort};
use super::change::{Effect, Mode, Terms};
use super::diff::{Against, diff};
use super::history::history;
use super::plugins::TitledStore;
use super::promote::{PromoteError, Side, promote};
use super::redraw::redraw;
use super::rollback::rollback;
use super::set::{Setting, set};
use super::weights::weights;
use super::{Caller, OperationError};
use crate::model::reach::Reach;
use crate::model::refusal::Refusal;
use crate::model::weights::Share;
use crate::store::directory::Directory;
use crate::store::{AnyStore, OthersFields};

fn caller() -> Caller {
    Caller {
        name: "ann".to_owned(),
        clock: || Timestamp::UNIX_EPOCH,
    }
}

fn terms(mode: Mode) -> Terms {
    Terms {
        mode,
        others_fields: OthersFields::Respect,
        reason: None,
    }
}

fn directory(plugin: &str) -> (tempfile::TempDir, Directory) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plugin.yaml"), plugin).unwrap();
    let directory = Directory::open(folder.path()).unwrap();
    (folder, directory)
}

fn canary(percent: &str) -> [Share; 1] {
    [format!("canary={percent}").parse().unwrap()]
}

fn of_everyone<'a>(split: &'a str, shares: &'a [Share]) -> Setting<'a> {
    Setting {
        split,
        audience: "everyone",
        shares,
    }
}

fn titled(title: Option<&str>, store: &Directory) -> TitledStore {
    TitledStore {
        title: title.map(str::to_owned),
        store: AnyStore::Directory(store.clone()),
    }
}

fn has_weights(folder: &Path) -> bool {
    folder.join("weights.yaml").exists()
}

#[tokio::test]
async fn a_change_is_returned_as_data_and_remembered_with_the_callers_name_and_time() {
    let (_folder, store) = directory("splits: {web: {}}");
    let spawned = store.clone();
    let made = tokio::spawn(async move {
        let shares = canary("5");
        let setting = of_everyone("web", &shares);
        set(&spawned, &caller(), &setting, &terms(Mode::Write)).await
    });
    let made = serde_json::to_value(made.await.unwrap().unwrap()).unwrap();
    let expected = json!({
        "effect": "written",
        "changes": [{"split": "web", "audience": "everyone", "challenger": "canary", "from": 0.0, "to": 5.0}],
        "redraws": [],
        "moves": [{"split": "web", "audience": "everyone", "from": "stable", "to": "canary", "percent": 5.0}],
        "meetings": [],
        "notes": [],
    });
    assert_eq!(made, expected);
    let rows = history(vec![titled(None, &store)], None)
        .await
        .unwrap()
        .rows;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| [&row.entry.at, &row.entry.by, &row.entry.command])
        .collect();
    assert_eq!(seen, [["1970-01-01T00:00:00Z", "ann", "set web canary=5"]]);
}

#[tokio::test]
async fn an_abort_names_what_it_replaced_and_leaves_other_splits_as_they_stand() {
    let (folder, store) = directory("splits: {web: {}, shop: {}}");
    let weights = folder.path().join("weights.yaml");
    let broken = "weights: {shop: {everyone: {canary: 140}}, web: {everyone: {canary: x}}}";
    std::fs::write(&weights, broken).unwrap();
    let of_web = Abort {
        reach: Reach::of_split("web"),
        reason: None,
    };
    let aborted = abort(&store, &caller(), &of_web).await.unwrap();
    let changes = json!([
        {"split": "web", "audience": "everyone", "challenger": "canary", "from": "x", "to": 0.0},
    ]);
    assert_eq!(serde_json::to_value(aborted.changes).unwrap(), changes);
    let written: Value = yaml_serde::from_str(&std::fs::read_to_string(weights).unwrap()).unwrap();
    let expected =
        json!({"shop": {"everyone": {"canary": 140}}, "web": {"everyone": {"canary": 0}}});
    assert_eq!(written["weights"], expected);
}

#[tokio::test]
async fn what_is_no_percentage_stays_in_the_history_and_is_not_gone_back_to() {
    let (folder, store) = directory("splits: {web: {}}");
    let weights = "weights: {web: {everyone: {canary: 33.3333}}}";
    std::fs::write(folder.path().join("weights.yaml"), weights).unwrap();
    let drawn = redraw(&store, &caller(), "web", None, &terms(Mode::Write)).await;
    let said = drawn.unwrap_err().to_string();
    assert!(
        said.starts_with("split web is at canary=33.3333 for everyone"),
        "{said}"
    );
    let shares = canary("20");
    let setting = of_everyone("web", &shares);
    let made = set(&store, &caller(), &setting, &terms(Mode::Write))
        .await
        .unwrap();
    assert_eq!(
        made.changes[0].to_string(),
        "web everyone canary: 33.3333 -> 20"
    );
    let back = rollback(&store, &caller(), None, &terms(Mode::Write)).await;
    let said = back.unwrap_err().to_string();
    assert!(said.contains("33.3333 is not a percentage"), "{said}");
    let rows = history(vec![titled(None, &store)], None)
        .await
        .unwrap()
        .rows;
    let changes = rows.iter().map(|row| row.entry.changes[0].to_string());
    let expected = [
        "web everyone canary: 0 -> 33.3333",
        "web everyone canary: 33.3333 -> 20",
    ];
    assert_eq!(changes.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    let (folder, store) = directory("splits: {web: {}}");
    let shares = canary("5");
    let setting = of_everyone("web", &shares);
    let described = set(&store, &caller(), &setting, &terms(Mode::DryRun))
        .await
        .unwrap();
    assert_eq!(described.effect, Effect::DryRun);
    assert_eq!(described.changes.len(), 1);
    assert!(!has_weights(folder.path()));
    let moves = diff(&store, &Against::Setting(setting)).await.unwrap();
    assert_eq!(moves, described.moves);
}

#[tokio::test]
async fn what_is_so_already_is_not_written_again() {
    let (_folder, store) = directory("splits: {web: {}}");
    let shares = canary("5");
    let setting = of_everyone("web", &shares);
    let mut effects = Vec::new();
    for _ in 0..2 {
        let made = set(&store, &caller(), &setting, &terms(Mode::Write)).await;
        effects.push(made.unwrap().effect);
    }
    assert_eq!(effects, [Effect::Written, Effect::Unneeded]);
}

#[tokio::test]
async fn a_refusal_keeps_its_kind_on_its_way_through_a_store() {
    let (folder, store) = directory("splits: {web: {}}");
    let shares = canary("5");
    let setting = of_everyone("wep", &shares);
    let refused = set(&store, &caller(), &setting, &terms(Mode::Write)).await;
    let Err(OperationError::Refused(Refusal::NoSplit { split, hint })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (split.as_str(), hint.as_str()),
        ("wep", "did you mean \"web\"?")
    );
    assert!(!has_weights(folder.path()));
    let nothing = rollback(&store, &caller(), None, &terms(Mode::Write)).await;
    assert!(matches!(
        nothing,
        Err(OperationError::Refused(Refusal::NothingEarlier))
    ));
}

#[tokio::test]
async fn a_rollback_goes_back_by_one_change_and_a_redraw_by_the_callers_clock() {
    let (_folder, store) = directory("splits: {web: {}}");
    for percent in ["100", "50"] {
        let shares = canary(percent);
        let setting = of_everyone("web", &shares);
        set(&store, &caller(), &setting, &terms(Mode::Write))
            .await
            .unwrap();
    }
    let back = rollback(&store, &caller(), None, &terms(Mode::Write))
        .await
        .unwrap();
    assert_eq!(
        back.changes[0].to_string(),
        "web everyone canary: 50 -> 100"
    );
    let redrawn = redraw(&store, &caller(), "web", None, &terms(Mode::Write))
        .await
        .unwrap();
    let redrawn = serde_json::to_value(redrawn.redraws).unwrap();
    let expected = json!([{"split": "web", "from": null, "to": "1970-01-01"}]);
    assert_eq!(redrawn, expected);
}

#[tokio::test]
async fn an_abort_writes_zeros_where_every_weight_was_zero() {
    let (folder, store) = directory("splits: {web: {}}");
    let aborted = abort(&store, &caller(), &Abort::default()).await.unwrap();
    assert_eq!(aborted.changes, []);
    let written = std::fs::read_to_string(folder.path().join("weights.yaml")).unwrap();
    assert!(written.contains("canary: 0"), "{written}");
}

#[tokio::test]
async fn a_promotion_copies_a_split_and_says_which_side_refused() {
    let (_folder, qa) = directory("splits: {web: {}}\nweights: {web: {everyone: {canary: 5}}}");
    let (_other_folder, prod) = directory("splits: {web: {}, other: {}}");
    let side = |name: &str, store: &Directory| Side {
        name: name.to_owned(),
        store: store.clone(),
    };
    let (qa, prod) = (side("qa", &qa), side("prod", &prod));
    let terms = terms(Mode::Write);
    let made = promote((&qa, &prod), &caller(), "web", &terms).await;
    assert_eq!(
        made.unwrap().changes[0].to_string(),
        "web everyone canary: 0 -> 5"
    );
    let rows = history(vec![titled(None, &prod.store)], Some("web"));
    assert_eq!(
        rows.await.unwrap().rows[0].entry.command,
        "promote web --from qa --to prod"
    );
    let from = promote((&qa, &prod), &caller(), "other", &terms).await;
    assert!(matches!(from, Err(PromoteError::Source(error)) if error.lacks_split()));
    let to = promote((&prod, &qa), &caller(), "other", &terms).await;
    assert!(matches!(to, Err(PromoteError::Target(error)) if error.lacks_split()));
}

#[tokio::test]
async fn shares_of_a_split_are_asked_of_those_that_have_it() {
    let (_folder, web) = directory("splits: {web: {}}");
    let (_other_folder, other) = directory("splits: {other: {}}");
    let both = || vec![titled(Some("a"), &web), titled(Some("b"), &other)];
    let shares = weights(both(), Some("web")).await.unwrap().shares;
    let share = |variant: &str, percent: f64| {
        json!({
            "store": web.title(), "plugin": "a", "split": "web", "audience": "everyone", "variant": variant,
            "percent": percent,
        })
    };
    let expected = json!([share("stable", 100.0), share("canary", 0.0)]);
    assert_eq!(serde_json::to_value(shares).unwrap(), expected);
    let nowhere = weights(both(), Some("wep")).await.unwrap_err();
    assert_eq!(nowhere.to_string(), "no plugin has a split \"wep\"");
    let alone = weights(vec![titled(None, &web)], Some("wep")).await;
    let expected = "there is no split \"wep\"; did you mean \"web\"?";
    assert_eq!(alone.unwrap_err().to_string(), expected);
}
