//! `sluice rollout status`: how far Rollouts are. Once, watched (a tree that is redrawn in place, or
//! elsewhere a line for each change), or until the run has ended, for CI.

mod text;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

use super::super::interruption::Interruption;
use super::ask::length;
use super::place::{PlaceArgs, print};
use crate::cluster::prometheus::Prometheus;
use crate::command::arguments::{self as shared, Format, OutputArgs};
use crate::command::outcome::Outcome;
use crate::command::output::{self, Live};
use crate::operations::Caller;
use crate::rollout::proxies::Mesh;
use crate::rollout::rollouts::{RolloutError, RolloutStore};
use crate::rollout::view::{self, View};

/// How often a watched Rollout is looked at. Chosen: the time left counts down in seconds.
const EVERY: Duration = Duration::from_secs(1);

/// How often one is looked at whose end is waited for.
const OFTEN: Duration = Duration::from_millis(250);

/// `sluice rollout status`.
#[derive(clap::Args, Debug)]
pub(super) struct Status {
    /// The Rollout; without it, all of them
    #[arg(conflicts_with = "all_namespaces", required_if_eq("wait", "true"))]
    name: Option<String>,
    /// Keep showing it
    #[arg(short, long)]
    watch: bool,
    /// Wait until the run has ended: exit code 0 if it succeeded, 1 if not or not in time
    #[arg(long)]
    wait: bool,
    /// How long --wait waits [default: as long as it takes]
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = length)]
    timeout: Option<Duration>,
    /// The Prometheus that scrapes a cluster's proxies; without it, what they run is unknown
    #[arg(long, env = "SLUICE_PROMETHEUS", value_name = "URL")]
    prometheus: Option<String>,
    /// Istio's root namespace: a plugin in it selects the proxies of every namespace
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    root_namespace: String,
    /// Every namespace of the cluster
    #[arg(
        short = 'A',
        long,
        conflicts_with = "namespace",
        help_heading = "Cluster"
    )]
    all_namespaces: bool,
    /// Where they are.
    #[command(flatten)]
    place: PlaceArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Status, caller: &Caller) -> anyhow::Result<Outcome> {
    let prometheus = shared::prometheus(arguments.prometheus.as_deref())?;
    let store = match arguments.all_namespaces {
        true => arguments.place.everywhere().await?,
        false => arguments.place.one().await?,
    };
    let shower = Shower {
        arguments,
        caller,
        store,
        prometheus,
        live: Live::default(),
        lines: BTreeMap::new(),
    };
    let mut interruption = Interruption::listen()?;
    let showing = shower.show();
    tokio::select! {
        shown = showing => shown,
        _ = interruption.received() => {
            if arguments.wait {
                bail!("stopped before the run has ended; the run goes on");
            }
            Ok(Outcome::Good)
        }
    }
}

/// What is shown, where and how.
struct Shower<'s> {
    arguments: &'s Status,
    caller: &'s Caller,
    store: RolloutStore,
    prometheus: Option<Prometheus>,
    live: Live,
    /// The last line of each Rollout, where lines are printed.
    lines: BTreeMap<String, String>,
}

