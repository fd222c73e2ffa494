//! `sluice controller`: runs every Rollout of a cluster, or of one namespace.
//!
//! kube's controller says when which Rollout is to be looked at; what is done then is `look`'s. An
//! idle Rollout costs nothing but the memory of it. Only the process that leads does anything; the
//! others keep the same caches and wait.

mod claims;
mod context;
mod events;
mod gauges;
mod ground;
mod index;
mod look;
mod metrics;
mod mirrors;
mod native;
mod plugins;
pub mod record;
mod served;
mod servers;
mod turns;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::api::{Api, ListParams};
use kube::runtime::controller::Error;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Config, Controller, watcher};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::context::Context;
use self::events::{Events, Saying};
use self::index::Index;
use self::look::{Failed, Looker, after_failure, look};
use self::metrics::{HowFar, Metrics, Told};
use self::mirrors::Mirrors;
use self::plugins::{LONGEST_PAUSE, WATCH_SECONDS};
use self::served::Served;
use self::servers::Servers;
use self::turns::Turns;
use super::lease::Standing;
use super::logged::{Entry, Log, Occasion};
use super::mesh::Scraped;
use super::object::Rollout;
use super::outbound::Outbound;
use super::outbound::bounds::{Bounded, Bounds, Host, addresses};
use crate::brake::desk::Desk;
use crate::cluster::pause::Pause;
use crate::cluster::{Cluster, words};
use crate::operations::Caller;

/// How its changes are signed, where the API server does not know a better name.
pub const CALLER: &str = "sluice-controller";

/// How many Rollouts are run at once; see docs/limits.md. Chosen: each mostly waits, for the API
/// server or a Prometheus, and eight namespaces may have as many under way as one may.
const MAX_RUN_AT_ONCE: u16 = 256;

/// How long the last Events are waited for.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// What a controller works on.
#[derive(Debug)]
pub struct Settings {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace that it is confined to; `None`: all.
    pub namespace: Option<String>,
    /// Who scrapes the proxies, where a Rollout names no other.
    pub scraped: Scraped,
    /// What tells this process from its standbys, for Events.
    pub instance: String,
    /// Where gates and messages may go, and nowhere else.
    pub outbound: Bounds,
    /// Whether it writes the EnvoyFilters of native plugins.
    pub native: bool,
}

/// Where a controller's gates and messages may go: to these hosts, or anywhere, but to no address
/// of the API server.
pub async fn outbound(cluster: &Cluster, hosts: Option<Vec<Host>>) -> Bounds {
    let mut api_server = addresses(&cluster.host().unwrap_or_default()).await;
    // In a pod, the address that everybody has it by.
    let service = std::env::var("KUBERNETES_SERVICE_HOST").ok();
    api_server.extend(service.and_then(|host| host.parse::<IpAddr>().ok()));
    Bounds::Bounded(Arc::new(Bounded { hosts, api_server }))
}

/// A controller that is about to run.
pub struct Running {
    context: Arc<Context>,
    controller: Controller<Rollout>,
    saying: Saying,
    settings: Settings,
    desk: Arc<Desk>,
    log: Log,
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Running");
        shown
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// A controller that acts while it leads, passes on what proxies say to who does, and logs what
    /// happens.
    ///
    /// # Errors
    /// When TLS for messages cannot be set up.
    pub fn new(
        settings: Settings,
        caller: Caller,
        standing: watch::Receiver<Standing>,
        desk: Arc<Desk>,
        log: Log,
    ) -> anyhow::Result<Self> {
        let client = settings.cluster.client().clone();
        let api = rollouts(&settings.cluster, settings.namespace.as_deref());
        let (poked, pokes) = mpsc::unbounded_channel();
        let controller = Controller::new(api, watcher::Config::default().timeout(WATCH_SECONDS))
            .with_config(Config::default().concurrency(MAX_RUN_AT_ONCE))
            .trigger_backoff(Pause::up_to(LONGEST_PAUSE))
            .reconcile_on(received(pokes))
            .reconcile_all_on(led(standing.clone()));
        let (events, saying) = Events::new(client, settings.instance.clone(), log.clone());
        let context = Arc::new(Context {
            cluster: settings.cluster.clone(),
            scraped: settings.scraped.clone(),
            servers: Servers::default(),
            caller,
            watched: controller.store(),
            index: Index::default(),
            served: Served::default(),
            mirrors: Mirrors::new(settings.native),
            turns: Turns::default(),
            events,
            metrics: Metrics::new(),
            outbound: Outbound::within(settings.outbound.clone())?,
            standing,
            poked,
        });
        Ok(Self {
            context,
            controller,
            saying,
            settings,
            desk,
            log,
        })
    }

