//! The pipelines of the example `13-ci`, read from its files and run job by job: what stands in their
//! scripts brings a commit to production, with a real registry, API server and controller, and with
//! the rights that the page gives to the runner.
//!
//! Three programs cannot be here (a builder of images, a scanner, a client of registries that takes
//! any image) and are put in by the variables that the page names; ours stand below.

mod files;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sluice_book::Page;
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::registry;

use super::page::steps;
use super::{Around, copied, variables};
use crate::rollouts::controller::status_in;
use crate::world::World;
use files::{Job, github, github_environment, gitlab, gitlab_variables};

const PAGE: &str = "13-ci";
const GITLAB: &str = ".gitlab-ci.yml";
const GITHUB: &str = ".github/workflows/deploy.yaml";
const GITHUB_ABORT: &str = ".github/workflows/abort.yaml";

/// How the page makes the runner's rights: its commands before the first that says this.
const WITHOUT_A_PIPELINE: &str = "export STAGING=";

/// An image as a builder writes it: of one layer, which is the folder `app`.
const BUILD: &str = r#"python3 - <<'END'
import hashlib, json, os, tarfile
os.makedirs("build/image/blobs/sha256")
def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    open("build/image/blobs/sha256/" + digest, "wb").write(data)
    kind = "application/vnd.oci.image." + kind
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}
with tarfile.open("build/layer.tar", "w") as layer:
    layer.add("app")
layer = open("build/layer.tar", "rb").read()
config = {"architecture": "amd64", "os": "linux",
  "config": {"Env": ["VERSION=" + os.environ["TAG"]]},
  "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}
image = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": blob(json.dumps(config).encode(), "config.v1+json"),
  "layers": [blob(layer, "layer.v1.tar")]}
index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [blob(json.dumps(image).encode(), "manifest.v1+json")]}
json.dump(index, open("build/image/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open("build/image/oci-layout", "w"))
END"#;

/// A scanner that finds a hole where a file of the image says so.
const SCAN: &str = "! grep -q 'known hole' build/layer.tar";

/// What the registry is given is ours to give, by `sluice push`.
const PUSH: &str = "sluice push build/image oci://$IMAGE_NAME:$TAG";

/// What whoever sets the pipeline up sets, in the place where its service has variables.
fn own(world: &World) -> Vec<(&'static str, String)> {
    vec![
        ("SLUICE_IMAGE", world.image()),
        ("SLUICE_DIGEST", world.digest.clone()),
        ("BUILD", BUILD.to_owned()),
        ("SCAN", SCAN.to_owned()),
        ("PUSH", PUSH.to_owned()),
        ("HOLD", "1s".to_owned()),
        ("TIMEOUT", "100s".to_owned()),
    ]
}

/// A pipeline: where it runs, and with which variables.
struct Pipeline {
    folder: std::path::PathBuf,
    variables: BTreeMap<OsString, OsString>,
}

impl Pipeline {
    fn new(world: &World, around: &Around, set: BTreeMap<String, String>) -> Self {
        let manifests = copied(world, PAGE);
        let ours = variables(world, &manifests, around).into_iter();
        let ours = ours.map(|(name, value)| (name.into(), value));
        let set = set.into_iter();
        let set = set.map(|(name, value)| (name.into(), value.into()));
        let quiet = [("PYTHONDONTWRITEBYTECODE".into(), "1".into())];
        Self {
            folder: manifests.join("examples").join(PAGE),
            variables: ours.chain(quiet).chain(set).collect(),
        }
    }

    /// A pipeline of GitLab: its settings are variables, and the kubeconfig's is of the type File.
    fn of_gitlab(world: &World, around: &Around, file: &Value, tag: &str) -> Self {
        let known = [
            ("CI_REGISTRY_IMAGE", &*repository()),
            ("CI_COMMIT_SHORT_SHA", tag),
            ("CI_REGISTRY_USER", "somebody"),
            ("CI_REGISTRY_PASSWORD", "secret"),
        ];
        let mut set = gitlab_variables(file, &known);
        let settings = own(world).into_iter();
        set.extend(settings.map(|(name, value)| (name.to_owned(), value)));
        Self::new(world, around, set)
    }

    /// A workflow of GitHub, which sees of its settings what the file takes from them.
    fn of_github(world: &World, around: &Around, file: &Value, known: &[(&str, &str)]) -> Self {
        let settings: Vec<(String, String)> = own(world)
            .into_iter()
            .map(|(name, value)| (format!("vars.{name}"), value))
            .chain([("vars.REGISTRY".to_owned(), repository())])
            .collect();
        let settings = settings.iter().map(|(name, value)| (&**name, &**value));
        let known: Vec<_> = settings.chain(known.iter().copied()).collect();
        let mut pipeline = Self::new(world, around, github_environment(file, &known));
        let scratch = world.chain.folder().join("runner");
        std::fs::create_dir_all(&scratch).unwrap();
        pipeline.set("RUNNER_TEMP", scratch);
        pipeline.set("KUBECONFIG", "/nowhere");
        pipeline
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.into(), value.into());
    }

    /// Runs a job's script as a runner does, a command after the other until one fails: its exit
    /// code and what it printed.
    async fn run(&self, script: &[String]) -> (i32, String) {
        // One that hangs is ended, with all that it has begun.
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "150", "bash", "-eo", "pipefail", "-c"])
            .arg(script.join("\n"))
            .current_dir(&self.folder)
            .envs(&self.variables);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let printed = text(&output.stdout) + &text(&output.stderr);
        (output.status.code().unwrap_or(-1), printed)
    }

    /// Runs all jobs but those that only somebody in need begins, each with the credentials of the
    /// environment that it is for, if it is for one.
    async fn run_all(&mut self, jobs: &[Job], runner: &Runner) {
        for (name, script) in jobs.iter().filter(|(name, _)| name != "abort") {
            runner.lend(self, name);
            let (code, printed) = self.run(script).await;
            assert_eq!(code, 0, "job {name}: {printed}");
        }
    }
}

