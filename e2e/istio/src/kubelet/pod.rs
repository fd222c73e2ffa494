//! One pod's life: bound, started, ready, told to end, gone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use sluice_e2e::upstream::Upstream;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::image::{self, Fate};
use super::sidecar::{self, Running, Sidecar};
use super::status::{Said, unschedulable};
use super::{NODE, Server, Shared, program, script};
use crate::kubernetes::Kubernetes;
use crate::process::Process;

/// Where a server listens whose container names no port.
const PORT: u16 = 8080;

/// The pause before a program is started again; a kubelet's grows from ten seconds.
const RESTART: Duration = Duration::from_secs(1);

/// The pause before the API server is asked again that did not answer.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks after a pod until it is gone; `end` gives its grace period.
pub(super) async fn live(
    shared: Arc<Shared>,
    pod: Pod,
    address: Ipv4Addr,
    end: oneshot::Receiver<Duration>,
) {
    let life = Life {
        api: shared.pods(&pod.namespace().unwrap_or_default()),
        shared,
        name: pod.name_any(),
        pod,
        address,
    };
    let mut serving = Box::pin(life.serve());
    let grace = tokio::select! {
        grace = end => grace.unwrap_or_default(),
        () = &mut serving => return,
    };
    let stop = life.shared.habits().stop.min(grace);
    tokio::select! {
        // First of all, so that one that exits at once takes not one more request.
        biased;
        () = sleep(stop) => {}
        () = &mut serving => {}
    }
    drop(serving);
    life.delete().await;
}

struct Life {
    shared: Arc<Shared>,
    api: Api<Pod>,
    pod: Pod,
    name: String,
    address: Ipv4Addr,
}

/// A server that is known while this lives.
struct Known<'s>(&'s Shared, &'s str);

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.0.servers().retain(|server| server.pod != self.1);
    }
}

/// A program that runs while this lives.
struct Started<'s>(&'s Shared, &'s str);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        let process = self.0.processes().remove(self.1);
        drop(process);
    }
}

impl Life {
    /// Never ends by itself.
    async fn serve(&self) {
        let container = sidecar::application(&self.pod);
        let image = container.image.clone().unwrap_or_default();
        let (fate, version) = image::read(&image);
        if fate == Fate::Unschedulable {
            self.say(&unschedulable()).await;
            return std::future::pending().await;
        }
        self.bind().await;
        let start = self.shared.habits().start;
        match fate {
            Fate::BadPull => {
                self.say_of(&Said::without_image("ErrImagePull", &image))
                    .await;
                sleep(start).await;
                self.say_of(&Said::without_image("ImagePullBackOff", &image))
                    .await;
            }
            Fate::Crashes => {
                sleep(start).await;
                self.say_of(&Said::crashed(&container.name)).await;
            }
            Fate::Program | Fate::Script => {
                sleep(start).await;
                self.run(container, fate).await;
            }
            Fate::NeverReady => self.answer(container, version, false).await,
            Fate::Runs | Fate::Unschedulable => {
                sleep(start).await;
                self.answer(container, version, true).await;
            }
        }
        std::future::pending().await
    }

    /// Answers for the pod's container.
    async fn answer(&self, container: &Container, version: &str, is_ready: bool) {
        let sidecar = self.sidecar(container).await;
        let port = sidecar.as_ref().map_or(port_of(container), Running::behind);
        let address = SocketAddr::from((self.address, port));
        let (upstream, serving) = Upstream::bind(address, version).await;
        let status = self.shared.habits().statuses.get(version).copied();
        upstream
            .status
            .store(status.unwrap_or(0), Ordering::Relaxed);
        self.shared.servers().push(Server {
            pod: self.name.clone(),
            version: version.to_owned(),
            upstream,
        });
        let _known = Known(&self.shared, &self.name);
        let said = async {
            while let Some(sidecar) = &sidecar
                && !sidecar.is_ready().await
            {
                sleep(PAUSE).await;
            }
            self.say_of(&Said::running(is_ready)).await;
            std::future::pending::<()>().await
        };
        tokio::join!(serving, said);
    }

    /// Starts the pod's sidecar, if it is to have one.
    async fn sidecar(&self, container: &Container) -> Option<Running> {
        let sidecars = self.shared.sidecars.as_ref();
        let sidecars = sidecars.filter(|_| sidecar::is_injected(&self.pod))?;
        let sidecar = Sidecar {
            pod: &self.pod,
            address: self.address,
            port: port_of(container),
        };
        let kubernetes = Kubernetes::with_client(self.shared.client.0.clone());
        let resource = sidecar.resource();
        persist(|| async {
            let applied = kubernetes.try_apply("kubelet", &resource).await;
            applied.map(drop)
        })
        .await;
        let token = self.token(Some("istio-ca")).await;
        Some(sidecar.start(sidecars, &token))
    }

