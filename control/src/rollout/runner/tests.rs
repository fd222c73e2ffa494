//! A run whose proxies take their time, in a directory.

use serde_json::json;

use super::*;
use crate::rollout::secrets::OfThisMachine;
use crate::rollout::status::{Ending, Run, RunOutcome};
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

#[tokio::test]
async fn a_run_that_goes_back_waits_for_proxies_that_answer_late() {
    crate::tls::set_up();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plugin.yaml"), "splits: {web: {}}").unwrap();
    let spec = json!({"split": "web", "version": "v1", "group": "g", "steps": [{"weight": 5, "hold": "1h"}]});
    let definition = Definition::read("spec", &spec).unwrap();
    let other = Summary::of("other", &definition);
    let ground = Slow {
        directory: Directory::open(folder.path()).unwrap(),
        failed: (other.clone(), Status::default()),
    };
    let caller = Caller {
        name: "ann".to_owned(),
        clock: Timestamp::now,
    };
    let outbound = Outbound::new().unwrap();
    let name = "web".to_owned();
    let mut runner = Runner::new(ground, name, definition, Status::default(), outbound);
    // The other of the group has nothing to do yet.
    runner.ground.failed.0.version = None;
    runner.turns(&caller).await.unwrap();
    let run = runner.status.run.clone().unwrap();
    assert_eq!(run.stage, Stage::Holding);
    runner.ground.failed = (other, failed(&run));
    for _ in 0..5 {
        runner.turns(&caller).await.unwrap();
    }
    let Status { phase, message, .. } = &runner.status;
    assert_eq!(
        (*phase, message.as_str()),
        (Phase::RolledBack, "Rollout other of the group failed")
    );
}