/// The accounts that the page makes for the runner: a kubeconfig for each of its environments.
struct Runner {
    folder: std::path::PathBuf,
}

impl Runner {
    /// Follows the page's own commands, up to where there are accounts.
    async fn new(world: &World, around: &Around) -> Self {
        let setting_up = Pipeline::new(world, around, BTreeMap::new());
        let page = std::fs::read_to_string(setting_up.folder.join("README.md")).unwrap();
        let commands = steps(&Page::read("13-ci/README.md", page))
            .into_iter()
            .map(|step| step.command);
        let commands = commands.take_while(|command| !command.starts_with(WITHOUT_A_PIPELINE));
        let (code, printed) = setting_up.run(&commands.collect::<Vec<_>>()).await;
        assert_eq!(code, 0, "{printed}");
        let folder = world.chain.folder().join("credentials");
        std::fs::create_dir_all(&folder).unwrap();
        for namespace in ["staging", "shop"] {
            let file = format!("{namespace}.kubeconfig");
            std::fs::copy(setting_up.folder.join(&file), folder.join(&file)).unwrap();
        }
        Self { folder }
    }

    /// The file of a namespace.
    fn file(&self, namespace: &str) -> std::path::PathBuf {
        self.folder.join(format!("{namespace}.kubeconfig"))
    }

    /// Gives a job what its environment has: GitLab's file, or GitHub's text.
    fn lend(&self, pipeline: &mut Pipeline, job: &str) {
        let file = match job {
            "staging" => self.file("staging"),
            "production" | "abort" => self.file("shop"),
            _ => return,
        };
        match pipeline.variables.contains_key(OsStr::new("CREDENTIALS")) {
            true => pipeline.set("CREDENTIALS", std::fs::read_to_string(file).unwrap()),
            false => pipeline.set("KUBECONFIG", file),
        }
    }
}

/// Where the images are.
fn repository() -> String {
    format!("{}/team", registry::ADDRESS)
}

fn read(file: &str) -> Value {
    let path = Path::new(super::MANIFESTS).join("examples").join(PAGE);
    documents(&std::fs::read_to_string(path.join(file)).unwrap()).remove(0)
}

/// The version that a namespace's users have, and whether the last run succeeded.
async fn served(world: &World, namespace: &str) -> (String, Value) {
    let kubernetes = &world.chain.kubernetes;
    let copy = kubernetes.get("Deployment", namespace, "web-stable").await;
    let copy = copy.expect("the copy that serves everyone");
    let image = &copy.data["spec"]["template"]["spec"]["containers"][0]["image"];
    let image = image.as_str().unwrap().to_owned();
    let status = status_in(world, namespace, "web").await;
    (image, status["phase"].clone())
}

