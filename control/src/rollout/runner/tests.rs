//! A run whose proxies take their time, in a directory.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::rollout::commands::Command;
use crate::rollout::ground::Followed;
use crate::rollout::proxies::Seen;
use crate::rollout::secrets::{OfThisMachine, SecretReader};
use crate::rollout::status::{Ending, Phase, Run, RunOutcome};
use crate::store::Store as _;
use crate::store::directory::Directory;

/// A directory, proxies that answer late, and another of the group that failed.
struct Slow {
    directory: Directory,
    failed: (Summary, Status),
}

impl Ground for Slow {
    type Store = Directory;

    fn store(&self) -> &Directory {
        &self.directory
    }

    async fn keep(&self, _: &Status) -> anyhow::Result<()> {
        Ok(())
    }

    fn commands(&self) -> anyhow::Result<Vec<Command>> {
        Ok(Vec::new())
    }

    fn others(&self) -> anyhow::Result<Vec<(Summary, Status)>> {
        Ok(vec![self.failed.clone()])
    }

    async fn proxies(&self, _: &Looked) -> Followed {
        tokio::time::sleep(BREATH * 3).await;
        Followed::of(Seen::Nobody)
    }

    fn plugin(&self) -> [String; 2] {
        Default::default()
    }

    fn plugin_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn uid(&self) -> String {
        String::new()
    }

    fn secrets(&self) -> Arc<dyn SecretReader> {
        Arc::new(OfThisMachine)
    }

    fn own_source(&self) -> Result<Source, String> {
        Err("there is none".to_owned())
    }

    fn tell(&self, _: &Happened<'_>) {}
}

fn failed(run: &Run) -> Status {
    let ending = Ending {
        outcome: RunOutcome::RolledBack,
        message: "errors".to_owned(),
    };
    Status {
        phase: Phase::RolledBack,
        run: Some(Run {
            stage: Stage::Over,
            ending: Some(ending),
            ended: Some(Timestamp::MAX),
            ..run.clone()
        }),
        ..Status::default()
    }
}

fn caller() -> Caller {
    Caller {
        name: "ann".to_owned(),
        clock: Timestamp::now,
    }
}

/// A run at its first step, and another of its group that has failed since.
async fn failing_group(folder: &std::path::Path) -> Runner<Slow> {
    crate::tls::set_up();
    std::fs::write(folder.join("plugin.yaml"), "splits: {web: {}}").unwrap();
    let spec = json!({"split": "web", "version": "v1", "group": "g", "steps": [{"weight": 5, "hold": "1h"}]});
    let definition = Definition::read("spec", &spec).unwrap();
    let other = Summary::of("other", &definition);
    let ground = Slow {
        directory: Directory::open(folder).unwrap(),
        failed: (other.clone(), Status::default()),
    };
    let outbound = Outbound::new().unwrap();
    let name = "web".to_owned();
    let mut runner = Runner::new(ground, name, definition, Status::default(), outbound);
    // The other of the group has nothing to do yet.
    runner.ground.failed.0.version = None;
    runner.turns(&caller()).await.unwrap();
    let run = runner.status.run.clone().unwrap();
    assert_eq!(run.stage, Stage::Holding);
    runner.ground.failed = (other, failed(&run));
    runner
}

#[tokio::test]
async fn a_run_that_goes_back_waits_for_proxies_that_answer_late() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = failing_group(folder.path()).await;
    for _ in 0..5 {
        runner.turns(&caller()).await.unwrap();
    }
    let Status { phase, message, .. } = &runner.status;
    assert_eq!(
        (*phase, message.as_str()),
        (Phase::RolledBack, "Rollout other of the group failed")
    );
}

#[tokio::test]
async fn zeros_that_no_proxy_can_read_are_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = failing_group(folder.path()).await;
    let unreadable = format!(
        "{{splits: {{web: {{}}}}, many: [{}]}}",
        "0, ".repeat(60_000)
    );
    std::fs::write(folder.path().join("plugin.yaml"), unreadable).unwrap();
    for _ in 0..5 {
        runner.turns(&caller()).await.unwrap();
    }
    let status = &runner.status;
    assert_eq!(status.phase, Phase::RollingBack, "{}", status.message);
    assert!(
        status.message.contains("NOT IN FORCE"),
        "{}",
        status.message
    );
    let noted = runner.ground.directory.snapshot().await.unwrap().noted;
    let noted: Vec<String> = noted.iter().map(ToString::to_string).collect();
    assert_eq!(noted.len(), 2, "{noted:?}");
}