    /// What it counts, and how far each Rollout is.
    pub fn metrics(&self) -> Registry {
        let mut registry = Registry::default();
        self.context.metrics.register(&mut registry);
        let of = Arc::downgrade(&self.context);
        let confined_to = self.settings.namespace.clone();
        registry.register_collector(Box::new(HowFar { of, confined_to }));
        registry
    }

    /// What finds out whether Rollouts can be read; why not, in words.
    pub fn probe(&self) -> impl AsyncFn() -> Result<(), String> + Send + use<> {
        let (cluster, namespace) = (
            self.settings.cluster.clone(),
            self.settings.namespace.clone(),
        );
        async move || {
            let first = ListParams::default().limit(1);
            let listed = rollouts(&cluster, namespace.as_deref()).list(&first).await;
            listed
                .map(drop)
                .map_err(|error| format!("Rollouts cannot be read: {}", words(&error)))
        }
    }

    /// Runs until it is told to stop, and then until what it began is done.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + Sync + 'static) {
        let Self {
            context,
            controller,
            saying,
            settings,
            desk,
            log,
        } = self;
        let saying = tokio::spawn(saying.say());
        let looker = Arc::new(Looker::new(Arc::clone(&context)));
        let mirroring = native::keep(Arc::clone(&context), settings.namespace.clone());
        let poking = plugins::poke(Arc::clone(&context), settings.namespace);
        let passing_on = claims::pass_on(Arc::clone(&context), desk);
        let shared = Arc::clone(&looker);
        let looks = controller
            .graceful_shutdown_on(stop)
            .run(look, after_failure, shared);
        let looks = looks.for_each(|look| {
            if let Err(error) = look {
                note(&looker, error, &log);
            }
            std::future::ready(())
        });
        tokio::select! {
            () = looks => {}
            () = poking => {}
            () = mirroring => {}
            () = passing_on => {}
        }
        drop((looker, context));
        // The last Events are of what was just done.
        let _ = tokio::time::timeout(LAST_EVENTS, saying).await;
    }
}

fn rollouts(cluster: &Cluster, namespace: Option<&str>) -> Api<Rollout> {
    let client = cluster.client().clone();
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

impl Told for Context {
    fn index(&self) -> &Index {
        self.index
            .retain(|namespace, name| self.is_there(namespace, name));
        &self.index
    }

    fn served(&self) -> &Served {
        &self.served
    }

    fn leads(&self) -> bool {
        Self::leads(self)
    }
}

fn note(looker: &Looker, error: Error<Failed, watcher::Error>, log: &Log) {
    let said = |message: &str| log.write(Entry::of(Occasion::WatchFailed, message));
    match error {
        // It was deleted while it waited for its turn.
        Error::ObjectNotFound(gone) => {
            let named = ObjectRef::new(&gone.name);
            let namespace = gone.namespace.as_deref().unwrap_or_default();
            looker.forget(&named.within(namespace));
        }
        Error::ReconcilerFailed(failed, rollout) => {
            let namespace = rollout.namespace.as_deref().unwrap_or_default();
            log.write(Entry {
                rollout: Some((namespace, &rollout.name)),
                ..Entry::of(Occasion::LookFailed, &failed.to_string())
            });
        }
        Error::QueueError(error) => said(&format!("Rollouts cannot be watched: {error}")),
        Error::RunnerError(error) => said(&error.to_string()),
    }
}

/// What comes out of a channel.
fn received<T: Send + 'static>(
    receiver: mpsc::UnboundedReceiver<T>,
) -> impl Stream<Item = T> + Send {
    futures::stream::unfold(receiver, async |mut receiver| {
        let item = receiver.recv().await?;
        Some((item, receiver))
    })
}

/// Each moment at which this process begins to lead.
fn led(standing: watch::Receiver<Standing>) -> impl Stream<Item = ()> + Send {
    futures::stream::unfold((standing, false), async |(mut standing, mut led)| {
        loop {
            let former = led;
            led = standing.borrow_and_update().leads_at(Instant::now());
            if led && !former {
                return Some(((), (standing, led)));
            }
            standing.changed().await.ok()?;
        }
    })
}
