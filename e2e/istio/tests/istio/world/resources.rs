//! What the tests apply as a team would: the service in two namespaces with its routes, and a
//! plugin for it.

/// The splits of the tests' plugins, indented as they stand in a plugin.
const CONFIG: &str = "    splits:
      web:
        services: [web.a, web.b]
        identity: [{cookie: uid}]
        rules:
        - name: staff
          match: [{cookies: {email: {regex: '[^@]+@some-company-name\\.com'}}}]
      checkout:
        services: [checkout.a]
        identity: [{cookie: uid}]
";

/// The splits of the tests' plugins as a file.
pub fn config() -> String {
    CONFIG
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n")
        .collect()
}

/// A WasmPlugin for the callers of a namespace, without weights.
pub(super) fn plugin(namespace: &str, image: &str, digest: &str) -> String {
    let sha256 = digest.trim_start_matches("sha256:");
    format!(
        "
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {{name: sluice, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: client}}}}
  url: {image}
  sha256: {sha256}
  imagePullPolicy: IfNotPresent
  phase: AUTHN
  match: [{{mode: CLIENT}}]
  failStrategy: FAIL_OPEN
  pluginConfig:
{CONFIG}"
    )
}

/// The service `web` in a and in b: two versions, told apart by the split's header.
pub(super) fn services() -> String {
    [service("a", 2), service("b", 4)].join("---")
}

/// A service with two versions, told apart by the label `version`: each listens at an address of
/// 127.0.SUBNET.0.
pub fn versions(name: &str, namespace: &str, cluster_ip: &str, subnet: u8) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: {cluster_ip}, selector: {{app: {name}}}, ports: [{{name: http, port: 8080, targetPort: 8080}}]}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}-stable, namespace: {namespace}}}
spec: {{address: 127.0.{subnet}.1, labels: {{app: {name}, version: stable}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}-canary, namespace: {namespace}}}
spec: {{address: 127.0.{subnet}.2, labels: {{app: {name}, version: canary}}}}
"
    )
}

fn service(namespace: &str, subnet: u8) -> String {
    let host = format!("web.{namespace}.svc.cluster.local");
    let versions = versions("web", namespace, &format!("127.10.0.1{subnet}"), subnet);
    format!(
        "{versions}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web, namespace: {namespace}}}
spec:
  host: {host}
  subsets:
  - {{name: stable, labels: {{version: stable}}}}
  - {{name: canary, labels: {{version: canary}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: {namespace}}}
spec:
  hosts: [{host}]
  http:
  - match: [{{headers: {{x-sluice-web: {{exact: canary}}}}}}]
    route: [{{destination: {{host: {host}, subset: canary}}}}]
  - route: [{{destination: {{host: {host}, subset: stable}}}}]
"
    )
}
