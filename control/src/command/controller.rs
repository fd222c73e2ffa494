//! `sluice controller`: runs the Rollouts of a cluster until it is told to end.

mod key;
mod log;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use self::log::{Log, LogFormat};
use super::arguments as shared;
use super::interruption::Interruption;
use super::outcome::Outcome;
use crate::brake::desk::Desk;
use crate::brake::key::held::Shelf;
use crate::brake::reading::Reading;
use crate::brake::service::{self, Bounds};
use crate::brake::truth::Keeper;
use crate::brake::{files, metrics, watching};
use crate::cluster::{Address, Cluster};
use crate::operations::Caller;
use crate::rollout::controller::{CALLER, Running, Settings, outbound};
use crate::rollout::lease::{CONTROLLER as LEASE, Candidate, Standing, Timing};
use crate::rollout::logged::{self, Occasion};
use crate::rollout::mesh::Scraped;
use crate::rollout::outbound::bounds::{Host, MAX_OUTBOUND_HOSTS};
use crate::rollout::server::{MetricsPage, Pages, Readiness, serve};

/// How often it is tried whether the Rollouts can be read.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// `sluice controller`.
#[derive(clap::Args, Debug)]
pub(super) struct Controller {
    /// Run the Rollouts of this namespace only [default: all]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The Prometheus that scrapes the proxies, for Rollouts that name none
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    /// Istio's root namespace
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    root_namespace: String,
    /// Where /metrics, /healthz and /readyz are answered
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Where proxies ask for brakes
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8085")]
    brake_listen: SocketAddr,
    #[command(flatten)]
    key: key::KeyArgs,
    /// What tells this process from its standbys
    #[arg(long, value_name = "NAME", env = "POD_NAME", hide = true)]
    instance: Option<String>,
    /// The only hosts that gates and messages may go to: names, *.NAME, addresses [default: all but
    /// loopback, link-local and metadata addresses and the API server]
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    outbound_hosts: Option<Vec<Host>>,
    /// After how many seconds without a sign a standby takes over
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..=3600))]
    lease_seconds: u32,
    /// Write the EnvoyFilters of plugins that are annotated as native; see docs/native.md
    #[arg(long)]
    native: bool,
    /// How the log looks, on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log_format: LogFormat,
}

pub(super) async fn run(arguments: &Controller, caller: &Caller) -> anyhow::Result<Outcome> {
    let log = Log {
        format: arguments.log_format,
        clock: caller.clock,
    };
    match controlled(arguments, caller, log).await {
        Err(error) if arguments.log_format == LogFormat::Json => {
            log.say(Occasion::Ends, format!("{error:#}"));
            Ok(Outcome::Unable)
        }
        ended => ended,
    }
}

async fn controlled(arguments: &Controller, caller: &Caller, log: Log) -> anyhow::Result<Outcome> {
    let cluster = Cluster::connect(&Address {
        kubeconfig: arguments.kubeconfig.clone(),
        context: arguments.context.clone(),
        namespace: arguments.namespace.clone(),
    })
    .await?;
    let listener = TcpListener::bind(arguments.listen).await;
    let listener = listener.with_context(|| format!("--listen {}", arguments.listen))?;
    let (on, at) = (cluster.title(), listener.local_addr()?);
    log.say(Occasion::Listening, format!("on {on}; answers on {at}"));
    let proxies = service::listen(arguments.brake_listen);
    let proxies = proxies.with_context(|| format!("--brake-listen {}", arguments.brake_listen))?;
    let bounds = Bounds::within(files::raise());
    let (most, at) = (bounds.connections, proxies.local_addr()?);
    let answers = format!("answers at most {most} proxies on {at}");
    log.say(Occasion::Listening, answers);
    let instance = instance(arguments, caller);
    let candidate = Candidate::new(
        cluster.client().clone(),
        cluster.namespace(),
        LEASE,
        &instance,
        timing(arguments.lease_seconds),
    );
    let (standing, stands) = watch::channel(Standing::unknown());
    let caller = Caller {
        name: CALLER.to_owned(),
        ..caller.clone()
    };
    let desk = Arc::new(Desk::default());
    let api = watching::brakes(&cluster, arguments.namespace.as_deref());
    let shelf = Arc::new(Shelf::default());
    let (known, watching) =
        watching::watch(api, Arc::clone(&desk), Arc::clone(&shelf), caller.clock);
    let around = key::Around {
        cluster: cluster.clone(),
        namespace: arguments.namespace.clone(),
        known: known.clone(),
        desk: Arc::clone(&desk),
        shelf,
        caller: caller.clone(),
        instance: instance.clone(),
    };
    let keeper = Keeper {
        cluster: cluster.clone(),
        known: known.clone(),
        desk: Arc::clone(&desk),
        caller: caller.clone(),
        instance: instance.clone(),
    };
    let settings = settings(arguments, cluster, &instance).await?;
    let running = Running::new(
        settings,
        caller,
        stands.clone(),
        Arc::clone(&desk),
        logged::Log::to(move |entry| log.write(entry)),
    )?;
    let (ready, readiness) = watch::channel(Readiness::NotYet {
        why: "the Rollouts are not read yet".to_owned(),
    });
    let (done, ended) = watch::channel(false);
    let mut registry = running.metrics();
    metrics::register(&mut registry, &desk, known);
    let pulls = key::listen(&arguments.key, around, &mut registry, ended.clone(), log).await?;
    let pages = Pages {
        metrics: Arc::new(MetricsPage::new(registry)),
        readiness,
    };
    let mut interruption = Interruption::listen()?;
    let stop = async move {
        interruption.received().await;
    };
    let leading = stands.clone();
    let keeping = keeper.keep(move || leading.borrow().leads_at(Instant::now()));
    let answering = tokio::spawn(service::serve(proxies, desk, bounds, ended.clone()));
    let pulling = tokio::spawn(futures::future::OptionFuture::from(pulls));
    let saying = tokio::spawn(say_standing(stands, log));
    let probing = say_ready(running.probe(), keeper.desk.reading(), ready);
    let serving = tokio::spawn(serve(listener, pages, until_done(ended.clone())));
    let electing = tokio::spawn(async move {
        candidate.run(&standing, until_done(ended)).await;
    });
    tokio::select! {
        () = running.run(stop) => {}
        () = probing => {}
        ((), ()) = async { tokio::join!(watching, keeping) } => {}
    }
    // Only when nothing is done any more may another lead.
    done.send_replace(true);
    let _ = tokio::join!(electing, serving, answering, pulling, keeper.leave());
    saying.abort();
    Ok(Outcome::Good)
}

