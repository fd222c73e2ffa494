//! `sluice apply`: applies the resources of a split in the order in which no request fails, and
//! says each step as it is done.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::SignedDuration;

use super::arguments::{self as shared, ForceArgs, Format, OutputArgs};
use super::interruption::Interruption;
use super::outcome::Outcome;
use super::render::{Needed, ResourceArgs, rendered, say_weights_are_left_out};
use crate::cluster::{Address, Cluster};
use crate::command::output;
use crate::files;
use crate::model::input::Input;
use crate::model::manifest::{Manifests, Namespace};
use crate::model::plugin;
use crate::model::service::ServiceRef;
use crate::operations::apply::{
    Application, Change, Progress, Resourced, SUBSETS_SECONDS, Step, Terms, Waited, named, try_all,
};
use crate::store::{Note, OthersFields};

/// The longest `--timeout`. Chosen: who waits longer should look at istiod.
const MAX_TIMEOUT_SECONDS: u64 = 3_600;

/// `sluice apply`.
#[derive(clap::Args, Debug)]
pub(super) struct Apply {
    /// The split to render and apply; without it, -f has the resources themselves
    #[arg(requires_all = ["image", "digest", "service"])]
    split: Option<String>,
    /// The configuration or, without SPLIT, the resources: a file, a directory, or - for standard
    /// input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The module's image, as `sluice push` prints it
    #[arg(long, value_name = "oci://…", requires = "split")]
    image: Option<String>,
    /// The image's digest, as `sluice push` prints it
    #[arg(long, value_name = "sha256:…", requires = "split")]
    digest: Option<String>,
    /// The service that has the variants
    #[arg(long, value_name = "SERVICE.NAMESPACE", requires = "split")]
    service: Option<ServiceRef>,
    /// Which resources.
    #[command(flatten)]
    resources: ResourceArgs,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The Prometheus that scrapes the proxies, to see whether they have new subsets; without it,
    /// routes follow some seconds later
    #[arg(long, env = "SLUICE_PROMETHEUS", value_name = "URL")]
    prometheus: Option<String>,
    /// How long no proxy may have the new subsets before it is given up
    #[arg(long, default_value = "90s", value_name = "DURATION", value_parser = timeout)]
    timeout: Duration,
    /// Istio's root namespace: a plugin in it selects the proxies of every namespace
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    root_namespace: String,
    /// Whether fields that somebody else set are taken over.
    #[command(flatten)]
    force: ForceArgs,
    /// Which cluster, and where in it.
    #[command(flatten)]
    cluster: PlaceArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

/// A namespace of a cluster.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
struct PlaceArgs {
    /// The plugin's namespace [default: the gateway's, or the service's]; without SPLIT, that of
    /// every resource [default: its own, or the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

pub(super) async fn run(arguments: &Apply) -> anyhow::Result<Outcome> {
    let prometheus = shared::prometheus(arguments.prometheus.as_deref())?;
    let inputs = inputs(arguments)?;
    let cluster = Cluster::connect(&Address {
        kubeconfig: arguments.cluster.kubeconfig.clone(),
        context: arguments.cluster.context.clone(),
        namespace: arguments.cluster.namespace.clone(),
    })
    .await?;
    output::note(format!("on {}", cluster.title()));
    let manifests = manifests(arguments, inputs, &cluster)?;
    let others_fields = if arguments.force.force {
        OthersFields::TakeOver
    } else {
        OthersFields::Respect
    };
    let tried = try_all(&cluster, manifests, others_fields).await;
    let application = tried.context("nothing was applied")?;
    if arguments.dry_run {
        print(arguments.output, &application)?;
        return Ok(Outcome::Good);
    }
    let terms = Terms {
        others_fields,
        prometheus: prometheus.as_ref(),
        timeout: arguments.timeout,
        root_namespace: &arguments.root_namespace,
    };
    carry_out(arguments.output, application, &terms).await
}

/// The resources as documents, rendered or read.
fn inputs(arguments: &Apply) -> anyhow::Result<Vec<Input>> {
    let Apply {
        split: Some(split),
        image: Some(image),
        digest: Some(digest),
        service: Some(service),
        ..
    } = arguments
    else {
        return resources(arguments);
    };
    let needed = Needed {
        split,
        image,
        digest,
        service,
        namespace: arguments.cluster.namespace.as_deref(),
        workload: None,
    };
    let rendered = rendered(&arguments.file, &needed, &arguments.resources)?;
    let documents = rendered.subsets.into_iter().chain(rendered.documents);
    let input = |value| Input {
        source: split.clone(),
        value,
    };
    Ok(documents.map(input).collect())
}

/// The resources of a file, whose plugins must be good.
fn resources(arguments: &Apply) -> anyhow::Result<Vec<Input>> {
    let inputs = files::documents(&arguments.file)?;
    let problems: Vec<String> = plugin::plugins(inputs.clone())?
        .iter()
        .flat_map(|plugin| {
            let source = &plugin.source;
            let problems = plugin.problems().into_iter();
            problems
                .map(move |problem| format!("{source}: {problem}"))
                .collect::<Vec<_>>()
        })
        .collect();
    if !problems.is_empty() {
        bail!("nothing was applied\n{}", problems.join("\n"));
    }
    Ok(inputs)
}

fn manifests(
    arguments: &Apply,
    inputs: Vec<Input>,
    cluster: &Cluster,
) -> anyhow::Result<Manifests> {
    let is_only = arguments.split.is_none() && arguments.cluster.namespace.is_some();
    let namespace = if is_only {
        Namespace::Only(cluster.namespace())
    } else {
        Namespace::Default(cluster.namespace())
    };
    let manifests = Manifests::of(inputs, namespace)?;
    if manifests.left_weights_out {
        say_weights_are_left_out();
    }
    Ok(manifests)
}

/// Applies everything, until a signal or a refusal; then says what was done and what was not.
async fn carry_out(
    output: OutputArgs,
    mut application: Application,
    terms: &Terms<'_>,
) -> anyhow::Result<Outcome> {
    let mut interruption = Interruption::listen()?;
    let mut say = |step: Step<'_>| say(output.output, &step);
    let result = tokio::select! {
        result = application.run(terms, &mut say) => result.map_err(anyhow::Error::from),
        signal = interruption.received() => Err(anyhow::anyhow!(signal)),
    };
    if output.output != Format::Table {
        print(output, &application)?;
    }
    let Err(error) = result else {
        let is_problem = application.notes.iter().any(Note::is_problem);
        return Ok(match is_problem {
            true => Outcome::Problems,
            false => Outcome::Good,
        });
    };
    let is_touched = |resource: &Resourced| resource.progress != Progress::Tried;
    if !application.resources.iter().any(is_touched) {
        return Err(error.context("nothing was applied"));
    }
    output::error(&error);
    output::note(rest(&application));
    Ok(Outcome::Problems)
}

/// What a person reads of each step, as it is done.
fn say(format: Format, step: &Step<'_>) {
    if format != Format::Table {
        return;
    }
    match step {
        Step::Applied(resource) => output::line(line(resource)),
        Step::Noted(note) => output::note(format!("note: {note}")),
        Step::Looks(proxies) => {
            output::note(format!(
                "waiting for the subsets; proxies that should have them: {proxies}"
            ));
        }
        Step::Waits(seconds, because) => {
            output::note(format!("waiting {seconds} s: {because}"));
        }
        Step::Waited(Waited::Seen { proxies, seconds }) => {
            output::note(format!(
                "{proxies} of {proxies} have them, after {seconds:.1} s"
            ));
        }
        Step::Waited(Waited::PartlySeen { proxies, others }) => output::note(format!(
            "{proxies} of {} have them; after {SUBSETS_SECONDS} s the others are taken for such as do not call the \
             service, and routes follow: {}",
            proxies + others.len(),
            named(others)
        )),
        Step::Waited(Waited::Blindly { seconds, because }) => {
            output::note(format!("waited {seconds} s: {because}"));
        }
    }
}

fn line(resource: &Resourced) -> String {
    let change = match resource.change {
        Change::Created => "created",
        Change::Changed => "changed",
        Change::Unchanged => "unchanged",
    };
    format!("{} {change}", resource.resource)
}

/// What is not applied, and how to go on.
fn rest(application: &Application) -> String {
    let mut lines =
        vec!["only what is said above was applied; running it again goes on".to_owned()];
    lines.extend(application.left().map(|resource| match resource.progress {
        Progress::Unknown => format!("unknown whether applied: {}", resource.resource),
        _ => format!("not applied: {}", resource.resource),
    }));
    lines.join("\n")
}

fn print(output: OutputArgs, application: &Application) -> anyhow::Result<()> {
    output::print(output.output, application, |application| {
        let lines = application
            .resources
            .iter()
            .map(|resource| format!("{} (dry run: nothing was written)", line(resource)));
        lines.collect::<Vec<_>>().join("\n")
    })
}

fn timeout(text: &str) -> Result<Duration, String> {
    let accepted =
        format!("accepted: {SUBSETS_SECONDS}s to {MAX_TIMEOUT_SECONDS}s, such as 90s or 5m");
    let duration: Option<SignedDuration> = text.parse().ok();
    duration
        .and_then(|duration| u64::try_from(duration.as_secs()).ok())
        .filter(|seconds| (SUBSETS_SECONDS..=MAX_TIMEOUT_SECONDS).contains(seconds))
        .map(Duration::from_secs)
        .ok_or(accepted)
}