impl Shower<'_> {
    async fn show(self) -> anyhow::Result<Outcome> {
        match &self.arguments.name {
            None if self.arguments.watch => self.watch_all().await,
            None => self.all_once().await,
            Some(name) if self.arguments.wait || self.arguments.watch => self.follow(name).await,
            Some(name) => {
                let view = self.view(name).await?;
                print(self.arguments.output.output, &view, text::tree)?;
                Ok(outcome(&view))
            }
        }
    }

    async fn view(&self, name: &str) -> Result<View, RolloutError> {
        let found = self.store.one(name).await?;
        let mesh = Mesh {
            prometheus: self.prometheus.as_ref(),
            root_namespace: &self.arguments.root_namespace,
        };
        Ok(view::looked_at(&self.store, &found, mesh, self.caller.now()).await)
    }

    /// All as they are kept: their splits are not looked at, so that a thousand of them cost one
    /// list.
    async fn all(&self) -> anyhow::Result<(Vec<View>, Vec<String>)> {
        let listed = self.store.rollouts().await?;
        let found = listed.found.iter();
        let views = found.map(|found| view::kept(&self.store, found, self.caller.now()));
        Ok((views.collect(), listed.unread))
    }

    async fn all_once(&self) -> anyhow::Result<Outcome> {
        let (views, unread) = self.all().await?;
        match self.arguments.output.output {
            Format::Table => {
                if let Some(table) = text::table(&views, &unread) {
                    output::line(table);
                }
            }
            format => {
                for view in &views {
                    print(format, view, |_| String::new())?;
                }
            }
        }
        for why in &unread {
            output::note(format!("error: {why}"));
        }
        let are_good = unread.is_empty() && views.iter().all(|view| outcome(view) == Outcome::Good);
        Ok(if are_good {
            Outcome::Good
        } else {
            Outcome::Problems
        })
    }

    async fn watch_all(mut self) -> anyhow::Result<Outcome> {
        loop {
            match self.all().await {
                Ok((views, unread)) if self.is_live() => {
                    self.live.draw(&text::all(&views, &unread));
                }
                Ok((views, unread)) => {
                    for view in &views {
                        self.say(view)?;
                    }
                    for why in unread {
                        self.say_unread(why);
                    }
                }
                Err(error) => self.say_error(&error),
            }
            sleep(EVERY).await;
        }
    }

    /// One, until it has settled where that is waited for, and else until somebody stops this.
    async fn follow(mut self, name: &str) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        let mut view = self.view(name).await?;
        let mut is_told = false;
        loop {
            if self.arguments.watch {
                self.show_change(&view)?;
            }
            if self.arguments.wait {
                if let Some(outcome) = self.waited(&view, began)? {
                    return Ok(outcome);
                }
                if view.is_abandoned() && !is_told {
                    is_told = true;
                    let runner = self.store.runner(view.runner);
                    output::note(format!("note: nobody runs Rollout {name}; {runner} does"));
                    self.live = Live::default();
                }
            }
            sleep(if self.arguments.wait { OFTEN } else { EVERY }).await;
            match self.view(name).await {
                Ok(now) => view = now,
                Err(gone @ RolloutError::Unknown { .. }) => return Err(gone.into()),
                Err(error) => self.say_error(&error.into()),
            }
        }
    }

    /// How it ended, if it did, or that the time is over.
    fn waited(&self, view: &View, began: Instant) -> anyhow::Result<Option<Outcome>> {
        if !view.mistakes.is_empty() {
            bail!("Rollout {}: {}", view.name, view.mistakes.join("\n"));
        }
        if view.has_settled() {
            if !self.arguments.watch {
                print(self.arguments.output.output, view, text::tree)?;
            }
            return Ok(Some(match view.has_succeeded() {
                true => Outcome::Good,
                false => Outcome::Problems,
            }));
        }
        let Some(timeout) = self.arguments.timeout else {
            return Ok(None);
        };
        if began.elapsed() < timeout {
            return Ok(None);
        }
        let (name, seconds) = (&view.name, timeout.as_secs_f64());
        output::note(format!(
            "timed out: the run of Rollout {name} has not ended within {seconds} s and goes on; {}",
            text::line(view)
        ));
        Ok(Some(Outcome::Problems))
    }

    /// Who watches wants to see the cluster come back; what is drawn next comes below the error.
    fn say_error(&mut self, error: &anyhow::Error) {
        output::error(error);
        self.live = Live::default();
    }

    /// Why one cannot be read, once until it is something else.
    fn say_unread(&mut self, why: String) {
        if let Entry::Vacant(place) = self.lines.entry(why) {
            output::note(format!("error: {}", place.key()));
            place.insert(String::new());
        }
    }

    fn is_live(&self) -> bool {
        self.arguments.output.output == Format::Table && output::is_terminal()
    }

    fn show_change(&mut self, view: &View) -> anyhow::Result<()> {
        if self.is_live() {
            self.live.draw(&text::tree(view));
            return Ok(());
        }
        self.say(view)
    }

    /// A line, or an object, if something changed but the time.
    fn say(&mut self, view: &View) -> anyhow::Result<()> {
        let key = format!("{}/{}", view.namespace.as_deref().unwrap_or(""), view.name);
        let line = text::line(view);
        if self.lines.get(&key) != Some(&line) {
            let at = self.caller.now().strftime("%H:%M:%S");
            let format = self.arguments.output.output;
            print(format, view, |_| format!("{at}  {line}"))?;
            self.lines.insert(key, line);
        }
        Ok(())
    }
}

/// Whether something is wrong with a Rollout.
fn outcome(view: &View) -> Outcome {
    if view.status.phase.is_failure() || !view.mistakes.is_empty() {
        Outcome::Problems
    } else {
        Outcome::Good
    }
}
