//! Somebody else writes between a change's decision and its write.

use std::fs::File;
use std::sync::Mutex;

use jiff::Timestamp;

use super::*;
use crate::cluster::authors::authors;
use crate::model::plugin::{Kind, Plugin};
use crate::model::weights::Share;
use crate::operations::abort::{Abort, abort};
use crate::operations::change::{ChangeOutcome, Effect, Mode, Terms};
use crate::operations::promote::{Side, promote};
use crate::operations::redraw::redraw;
use crate::operations::rollback::rollback;
use crate::operations::set::{Setting, set};
use crate::operations::{Caller, OperationError};
use crate::store::directory::Directory;
use crate::store::history::{Entry, Remembered};
use crate::store::{Decide, Manner, OthersFields, Store, Updated, Write};
use serde_json::json;

const CALLER: Caller = Caller {
    name: String::new(),
    clock: || Timestamp::UNIX_EPOCH,
};

fn terms() -> Terms {
    Terms {
        mode: Mode::Write,
        others_fields: OthersFields::Respect,
        reason: None,
    }
}

/// A store in which somebody else writes once, right after the first decision.
struct Contested {
    before: Snapshot,
    after: Snapshot,
    written: Mutex<Option<Write>>,
}

impl Store for Contested {
    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(self.before.clone())
    }

    async fn history(&self) -> anyhow::Result<Remembered> {
        let mut earlier = WeightSet::default();
        let key = crate::model::weights::WeightKey::new("web", "everyone", "canary");
        earlier.set(key, "5".parse().unwrap());
        let entry = |revision: u64| Entry {
            revision,
            at: String::new(),
            by: String::new(),
            command: String::new(),
            reason: None,
            changes: Vec::new(),
            after: earlier.clone(),
        };
        Ok(Remembered {
            entries: vec![entry(1), entry(2)],
            notes: Vec::new(),
        })
    }

    async fn update(&self, _: Manner, decide: &mut Decide<'_>) -> anyhow::Result<Updated> {
        decide(&self.before)?;
        let written = decide(&self.after)?;
        self.written.lock().unwrap().clone_from(&written);
        Ok(Updated {
            before: self.after.clone(),
            written,
            after: None,
            notes: Vec::new(),
        })
    }
}

/// Two splits at 10 %, noted as such.
fn begun() -> Snapshot {
    let config = json!({
        "splits": {"web": {}, "shop": {}},
        "weights": {"web": {"everyone": {"canary": 10}}, "shop": {"everyone": {"canary": 10}}},
    });
    let plugin = Plugin {
        source: "WasmPlugin a/s".to_owned(),
        kind: Kind::WasmPlugin,
        name: Some("s".to_owned()),
        namespace: Some("a".to_owned()),
        config,
    };
    Snapshot {
        live: None,
        managed: WeightSet::of_config(&plugin.config),
        plugin,
        noted: vec![noted("set web canary=10")],
        authors: Vec::new(),
    }
}

fn noted(command: &str) -> Noted {
    Noted {
        revision: 0,
        at: "TIME".to_owned(),
        by: "bob".to_owned(),
        command: command.to_owned(),
        reason: None,
    }
}

fn with(change: impl Fn(&mut Snapshot)) -> Snapshot {
    let mut snapshot = begun();
    change(&mut snapshot);
    snapshot.managed = WeightSet::of_config(&snapshot.plugin.config);
    snapshot
}

fn set_weight(snapshot: &mut Snapshot, split: &str, percent: u32) {
    snapshot.plugin.config["weights"][split]["everyone"]["canary"] = json!(percent);
}

fn contested(after: Snapshot) -> Contested {
    Contested {
        before: begun(),
        after,
        written: Mutex::default(),
    }
}

async fn set_web(store: &impl Store) -> Result<ChangeOutcome, OperationError> {
    let shares: [Share; 1] = ["canary=20".parse().unwrap()];
    let setting = Setting {
        split: "web",
        audience: "everyone",
        shares: &shares,
    };
    set(store, &CALLER, &setting, &terms()).await
}

