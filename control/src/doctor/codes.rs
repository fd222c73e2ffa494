//! Every finding that there is: its stable code, how bad it is, what it means, what mends it.
//!
//! docs/doctor.md is written from this table. When there is such a finding, the file of its subject
//! says.

use std::fmt;

use serde::{Serialize, Serializer};

use super::subjects::{Severity, Subject};

macro_rules! codes {
    ($($name:ident = $code:literal, $severity:ident, $subject:ident,
        $meaning:literal, $mend:literal;)*) => {
        /// Which finding it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// All of them, by their subject.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name for programs, such as `istio-missing`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What is looked at.
            pub const fn subject(self) -> Subject {
                match self { $(Self::$name => Subject::$subject,)* }
            }

            /// What it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What mends it, in general.
            pub const fn mend(self) -> &'static str {
                match self { $(Self::$name => $mend,)* }
            }
        }
    };
}

codes! {
    IstioMissing = "istio-missing", Broken, Istio,
        "The cluster knows neither WasmPlugin nor TrafficExtension, or istiod's Deployment has no pod that is ready.",
        "install Istio, or bring istiod back: kubectl -n istio-system rollout status deployment/istiod";
    IstiodUnseen = "istiod-unseen", Warning, Istio,
        "There is no Deployment of istiod in the root namespace, so its version and settings are not known.",
        "name the namespace with --root-namespace; where somebody else runs istiod, ask them for its settings (docs/istiod.md)";
    IstiodAlone = "istiod-alone", Warning, Istio,
        "istiod has one replica: while its pod is moved or restarted, no change of weights is accepted or pushed.",
        "kubectl -n istio-system scale deployment/istiod --replicas=2 (where an autoscaler has it: its minReplicas)";
    DebounceLong = "debounce-long", Warning, Istio,
        "istiod holds changes back for longer than by default, and an abort with them.",
        "in istiod's environment (Helm: pilot.env): PILOT_DEBOUNCE_AFTER=20ms PILOT_DEBOUNCE_MAX=200ms";
    DebounceDefault = "debounce-default", Note, Istio,
        "An abort waits up to PILOT_DEBOUNCE_MAX while others change Istio's configuration, and a plugin has no brake.",
        "a brake in the plugin's configuration (docs/brake.md), or PILOT_DEBOUNCE_AFTER=20ms and PILOT_DEBOUNCE_MAX=200ms (docs/istiod.md)";
    StatTagsMissing = "stat-tags-missing", Broken, Istio,
        "The mesh configuration does not name the filter's labels, so its metrics have none, and status and analyses see nothing.",
        "meshConfig.defaultConfig.extraStatTags: [sluice_split, sluice_audience, sluice_variant, sluice_source, sluice_class, sluice_plugin, sluice_word]; then restart the proxies";
    MeshUnreadable = "mesh-unreadable", Warning, Istio,
        "The ConfigMap with the mesh configuration is missing or no YAML.",
        "kubectl -n istio-system get configmap istio -o yaml";

    DefinitionMissing = "definition-missing", Warning, Definitions,
        "The cluster does not know Rollouts or Brakes, and nothing here needs them yet.",
        "sluice crds | kubectl apply --server-side -f -";
    DefinitionNeeded = "definition-needed", Broken, Definitions,
        "The cluster does not know Rollouts or Brakes, and a controller or a plugin needs them.",
        "sluice crds | kubectl apply --server-side -f -";
    DefinitionNotEstablished = "definition-not-established", Broken, Definitions,
        "The API server has a definition of ours and does not serve it.",
        "kubectl describe customresourcedefinition NAME: its conditions say why";
    DefinitionOlder = "definition-older", Broken, Definitions,
        "A definition lacks fields that this sluice writes: the API server drops them without a word.",
        "sluice crds | kubectl apply --server-side --force-conflicts -f -";
    DefinitionNewer = "definition-newer", Warning, Definitions,
        "A definition has fields that this sluice does not know: the cluster's is newer.",
        "use the sluice of the version that the cluster runs";

    RightMissing = "right-missing", Warning, Rights,
        "Your account may not do what some commands need.",
        "wasmplugin/base/rbac.yaml has the Role sluice-weights: bind it to the account";
    ControllerRightMissing = "controller-right-missing", Broken, Rights,
        "The controller's account lacks a right: its Rollouts stand still, or its brakes do.",
        "kubectl apply -k wasmplugin/controller";
    PolicyMissing = "policy-missing", Warning, Rights,
        "A Role of ours is given out without the admission policy that confines it to weights: RBAC cannot limit fields.",
        "kubectl apply -f wasmplugin/base/policy.yaml -f wasmplugin/base/history.yaml -f wasmplugin/base/brakes.yaml";

    PluginNone = "plugin-none", Note, Plugins,
        "There is no plugin of ours where was looked.",
        "sluice render and sluice apply make one; -A looks in every namespace";
    PluginUnreadable = "plugin-unreadable", Broken, Plugins,
        "No proxy reads the configuration as a whole; each keeps the last one that it could read, if it has any.",
        "sluice validate -n NAMESPACE says what is wrong with it";
    PluginProblems = "plugin-problems", Broken, Plugins,
        "A part of the configuration is not served.",
        "sluice validate -n NAMESPACE says what is wrong with it";
    PluginsDoNotFit = "plugins-do-not-fit", Broken, Plugins,
        "A plugin and what is around it (routes, subsets, other plugins of ours) cannot work together.",
        "sluice validate -n NAMESPACE says what does not fit";
    PluginDoubts = "plugin-doubts", Note, Plugins,
        "The validation of a plugin and what is around it has warnings.",
        "sluice validate -n NAMESPACE says them";
    PluginFailsClosed = "plugin-fails-closed", Warning, Plugins,
        "Where the module cannot be fetched, every request is answered 403.",
        "spec.failStrategy: FAIL_OPEN (of a TrafficExtension: spec.wasm.failStrategy)";
    PluginUnpinned = "plugin-unpinned", Warning, Plugins,
        "The module is not pinned: whoever pushes that tag runs code in every proxy.",
        "spec.sha256: the digest that `sluice push` printed";
    PluginPullsAlways = "plugin-pulls-always", Warning, Plugins,
        "Agents ask the registry at each change, an abort included: where it is down, the filter goes away.",
        "spec.imagePullPolicy: IfNotPresent, and a digest in spec.sha256";
    PluginOrderOpen = "plugin-order-open", Warning, Plugins,
        "Another plugin has the same phase and priority on the same proxies: which of both runs first, its age decides.",
        "give one of them a spec.priority: the higher one runs first";
    WeightsOfOthers = "weights-of-others", Warning, Plugins,
        "Weights are also set by another field manager, which undoes what sluice sets, or is undone by it.",
        "take weights and draws out of what Git applies; then `sluice set SPLIT … --force` once";

    ProxiesNone = "proxies-none", Warning, Proxies,
        "A plugin selects no running proxy: it decides nothing.",
        "compare its selector with the callers' pods: kubectl get pods -n NAMESPACE --show-labels";
    ProxiesWithoutFilter = "proxies-without-filter", Broken, Proxies,
        "Proxies that a plugin selects do not run the filter: their users all get the fallback.",
        "sluice refetch -n NAMESPACE; where it stays, the proxy's log says why";
    ProxiesRefused = "proxies-refused", Broken, Proxies,
        "Proxies refused the configuration and kept an earlier one.",
        "sluice validate -n NAMESPACE; a module that is older than the configuration is pushed anew with `sluice push`";
    ProxiesBehind = "proxies-behind", Warning, Proxies,
        "Proxies run another revision of the configuration than the cluster has.",
        "sluice status -n NAMESPACE --watch pushes again what was overtaken; istiod that is down or busy comes first";
    ProxiesUnknown = "proxies-unknown", Warning, Proxies,
        "Prometheus does not tell what some proxies run.",
        "scrape port 15020, path /stats/prometheus, of every pod with a proxy, at least each 60 s, with the labels namespace and pod";
    ProxiesOfOtherIstio = "proxies-of-other-istio", Warning, Proxies,
        "Proxies are more than one minor version away from istiod: Istio supports one.",
        "kubectl rollout restart the workloads, so that their proxies are injected anew";
    SplitMovesNobody = "split-moves-nobody", Warning, Proxies,
        "A split's weights have no effect, or not the one that was meant.",
        "sluice status -n NAMESPACE says why";
    ChallengerTakenOut = "challenger-taken-out", Warning, Proxies,
        "A guard or a brake took a challenger out: it serves less than its weight says.",
        "sluice status -n NAMESPACE names the proxies; then sluice abort SPLIT, or sluice brake release SPLIT";

    PrometheusUnnamed = "prometheus-unnamed", Note, Prometheus,
        "No Prometheus was named: what proxies run, and whether rollouts can be analysed, was not looked at.",
        "sluice doctor --prometheus URL (or SLUICE_PROMETHEUS)";
    PrometheusUnanswered = "prometheus-unanswered", Broken, Prometheus,
        "Prometheus does not answer, or what answers is none: checks of rollouts have no data and hold.",
        "open the URL; it ends where /api/v1/query begins";
    PrometheusWithoutFilter = "prometheus-without-filter", Broken, Prometheus,
        "Prometheus has nothing of any filter.",
        "scrape port 15020, path /stats/prometheus, of every pod with a proxy, as the annotations of Istio's pods say";
    PrometheusWithoutAgents = "prometheus-without-agents", Warning, Prometheus,
        "Prometheus scrapes Envoy's own port 15090, and not the agents' 15020: why a module was not fetched is not known.",
        "scrape port 15020, path /stats/prometheus: it has the agent's metrics and Envoy's";
    PrometheusWithoutPods = "prometheus-without-pods", Broken, Prometheus,
        "Series of the filter do not say whose they are: they lack the labels namespace and pod.",
        "relabel_configs: {source_labels: [__meta_kubernetes_namespace], target_label: namespace} and {source_labels: [__meta_kubernetes_pod_name], target_label: pod}";
    PrometheusWithoutTags = "prometheus-without-tags", Broken, Prometheus,
        "Series of the filter carry their labels in their name: those proxies were started without extraStatTags.",
        "set meshConfig.defaultConfig.extraStatTags, then kubectl rollout restart these workloads";
    PrometheusTwice = "prometheus-twice", Broken, Prometheus,
        "Prometheus scrapes a proxy more than once: what is summed over proxies counts it twice.",
        "keep one job for each pod, that of port 15020";
    PrometheusSeldom = "prometheus-seldom", Warning, Prometheus,
        "Prometheus scrapes less often than four times a window of an analysis, or than a status looks back.",
        "scrape_interval: 15s for the proxies' job, or a longer analysis.window";
    ResponseMetricsOff = "response-metrics-off", Broken, Prometheus,
        "A Rollout's checks need the filter's figures of responses, which its plugin does not count: they have no data, and hold.",
        "responseMetrics: true in the plugin's configuration, or analysis.istio in the Rollout";
    IstioMetricsMissing = "istio-metrics-missing", Broken, Prometheus,
        "A Rollout's checks need Istio's standard metrics, which Prometheus does not have.",
        "let Istio's Telemetry have the provider prometheus, and scrape port 15020";
    LatencyEdgesCoarse = "latency-edges-coarse", Note, Prometheus,
        "A latency's threshold lies between two edges of its histogram: in that bucket the check holds.",
        "the annotation sidecar.istio.io/statsHistogramBuckets on the callers' pods, or a threshold on an edge";

    ClockOfApiServer = "clock-of-api-server", Warning, Clocks,
        "This machine's clock and the API server's are apart: times in a history and of windows are wrong by that.",
        "run NTP on both: chronyc tracking";
    ClockOfPrometheus = "clock-of-prometheus", Warning, Clocks,
        "Prometheus' clock and the API server's are apart: what counts as scraped since a change is wrong by that.",
        "run NTP on both: chronyc tracking";

    WebhookGuardsAborts = "webhook-guards-aborts", Warning, Webhooks,
        "While the service of a webhook is down, the API server refuses every change of weights, an abort's zeros too, and a plugin has no brake.",
        "brake: {service: sluice-controller.sluice} in the plugin's configuration (docs/brake.md)";
    WebhookRefusesNow = "webhook-refuses-now", Broken, Webhooks,
        "A change that changes nothing was tried, and an admission webhook did not answer: no weight can be set now.",
        "bring its service back; until then an abort needs the brake, or failurePolicy: Ignore of that webhook";
    ChangeRefused = "change-refused", Broken, Webhooks,
        "A change that changes nothing was tried, and the cluster refused it: no weight can be set.",
        "what refused says why; sluice validate -n NAMESPACE may, too";
    AdmissionSlow = "admission-slow", Warning, Webhooks,
        "A change that changes nothing took longer than a second: an abort takes as long.",
        "look at the webhooks that match extensions.istio.io: their timeoutSeconds, and the service behind them";

    ControllerNeeded = "controller-needed", Broken, Controller,
        "There are Rollouts, or plugins with a brake, and no controller.",
        "kubectl apply -k wasmplugin/controller";
    ControllerNotReady = "controller-not-ready", Broken, Controller,
        "No pod of the controller is ready: no Rollout moves, and no proxy is told of a brake.",
        "kubectl -n sluice describe deployment sluice-controller; kubectl -n sluice logs deployment/sluice-controller";
    ControllerAlone = "controller-alone", Warning, Controller,
        "The controller has one replica: while its pod is moved, nobody answers proxies that ask for brakes.",
        "kubectl -n sluice scale deployment/sluice-controller --replicas=2";
    ControllerWithoutLeader = "controller-without-leader", Broken, Controller,
        "No replica of the controller leads: no Rollout moves.",
        "kubectl -n sluice logs deployment/sluice-controller; it needs leases: create, get, update";
    BrakeServiceMissing = "brake-service-missing", Broken, Controller,
        "The Service that a plugin names for brakes, or its port, is not there: an abort waits for istiod.",
        "kubectl apply -k wasmplugin/controller; brake: {service: sluice-controller.sluice, port: 8085}";

    ControllerOfOtherVersion = "controller-of-other-version", Warning, Versions,
        "The controller's version is not this sluice's: each may refuse what the other one writes.",
        "install the same version of both; the controller first";
    ControllerVersionUnknown = "controller-version-unknown", Note, Versions,
        "The controller does not say its version.",
        "install a controller of this sluice's version";
    ModuleOfOtherVersion = "module-of-other-version", Warning, Versions,
        "Proxies run a module that is not of this sluice's version: it may not know what is configured.",
        "sluice push the module of this version, and put its digest into the plugin";
    ModulesDiffer = "modules-differ", Warning, Versions,
        "Proxies of one plugin run modules of several versions.",
        "sluice refetch -n NAMESPACE, or wait until the proxies have the new one";
    ModuleVersionUnknown = "module-version-unknown", Note, Versions,
        "Proxies run a module that does not say its version.",
        "sluice push the module of this version, and put its digest into the plugin";
    IstioUntested = "istio-untested", Note, Versions,
        "istiod is of another minor version than the one that sluice was tested with.",
        "try it where nobody is hurt first: make e2e-istio runs every test against 1.31";
    IstioTooOld = "istio-too-old", Broken, Versions,
        "istiod is older than what a plugin's kind needs.",
        "upgrade Istio to 1.30 or newer, or render the plugin as a WasmPlugin";
    NotLookedAt = "not-looked-at", Warning, Rights,
        "Something could not be looked at: a right is missing, or nothing answered in time.",
        "run it as somebody who may get and list these objects";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// docs/doctor.md's table.
pub fn table() -> String {
    let mut text =
        String::from("| code | is | what it means | what mends it |\n|---|---|---|---|\n");
    for subject in Subject::ALL {
        for code in Code::ALL.iter().filter(|code| code.subject() == subject) {
            let mend = code.mend().replace('|', "\\|");
            let (severity, meaning) = (code.severity().as_str(), code.meaning());
            text.push_str(&format!("| `{code}` | {severity} | {meaning} | {mend} |\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_stable_names_and_each_has_a_mend() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let is_kebab = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(code.as_str().chars().all(is_kebab), "{code}");
            assert!(code.meaning().ends_with('.'), "{code}");
            assert!(
                !code.mend().is_empty() && !code.mend().ends_with('.'),
                "{code}"
            );
        }
    }

    #[test]
    fn the_page_has_every_finding_as_it_is() {
        const BEGIN: &str = "<!-- findings: by `GOLDEN=1 cargo test -p sluice doctor::codes` -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/doctor.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, after) = page.split_once(BEGIN).unwrap();
        let (_, after) = after.split_once("<!-- end -->").unwrap();
        let wanted = format!("{before}{BEGIN}{}<!-- end -->{after}", table());
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), wanted);
    }
}
