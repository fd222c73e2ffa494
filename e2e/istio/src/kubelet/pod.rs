//! One pod's life: bound, started, ready, told to end, gone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Container, Pod, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use sluice_e2e::upstream::Upstream;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::image::{self, Fate};
use super::status::{Said, unschedulable};
use super::{NODE, Server, Shared, program, script};
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
        let spec = self.pod.spec.as_ref().expect("a pod has a spec");
        let container = spec.containers.first().expect("a pod has a container");
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
        let port = container.ports.iter().flatten().next();
        let port = port.map_or(PORT, |port| port.container_port as u16);
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
            self.say_of(&Said::running(is_ready)).await;
            std::future::pending::<()>().await
        };
        tokio::join!(serving, said);
    }

    /// Runs the pod's program or script, and starts it again when it ends.
    async fn run(&self, container: &Container, fate: Fate) {
        let _known = Started(&self.shared, &self.name);
        loop {
            let process = match fate {
                Fate::Script => self.start_script(container).await,
                _ => self.start_program(container).await,
            };
            self.shared.processes().insert(self.name.clone(), process);
            self.probe(container).await;
            self.say_of(&Said::crashed(&container.name)).await;
            sleep(RESTART).await;
        }
    }

    async fn start_program(&self, container: &Container) -> Process {
        let programs = self.shared.programs.as_ref().expect("programs to run");
        let token = self.token().await;
        programs.start(&self.pod, container, self.address, &token)
    }

    async fn start_script(&self, container: &Container) -> Process {
        let (client, folder) = (&self.shared.client.0, self.shared.folder.path());
        script::start(client, folder, &self.pod, container, self.address).await
    }

    /// Says whether the program is ready, until it ends.
    async fn probe(&self, container: &Container) {
        let mut said = None;
        loop {
            let mut has_ended = true;
            if let Some(process) = self.shared.processes().get_mut(&self.name) {
                has_ended = process.has_ended();
            }
            if has_ended {
                return;
            }
            let is_ready = program::is_ready(container, self.address).await;
            if said != Some(is_ready) {
                self.say_of(&Said::running(is_ready)).await;
                said = Some(is_ready);
            }
            sleep(PAUSE).await;
        }
    }

    /// A token of the pod's account.
    async fn token(&self) -> String {
        let spec = self.pod.spec.as_ref().expect("a pod has a spec");
        let account = spec.service_account_name.clone().unwrap_or_default();
        let namespace = self.pod.namespace().unwrap_or_default();
        let accounts: Api<ServiceAccount> =
            Api::namespaced(self.shared.client.0.clone(), &namespace);
        let (request, parameters) = (TokenRequest::default(), PostParams::default());
        let answer = accounts
            .create_token_request(&account, &parameters, &request)
            .await;
        answer.unwrap().status.expect("a token").token
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

/// Writes until it is done or refused, as it is of a pod that is gone; an API server may be away.
async fn persist<W: Future<Output = kube::Result<()>>>(mut write: impl FnMut() -> W) {
    while let Err(error) = write().await {
        if matches!(&error, kube::Error::Api(status) if status.code < 500) {
            return;
        }
        sleep(PAUSE).await;
    }
}
