//! A run whose proxies take their time, in a directory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::rollout::commands::Command;
use crate::rollout::ground::Followed;
use crate::rollout::proxies::Seen;
use crate::rollout::secrets::{OfThisMachine, SecretReader};
use crate::rollout::status::{Ending, Phase, Run, RunOutcome};
use crate::rollout::workload::Workload;
use crate::rollout::workload::next;
use crate::rollout::workload::seen::{Asked, Both, Pods};
use crate::rollout::workload::services::{Role, Selected, Selection};
use crate::store::Store as _;
use crate::store::directory::Directory;

/// A directory, proxies that answer late, and another of the group that failed.
struct Slow {
    directory: Directory,
    failed: (Summary, Status),
    /// What a proxy shows of which something was said.
    claimed: Option<String>,
    /// Proxies answer never, and meanwhile something is said of them.
    hangs: bool,
    /// How long proxies take to answer.
    takes: Duration,
    /// How often proxies were asked.
    asked: AtomicUsize,
    commands: Vec<Command>,
    /// What is seen of its Deployments, whatever is done.
    deployments: Option<WorkloadSeen>,
    /// How often something was done about them.
    tended: AtomicUsize,
    /// How often a Service was set.
    selected: AtomicUsize,
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
        Ok(self.commands.clone())
    }

    fn others(&self) -> anyhow::Result<Vec<(Summary, Status)>> {
        Ok(vec![self.failed.clone()])
    }

    async fn proxies(&self, _: &Looked) -> Followed {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.takes).await;
        Followed::of(Seen::Nobody)
    }

    async fn workload(&self, _: &Workload, _: &Looked, _: Asked<'_>) -> WorkloadSeen {
        let missing = WorkloadSeen::Missing {
            what: "there is none".to_owned(),
        };
        self.deployments.clone().unwrap_or(missing)
    }

    async fn tend(&self, _: &next::Action) -> Result<(), Failure> {
        self.tended.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn select(&self, _: &Selection) -> Result<(), Failure> {
        self.selected.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn claimed(&self, _: &Looked) -> Option<String> {
        self.claimed.clone()
    }

    fn is_claimed(&self) -> bool {
        self.hangs
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

/// A run at its first step.
async fn held(folder: &std::path::Path) -> Runner<Slow> {
    held_with(folder, BREATH * 3).await
}

/// The same with proxies that take so long to answer.
async fn held_with(folder: &std::path::Path, takes: Duration) -> Runner<Slow> {
    crate::tls::set_up();
    std::fs::write(folder.join("plugin.yaml"), "splits: {web: {}}").unwrap();
    let spec = json!({"split": "web", "version": "v1", "group": "g", "steps": [{"weight": 5, "hold": "1h"}]});
    let definition = Definition::read("spec", &spec).unwrap();
    let other = Summary::of("other", &definition);
    let ground = Slow {
        directory: Directory::open(folder).unwrap(),
        failed: (other, Status::default()),
        claimed: None,
        hangs: false,
        takes,
        asked: AtomicUsize::default(),
        commands: Vec::new(),
        deployments: None,
        tended: AtomicUsize::default(),
        selected: AtomicUsize::default(),
    };
    let outbound = Outbound::new().unwrap();
    let name = "web".to_owned();
    let mut runner = Runner::new(ground, name, definition, Status::default(), outbound);
    // The other of the group has nothing to do yet.
    runner.ground.failed.0.version = None;
    runner.turns(&caller()).await.unwrap();
    let stage = |runner: &Runner<Slow>| runner.status.run.as_ref().map(|run| run.stage);
    assert_eq!(
        stage(&runner),
        Some(Stage::Entering),
        "nobody is asked in the look in which a run begins"
    );
    runner.turns(&caller()).await.unwrap();
    assert_eq!(stage(&runner), Some(Stage::Holding));
    runner
}

/// The same, and another of its group has failed since.
async fn failing_group(folder: &std::path::Path) -> Runner<Slow> {
    let mut runner = held(folder).await;
    let run = runner.status.run.clone().unwrap();
    let other = Summary::of("other", &runner.definition);
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
async fn what_a_proxy_shows_of_which_it_was_said_takes_users_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = held(folder.path()).await;
    runner.ground.claimed = Some("shop/web-1 took canary out".to_owned());
    runner.turns(&caller()).await.unwrap();
    let status = &runner.status;
    let expected = "the guard took the challenger out: shop/web-1 took canary out";
    assert_eq!(status.message, expected);
    let snapshot = runner.ground.directory.snapshot().await.unwrap();
    let weight = snapshot
        .plugin
        .config
        .pointer("/weights/web/everyone/canary");
    assert_eq!(weight, Some(&json!(0)));
}

#[tokio::test]
async fn a_look_at_proxies_that_hang_ends_when_something_is_said_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = held(folder.path()).await;
    runner.ground.hangs = true;
    let before = runner.status.clone();
    runner.turns(&caller()).await.unwrap();
    assert_eq!(runner.status, before);
}

#[tokio::test]
async fn who_follows_is_asked_once_a_step_and_not_before_a_command_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = held_with(folder.path(), Duration::ZERO).await;
    let asked = |runner: &Runner<Slow>| runner.ground.asked.load(Ordering::Relaxed);
    assert_eq!(asked(&runner), 2, "before the weight, and after it");
    let abort = json!([{"number": 1, "verb": "abort", "by": "ann"}]);
    runner.ground.commands = serde_json::from_value(abort).unwrap();
    runner.turns(&caller()).await.unwrap();
    let run = runner.status.run.as_ref().unwrap();
    assert_eq!(run.ending.as_ref().unwrap().outcome, RunOutcome::Aborted);
    assert_eq!(asked(&runner), 3, "after the zeros were written");
}

#[tokio::test]
async fn what_changes_no_deployment_is_not_done_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = held(folder.path()).await;
    std::fs::write(folder.path().join("plugin.yaml"), "splits: {web: {}}").unwrap();
    let spec =
        json!({"split": "web", "workload": {"deployment": "web"}, "steps": [{"weight": 100}]});
    runner.definition = Definition::read("spec", &spec).unwrap();
    runner.status = Status::default();
    runner.ground.deployments = Some(WorkloadSeen::Seen(Both {
        wanted: Pods::default(),
        ..Both::default()
    }));
    for looks in 1..=3 {
        let pause = runner.turns(&caller()).await.unwrap().unwrap();
        assert!(pause > BREATH, "{pause:?}");
        let tended = runner.ground.tended.load(Ordering::Relaxed);
        // Once more in the first look, which keeps that they are seen.
        assert_eq!(tended, looks + 1);
    }
}

#[tokio::test]
async fn a_service_is_set_although_a_weight_cannot_be_written_and_no_deployment_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = held(folder.path()).await;
    let subject = runner.subject();
    std::fs::remove_file(folder.path().join("plugin.yaml")).unwrap();
    let looked = look(runner.ground.store(), &subject).await;
    let actions = [
        engine::Action::TakeBack { why: String::new() },
        engine::Action::Select(Selection {
            role: Role::Active,
            service: "web-active".to_owned(),
            to: Selected::Fallback,
        }),
        engine::Action::Workload(next::Action::DeleteCopy),
    ];
    let has_acted = runner.act(&caller(), &subject, &looked, &actions).await;
    assert!(!has_acted);
    assert!(
        matches!(runner.failure, Some(Failure::Passing(_))),
        "{:?}",
        runner.failure
    );
    assert_eq!(runner.ground.selected.load(Ordering::Relaxed), 1);
    assert_eq!(runner.ground.tended.load(Ordering::Relaxed), 0);
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
