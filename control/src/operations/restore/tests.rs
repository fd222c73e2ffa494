use serde_json::json;

use super::{BackupError, MAX_BACKUP_ENTRIES, read};
use crate::model::input::{Input, parse};
use crate::model::weights::WeightKey;

fn read_text(text: &str) -> Result<super::Backup, BackupError> {
    read(&parse("f", text).unwrap())
}

const GOOD: &str = "
apiVersion: sluice.dev/backup.v1
kind: Backup
plugins:
- plugin: WasmPlugin shop/sluice
  wrote: {weights: {web: {everyone: {canary: 12.5}}}, draws: {web: '2026-11-22'}}
  history:
  - {revision: 3, at: '2026-11-22T10:00:00Z', by: ann, command: set web canary=12.5, changes: [], after: {weights: {}}}
";

#[test]
fn a_backup_is_read_as_it_was_written() {
    let backup = read_text(GOOD).unwrap();
    let written = serde_json::to_value(&backup).unwrap();
    let again = read(&[Input {
        source: "f".to_owned(),
        value: written,
    }]);
    assert_eq!(again, Ok(backup.clone()));
    let wrote = &backup.plugins[0].wrote;
    assert_eq!(wrote.draw("web"), Some("2026-11-22"));
    let weight = wrote.weight(&WeightKey::new("web", "everyone", "canary"));
    assert_eq!(weight.map(ToString::to_string).as_deref(), Some("12.5"));
}

#[test]
fn what_is_no_backup_is_refused_with_its_place() {
    let cases = [
        (
            "a: 1\n---\nb: 1\n",
            "2 documents; accepted: one, as `sluice get -A -o yaml` prints it",
        ),
        (
            "- {store: x, split: web}\n",
            "apiVersion missing, kind missing; accepted: apiVersion sluice.dev/backup.v1, kind Backup, as `sluice get -A \
             -o yaml` prints it",
        ),
        (
            "apiVersion: sluice.dev/backup.v2\nkind: Backup\nplugins: []\n",
            "apiVersion sluice.dev/backup.v2, kind Backup; accepted: apiVersion sluice.dev/backup.v1, kind Backup, as \
             `sluice get -A -o yaml` prints it",
        ),
        (
            "apiVersion: sluice.dev/backup.v1\nkind: Backup\nplugins: [{plugin: a, wrote: {}, more: 1}]\n",
            "plugins[0].more: unknown field `more`, expected one of `plugin`, `wrote`, `history`",
        ),
        (
            "apiVersion: sluice.dev/backup.v1\nkind: Backup\nplugins: [{plugin: a, wrote: {}}, {plugin: a, wrote: {}}]\n",
            "plugins[1].plugin: a is there twice",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read_text(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn a_history_has_a_longest_length() {
    let entry =
        json!({"revision": 1, "at": "", "by": "", "command": "", "changes": [], "after": {}});
    let of = |entries: usize| {
        read(&[Input {
            source: "f".to_owned(),
            value: json!({
                "apiVersion": "sluice.dev/backup.v1", "kind": "Backup",
                "plugins": [{"plugin": "a", "wrote": {}, "history": vec![entry.clone(); entries]}],
            }),
        }])
    };
    assert!(of(MAX_BACKUP_ENTRIES).is_ok());
    let expected = "plugins[0].history: 101 changes; accepted: at most 100";
    assert_eq!(
        of(MAX_BACKUP_ENTRIES + 1).unwrap_err().to_string(),
        expected
    );
}
