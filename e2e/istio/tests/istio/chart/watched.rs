//! What the chart's monitors say, done by a real Prometheus: which proxies and replicas it finds, at
//! which address, and with which labels.
//!
//! The Prometheus Operator itself does not run here, and Debian's Prometheus has no discovery of
//! Kubernetes: what both would write is written here from the API server's objects, by their rules
//! (Prometheus, "kubernetes_sd_config"). Relabeling and scraping are Prometheus' own.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use sluice_e2e::client::fetch;
use sluice_e2e::wait::until;
use sluice_e2e_istio::process::Process;

use super::release::{Release, chart};
use crate::world::World;

/// Where this Prometheus is reached.
const ADDRESS: &str = "127.0.0.1:9095";

/// An object of the operator's in the release's namespace, as the API server has it.
async fn monitor(world: &World, kind: &str, name: &str) -> Value {
    let command = format!("get {kind} {name} -n sluice -o json");
    serde_json::from_str(&world.kubectl(&command).await.good().out).unwrap()
}

/// Relabelings as Prometheus writes them.
fn relabelings(of: &Value) -> Vec<Value> {
    let snake = |name: &str| match name {
        "sourceLabels" => "source_labels".to_owned(),
        "targetLabel" => "target_label".to_owned(),
        other => other.to_owned(),
    };
    let each = of.as_array().into_iter().flatten();
    let each = each.map(|relabeling| {
        let fields = relabeling.as_object().unwrap().iter();
        fields
            .map(|(name, value)| (snake(name), value.clone()))
            .collect::<serde_json::Map<_, _>>()
    });
    each.map(Value::Object).collect()
}

/// A job over targets, each of them an address and its labels.
fn job(name: &str, endpoint: &Value, found: &[Value], of_targets: &[Value]) -> Value {
    json!({
        "job_name": name, "metrics_path": endpoint["path"],
        "scrape_interval": "1s", "scrape_timeout": "1s",
        "honor_labels": endpoint["honorLabels"], "static_configs": found,
        "relabel_configs": of_targets,
        "metric_relabel_configs": relabelings(&endpoint["metricRelabelings"]),
    })
}

/// What discovery finds of a pod: a target for each port of each container.
fn of_pod(pod: &Value) -> Vec<Value> {
    let ip = pod["status"]["podIP"].as_str().unwrap_or("127.0.9.9");
    let host = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let target = |container: &Value, port: &Value| {
        let number = port["containerPort"].as_u64().unwrap_or(80);
        json!({"targets": [format!("{host}:{number}")], "labels": {
            "__meta_kubernetes_pod_ip": ip,
            "__meta_kubernetes_pod_name": text(&pod["metadata"]["name"]),
            "__meta_kubernetes_namespace": text(&pod["metadata"]["namespace"]),
            "__meta_kubernetes_pod_container_name": text(&container["name"]),
            "__meta_kubernetes_pod_container_port_name": text(&port["name"]),
        }})
    };
    let of_container = |container: &Value| -> Vec<Value> {
        let ports = container["ports"].as_array().cloned();
        let ports = ports.unwrap_or_else(|| vec![Value::Null]);
        ports.iter().map(|port| target(container, port)).collect()
    };
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers.flat_map(of_container).collect()
}

/// Every pod of the cluster, and one whose address is of the other kind.
async fn found_pods(world: &World) -> Vec<Value> {
    let listed = world.kubectl("get pods -A -o json").await.good().out;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mut pods = listed["items"].as_array().unwrap().clone();
    let ports = json!([
        {"name": "http-envoy-prom", "containerPort": 15090},
        {"name": "status", "containerPort": 15021},
    ]);
    pods.push(json!({
        "metadata": {"name": "other-kind", "namespace": "a"}, "status": {"podIP": "fd00::7"},
        "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy", "ports": ports}]},
    }));
    pods.iter().flat_map(of_pod).collect()
}

/// The addresses of the Service that a ServiceMonitor selects.
async fn found_services(world: &World, monitor: &Value) -> Vec<Value> {
    let labels = monitor["spec"]["selector"]["matchLabels"].as_object();
    let pair = |(label, value): (&String, &Value)| format!("{label}={}", value.as_str().unwrap());
    let selector: Vec<String> = labels.unwrap().iter().map(pair).collect();
    let command = format!("get services -n sluice -l {} -o json", selector.join(","));
    let services = world.kubectl(&command).await.good().out;
    let services: Value = serde_json::from_str(&services).unwrap();
    let services = services["items"].as_array().unwrap();
    assert_eq!(services.len(), 1, "{services:#?}");
    let name = services[0]["metadata"]["name"].as_str().unwrap();
    let label = format!("kubernetes.io/service-name={name}");
    let command = format!("get endpointslices -n sluice -l {label} -o json");
    let slices = world.kubectl(&command).await.good().out;
    let slices: Value = serde_json::from_str(&slices).unwrap();
    let wanted = &monitor["spec"]["endpoints"][0]["port"];
    let mut found = Vec::new();
    for slice in slices["items"].as_array().unwrap() {
        let ports = slice["ports"].as_array().unwrap().iter();
        for port in ports.filter(|port| port["name"] == *wanted) {
            for endpoint in slice["endpoints"].as_array().unwrap() {
                let address = endpoint["addresses"][0].as_str().unwrap();
                found.push(json!({"targets": [format!("{address}:{}", port["port"])]}));
            }
        }
    }
    found
}

