//! What Helm makes of the chart: with the defaults what Kustomize applies, with everything what an
//! API server takes, and of wrong values a refusal.

use std::process::Command;

use sluice_e2e_istio::kubernetes::documents;

use super::release::{HERE, Release, chart, helm};
use crate::access::checkout;
use crate::world::World;

/// The files of wasmplugin that come from the chart.
const OF_THE_CHART: [&str; 9] = [
    "controller/account.yaml",
    "controller/cluster.yaml",
    "controller/namespaced.yaml",
    "controller/deployment.yaml",
    "controller/brake.yaml",
    "controller/budget.yaml",
    "controller/secrets.yaml",
    "controller/workloads.yaml",
    "base/rbac.yaml",
];

/// Everything that may be switched on.
const EVERYTHING: &str = "--set key.enabled=true,serviceMonitor.enabled=true,\
    podMonitor.enabled=true,dashboards.enabled=true,alerts.enabled=true,native.enabled=true \
    --set secrets[0].namespace=a,secrets[0].names={prom} \
    --set workloads[0].namespace=a,workloads[0].deployments={checkout} \
    --set workloads[0].services={checkout} \
    --set outboundHosts={hooks.example.com} \
    --set tolerations[0].operator=Exists,nodeSelector.disk=ssd,priorityClassName=system-cluster-critical \
    --set networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring \
    --set networkPolicy.egress.ports={8428}";

/// And those who may move weights, once the policies are there that limit them.
const PEOPLE: &str = "--set people[0].namespace=a,people[0].groups={shop-team}";

/// Namespaces whose controllers could be named as other Services are, or be read as no text.
const NAMES: &str =
    "--set namespaces={metrics,pull,no},key.enabled=true,serviceMonitor.enabled=true";

