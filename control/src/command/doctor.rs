//! `sluice doctor`: what is wrong with a cluster, and what mends it; the worst first.

use super::arguments::{self as shared, ClusterArgs, Format, OutputArgs, ScopeArgs};
use super::outcome::Outcome;
use super::{output, stores};
use crate::cluster::plugins::Scope;
use crate::doctor::examine;
use crate::doctor::finding::Finding;
use crate::doctor::query::Query;
use crate::doctor::report::Report;
use crate::operations::Caller;

/// `sluice doctor`.
#[derive(clap::Args, Debug)]
pub(super) struct Doctor {
    /// The Prometheus that scrapes the proxies; without it, what they run is not looked at
    #[arg(long, env = "SLUICE_PROMETHEUS", value_name = "URL")]
    prometheus: Option<String>,
    /// Istio's root namespace, where istiod is
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    root_namespace: String,
    /// Which cluster, and where in it.
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Doctor, caller: &Caller) -> anyhow::Result<Outcome> {
    let prometheus = shared::prometheus(arguments.prometheus.as_deref())?;
    let cluster = stores::cluster(&arguments.cluster).await?;
    let scope = match arguments.scope.all_namespaces {
        true => Scope::Everywhere,
        false => Scope::Namespace(cluster.namespace().to_owned()),
    };
    output::note(match &scope {
        Scope::Everywhere => format!("on {}, every namespace", cluster.title()),
        Scope::Namespace(namespace) => format!("on {}, namespace {namespace}", cluster.title()),
    });
    let query = Query {
        scope: &scope,
        plugin: arguments.cluster.plugin.as_deref(),
        prometheus: prometheus.as_ref(),
        root_namespace: &arguments.root_namespace,
        clock: caller.clock,
    };
    let report = examine(&cluster, query).await?;
    match arguments.output.output {
        Format::Table => output::line(text(&report).trim_end()),
        format => output::print(format, &report, text)?,
    }
    Ok(match report.is_good {
        true => Outcome::Good,
        false => Outcome::Problems,
    })
}

fn text(report: &Report) -> String {
    let mut text: String = report.findings.iter().map(lines_of).collect();
    for (code, more) in &report.unlisted {
        text.push_str(&format!("and {more} more of {code}\n\n"));
    }
    for good in &report.good {
        let seen: Vec<String> = good.seen.iter().map(output::quoted).collect();
        let subject = good.subject.as_str();
        text.push_str(&format!("good  {subject}: {}\n", seen.join("; ")));
    }
    let counts = report.counts;
    text.push_str(&format!(
        "{} broken, {} warnings, {} notes\n",
        counts.broken, counts.warnings, counts.notes
    ));
    text
}

/// A finding in four lines, and an empty one.
pub(super) fn lines_of(finding: &Finding) -> String {
    let Finding {
        severity,
        code,
        place,
        found,
        accepted,
        mend,
        ..
    } = finding;
    let severity = severity.as_str().to_uppercase();
    let [place, found, accepted, mend] = [place, found, accepted, mend].map(output::quoted);
    format!(
        "{severity} {code}: {place}\n  found     {found}\n  accepted  {accepted}\n  mend      {mend}\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::codes::Code;
    use crate::doctor::finding::Look;
    use crate::doctor::subjects::Subject;

    #[test]
    fn findings_come_before_what_is_good_and_begin_no_line_of_their_own() {
        let mut report = Report::new("context kind");
        let mut look = Look::default();
        let found = "x\n0 broken, 0 warnings, 0 notes";
        look.find(Finding::new(
            Code::PluginUnpinned,
            "WasmPlugin a/s",
            found,
            "a digest",
        ));
        look.praise("this");
        look.praise("that");
        report.add(Subject::Plugins, look);
        assert_eq!(
            text(&report.sorted()),
            "WARNING plugin-unpinned: WasmPlugin a/s\n  found     x\\n0 broken, 0 warnings, 0 notes\n  \
             accepted  a digest\n  mend      spec.sha256: the digest that `sluice push` printed\n\ngood  plugins: this; \
             that\n0 broken, 1 warnings, 0 notes\n"
        );
    }
}
