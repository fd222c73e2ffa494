//! Which hosts a Rollout of Argo's splits: those of the VirtualServices that it names, whose other
//! routes are listed.

use serde_json::Value;

use super::super::documents::VIRTUAL_SERVICE;
use super::super::notes::Notes;
use super::super::split::Routes;
use super::resource::{Read, Source, VirtualServiceNamed};
use crate::model::input::Input;
use crate::model::service::ServiceRef;
use crate::operations::import::name_of;

/// Where a Rollout names VirtualServices.
const PATH: &str = "spec.strategy.canary.trafficRouting.istio";

/// What is routed.
pub(super) fn routes(source: &Source<'_>, read: &mut Read, notes: &mut Notes) -> Routes {
    let mut hosts: Vec<String> = Vec::new();
    for named in std::mem::take(&mut read.virtual_services) {
        let name = &named.name;
        let Some((index, input)) = found(source, name) else {
            notes.lost(
                PATH,
                format!("VirtualService {name:.80} is not among the documents, and so its hosts are not known"),
            );
            continue;
        };
        read.used.insert(index);
        let title = titled(input);
        notes.said(
            PATH,
            format!(
                "{title} gave its hosts; `sluice render` writes the one that takes its place: keep what else it \
                 says, such as timeouts, on every route"
            ),
        );
        hosts.extend(hosts_of(source, input, &title, notes));
        others(input, &title, &named, &read.managed, notes);
    }
    hosts.sort();
    hosts.dedup();
    let name = source.input.name().unwrap_or("rollout");
    if hosts.is_empty() {
        let service = read.service.clone().unwrap_or_else(|| name.to_owned());
        notes.said(
            "spec.strategy",
            format!("Service {service:.80} is taken for what is split; correct the split's services where it is another"),
        );
        hosts.push(service);
    }
    Routes {
        name: name_of(name),
        namespace: source.namespace().to_owned(),
        hosts,
        rules: std::mem::take(&mut read.rules),
    }
}

/// NAME, or NAME.NAMESPACE, as Argo reads it (utils/istio, GetVirtualServiceNamespaceName).
fn found<'i>(source: &Source<'i>, name: &str) -> Option<(usize, &'i Input)> {
    let mut parts = name.split('.');
    let name = parts.next()?;
    match parts.next() {
        Some(namespace) => source
            .documents
            .find(VIRTUAL_SERVICE, name, Some(namespace)),
        None => source.beside(VIRTUAL_SERVICE, name),
    }
}

fn titled(input: &Input) -> String {
    let name = input.name().unwrap_or_default();
    match input.namespace() {
        Some(namespace) => format!("VirtualService {namespace:.80}/{name:.80}"),
        None => format!("VirtualService {name:.80}"),
    }
}

/// Its hosts; a short one means its own namespace, which may be another than the Rollout's.
fn hosts_of(source: &Source<'_>, input: &Input, title: &str, notes: &mut Notes) -> Vec<String> {
    let namespace = input.namespace().unwrap_or_else(|| source.namespace());
    let hosts = input.value.pointer("/spec/hosts").and_then(Value::as_array);
    let hosts = hosts.into_iter().flatten().filter_map(Value::as_str);
    let mut found = Vec::new();
    for host in hosts {
        match ServiceRef::of_host(host, namespace) {
            _ if host == "*" => {
                let path = format!("{title}: spec.hosts");
                notes.lost(&path, "*; name the hosts in the split");
            }
            Some(service) => found.push(service.host()),
            None => found.push(host.to_owned()),
        }
    }
    found
}

/// Lists what a VirtualService routes beside what Argo splits: a split is for everything that goes
/// to its hosts, and the one that takes the VirtualService's place has nothing else.
fn others(
    input: &Input,
    title: &str,
    named: &VirtualServiceNamed,
    managed: &[String],
    notes: &mut Notes,
) {
    let http = input.value.pointer("/spec/http").and_then(Value::as_array);
    let http = http.into_iter().flatten().enumerate();
    let name_of = |route: &Value| route["name"].as_str().unwrap_or_default().to_owned();
    // Those come and go with a run.
    let http: Vec<_> = http
        .filter(|(_, route)| !managed.contains(&name_of(route)))
        .collect();
    for (index, route) in &http {
        let name = name_of(route);
        let is_argos = match named.routes.is_empty() {
            true => http.len() == 1,
            false => named.routes.contains(&name),
        };
        let path = format!("{title}: spec.http[{index}]");
        if !is_argos {
            notes.lost(
                &path,
                format!(
                    "the route {name:.80?} is not among those that Argo splits: keep it before the split's in what \
                     `sluice render` writes, and name in splits.NAME.paths which paths are split"
                ),
            );
        } else if route["match"].as_array().is_some_and(|all| !all.is_empty()) {
            notes.lost(
                &format!("{path}.match"),
                "a split is for every request to its hosts; splits.NAME.paths names the paths that it is for",
            );
        }
    }
    for field in ["tcp", "tls"] {
        if !input.value["spec"][field].is_null() {
            let path = format!("{title}: spec.{field}");
            notes.lost(&path, "Sluice splits HTTP; keep them in the VirtualService");
        }
    }
}