#[tokio::test]
async fn a_change_of_the_same_split_since_is_said_and_nothing_is_written() {
    let by_alice = json!({"managedFields": [{"manager": "alice", "operation": "Update", "fieldsV1": {"f:spec": {
        "f:pluginConfig": {"f:weights": {"f:web": {"f:everyone": {"f:canary": {}}}}}}}}]});
    let by_alice = authors(&serde_json::from_value(by_alice).unwrap(), Kind::WasmPlugin);
    let cases: [(&str, Snapshot, &str); 6] = [
        (
            "an abort",
            with(|now| {
                set_weight(now, "web", 0);
                now.noted = vec![noted("abort web")];
            }),
            "everyone/canary 10 -> 0, by `abort web` of bob at TIME",
        ),
        (
            "an abort of everything, and another change behind it",
            with(|now| {
                set_weight(now, "web", 0);
                now.noted
                    .extend(["abort --all", "set web canary=0"].map(noted));
            }),
            "everyone/canary 10 -> 0, by `abort --all` of bob at TIME",
        ),
        (
            "an abort that found what it wanted",
            with(|now| now.noted = vec![noted("abort --all")]),
            "its zeros were written again, by `abort --all` of bob at TIME",
        ),
        (
            "somebody without sluice",
            with(|now| {
                set_weight(now, "web", 3);
                now.authors.clone_from(&by_alice);
            }),
            "everyone/canary 10 -> 3, by field manager \"alice\"",
        ),
        (
            "another draw",
            with(|now| {
                now.plugin.config["draws"]["web"] = json!("b");
                now.noted = vec![noted("redraw web")];
            }),
            "its draw, by `redraw web` of bob at TIME",
        ),
        (
            "another definition",
            with(|now| now.plugin.config["splits"]["web"]["salt"] = json!("x")),
            "its definition, by somebody unknown",
        ),
    ];
    for (label, after, what) in cases {
        let store = contested(after);
        let refused = set_web(&store).await.unwrap_err();
        assert!(refused.is_found_problem(), "{label}");
        let expected = format!(
            "split web was changed since this command began: {what}; nothing was changed by this command. Look at it, \
             and give the command again if it is still meant"
        );
        assert_eq!(refused.to_string(), expected, "{label}");
        assert!(store.written.lock().unwrap().is_none(), "{label}");
    }
}

#[tokio::test]
async fn a_change_of_anything_else_since_is_built_upon() {
    let cases: [(&str, Snapshot); 3] = [
        (
            "another split's weight",
            with(|now| {
                set_weight(now, "shop", 30);
                now.noted = vec![noted("set shop canary=30")];
            }),
        ),
        (
            "another split's abort",
            with(|now| {
                set_weight(now, "shop", 0);
                now.noted = vec![noted("abort shop")];
            }),
        ),
        (
            "another field",
            with(|now| now.plugin.config["responseMetrics"] = json!(true)),
        ),
    ];
    for (label, after) in cases {
        let mut expected = after.managed.clone();
        let key = crate::model::weights::WeightKey::new("web", "everyone", "canary");
        expected.set(key, "20".parse().unwrap());
        let store = contested(after);
        let made = set_web(&store).await.unwrap();
        assert_eq!(made.effect, Effect::Written, "{label}");
        let written = store.written.lock().unwrap().take().unwrap();
        assert_eq!(written.managed, expected, "{label}");
    }
}

#[tokio::test]
async fn every_kind_of_change_is_refused_after_an_abort() {
    let aborted = || {
        contested(with(|now| {
            set_weight(now, "web", 0);
            now.noted = vec![noted("abort web")];
        }))
    };
    let terms = terms();
    let rolled_back = rollback(&aborted(), &CALLER, None, &terms).await;
    let [from, to] = ["qa", "prod"].map(|name| Side {
        name: name.to_owned(),
        store: aborted(),
    });
    let promoted = promote((&from, &to), &CALLER, "web", &terms).await;
    for said in [
        rolled_back.unwrap_err().to_string(),
        promoted.unwrap_err().to_string(),
    ] {
        let expected = "split web was changed since this command began: everyone/canary 10 -> 0, by `abort web`";
        assert!(said.starts_with(expected), "{said}");
    }
    let full = with(|now| set_weight(now, "web", 100));
    let store = Contested {
        before: full,
        ..aborted()
    };
    let redrawn = redraw(&store, &CALLER, "web", None, &terms).await;
    assert!(matches!(redrawn, Err(OperationError::ChangedMeanwhile(_))));
}

/// A `set` waits for the directory's lock, which the test holds, when an abort goes ahead.
#[tokio::test]
async fn in_a_directory_a_change_that_waited_does_not_land_after_an_abort() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = "splits: {web: {}}\nweights: {web: {everyone: {canary: 10}}}";
    std::fs::write(folder.path().join("plugin.yaml"), plugin).unwrap();
    let store = Directory::open(folder.path()).unwrap();
    let lock = File::create(store.made_runtime().unwrap().path().join("lock")).unwrap();
    lock.lock().unwrap();
    let waiting = store.clone();
    let waiting = tokio::spawn(async move { set_web(&waiting).await });
    // One turn, and it has decided and waits: this runtime has one thread.
    tokio::task::yield_now().await;
    abort(&store, &CALLER, &Abort::default()).await.unwrap();
    drop(lock);
    let said = waiting.await.unwrap().unwrap_err().to_string();
    assert!(
        said.contains("everyone/canary 10 -> 0, by `abort --all`"),
        "{said}"
    );
    let config = store.snapshot().await.unwrap().plugin.config;
    assert_eq!(config["weights"]["web"]["everyone"]["canary"], json!(0));
}
