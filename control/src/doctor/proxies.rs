//! What the proxies run that our plugins select: the filter or none, which revision, which module,
//! which Istio.
//!
//! What a proxy does is [`crate::operations::status`]'s to say; here it is counted and judged.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use super::codes::Code;
use super::finding::{Finding, Look, count, named};
use super::objects::{self, POD};
use super::query::Ground;
use super::versions::{self, Version};
use crate::cluster::plugins::{LivePlugin, Scope};
use crate::cluster::pods::plugin_names;
use crate::cluster::prometheus::{Prometheus, Series};
use crate::operations::status::cluster::{PluginStatus, Plugins, Query, statuses};
use crate::operations::status::proxies::State;

/// Over how long shares are measured: nothing here is judged by them.
const WINDOW: &str = "1m";

/// Looks at the proxies of each plugin, and at their Istio against istiod's versions.
pub async fn look(ground: &Ground<'_>, istiods: &[(String, Version)]) -> Look {
    let mut look = Look::default();
    let prometheus = ground.query.prometheus;
    for live in ground.examined() {
        let place = &live.plugin.source;
        match status(ground, live, prometheus).await {
            Ok(status) => look.join(judge(&status, live.namespace())),
            Err(error) => look.miss(format!("the proxies of {place}"), format!("{error:#}")),
        }
        if let Some(prometheus) = prometheus {
            match modules(prometheus, live).await {
                Ok(running) => look.join(versions::modules(place, Version::own(), &running)),
                Err(why) => look.miss(format!("the modules of {place}"), why),
            }
        }
    }
    look.join(of_other_istio(ground, istiods).await);
    look
}

async fn status(
    ground: &Ground<'_>,
    live: &LivePlugin,
    prometheus: Option<&Prometheus>,
) -> anyhow::Result<PluginStatus> {
    let named = format!("{}/{}", live.plugin.kind.name().to_lowercase(), live.name());
    let query = Query {
        plugins: Plugins::One(Some(&named)),
        prometheus,
        window: WINDOW,
        root_namespace: ground.query.root_namespace,
    };
    let cluster = ground.cluster.in_namespace(live.namespace());
    let mut found = statuses(&cluster, &query).await?;
    found
        .pop()
        .ok_or_else(|| anyhow::anyhow!("it is gone meanwhile"))
}

/// What a plugin's status means.
pub fn judge(status: &PluginStatus, namespace: &str) -> Look {
    let mut look = Look::default();
    let place = status.plugin.as_str();
    if status.selected == Some(0) {
        let accepted = "a running pod with Istio's proxy";
        let found = format!("it selects no running proxy {}", status.selection);
        let finding = Finding::new(Code::ProxiesNone, place, found, accepted);
        look.find(finding.mended_by(format!(
            "compare its selector with the callers' pods: kubectl get pods -n {namespace} --show-labels"
        )));
        return look;
    }
    look.join(by_state(status, namespace));
    let warnings: Vec<String> = status.warnings.iter().map(ToString::to_string).collect();
    if !warnings.is_empty() {
        let accepted = "splits whose weights move users";
        look.find(Finding::new(
            Code::SplitMovesNobody,
            place,
            named(&warnings),
            accepted,
        ));
    }
    let tripped = status.tripped.len();
    let braked = status.braked.len();
    if tripped + braked > 0 {
        let found = format!("taken out by guards in {tripped} proxies, by brakes in {braked}");
        let finding = Finding::new(Code::ChallengerTakenOut, place, found, "none");
        look.find(finding.mended_by(format!(
            "sluice status -n {namespace} names the proxies; then sluice abort SPLIT -n {namespace}, or sluice brake \
             release SPLIT -n {namespace}"
        )));
    }
    if let (Some(selected), Some(converged)) = (status.selected, status.converged)
        && selected == converged
    {
        let proxies = count(converged, "proxy", "proxies");
        look.praise(format!("{place} is in force on {proxies}"));
    }
    look
}

/// The proxies that do not run what is wanted, by what they do.
fn by_state(status: &PluginStatus, namespace: &str) -> Look {
    let mut look = Look::default();
    let mut groups: BTreeMap<(Code, String), Vec<String>> = BTreeMap::new();
    for proxy in &status.proxies {
        let (code, why) = match &proxy.state {
            State::Converged => continue,
            State::Other { delivery, .. } => (Code::ProxiesBehind, delivery.to_string()),
            State::Refused => (Code::ProxiesRefused, "they kept an earlier one".to_owned()),
            State::WithoutFilter { cause } => (Code::ProxiesWithoutFilter, cause.to_string()),
            State::Unknown { cause } => (Code::ProxiesUnknown, cause.to_string()),
        };
        let pods = groups.entry((code, why)).or_default();
        pods.push(format!("{}/{}", proxy.namespace, proxy.pod));
    }
    for ((code, why), pods) in groups {
        let found = format!(
            "{} of {}, {}: {why}",
            pods.len(),
            count(status.proxies.len(), "proxy", "proxies"),
            named(&pods)
        );
        let finding = Finding::new(
            code,
            &status.plugin,
            found,
            "the wanted revision in every proxy",
        );
        let mend = code.mend().replace("NAMESPACE", namespace);
        look.find(finding.mended_by(mend));
    }
    look
}

