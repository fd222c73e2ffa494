//! A kubelet without containers, and the scheduler before it: every pod that a ReplicaSet makes is
//! bound to the one node that there is, gets an address of its own, and a server of this process
//! answers there for it.
//!
//! What becomes of a pod, its image's name says (`kubelet/image.rs`). How long pods take to get
//! ready, and to end once they are told to, is the test's to set. Pods of the image `python` run their
//! script (`kubelet/script.rs`). Addresses are not on 127.0.0.0/8,
//! which no EndpointSlice may hold. A test may have pods of the image `sluice` run the real binary
//! (`kubelet/program.rs`), and those that Istio injected a sidecar into have it
//! (`kubelet/sidecar.rs`).

mod image;
mod pod;
pub mod program;
mod script;
pub mod sidecar;
mod status;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use sluice_e2e::upstream::Upstream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::kubernetes::Kubernetes;
use crate::process::Process;
use program::Programs;
use sidecar::Sidecars;

/// The node that all pods are bound to.
const NODE: &str = "node";

/// The addresses of pods, and those where sidecars take what their pods call: every one of these
/// networks is the harness's own once it is lo's.
const NETWORKS: [&str; 2] = ["10.77.0.0/16", "10.78.0.0/16"];

/// How many addresses were given so far. None is given twice, so that no connection meets a pod
/// that it was not made to.
static ADDRESSES: AtomicU16 = AtomicU16::new(1);

/// The running kubelet, until it is dropped: its pods' servers end with it.
#[derive(Debug)]
pub struct Kubelet {
    shared: Arc<Shared>,
    watching: JoinHandle<()>,
}

/// What the kubelet and its pods know.
#[derive(Debug)]
struct Shared {
    client: ClientOf,
    habits: Mutex<Habits>,
    servers: Mutex<Vec<Server>>,
    programs: Option<Programs>,
    /// The files and logs of pods that run scripts.
    folder: tempfile::TempDir,
    sidecars: Option<Sidecars>,
    /// The programs that run, by their pods' names.
    processes: Mutex<BTreeMap<String, Process>>,
}

/// A client, which has no words for itself.
struct ClientOf(Client);

impl std::fmt::Debug for ClientOf {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client")
    }
}

/// How pods behave.
#[derive(Clone, Debug, Default)]
struct Habits {
    start: Duration,
    stop: Duration,
    statuses: BTreeMap<String, u16>,
}

/// The server of a pod.
#[derive(Debug)]
struct Server {
    pod: String,
    version: String,
    upstream: Upstream,
}

impl Kubelet {
    /// Starts it, with pods that get ready at once and end at once.
    pub async fn start(kubernetes: &Kubernetes) -> Self {
        Self::start_with(kubernetes, None, None).await
    }

    /// The same, where pods of the image `sluice` run a program.
    pub async fn start_with_programs(kubernetes: &Kubernetes, programs: Programs) -> Self {
        Self::start_with(kubernetes, Some(programs), None).await
    }

    /// The same, where pods that Istio's webhook injected a sidecar into have one.
    pub async fn start_with_sidecars(kubernetes: &Kubernetes, sidecars: Sidecars) -> Self {
        Self::start_with(kubernetes, None, Some(sidecars)).await
    }

    async fn start_with(
        kubernetes: &Kubernetes,
        programs: Option<Programs>,
        sidecars: Option<Sidecars>,
    ) -> Self {
        own_the_networks();
        declare_node(kubernetes).await;
        let shared = Arc::new(Shared {
            client: ClientOf(kubernetes.client()),
            habits: Mutex::default(),
            servers: Mutex::default(),
            programs,
            folder: tempfile::tempdir().unwrap(),
            sidecars,
            processes: Mutex::default(),
        });
        let watching = tokio::spawn(watch(Arc::clone(&shared)));
        Self { shared, watching }
    }

    /// How long pods take from now on until they are ready.
    pub fn start_takes(&self, time: Duration) {
        self.shared.habits().start = time;
    }

