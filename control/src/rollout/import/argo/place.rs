//! Which hosts a Rollout of Argo's splits: those of the VirtualServices that it names.

use serde_json::Value;

use super::super::notes::Notes;
use super::super::split::Routes;
use super::resource::{Read, Source};
use crate::model::input::Input;
use crate::operations::import::name_of;

/// What is routed.
pub(super) fn routes(source: &Source<'_>, read: &mut Read, notes: &mut Notes) -> Routes {
    let mut hosts: Vec<String> = Vec::new();
    for name in std::mem::take(&mut read.virtual_services) {
        // Argo takes NAME and NAME.NAMESPACE.
        let short = name.split('.').next().unwrap_or(&name);
        let found = source.beside("VirtualService", &name);
        match found.or_else(|| source.beside("VirtualService", short)) {
            Some((index, input)) => {
                read.used.insert(index);
                hosts.extend(hosts_of(input));
                notes.said(
                    "spec.strategy.canary.trafficRouting.istio",
                    format!(
                        "VirtualService {name:.80} gave its hosts; `sluice render` writes the one that takes its place: \
                         keep what else it says, such as timeouts, on every route"
                    ),
                );
            }
            None => notes.lost(
                "spec.strategy.canary.trafficRouting.istio",
                format!("VirtualService {name:.80} is not among the documents, and so its hosts are not known"),
            ),
        }
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

fn hosts_of(input: &Input) -> Vec<String> {
    let hosts = input.value.pointer("/spec/hosts").and_then(Value::as_array);
    let hosts = hosts.into_iter().flatten().filter_map(Value::as_str);
    hosts
        .filter(|host| *host != "*")
        .map(str::to_owned)
        .collect()
}
