//! What istiod makes of a service: every domain of its virtual host, against what the filter takes
//! for the service.

use serde_json::Value;
use sluice_e2e::wait::until;
use sluice_e2e_istio::proxy::Proxy;

use crate::world::World;

/// An alias of `web`, and a headless service whose calls go to the versions of `web`.
const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: old, namespace: a}
spec: {type: ExternalName, externalName: web.a.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: pods, namespace: a}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pods, namespace: a}
spec:
  hosts: [pods.a.svc.cluster.local]
  http:
  - match: [{headers: {x-sluice-web: {exact: canary}}}]
    route: [{destination: {host: web.a.svc.cluster.local, subset: canary}}]
  - route: [{destination: {host: web.a.svc.cluster.local, subset: stable}}]
";

/// The domains of a virtual host, as a proxy has them.
async fn domains(proxy: &Proxy, virtual_host: &str) -> Vec<String> {
    let dump = proxy
        .admin("/config_dump?resource=dynamic_route_configs")
        .await;
    let dump: Value = serde_json::from_str(&dump).unwrap();
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let configs = list(&dump, "configs");
    let hosts = configs
        .iter()
        .flat_map(|config| list(&config["route_config"], "virtual_hosts"));
    let found = hosts.filter(|host| host["name"] == virtual_host);
    let domains = found.flat_map(|host| list(&host, "domains"));
    domains
        .filter_map(|domain| domain.as_str().map(str::to_owned))
        .collect()
}

pub async fn a_service_is_split_by_every_domain_that_istiod_gives_it(world: &mut World) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(SERVICES).await;
    let plugin = world.plugin("a");
    let plugin = plugin.replace("[web.a, web.b]", "[web.a, pods.a]");
    kubernetes.apply(&plugin).await;
    world.sluice("set web canary=100 -n a").await.good();
    world.wait_for_convergence("a").await;
    let expected = [
        (
            "web.a.svc.cluster.local:8080",
            ["127.10.0.12", "old.a.svc.cluster.local", "web.a.svc"],
        ),
        (
            "pods.a.svc.cluster.local:8080",
            ["*.pods.a.svc.cluster.local", "*.pods.a.svc", "*.pods"],
        ),
    ];
    let caller = &world.callers[0];
    for (virtual_host, some) in expected {
        let all = until("istiod's routes", async || {
            let domains = domains(caller, virtual_host).await;
            let has = |domain: &&str| domains.iter().any(|other| other == domain);
            let is_there = some.iter().all(has);
            is_there
                .then(|| domains.clone())
                .ok_or(format!("{domains:?}"))
        })
        .await;
        for domain in all {
            for port in ["", ":8080"] {
                let host = domain.replace('*', "web-0") + port;
                let answer = caller.get(&host, &[b"x-sluice-web: stable"]).await;
                let seen = (answer.variant(), answer.received("x-sluice-web"));
                assert_eq!(
                    seen,
                    ("canary".to_owned(), vec!["canary".to_owned()]),
                    "{host}"
                );
            }
        }
    }
}