pub async fn the_kustomize_base_is_what_the_chart_gives(world: &mut World) {
    let folder = world.chain.folder().join("kustomize-base");
    let script = checkout("tools/kustomize-base.sh");
    let output = Command::new(script)
        .arg(world.chain.tools.go.join("helm"))
        .arg(chart())
        .arg(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    for file in OF_THE_CHART {
        let rendered = std::fs::read_to_string(folder.join(file)).unwrap();
        let committed = std::fs::read_to_string(checkout("wasmplugin").join(file)).unwrap();
        assert!(rendered.contains("kind: "), "{file}: {rendered}");
        assert_eq!(rendered, committed, "{file}: `make chart` rewrites it");
    }
}

/// What is refused, and what Helm says is accepted.
const REFUSED: [(&str, &str); 21] = [
    ("replica=3", "additional properties 'replica' not allowed"),
    ("replicas=0", "minimum: got 0, want 1"),
    ("replicas=two", "got string, want integer"),
    (
        "image.digest=sha256:12",
        "does not match pattern '^(sha256:[0-9a-f]{64})?$'",
    ),
    (
        "image.pullPolicy=Sometimes",
        "'Always', 'IfNotPresent', 'Never'",
    ),
    ("namespaces=shop", "got string, want array"),
    ("namespaces={Shop}", "'Shop' does not match pattern"),
    ("namespaces={a,a}", "items at 0 and 1 are equal"),
    (
        "prometheus.url=prometheus:9090",
        "'prometheus:9090' does not match pattern '^(https?://",
    ),
    ("leaseSeconds=1", "minimum: got 1, want 2"),
    (
        "key.enable=true",
        "additional properties 'enable' not allowed",
    ),
    ("secrets[0].namespace=a", "missing property 'names'"),
    (
        "networkPolicy.egress.ports={70000}",
        "maximum: got 70,000, want 65,535",
    ),
    (
        "people[0].namespace=a,people[0].groups={x},people[1].namespace=a,people[1].groups={y}",
        "people[1].namespace: a has the entry people[0] already; give each namespace one entry",
    ),
    (
        "secrets[0].namespace=a,secrets[0].names={x},secrets[1].namespace=a,secrets[1].names={y}",
        "secrets[1].namespace: a has the entry secrets[0] already",
    ),
    (
        "workloads[0].namespace=a,workloads[0].deployments={x},\
         workloads[1].namespace=a,workloads[1].deployments={y}",
        "workloads[1].namespace: a has the entry workloads[0] already",
    ),
    (
        "namespaces={a},secrets[0].namespace=b,secrets[0].names={x}",
        "secrets[0].namespace: no controller runs for b; accepted is what namespaces lists: a",
    ),
    (
        "alerts.runbooks=docs",
        "'docs' does not match pattern '^(https?://",
    ),
    (
        "replicas=2 --kube-version 1.29.9",
        "the cluster is Kubernetes 1.29.9; 1.30 or later is needed",
    ),
    (
        "native.libraries={/opt/sluice}",
        "'/opt/sluice' does not match pattern",
    ),
    (
        "serviceMonitor.interval=often",
        "'often' does not match pattern",
    ),
];

pub async fn a_value_that_is_wrong_is_refused_with_what_is_accepted(world: &mut World) {
    let (helm, chart) = (helm(world), chart());
    let chart = chart.display();
    for (value, accepted) in REFUSED {
        let template = format!("template sluice {chart} --set {value}");
        let said = helm.run_beside(&template).await.ended_with(1);
        assert!(said.err.contains(accepted), "{value}: {}", said.err);
    }
    for values in [
        "",
        EVERYTHING,
        PEOPLE,
        NAMES,
        "--set namespaces={a,b},key.enabled=true",
    ] {
        let lint = format!("lint --strict {chart} {values}");
        let said = helm.run_beside(&lint).await.good();
        assert!(said.out.contains("0 chart(s) failed"), "{said:?}");
    }
    let longest = "x".repeat(63);
    let template = format!("template sluice {chart} --set namespaces={{{longest}}}");
    for document in documents(&helm.run_beside(&template).await.good().out) {
        let name = document["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 63, "{name}");
    }
}

/// What Helm makes of the chart with some values.
async fn rendered(world: &World, values: &str) -> Vec<serde_json::Value> {
    let template = format!("template sluice {} -n sluice {values}", chart().display());
    documents(&helm(world).run_beside(&template).await.good().out)
}

pub async fn no_two_objects_have_one_name_whatever_namespaces_are_called(world: &mut World) {
    let mut seen = std::collections::BTreeSet::new();
    for document in rendered(world, NAMES).await {
        let metadata = &document["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let name = metadata["name"].as_str().unwrap();
        let object = format!("{} {namespace}/{name}", document["kind"]);
        assert!(seen.insert(object.clone()), "{object} is there twice");
    }
    let role = "\"Role\" no/sluice-controller";
    assert!(seen.contains(role), "{seen:#?}");
}

pub async fn a_network_policy_names_the_ports_of_pods_and_alerts_link_to_pages(world: &mut World) {
    let values = "--set prometheus.url=http://prometheus-server.monitoring";
    let all = rendered(world, values).await;
    let policy = all.iter().find(|it| it["kind"] == "NetworkPolicy").unwrap();
    let ports = policy["spec"]["egress"][0]["ports"].as_array().unwrap();
    let ports: Vec<u64> = ports
        .iter()
        .map(|it| it["port"].as_u64().unwrap())
        .collect();
    let wanted = [
        53, 53, 5353, 5353, 443, 6443, 8443, 16443, 9090, 80, 15090, 15012, 15008,
    ];
    assert_eq!(ports, wanted);
    let values = "--set alerts.enabled=true,alerts.runbooks=https://example.com/pages/";
    let all = rendered(world, values).await;
    let rules = all.iter().find(|it| it["kind"] == "PrometheusRule");
    let rules = rules.unwrap()["spec"]["groups"][0]["rules"].clone();
    let linked = rules.as_array().unwrap().iter();
    for alert in linked.filter(|rule| rule["alert"].is_string()) {
        let name = alert["alert"].as_str().unwrap();
        let page = format!("https://example.com/pages/{name}.md");
        assert_eq!(alert["annotations"]["runbook_url"], page);
    }
    let values = "--set alerts.enabled=true --set namespaces={shop,pay}";
    let all = rendered(world, values).await;
    let rules = all.iter().find(|it| it["kind"] == "PrometheusRule");
    let rules = rules.unwrap()["spec"]["groups"][0]["rules"].clone();
    let mut rules = rules.as_array().unwrap().iter();
    let absent = rules.find(|rule| rule["alert"] == "SluiceControllerAbsent");
    let expression = absent.unwrap()["expr"].as_str().unwrap();
    for namespace in ["shop", "pay"] {
        let missed = format!("absent(sluice_controller_leads{{sluice_namespace=\"{namespace}\"}})");
        assert!(expression.contains(&missed), "{expression}");
    }
}

pub async fn everything_that_may_be_installed_is_accepted_by_the_api_server(world: &mut World) {
    let release = Release::begin(world).await;
    let chart = chart().display().to_string();
    let install = format!(
        "install sluice {chart} -n sluice {HERE} {EVERYTHING} --take-ownership --force-conflicts"
    );
    let early = format!("{install} {PEOPLE}");
    let said = release.helm(&early).await.ended_with(1);
    let reason = "people: what limits these groups to weights is not in the cluster yet";
    assert!(said.err.contains(reason), "{said:?}");
    release.helm(&install).await.good();
    let upgrade = format!(
        "upgrade sluice {chart} -n sluice --reset-then-reuse-values {PEOPLE} \
         --take-ownership --force-conflicts"
    );
    release.helm(&upgrade).await.good();
    let kinds = "servicemonitor,podmonitor,networkpolicy,poddisruptionbudget,authorizationpolicy";
    let command = format!("get {kinds} -n sluice -o name");
    let found = world.kubectl(&command).await.good().out;
    for name in [
        "servicemonitor.monitoring.coreos.com/sluice-controller",
        "podmonitor.monitoring.coreos.com/sluice-proxies",
        "networkpolicy.networking.k8s.io/sluice-controller",
        "poddisruptionbudget.policy/sluice-controller",
        "authorizationpolicy.security.istio.io/sluice-controller",
    ] {
        assert!(found.contains(name), "{name}: {found}");
    }
    for (kind, name) in [
        ("Role", "sluice-controller-secrets"),
        ("Role", "sluice-controller-workloads"),
        ("RoleBinding", "sluice-weights"),
    ] {
        let object = world.chain.kubernetes.get(kind, "a", name).await;
        assert!(object.is_some(), "{kind} {name}");
    }
    assert_has_files_of_the_chart(world).await;
    release.uninstall(world).await;
}

/// Each dashboard and every alert of the chart is there as an object.
async fn assert_has_files_of_the_chart(world: &World) {
    let dashboards = chart().join("files/dashboards");
    for file in dashboards.read_dir().into_iter().flatten() {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let map = format!("sluice-dashboard-{name}");
        let map = world
            .chain
            .kubernetes
            .get("ConfigMap", "sluice", &map)
            .await;
        let held = &map.expect("a ConfigMap").data["data"][format!("sluice-{name}.json")];
        assert_eq!(
            held.as_str().unwrap(),
            std::fs::read_to_string(&file).unwrap()
        );
    }
    let Ok(alerts) = std::fs::read_to_string(chart().join("files/alerts.yaml")) else {
        return;
    };
    let rule = world.kubectl("get prometheusrule sluice -n sluice -o json");
    let rule: serde_json::Value = serde_json::from_str(&rule.await.good().out).unwrap();
    assert_eq!(rule["spec"]["groups"], documents(&alerts)[0]["groups"]);
}