    /// Runs the pod's program or script, and starts it again when it ends.
    async fn run(&self, container: &Container, fate: Fate) {
        let _known = Started(&self.shared, &self.name);
        let sidecar = self.sidecar(container).await;
        let sidecar = sidecar.as_ref();
        loop {
            let process = match fate {
                Fate::Script => self.start_script(container, sidecar).await,
                _ => self.start_program(container).await,
            };
            self.shared.processes().insert(self.name.clone(), process);
            self.probe(container, sidecar).await;
            self.say_of(&Said::crashed(&container.name)).await;
            sleep(RESTART).await;
        }
    }

    async fn start_program(&self, container: &Container) -> Process {
        let programs = self.shared.programs.as_ref().expect("programs to run");
        let token = self.token(None).await;
        programs.start(&self.pod, container, self.address, &token)
    }

    async fn start_script(&self, container: &Container, sidecar: Option<&Running>) -> Process {
        let (client, folder) = (&self.shared.client.0, self.shared.folder.path());
        let mut variables = program::variables(container, &self.pod, self.address);
        let told = sidecar.into_iter().flat_map(Running::variables);
        variables.extend(told.map(|(name, value)| (name.to_owned(), value)));
        script::start(client, folder, &self.pod, container, variables).await
    }

    /// Says whether the program is ready, until it ends.
    async fn probe(&self, container: &Container, sidecar: Option<&Running>) {
        // Istio's injection has the agent asked, since a sidecar may refuse who has no certificate.
        let agent = sidecar.map(Running::status);
        let mut said = None;
        loop {
            let mut has_ended = true;
            if let Some(process) = self.shared.processes().get_mut(&self.name) {
                has_ended = process.has_ended();
            }
            if has_ended {
                return;
            }
            let mut is_ready = program::is_ready(container, self.address, agent).await;
            if let Some(sidecar) = sidecar {
                is_ready = is_ready && sidecar.is_ready().await;
            }
            if said != Some(is_ready) {
                self.say_of(&Said::running(is_ready)).await;
                said = Some(is_ready);
            }
            sleep(PAUSE).await;
        }
    }

    /// A token of the pod's account, for the API server or somebody else.
    async fn token(&self, audience: Option<&str>) -> String {
        let namespace = self.pod.namespace().unwrap_or_default();
        let kubernetes = Kubernetes::with_client(self.shared.client.0.clone());
        let account = sidecar::account(&self.pod);
        loop {
            // An account may be made after the pod, and an API server may be away.
            match kubernetes.try_token(&namespace, &account, audience).await {
                Ok(token) => return token,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn bind(&self) {
        let target = json!({"apiVersion": "v1", "kind": "Node", "name": NODE});
        let metadata = json!({"name": self.name, "uid": self.pod.uid()});
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target,
        });
        persist(|| async {
            let (name, parameters) = (&self.name, PostParams::default());
            self.api
                .create_subresource::<Value, Value>("binding", name, &parameters, &binding)
                .await
                .map(drop)
        })
        .await;
    }

    async fn say_of(&self, said: &Said) {
        self.say(&said.status(&self.pod, self.address)).await;
    }

    async fn say(&self, status: &Value) {
        // Of this pod, and not of another one of its name.
        let patch = json!({"metadata": {"uid": self.pod.uid()}, "status": status});
        persist(|| async {
            let (name, parameters) = (&self.name, PatchParams::default());
            let patch = Patch::Strategic(&patch);
            self.api
                .patch_status(name, &parameters, &patch)
                .await
                .map(drop)
        })
        .await;
    }

    /// What a kubelet does once a pod's containers have ended.
    async fn delete(&self) {
        let parameters = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: self.pod.uid(),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        };
        persist(|| async { self.api.delete(&self.name, &parameters).await.map(drop) }).await;
    }
}

/// Where a container's server is known to listen.
fn port_of(container: &Container) -> u16 {
    let port = container.ports.iter().flatten().next();
    port.map_or(PORT, |port| port.container_port as u16)
}

/// Writes until it is done or refused, as it is of a pod that is gone; an API server may be away.
async fn persist<W: Future<Output = kube::Result<()>>>(mut write: impl FnMut() -> W) {
    while let Err(error) = write().await {
        if matches!(&error, kube::Error::Api(status) if status.code < 500) {
            return;
        }
        sleep(PAUSE).await;
    }
}