/// The versions of the modules that a plugin's proxies run, each with how many.
///
/// # Errors
/// Why Prometheus does not say, in words.
pub async fn modules(
    prometheus: &Prometheus,
    live: &LivePlugin,
) -> Result<Vec<(Option<Version>, usize)>, String> {
    let names = plugin_names(live).map(|name| name.replace('.', "\\\\."));
    let plugin = format!("sluice_plugin=~\"{}\"", names.join("|"));
    // A filter that is gone leaves its gauges behind; only who ticks runs it.
    let ticks = format!("sum by (namespace, pod) (rate(sluice_ticks_total{{{plugin}}}[3m])) > 0");
    let gauges = format!("max by (namespace, pod) (sluice_module_version{{{plugin}}})");
    let (ticks, gauges) = tokio::try_join!(prometheus.query(&ticks), prometheus.query(&gauges))
        .map_err(|error| error.to_string())?;
    Ok(counted(&ticks, &gauges))
}

fn counted(ticks: &[Series], gauges: &[Series]) -> Vec<(Option<Version>, usize)> {
    let pod = |series: &Series| {
        [
            series.label("namespace").to_owned(),
            series.label("pod").to_owned(),
        ]
    };
    let versions: BTreeMap<[String; 2], Version> = gauges
        .iter()
        .filter_map(|series| Some((pod(series), Version::of_gauge(series.last()?.1)?)))
        .collect();
    let mut counts: BTreeMap<Option<Version>, usize> = BTreeMap::new();
    for series in ticks {
        *counts
            .entry(versions.get(&pod(series)).copied())
            .or_default() += 1;
    }
    counts.into_iter().collect()
}

/// The proxies whose Istio is more than a minor version away from every istiod.
async fn of_other_istio(ground: &Ground<'_>, istiods: &[(String, Version)]) -> Look {
    let mut look = Look::default();
    if istiods.is_empty() || ground.live.is_empty() {
        return look;
    }
    let is_of_root = ground
        .live
        .iter()
        .any(|live| live.namespace() == ground.query.root_namespace);
    let scope = match ground.query.scope {
        Scope::Namespace(namespace) if !is_of_root => Scope::Namespace(namespace.clone()),
        _ => Scope::Everywhere,
    };
    let running = ListParams::default().fields("status.phase=Running");
    match objects::all(ground.cluster, &POD, &scope, &running).await {
        Ok(pods) => look.join(judge_istio(&objects::typed(pods), istiods)),
        Err(why) => look.miss("the proxies' versions of Istio", why),
    }
    look
}

fn judge_istio(pods: &[Pod], istiods: &[(String, Version)]) -> Look {
    let mut look = Look::default();
    let mut far: BTreeMap<Version, Vec<String>> = BTreeMap::new();
    for pod in pods {
        let Some(version) = version_of_proxy(pod) else {
            continue;
        };
        if istiods
            .iter()
            .all(|(_, istiod)| version.is_far_from(*istiod))
        {
            let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
            let text = |part: &Option<String>| part.clone().unwrap_or_default();
            let pods = far.entry(version).or_default();
            pods.push(format!("{}/{}", text(namespace), text(name)));
        }
    }
    let istiods: Vec<String> = istiods
        .iter()
        .map(|(_, version)| version.to_string())
        .collect();
    for (version, pods) in far {
        look.find(Finding::new(
            Code::ProxiesOfOtherIstio,
            named(&pods),
            format!(
                "{} of Istio {version}, beside istiod {}",
                count(pods.len(), "proxy", "proxies"),
                named(&istiods)
            ),
            "at most one minor version apart",
        ));
    }
    look
}

fn version_of_proxy(pod: &Pod) -> Option<Version> {
    let spec = pod.spec.as_ref()?;
    let mut containers = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let proxy = containers.find(|container| container.name == "istio-proxy")?;
    Version::of_image(proxy.image.as_deref()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn modules_are_counted_of_proxies_that_tick() {
        let series = |pod: &str, value: &str| -> Series {
            let series = json!({"metric": {"namespace": "a", "pod": pod}, "value": [1.0, value]});
            serde_json::from_value(series).unwrap()
        };
        let ticks = [series("p1", "1"), series("p2", "1"), series("p3", "1")];
        let gauges = [
            series("p1", "1000"),
            series("p2", "1000"),
            series("gone", "2000"),
        ];
        let version = Version::read("0.1.0");
        assert_eq!(counted(&ticks, &gauges), [(None, 1), (version, 2)]);
    }

    #[test]
    fn a_proxy_far_from_every_istiod_is_named() {
        let pod = |name: &str, image: &str| -> Pod {
            let containers = json!([{"name": "app"}, {"name": "istio-proxy", "image": image}]);
            let pod = json!({
                "metadata": {"namespace": "a", "name": name}, "spec": {"containers": containers},
            });
            serde_json::from_value(pod).unwrap()
        };
        let pods = [
            pod("old", "istio/proxyv2:1.28.2"),
            pod("near", "istio/proxyv2:1.30.0"),
            pod("untagged", "proxy"),
        ];
        let istiods = [(
            "Deployment istio-system/istiod".to_owned(),
            Version::read("1.31.1").unwrap(),
        )];
        let look = judge_istio(&pods, &istiods);
        assert_eq!(look.findings.len(), 1);
        let found = &look.findings[0];
        assert_eq!(
            (found.code, found.place.as_str()),
            (Code::ProxiesOfOtherIstio, "a/old")
        );
        assert_eq!(found.found, "1 proxy of Istio 1.28.2, beside istiod 1.31.1");
    }
}
