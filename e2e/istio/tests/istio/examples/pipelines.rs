//! The pipelines of the example `13-ci`, read from its two files and run job by job: what stands in
//! their scripts brings a commit to production, with a real registry, API server and controller.
//!
//! Three programs cannot be here (a builder of images, a scanner, a client of registries that takes
//! any image) and are put in by the variables that the page names; ours stand below.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::registry;

use super::{Around, copied, variables};
use crate::rollouts::controller::status_in;
use crate::world::World;

const PAGE: &str = "13-ci";
const GITLAB: &str = ".gitlab-ci.yml";
const GITHUB: &str = ".github/workflows/deploy.yaml";

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

/// A job: its name, and its script, a command each.
type Job = (String, Vec<String>);

/// The jobs of GitLab's file, in the order of its stages.
fn gitlab(file: &Value) -> Vec<Job> {
    let stages = file["stages"].as_array().unwrap().iter();
    let of_stage = stages.flat_map(|stage| {
        let jobs = file.as_object().unwrap().iter();
        jobs.filter(move |(_, job)| job["stage"] == *stage)
    });
    let script = |job: &Value| -> Vec<String> {
        let lines = job["script"].as_array().unwrap().iter();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    };
    of_stage
        .map(|(name, job)| (name.clone(), script(job)))
        .collect()
}

/// The jobs of GitHub's file, each after the one that it needs.
fn github(file: &Value) -> Vec<Job> {
    let jobs = file["jobs"].as_object().unwrap();
    let (mut ordered, mut before) = (Vec::new(), Value::Null);
    while let Some((name, job)) = jobs.iter().find(|(_, job)| job["needs"] == before) {
        let steps = job["steps"].as_array().unwrap().iter();
        let script = steps.filter_map(|step| Some(step["run"].as_str()?.to_owned()));
        ordered.push((name.clone(), script.collect()));
        before = json!(name);
    }
    assert_eq!(ordered.len(), jobs.len(), "a job needs what is not there");
    ordered
}

/// A file's variables, as the service that reads it sets them: with what it knows put in.
fn set(declared: &Value, known: &[(&str, &str)]) -> BTreeMap<String, String> {
    let put_in = |value: &Value| {
        let mut value = value.as_str().expect("a text").to_owned();
        for (name, text) in known {
            value = value.replace(&format!("${{{{ {name} }}}}"), text);
            value = value.replace(&format!("${name}"), text);
        }
        assert!(
            !value.contains('$'),
            "{value} is nothing that the service knows"
        );
        value
    };
    let declared = declared.as_object().unwrap().iter();
    declared
        .map(|(name, value)| (name.clone(), put_in(value)))
        .collect()
}

/// A pipeline: where it runs, and with which variables.
struct Pipeline {
    folder: std::path::PathBuf,
    variables: BTreeMap<OsString, OsString>,
}

impl Pipeline {
    fn new(world: &World, around: &Around, file: BTreeMap<String, String>) -> Self {
        let manifests = copied(world, PAGE);
        let ours = variables(world, &manifests, around);
        let own = [
            ("SLUICE_IMAGE", world.image()),
            ("SLUICE_DIGEST", world.digest.clone()),
            ("BUILD", BUILD.to_owned()),
            ("SCAN", SCAN.to_owned()),
            ("PUSH", PUSH.to_owned()),
            ("HOLD", "1s".to_owned()),
            ("TIMEOUT", "100s".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ];
        let own = own
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let file = file
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let ours = ours.into_iter().map(|(name, value)| (name.into(), value));
        Self {
            folder: manifests.join("examples").join(PAGE),
            variables: ours.chain(own).chain(file).collect(),
        }
    }

    /// Runs a job's script as a runner does, a command after the other until one fails: its exit
    /// code and what it printed.
    async fn run(&self, script: &[String]) -> (i32, String) {
        let mut command = Command::new("bash");
        command
            .args(["-eo", "pipefail", "-c", &script.join("\n")])
            .current_dir(&self.folder)
            .envs(&self.variables);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let printed = text(&output.stdout) + &text(&output.stderr);
        (output.status.code().unwrap_or(-1), printed)
    }

    /// Runs all jobs but those that only somebody in need begins.
    async fn run_all(&self, jobs: &[Job]) {
        for (name, script) in jobs.iter().filter(|(name, _)| name != "abort") {
            let (code, printed) = self.run(script).await;
            assert_eq!(code, 0, "job {name}: {printed}");
        }
    }
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
/// by the scanner, and one that an abort takes back.
pub async fn the_jobs_of_both_pipelines_bring_a_commit_to_production(world: &mut World) {
    let around = Around::start(world, "sluice rollout status").await;
    for namespace in ["staging", "shop"] {
        let made =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        world.chain.kubernetes.apply(&made.to_string()).await;
    }
    let repository = format!("{}/team", registry::ADDRESS);
    let served_by = |tag: &str| (format!("{repository}/web:{tag}"), json!("Succeeded"));

    let file = read(GITLAB);
    let (jobs, known) = (gitlab(&file), |tag| {
        [
            ("CI_REGISTRY_IMAGE", &*repository),
            ("CI_COMMIT_SHORT_SHA", tag),
        ]
    });
    let names: Vec<&str> = jobs.iter().map(|(name, _)| &**name).collect();
    let stages = ["build", "test", "scan", "push", "render", "staging"];
    assert_eq!(names[..stages.len()], stages);
    let first = Pipeline::new(world, &around, set(&file["variables"], &known("1a2b3c4d")));
    first.run_all(&jobs).await;
    for namespace in ["staging", "shop"] {
        assert_eq!(
            served(world, namespace).await,
            served_by("1a2b3c4d"),
            "{namespace}"
        );
    }

    let github_file = read(GITHUB);
    let known_there = [
        ("vars.REGISTRY", &*repository),
        ("github.sha", "5e6f7a8b9c0d"),
    ];
    let sluice = [
        ("vars.SLUICE_IMAGE", world.image()),
        ("vars.SLUICE_DIGEST", world.digest.clone()),
    ];
    let sluice = sluice.each_ref().map(|(name, value)| (*name, &**value));
    let known_there = [known_there, sluice].concat();
    let second = Pipeline::new(world, &around, set(&github_file["env"], &known_there));
    second.run_all(&github(&github_file)).await;
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
    let third = Pipeline::new(world, &around, set(&file["variables"], &known("deadbeef")));
    std::fs::write(third.folder.join("app/hole.py"), "# a known hole\n").unwrap();
    assert_eq!(third.run(&script("build")).await.0, 0);
    assert_ne!(third.run(&script("scan")).await.0, 0, "a hole is found");

    let mut fourth = Pipeline::new(world, &around, set(&file["variables"], &known("0badc0de")));
    fourth.variables.insert("HOLD".into(), "60s".into());
    for name in ["build", "push", "render"] {
        let (code, printed) = fourth.run(&script(name)).await;
        assert_eq!(code, 0, "job {name}: {printed}");
    }
    let (production, abort) = (script("production"), script("abort"));
    let taking_back = async {
        let reached = "Rollout web: somebody to have the fourth version";
        sluice_e2e::wait::until(reached, async || {
            match status_in(world, "shop", "web").await["run"]["stage"].as_str() {
                Some("Holding") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        fourth.run(&abort).await
    };
    let ((deployed, printed), (aborted, said)) = tokio::join!(fourth.run(&production), taking_back);
    assert_eq!((deployed, aborted), (1, 0), "{printed}{said}");
    let (image, _) = served_by("5e6f7a8b9c0d");
    assert_eq!(served(world, "shop").await, (image, json!("Aborted")));
}
