//! The examples, as their pages say them: each command of a page is run as it is printed, and prints
//! what the page says.
//!
//! A page is a README.md in a folder of `wasmplugin/examples`, or in one of its folders; its syntax is
//! `page`'s. What only looks is repeated until it prints that, since changes take a moment; everything
//! else is run once. Instead of a cloud there is the tests' own Istio: a gateway of the namespace
//! `istio-ingress`, pods made by the harness' kubelet, and a sidecar for the pod `client`.

mod leftovers;
mod page;
mod pipelines;
mod shell;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sluice::cluster::prometheus::Prometheus;
use sluice_book::Page;
use sluice_book::transcript::{self, Step};
use sluice_e2e::wait::until;
use sluice_e2e_istio::api_server::{SECOND_URL, URL};
use sluice_e2e_istio::controllers::Controllers;
use sluice_e2e_istio::kubelet::Kubelet;
use sluice_e2e_istio::kubelet::sidecar::{Sidecars, sidecars};
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus;
use sluice_e2e_istio::proxy::{Proxy, Role};

use crate::chart::release::programs;
use crate::contexts;
use crate::rollouts::controller;
use crate::world::World;
use page::{differs, only_looks, steps};
use shell::Shell;

pub use pipelines::the_jobs_of_both_pipelines_bring_a_commit_to_production;

/// What an example's folder lies in, seen from the tests' own folder.
const MANIFESTS: &str = "../../wasmplugin";

/// How long a command that only looks is repeated.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// The number of the first proxy of the examples; each has another one, as each pod has another name.
const FIRST: u8 = 60;

/// How many numbers there are.
const NUMBERS: u8 = 40;

/// How many proxies there were.
static PROXIES: AtomicU8 = AtomicU8::new(0);

/// kubectl, but for `exec`.
const KUBECTL: &str = include_str!("examples/kubectl.sh");

/// The names of all pages, such as `01-canary`, in order.
pub fn names() -> Vec<String> {
    let root = Path::new(MANIFESTS).join("examples");
    let mut names = Vec::new();
    for example in folders(&root) {
        let inner = folders(&root.join(&example));
        let inner = inner.into_iter().map(|inner| format!("{example}/{inner}"));
        let pages = [example.clone()].into_iter().chain(inner);
        names.extend(pages.filter(|page| root.join(page).join("README.md").exists()));
    }
    assert!(!names.is_empty(), "no example in {}", root.display());
    names
}

/// The folders in a folder, by name.
fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Follows a page from its first command to its last.
pub async fn follow(world: &mut World, name: &str) {
    let manifests = copied(world, name);
    let folder = manifests.join("examples").join(name);
    let text = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let page = Page::read(&format!("{name}/README.md"), text);
    let steps = steps(&page);
    assert!(!steps.is_empty(), "{} has no command", page.path);
    let around = Around::start(world, &page.text).await;
    let before = leftovers::there(world).await;
    let variables = variables(world, &manifests, &around);
    let shell = tokio::task::spawn_blocking(move || Shell::start(&folder, variables));
    let mut shell = shell.await.unwrap();
    let (mut transcript, mut failures) = (String::new(), Vec::new());
    let mut written = Vec::new();
    for step in steps {
        let running = tokio::task::spawn_blocking(move || {
            let (printed, failure) = run(&mut shell, &step);
            (shell, step, printed, failure)
        });
        let (back, mut step, printed, failure) = running.await.unwrap();
        shell = back;
        let _ = writeln!(transcript, "$ {}\n{printed}", step.command);
        if is_written() && (failure.is_some() || step.printed.is_empty()) {
            step.printed = printed.lines().map(str::to_owned).collect();
        }
        failures.extend(failure.map(|failure| format!("line {}: {failure}", step.line)));
        written.push(step);
        if !failures.is_empty() && !is_written() {
            break;
        }
    }
    if is_written() {
        let tree = Path::new(MANIFESTS).join("examples").join(name);
        std::fs::write(
            tree.join("README.md"),
            transcript::rewritten(&page, &written),
        )
        .unwrap();
    }
    let failures = failures.join("\n");
    assert!(
        failures.is_empty(),
        "examples/{name}/README.md: {failures}\n\neverything until then:\n{transcript}\n{}",
        around.logs()
    );
    leftovers::until_none_is_left(world, &before).await;
}