fn start(world: &World, jobs: &[Value]) -> Process {
    let folder = world.chain.folder().join("monitors");
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("prometheus.yaml");
    std::fs::write(&config, json!({"scrape_configs": jobs}).to_string()).unwrap();
    let mut command = Command::new(world.chain.tools.prometheus());
    command.arg("--config.file").arg(&config);
    command.args(["--web.listen-address", ADDRESS]);
    command.arg("--storage.tsdb.path").arg(folder.join("data"));
    Process::start("prometheus-of-monitors", &folder, &mut command)
}

/// The targets of a job: their labels by the URL that is scraped, and their health.
async fn targets(job: &str) -> BTreeMap<String, (Value, String)> {
    let address = ADDRESS.parse().unwrap();
    let Some(answer) = fetch(address, "/api/v1/targets?state=active").await else {
        return BTreeMap::new();
    };
    let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let all = answer["data"]["activeTargets"]
        .as_array()
        .into_iter()
        .flatten();
    let of_job = all.filter(|target| target["scrapePool"] == job);
    let named = of_job.map(|target| {
        let url = target["scrapeUrl"].as_str().unwrap().to_owned();
        let health = target["health"].as_str().unwrap().to_owned();
        (url, (target["labels"].clone(), health))
    });
    named.collect()
}

pub async fn what_the_monitors_name_is_found_by_a_real_prometheus(world: &mut World) {
    let release = Release::begin(world).await;
    let chart = chart().display().to_string();
    let values = "--set serviceMonitor.enabled=true,podMonitor.enabled=true";
    release.take_over(&chart, values).await;
    let pods = monitor(world, "podmonitor", "sluice-proxies").await;
    let endpoint = &pods["spec"]["podMetricsEndpoints"][0];
    let relabelings = relabelings(&endpoint["relabelings"]);
    let proxies = job("proxies", endpoint, &found_pods(world).await, &relabelings);
    let services = monitor(world, "servicemonitor", "sluice-controller").await;
    let replicas = found_services(world, &services).await;
    let endpoint = &services["spec"]["endpoints"][0];
    let controllers = job("controllers", endpoint, &replicas, &[]);
    let prometheus = start(world, &[proxies, controllers]);

    // Every proxy once, at its agent's port, and no other pod.
    let all = world.callers.iter().chain([&world.other, &world.gateway]);
    let mut wanted: BTreeMap<String, (&str, &str)> = all
        .map(|proxy| {
            let url = format!("http://{}:15020/stats/prometheus", proxy.address.ip());
            (url, (proxy.namespace.as_str(), proxy.pod.as_str()))
        })
        .collect();
    let other_kind = "http://[fd00::7]:15020/stats/prometheus";
    wanted.insert(other_kind.to_owned(), ("a", "other-kind"));
    until("every proxy to be found", async || {
        let found = targets("proxies").await;
        let named = found.iter().map(|(url, (labels, _))| {
            let label = |name: &str| labels[name].as_str().unwrap_or_default();
            (url.clone(), (label("namespace"), label("pod")))
        });
        // Proxies of other tests leave their pods.
        let is_ours = |pod: &(&str, &str)| pod.0 == "sluice" || wanted.values().any(|it| it == pod);
        let named: BTreeMap<_, _> = named.filter(|(_, pod)| is_ours(pod)).collect();
        let seen = || format!("{found:?}\n{}", prometheus.log());
        (named == wanted).then_some(()).ok_or_else(seen)
    })
    .await;
    // Both replicas, and they answer.
    until("both replicas to be scraped", async || {
        let found = targets("controllers").await;
        let are_up = found.len() == 2 && found.values().all(|(_, health)| health == "up");
        let are_metrics = found.keys().all(|url| url.ends_with(":8080/metrics"));
        (are_up && are_metrics)
            .then_some(())
            .ok_or(format!("{found:?}\n{}", prometheus.log()))
    })
    .await;
    release.uninstall(world).await;
}
