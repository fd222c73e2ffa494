//! `sluice brake`: the brakes of a cluster, and their release; a brake by the controller's key.

mod pull;

use anyhow::bail;
use jiff::Timestamp;

use super::outcome::Outcome;
use super::output;
use crate::brake::abort::Told;
use crate::brake::object::State;
use crate::brake::pull::{Given, Pulled};
use crate::brake::release::{self, Shown};
use crate::cluster::{Address, Cluster, ClusterError};
use crate::operations::{Caller, OperationError};
use crate::rollout::abort::NotAborted;

/// `sluice brake`.
#[derive(clap::Args, Debug)]
pub(super) struct Brake {
    #[command(subcommand)]
    verb: Verb,
}

/// What is asked.
#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// The brakes of a namespace: since when, by whom, why, and how many proxies have heard
    List(Place),
    /// Let the weights count again
    Release(Release),
    /// Brake by the controller's key, without the API server
    Pull(pull::PullArgs),
}

/// Where.
#[derive(clap::Args, Debug)]
struct Place {
    /// The namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<std::path::PathBuf>,
}

/// Which.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["splits", "all"]))]
struct Release {
    /// The splits whose brakes are released
    #[arg(value_name = "SPLIT")]
    splits: Vec<String>,
    /// Those of every split
    #[arg(long)]
    all: bool,
    /// Those of this plugin alone [default: of every plugin of the namespace]
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Place {
    async fn cluster(&self) -> anyhow::Result<Cluster> {
        Cluster::connect(&Address {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        })
        .await
    }
}

pub(super) async fn run(arguments: &Brake, caller: &Caller) -> anyhow::Result<Outcome> {
    match &arguments.verb {
        Verb::Pull(arguments) => pull::run(arguments, caller).await,
        Verb::List(place) => {
            let cluster = place.cluster().await?;
            let all = release::list(&cluster).await?;
            output::note(format!(
                "on {}, namespace {}",
                cluster.title(),
                cluster.namespace()
            ));
            if all.is_empty() {
                output::note("no brakes");
            }
            for shown in &all {
                output::line(line(shown));
            }
            Ok(Outcome::Good)
        }
        Verb::Release(which) => {
            let cluster = which.place.cluster().await?;
            let meant = release::Which {
                plugin: which.plugin.as_deref(),
                splits: &which.splits,
            };
            let released = release::release(&cluster, caller, meant).await?;
            output::note(format!(
                "on {}, namespace {}",
                cluster.title(),
                cluster.namespace()
            ));
            if released.is_empty() {
                let of_plugin = which.plugin.as_ref();
                let of_plugin = of_plugin.map_or_else(String::new, |name| format!(" of {name}"));
                bail!(
                    "no brake to release of {}{of_plugin}",
                    match which.splits.as_slice() {
                        [] => "any split".to_owned(),
                        splits => splits.join(", "),
                    }
                );
            }
            for shown in &released {
                output::line(line(shown));
            }
            Ok(Outcome::Good)
        }
    }
}

/// The brakes of a plugin that hold, each said in a line; that they cannot be read is said too.
pub(super) async fn say_in_force(cluster: &Cluster, plugin: &str) -> Vec<Shown> {
    match release::in_force(cluster, plugin).await {
        Ok(all) => {
            for shown in &all {
                output::note(format!("brake: {}", line(shown)));
            }
            all
        }
        Err(error) => {
            output::note(format!("unknown: the brakes: {error:#}"));
            Vec::new()
        }
    }
}

fn line(shown: &Shown) -> String {
    let Shown {
        plugin,
        split,
        challenger,
        by,
        reason,
        since,
        state,
        heard,
        message,
    } = shown;
    let challenger = challenger.as_deref().unwrap_or("every challenger");
    let since = since.map_or_else(String::new, |since: Timestamp| format!(" since {since}"));
    let reason = reason.as_deref().map_or_else(String::new, |reason| {
        format!(" ({})", output::quoted(reason))
    });
    let state = match state {
        State::On => "on",
        State::Written => "written",
        State::Over => "over",
        State::Released => "released",
    };
    let (asking, following) = (heard.asking, heard.following);
    let message = message.as_deref().map_or_else(String::new, |why| {
        format!("; not written: {}", output::quoted(why))
    });
    format!(
        "{plugin} {split} {challenger}: {state}{since} by {}{reason}; in {following} of {asking} proxies{message}",
        output::quoted(by)
    )
}

/// Where one plugin is meant, that is said.
pub(super) const MEANWHILE: Told<'static> = Told {
    plugin: None,
    tell: Some(say_meanwhile),
};

/// Says where a brake is in force while the zeros are still to be written.
pub(super) fn say_meanwhile(plugin: Option<&str>, pulled: &Pulled) {
    if let Pulled::Given { heard, .. } = pulled {
        let plugin = plugin.map_or_else(String::new, |plugin| format!("{plugin}: "));
        output::note(format!(
            "{plugin}the brake is in force in {} of {} proxies; waiting for the plugin to be written",
            heard.following, heard.asking
        ));
    }
}

/// Says how many proxies have heard of the brake of an abort, and whether all that ask have.
pub(super) async fn say_followed(given: &Result<Given, Pulled>) -> Outcome {
    let pulled = match given {
        Ok(given) => given.followed().await,
        Err(pulled) => pulled.clone(),
    };
    say(&pulled)
}

/// Where the zeros could not be written, the brake may stand in for them: then what the controller is
/// to write yet is in force all the same.
///
/// # Errors
/// Why the zeros were not written, where not every proxy that asks has heard of the brake.
pub(super) async fn stands_in(
    given: &Result<Given, Pulled>,
    why: anyhow::Error,
) -> anyhow::Result<Outcome> {
    let is_given = given.is_ok();
    if say_followed(given).await == Outcome::Good && is_given {
        output::note(format!("not written yet: {why:#}"));
        return Ok(Outcome::Good);
    }
    Err(why)
}

/// Names the way that is left where no API server answers.
pub(super) fn name_the_key() {
    output::note("`sluice brake pull` with the controller's key works without the API server");
}

/// Whether an abort came to nothing because no API server answered.
pub(super) fn is_without_answer(why: &anyhow::Error) -> bool {
    let of_run = why.downcast_ref::<NotAborted>();
    let of_weights = why.downcast_ref::<OperationError>();
    let of_cluster = why.downcast_ref::<ClusterError>();
    of_run.is_some_and(NotAborted::is_without_answer)
        || of_weights.is_some_and(OperationError::is_without_answer)
        || of_cluster.is_some_and(ClusterError::is_without_answer)
}

fn say(pulled: &Pulled) -> Outcome {
    match pulled {
        Pulled::NotThere => Outcome::Good,
        Pulled::Refused { why } => {
            output::note(format!("the brake was not given: {why}"));
            Outcome::Problems
        }
        Pulled::Given {
            state: State::Released,
            ..
        } => {
            output::note("not braked: the brake was released meanwhile");
            Outcome::Problems
        }
        Pulled::Given {
            heard,
            state,
            message,
        } => {
            let (asking, following) = (heard.asking, heard.following);
            let written = match (state, message) {
                (State::On, Some(why)) => format!("; to be written: {}", output::quoted(why)),
                (State::On, None) => "; to be written".to_owned(),
                _ => String::new(),
            };
            output::note(format!(
                "braked: in force in {following} of {asking} proxies{written}"
            ));
            match asking > 0 && following == asking {
                true => Outcome::Good,
                false => Outcome::Problems,
            }
        }
    }
}