/// Whether a page is run to its end and written anew with what its commands print, where it said
/// nothing or something else, for somebody who writes one: GOLDEN=1.
fn is_written() -> bool {
    std::env::var_os("GOLDEN").is_some()
}

/// Runs a step, again and again where it only looks; what it printed, and why that is not what the page
/// says.
fn run(shell: &mut Shell, step: &Step) -> (String, Option<String>) {
    let began = Instant::now();
    let patience = if is_written() { PATIENCE / 5 } else { PATIENCE };
    if is_written() && step.printed.is_empty() && only_looks(&step.command) {
        // So that what was changed just before is in force.
        std::thread::sleep(PAUSE * 6);
    }
    loop {
        let (code, printed) = shell.run(&step.command);
        let failure = match code {
            0 => differs(step, &printed),
            code => Some(format!("ended with {code}:\n{printed}")),
        };
        let is_over = !only_looks(&step.command) || began.elapsed() > patience;
        if failure.is_none() || is_over {
            let failure = failure.map(|failure| format!("{}\n{failure}", step.command));
            return (printed, failure);
        }
        std::thread::sleep(PAUSE);
    }
}

/// What is around the commands of a page, until it is dropped.
struct Around {
    kubelet: Kubelet,
    _controllers: Controllers,
    controller: Option<Process>,
    gateway: Proxy,
    client: Option<Proxy>,
    second: Option<(Process, PathBuf)>,
}

impl Around {
    /// Starts what a page needs: pods and a gateway always, the rest where it is spoken of.
    async fn start(world: &mut World, page: &str) -> Self {
        let controllers = Controllers::start(&world.chain.tools, world.chain.folder());
        let kubernetes = &world.chain.kubernetes;
        let kubelet = match page.contains("helm install") {
            true => Kubelet::start_with_programs(kubernetes, programs(world)).await,
            false => Kubelet::start_with_sidecars(kubernetes, Sidecars::of(&world.chain)).await,
        };
        // As long as a pod of the app serves on once it is told to end.
        kubelet.stop_takes(Duration::from_secs(2));
        // Pods of the proxies that an earlier page had.
        for namespace in ["istio-ingress", "shop"] {
            let gone = format!("delete pod --all -n {namespace} --force --grace-period 0");
            world.kubectl(&gone).await.good();
        }
        // What the pipelines' test and their page both make.
        for namespace in ["staging", "shop"] {
            let gone = "delete rolebinding,role,serviceaccount deployer --ignore-not-found";
            world
                .kubectl(&format!("{gone} -n {namespace}"))
                .await
                .good();
        }
        let gateway = Proxy::start(&world.chain, Role::Gateway, "istio-ingress", number()).await;
        let client = match page.contains("deploy/client") {
            true => Some(Proxy::start(&world.chain, Role::Sidecar, "shop", number()).await),
            false => None,
        };
        let targets = world.targets();
        let ours = [Some(&gateway), client.as_ref()];
        let ours = ours.into_iter().flatten().map(Proxy::target);
        let targets: Vec<_> = targets.into_iter().chain(ours).collect();
        world.chain.start_prometheus_anew(&targets).await;
        wait_for_scrape(&gateway).await;
        let has_rollouts = page.contains("sluice rollout ");
        let controller = has_rollouts.then(|| {
            let command = format!("controller --prometheus {}", prometheus::URL);
            controller::start_as(world, &world.chain.sluice, "controller", &command)
        });
        let second = match page.contains("--context us") {
            true => Some(second_cluster(world).await),
            false => None,
        };
        Self {
            kubelet,
            _controllers: controllers,
            controller,
            gateway,
            client,
            second,
        }
    }

    /// The kubeconfig of the page.
    fn kubeconfig(&self, world: &World) -> PathBuf {
        match &self.second {
            Some((_, both)) => both.clone(),
            None => world.chain.folder().join("admin.kubeconfig"),
        }
    }

