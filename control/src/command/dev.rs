//! `sluice dev`: a local Envoy with the filter on a directory, every change of which it pushes.
//!
//! [`delivery`] is a configuration on its way to Envoy, [`view`] what a person sees, [`demo`] the
//! servers of `--demo`. Envoy itself is [`crate::local`]'s.

mod delivery;
mod demo;
mod upstreams;
mod view;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::interruption::Interruption;
use super::outcome::Outcome;
use crate::local::Upstream;
use crate::local::adapter::Adapter;
use crate::local::files::{Files, Settings};
use crate::local::process::{Envoy, find_envoy, find_module, find_native};
use crate::local::running::Running;
use crate::store::directory::Directory;
use delivery::Delivery;
use view::View;

/// `sluice dev`.
#[derive(clap::Args, Debug)]
pub(super) struct Dev {
    /// The directory with plugin.yaml and weights.yaml
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where Envoy listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where a variant is served: SPLIT/VARIANT=ADDRESS, or ADDRESS for everything else; repeatable
    #[arg(long, value_name = "SPLIT/VARIANT=ADDRESS")]
    upstream: Vec<Upstream>,
    /// Bring one small server a variant, a page in the version's colour, and write DIR/plugin.yaml
    /// if there is none
    #[arg(long)]
    demo: bool,
    /// Let the small server of a variant answer 500 to so many percent of its requests; repeatable
    #[arg(long, value_name = "VARIANT=PERCENT", requires = "demo")]
    fail: Vec<demo::Failing>,
    /// The Envoy binary [default: target/tools/envoy of the checkout, or envoy from PATH]
    #[arg(long, env = "ENVOY", value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// The filter's module [default: sluice.wasm beside this program, or target/wasm/sluice.wasm of
    /// the checkout]
    #[arg(long, env = "SLUICE_MODULE", value_name = "PATH")]
    module: Option<PathBuf>,
    /// Let the native module decide, in place of the WebAssembly module
    #[arg(long)]
    native: bool,
    /// The native module [default: libsluice.so beside this program, or target/native/libsluice.so
    /// of the checkout]
    #[arg(long, env = "SLUICE_NATIVE", value_name = "PATH")]
    library: Option<PathBuf>,
    /// How many workers Envoy has
    #[arg(long, default_value_t = 1, value_name = "N")]
    workers: u32,
}

/// How often the directory is looked at. Chosen: polling works on every filesystem and survives
/// editors that replace files; two stats each 20 ms cost nothing and leave most of the 0.2 s that a
/// change may take.
const POLL: Duration = Duration::from_millis(20);

/// The kernel ties Envoy to the thread that starts it, so this must not be spawned: `main` waits
/// for it on the process' first thread.
pub(super) async fn run(arguments: &Dev) -> anyhow::Result<Outcome> {
    if arguments.demo {
        demo::write_plugin(&arguments.dir)?;
    }
    let directory = Directory::open(&arguments.dir)?;
    let (envoy, adapter) = (find_envoy(arguments.envoy.as_deref())?, adapter(arguments)?);
    // Looked at before it is read: a change in between is then seen as one.
    let stamps = stamps(&directory);
    let first = Delivery::read(&directory).await?;
    let mut upstreams = arguments.upstream.clone();
    if arguments.demo {
        upstreams.extend(demo::start(&first.plan, &arguments.fail).await?);
    }
    upstreams::check(&upstreams, &first.plan)?;
    let folder = tempfile::Builder::new().prefix("sluice-dev-").tempdir()?;
    let settings = Settings {
        listen: arguments.listen,
        node_id: "sluice-dev".to_owned(),
        namespace: first.plan.node().namespace.clone(),
        upstreams,
        filters_before: Vec::new(),
        clusters: Vec::new(),
        trusted_hops: 0,
        adapter,
    };
    let title = settings.adapter.title();
    let files = Files::new(folder.path(), settings)?;
    first.deliver(&files)?;
    let leash = std::env::current_exe()?;
    let mut envoy = Envoy::start(&leash, &envoy, &files.bootstrap_path(), arguments.workers)
        .await
        .with_context(|| format!("listening on {}", arguments.listen))?;
    // From the first line on that says where it listens, a signal ends it in order.
    let mut interruption = Interruption::listen()?;
    let running = Running {
        pid: std::process::id().cast_signed(),
        admin: envoy.admin().address(),
    };
    let runtime = directory.made_runtime()?;
    running.write(&runtime)?;
    let mut view = View::new(envoy.admin().listener().await?, &arguments.dir, title);
    view.delivered(&first);
    let outcome = tokio::select! {
        outcome = watch(&directory, stamps, &files, &mut envoy, &mut view) => outcome,
        _ = interruption.received() => Ok(Outcome::Good),
    };
    Running::remove(&runtime);
    view.end();
    outcome
}

/// What is to decide.
fn adapter(arguments: &Dev) -> anyhow::Result<Adapter> {
    Ok(match arguments.native {
        true => Adapter::Native(find_native(arguments.library.as_deref())?),
        false => Adapter::Wasm(find_module(arguments.module.as_deref())?),
    })
}

/// Delivers every change of the directory, until Envoy's end.
async fn watch(
    directory: &Directory,
    mut stamps: [Stamp; 2],
    files: &Files,
    envoy: &mut Envoy,
    view: &mut View,
) -> anyhow::Result<Outcome> {
    let mut changes = tokio::time::interval(POLL);
    let mut refresh = tokio::time::interval(view.period());
    loop {
        tokio::select! {
            _ = changes.tick() => {
                let now = self::stamps(directory);
                if now != stamps {
                    stamps = now;
                    deliver(directory, files, view).await;
                }
                if let Some(status) = envoy.ended() {
                    break Err(anyhow::anyhow!("envoy ended with {status}; its log:\n{}", envoy.log()));
                }
            }
            _ = refresh.tick() => view.refresh(envoy).await,
        }
    }
}

async fn deliver(directory: &Directory, files: &Files, view: &mut View) {
    let delivery = Delivery::read(directory).await;
    match delivery.and_then(|delivery| delivery.deliver(files).map(|()| delivery)) {
        Ok(delivery) => view.delivered(&delivery),
        Err(error) => view.refused(&error),
    }
}

type Stamp = Option<(SystemTime, u64, u64)>;

/// What changes when a file does: time, size, and the inode, which every rename changes.
fn stamps(directory: &Directory) -> [Stamp; 2] {
    directory.watched().map(|path: PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    })
}