/// A commit goes through GitLab's pipeline, the next one through GitHub's; then one that is held up
/// by the scanner, and one that an abort takes back, begun at GitLab and aborted from GitHub; at last
/// the first one again, which is the way back.
pub async fn the_jobs_of_both_pipelines_bring_a_commit_to_production(world: &mut World) {
    let around = Around::start(world, "sluice rollout status").await;
    let runner = Runner::new(world, &around).await;
    let served_by = |tag: &str| (format!("{}/web:{tag}", repository()), json!("Succeeded"));

    let file = read(GITLAB);
    let jobs = gitlab(&file);
    let names: Vec<&str> = jobs.iter().map(|(name, _)| &**name).collect();
    let stages = ["build", "test", "scan", "push", "render", "staging"];
    assert_eq!(names[..stages.len()], stages);
    let mut first = Pipeline::of_gitlab(world, &around, &file, "1a2b3c4d");
    first.run_all(&jobs, &runner).await;
    for namespace in ["staging", "shop"] {
        assert_eq!(
            served(world, namespace).await,
            served_by("1a2b3c4d"),
            "{namespace}"
        );
    }

    let workflow = read(GITHUB);
    let known = [("github.sha", "5e6f7a8b9c0d")];
    let mut second = Pipeline::of_github(world, &around, &workflow, &known);
    second.run_all(&github(&workflow), &runner).await;
    for namespace in ["staging", "shop"] {
        assert_eq!(
            served(world, namespace).await,
            served_by("5e6f7a8b9c0d"),
            "{namespace}"
        );
    }

    let script = |name: &str| {
        let job = jobs.iter().find(|(own, _)| own == name);
        job.unwrap_or_else(|| panic!("no job {name}")).1.clone()
    };
    let third = Pipeline::of_gitlab(world, &around, &file, "deadbeef");
    std::fs::write(third.folder.join("app/hole.py"), "# a known hole\n").unwrap();
    assert_eq!(third.run(&script("build")).await.0, 0);
    assert_ne!(third.run(&script("scan")).await.0, 0, "a hole is found");

    // Made before the fourth, whose folder is the same one.
    let workflow = read(GITHUB_ABORT);
    let [(_, abort)] = &*github(&workflow) else {
        panic!("one job is expected: {workflow:#}");
    };
    let mut emergency = Pipeline::of_github(world, &around, &workflow, &[]);
    runner.lend(&mut emergency, "abort");
    let mut fourth = Pipeline::of_gitlab(world, &around, &file, "0badc0de");
    fourth.set("HOLD", "60s");
    for name in ["build", "push", "render"] {
        let (code, printed) = fourth.run(&script(name)).await;
        assert_eq!(code, 0, "job {name}: {printed}");
    }
    runner.lend(&mut fourth, "production");
    let production = script("production");
    let taking_back = async {
        let reached = "Rollout web: somebody to have the fourth version";
        sluice_e2e::wait::until(reached, async || {
            match status_in(world, "shop", "web").await["run"]["stage"].as_str() {
                Some("Holding") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        emergency.run(abort).await
    };
    let ((deployed, printed), (aborted, said)) = tokio::join!(fourth.run(&production), taking_back);
    assert_eq!((deployed, aborted), (1, 0), "{printed}{said}");
    let (image, _) = served_by("5e6f7a8b9c0d");
    assert_eq!(served(world, "shop").await, (image, json!("Aborted")));
    // GitLab's button is the same script, with the same rights.
    assert_eq!(script("abort"), ["ci/abort.sh \"$PRODUCTION\""]);
    assert!(abort.join("\n").contains("ci/abort.sh \"$PRODUCTION\""));

    // The way back, to a version of which there was a run already.
    let mut again = Pipeline::of_gitlab(world, &around, &file, "1a2b3c4d");
    again.run_all(&jobs, &runner).await;
    for namespace in ["staging", "shop"] {
        let served = served(world, namespace).await;
        assert_eq!(served, served_by("1a2b3c4d"), "{namespace}");
    }
}