    /// How long pods serve on once they are told to end, at most their grace period; zero: they
    /// exit at once, and whoever still asks them has no answer.
    pub fn stop_takes(&self, time: Duration) {
        self.shared.habits().stop = time;
    }

    /// Lets the pods of a version, those to come as well, answer everything with a status; with 0,
    /// as they are asked.
    pub fn fail(&self, version: &str, status: u16) {
        let statuses = &mut self.shared.habits().statuses;
        statuses.insert(version.to_owned(), status);
        for server in self.shared.servers().iter() {
            if server.version == version {
                server.upstream.status.store(status, Ordering::Relaxed);
            }
        }
    }

    /// The names of the pods whose server runs, with their versions, in the order in which they
    /// became ready.
    pub fn running(&self) -> Vec<(String, String)> {
        let servers = self.shared.servers();
        let running = servers.iter();
        running
            .map(|server| (server.pod.clone(), server.version.clone()))
            .collect()
    }

    /// What each pod's program logged, and its memory in MiB.
    pub fn programs(&self) -> Vec<(String, String, u64)> {
        let processes = self.shared.processes();
        let running = processes.iter();
        running
            .map(|(pod, process)| (pod.clone(), process.log(), process.resident_mebibytes()))
            .collect()
    }

    /// Ends the program of a pod as a crash would.
    pub fn crash(&self, pod: &str) {
        if let Some(process) = self.shared.processes().get_mut(pod) {
            process.kill();
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Shared {
    fn habits(&self) -> MutexGuard<'_, Habits> {
        self.habits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> MutexGuard<'_, Vec<Server>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.0.clone(), namespace)
    }
}

/// A pod that is looked after; dropping it ends its server.
struct Living {
    task: JoinHandle<()>,
    /// Taken when the pod is told to end.
    end: Option<oneshot::Sender<Duration>>,
}

impl Drop for Living {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks after the pods of every namespace.
async fn watch(shared: Arc<Shared>) {
    let all: Api<Pod> = Api::all(shared.client.0.clone());
    let mut events = watcher::watcher(all, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut living: BTreeMap<String, Living> = BTreeMap::new();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        // A watch that broke is taken up again by itself.
        let Ok(event) = event else { continue };
        match event {
            Event::Init => listed.clear(),
            Event::InitDone => living.retain(|uid, _| listed.contains(uid)),
            Event::InitApply(pod) => {
                listed.extend(pod.uid());
                see(&shared, &mut living, pod);
            }
            Event::Apply(pod) => see(&shared, &mut living, pod),
            Event::Delete(pod) => {
                living.remove(&pod.uid().unwrap_or_default());
            }
        }
    }
}

/// Takes a new pod, and tells one that it is to end. Those that nobody owns are the proxies'.
fn see(shared: &Arc<Shared>, living: &mut BTreeMap<String, Living>, pod: Pod) {
    let Some(uid) = pod.uid().filter(|_| !pod.owner_references().is_empty()) else {
        return;
    };
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    let is_ending = pod.metadata.deletion_timestamp.is_some();
    let living = living.entry(uid).or_insert_with(|| {
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(pod::live(Arc::clone(shared), pod, next_address(), ended));
        Living {
            task,
            end: Some(end),
        }
    });
    if is_ending && let Some(end) = living.end.take() {
        let _ = end.send(Duration::from_secs(grace.max(0).cast_unsigned()));
    }
}

fn next_address() -> Ipv4Addr {
    let [high, low] = ADDRESSES.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::from([10, 77, high, low])
}

/// Makes every address of the networks one of this host, which is the tests' own.
fn own_the_networks() {
    for network in NETWORKS {
        let status = Command::new("ip")
            .args(["route", "replace", "local", network, "dev", "lo"])
            .status()
            .expect("ip, of iproute2");
        assert!(status.success(), "ip route of {network}: {status}");
    }
}

/// The node: pods of one that nobody knows are in no EndpointSlice.
async fn declare_node(kubernetes: &Kubernetes) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    kubernetes.apply(&node.to_string()).await;
}