async fn settings(
    arguments: &Controller,
    cluster: Cluster,
    instance: &str,
) -> anyhow::Result<Settings> {
    let hosts = arguments.outbound_hosts.clone();
    let count = hosts.as_ref().map_or(0, Vec::len);
    if count > MAX_OUTBOUND_HOSTS {
        bail!("--outbound-hosts: {count} hosts; at most {MAX_OUTBOUND_HOSTS}");
    }
    Ok(Settings {
        outbound: outbound(&cluster, hosts).await,
        cluster,
        namespace: arguments.namespace.clone(),
        scraped: Scraped {
            prometheus: shared::prometheus(arguments.prometheus.as_deref())?,
            root_namespace: arguments.root_namespace.clone(),
        },
        instance: instance.to_owned(),
        native: arguments.native,
    })
}

/// A name that no other process has: a pod's may be given again, and so may a process id.
fn instance(arguments: &Controller, caller: &Caller) -> String {
    let named = arguments.instance.clone();
    let named = named.or_else(|| std::env::var("HOSTNAME").ok());
    let named = named.unwrap_or_else(|| LEASE.to_owned());
    let (id, now) = (std::process::id(), caller.now().as_microsecond());
    format!("{named}-{id}-{now:x}")
}

/// As client-go divides its 15 seconds: ten to renew, two between tries.
fn timing(seconds: u32) -> Timing {
    let lasts = Duration::from_secs(u64::from(seconds));
    Timing {
        lasts,
        renews_within: lasts * 2 / 3,
        retries_every: lasts * 2 / 15,
    }
}

async fn say_standing(mut stands: watch::Receiver<Standing>, log: Log) {
    let mut said = String::new();
    loop {
        let mut occasion = Occasion::Waits;
        let words = match &*stands.borrow_and_update() {
            Standing::Leads { .. } => {
                occasion = Occasion::Leads;
                "leads".to_owned()
            }
            Standing::Waits {
                trouble: Some(trouble),
                ..
            } => {
                format!("waits: the Lease {LEASE} cannot be read or written: {trouble}")
            }
            Standing::Waits {
                holder: Some(holder),
                ..
            } => format!("waits: {holder} leads"),
            Standing::Waits { .. } => "waits".to_owned(),
        };
        if words != said {
            log.say(occasion, &words);
            said = words;
        }
        if stands.changed().await.is_err() {
            return;
        }
    }
}

/// One is ready once the Rollouts can be read, and while the Brakes can: proxies are to ask others else.
/// It never ends.
async fn say_ready(
    probe: impl AsyncFn() -> Result<(), String>,
    reading: &Reading,
    ready: watch::Sender<Readiness>,
) {
    while let Err(why) = probe().await {
        ready.send_replace(Readiness::NotYet { why });
        tokio::time::sleep(PROBE_EVERY).await;
    }
    loop {
        ready.send_replace(match reading.is_cut_off(Instant::now()) {
            true => Readiness::NotYet {
                why: "the Brakes cannot be read any more".to_owned(),
            },
            false => Readiness::Ready,
        });
        tokio::time::sleep(PROBE_EVERY).await;
    }
}

async fn until_done(mut ended: watch::Receiver<bool>) {
    // It fails only when the process ends anyway.
    let _ = ended.wait_for(|is_done| *is_done).await;
}