    /// Where the sidecar of `client` takes requests; nothing without one.
    fn sidecar(&self) -> String {
        let address = self
            .client
            .as_ref()
            .map(|client| client.address.to_string());
        address.unwrap_or_default()
    }

    /// The URL of the gateway.
    fn gateway(&self) -> String {
        format!("http://{}", self.gateway.address.ip())
    }

    /// What may say why a command did not do what it should.
    fn logs(&self) -> String {
        let running = self.kubelet.running();
        let gateway = last_lines(&self.gateway.log());
        let controller = self.controller.as_ref().map(Process::log);
        let controller = last_lines(&controller.unwrap_or_default());
        let client = self.client.as_ref().map(Proxy::log).unwrap_or_default();
        let client = last_lines(&client);
        format!(
            "pods: {running:?}\ngateway:\n{gateway}\ncontroller:\n{controller}\nclient:\n{client}"
        )
    }
}

/// Waits until Prometheus has something of a proxy.
async fn wait_for_scrape(proxy: &Proxy) {
    let prometheus = Prometheus::new(prometheus::URL).unwrap();
    let query = format!("up{{pod={:?}}} == 1", proxy.pod);
    until("the gateway to be scraped", async || {
        let found = prometheus.query(&query).await;
        let is_there = found.as_ref().is_ok_and(|series| !series.is_empty());
        is_there.then_some(()).ok_or(format!("{found:?}"))
    })
    .await;
}

/// A second cluster, which has an API server alone, and a kubeconfig with the contexts `eu`, the first
/// one, and `us`.
async fn second_cluster(world: &World) -> (Process, PathBuf) {
    let (process, kubernetes) = world.chain.second_cluster().await;
    for name in ["istio-ingress", "shop"] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        kubernetes.apply(&namespace.to_string()).await;
    }
    (
        process,
        contexts::kubeconfig(world, &[("eu", URL), ("us", SECOND_URL)]),
    )
}

/// A number for a proxy.
fn number() -> u8 {
    FIRST + PROXIES.fetch_add(1, Ordering::Relaxed) % NUMBERS
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// A copy of the manifests in which an example's commands may write.
fn copied(world: &World, name: &str) -> PathBuf {
    let copy = world
        .chain
        .folder()
        .join("examples")
        .join(name.replace('/', "-"));
    let _ = std::fs::remove_dir_all(&copy);
    std::fs::create_dir_all(&copy).unwrap();
    let mut command = std::process::Command::new("cp");
    let status = command.arg("-R").arg(MANIFESTS).arg(&copy).status();
    assert!(status.unwrap().success(), "{MANIFESTS} could not be copied");
    copy.join("wasmplugin")
}

/// What a page takes for granted: its variables, and the programs of PATH.
fn variables(world: &World, manifests: &Path, around: &Around) -> Vec<(&'static str, OsString)> {
    let (chain, tools) = (&world.chain, &world.chain.tools);
    let programs = manifests.join("../bin");
    std::fs::create_dir_all(&programs).unwrap();
    let written = programs.join("kubectl");
    std::fs::write(&written, KUBECTL).unwrap();
    std::fs::set_permissions(&written, Permissions::from_mode(0o755)).unwrap();
    for (name, program) in [
        ("sluice", tools.sluice.clone()),
        ("kubectl-sluice", tools.sluice.clone()),
        ("helm", tools.go.join("helm")),
        ("envoy", tools.envoy.clone()),
    ] {
        symlink(program, programs.join(name)).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let path = [programs].into_iter().chain(std::env::split_paths(&path));
    vec![
        ("PATH", std::env::join_paths(path).unwrap()),
        ("KUBECONFIG", around.kubeconfig(world).into()),
        ("KUBECTL", tools.go.join("kubectl").into()),
        ("SIDECAR", around.sidecar().into()),
        ("SIDECARS", sidecars(chain.folder()).into()),
        ("GATEWAY", around.gateway().into()),
        ("IMAGE", world.image().into()),
        ("DIGEST", world.digest.clone().into()),
        ("MODULE", tools.module.clone().into()),
        ("PROMETHEUS", prometheus::URL.into()),
        // Where something waits for a terminal, there is none.
        ("TERM", "dumb".into()),
    ]
}
