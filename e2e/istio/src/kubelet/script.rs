//! A pod whose container runs a script of a ConfigMap by an interpreter: the host's own runs it, with
//! the container's environment.
//!
//! Of the container's file system there are the ConfigMaps that it mounts, each file of them in a folder
//! of the harness; the words of its command that name such a file name that one.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod};
use kube::{Api, Client, ResourceExt as _};

use crate::process::Process;

/// Starts a container of a pod with these variables, with its files and its log below a folder.
pub(super) async fn start(
    client: &Client,
    folder: &Path,
    pod: &Pod,
    container: &Container,
    variables: Vec<(String, String)>,
) -> Process {
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let mut words: Vec<String> = Vec::new();
    for list in [&container.command, &container.args] {
        words.extend(list.iter().flatten().cloned());
    }
    for mount in container.volume_mounts.iter().flatten() {
        let Some(map) = map_of(pod, &mount.name) else {
            continue;
        };
        let files = folder.join(&name).join(&mount.name);
        std::fs::create_dir_all(&files).unwrap();
        let found = maps.get(&map).await;
        let found = found.unwrap_or_else(|error| panic!("ConfigMap {map} of {name}: {error}"));
        for (file, text) in found.data.iter().flatten() {
            std::fs::write(files.join(file), text).unwrap();
        }
        for word in &mut words {
            if let Some(file) = word.strip_prefix(&mount.mount_path) {
                *word = format!("{}{file}", files.display());
            }
        }
    }
    let (program, arguments) = words.split_first().expect("a command");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(variables);
    Process::start(&name, folder, &mut command)
}

/// The ConfigMap behind a volume of a pod.
fn map_of(pod: &Pod, volume: &str) -> Option<String> {
    let mut volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    let volume = volumes.find(|found| found.name == volume)?;
    volume.config_map.as_ref().map(|map| map.name.clone())
}
