//! A pod whose container is a program of this host: it runs as the pod's own account and user, with
//! the arguments and the environment of its container, and its probe says whether it is ready.
//!
//! What a container runtime does besides is not done: pods share one network, so each program is
//! told the pod's address in the place of every address; and the limits of memory are not set.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::core::v1::{Container, EnvVar, HTTPGetAction, Pod};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use sluice_e2e::client::fetch;

use crate::process::Process;

/// Where a pod's account lies.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where a pod's program lies, whatever folder of whose it comes from.
const PROGRAM: &str = "/var/run/program";

/// Runs its arguments with a folder's files as a pod's account, a program, and a root that nobody
/// can write, in a mount namespace of their own.
const IN_A_POD: &str = "mount -t tmpfs -o mode=755 tmpfs /var/run && mkdir -p \"$1\" && \
    cp \"$0\"/* \"$1\" && touch /var/run/program && mount --bind \"$2\" /var/run/program && \
    mount -o remount,bind,ro /var/run && mount --rbind / /mnt && \
    mount -o remount,bind,ro /mnt && shift 2 && exec chroot /mnt \"$@\"";

/// Which program pods run, and what it needs of this host.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The binary.
    pub binary: PathBuf,
    /// Where logs and accounts go.
    pub folder: PathBuf,
    /// The certificate of the API server.
    pub authority: PathBuf,
}

impl Programs {
    /// Starts a container of a pod with a token of its account.
    pub(super) fn start(
        &self,
        pod: &Pod,
        container: &Container,
        address: Ipv4Addr,
        token: &str,
    ) -> Process {
        let name = pod.name_any();
        let account = self.folder.join(format!("account-{name}"));
        self.write_account(&account, pod, token);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", IN_A_POD]);
        command.arg(&account).arg(ACCOUNT).arg(&self.binary);
        command.args(as_user_of(pod)).arg(PROGRAM);
        command.args(container.args.iter().flatten());
        for (flag, port) in [("--listen", 8080), ("--brake-listen", 8085)] {
            command.arg(format!("{flag}={address}:{port}"));
        }
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", "6443")
            .current_dir("/");
        command.envs(variables(container, pod, address));
        Process::start(&name, &self.folder, &mut command)
    }

    /// What a kubelet mounts for an account.
    fn write_account(&self, folder: &Path, pod: &Pod, token: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("token"), token).unwrap();
        std::fs::write(folder.join("namespace"), pod.namespace().unwrap()).unwrap();
        std::fs::copy(&self.authority, folder.join("ca.crt")).unwrap();
        for file in ["token", "namespace", "ca.crt"] {
            std::fs::set_permissions(folder.join(file), Permissions::from_mode(0o644)).unwrap();
        }
    }
}

/// What runs a program as the pod's user, without any capability and any way to another.
fn as_user_of(pod: &Pod) -> Vec<String> {
    let context = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.as_ref());
    let context = context.expect("a security context");
    let user = context.run_as_user.expect("a user");
    let group = context.run_as_group.unwrap_or(user);
    let mut words = vec!["setpriv".to_owned()];
    // Where the tests are run by somebody who is not root, there is nobody else to be.
    if has_users() {
        words.extend([format!("--reuid={user}"), format!("--regid={group}")]);
        words.push("--clear-groups".to_owned());
    }
    let dropped = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"];
    words.extend(dropped.map(str::to_owned));
    words
}

/// Whether this user namespace has more users than one.
fn has_users() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let count = map.split_whitespace().nth(2);
    count.and_then(|count| count.parse::<u64>().ok()) > Some(1)
}

/// The variables of a container.
pub(super) fn variables(
    container: &Container,
    pod: &Pod,
    address: Ipv4Addr,
) -> Vec<(String, String)> {
    let variables = container.env.iter().flatten();
    let named = |variable: &EnvVar| (variable.name.clone(), value_of(variable, pod, address));
    variables.map(named).collect()
}

/// The value of a variable, of which the downward API gives the pod's name and address.
fn value_of(variable: &EnvVar, pod: &Pod, address: Ipv4Addr) -> String {
    let source = variable.value_from.as_ref();
    let field = source.and_then(|source| source.field_ref.as_ref());
    match field.map(|field| field.field_path.as_str()) {
        Some("metadata.name") => pod.name_any(),
        Some("status.podIP") => address.to_string(),
        Some(other) => panic!("this kubelet does not know the field {other}"),
        None => variable.value.clone().unwrap_or_default(),
    }
}

/// Whether a container's readiness probe is answered with a good status, by the pod's agent if that is
/// to be asked in the container's place.
pub(super) async fn is_ready(
    container: &Container,
    address: Ipv4Addr,
    agent: Option<SocketAddr>,
) -> bool {
    let probe = container.readiness_probe.as_ref();
    let Some(probe) = probe.and_then(|probe| probe.http_get.as_ref()) else {
        return true;
    };
    let asked = agent.unwrap_or_else(|| SocketAddr::from((address, port_of(probe, container))));
    let answer = fetch(asked, probe.path.as_deref().unwrap_or("/")).await;
    answer.is_some_and(|answer| (200..400).contains(&answer.status))
}

fn port_of(probe: &HTTPGetAction, container: &Container) -> u16 {
    let port = match &probe.port {
        IntOrString::Int(port) => *port,
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let port = ports.find(|port| port.name.as_ref() == Some(name));
            port.expect("a port of that name").container_port
        }
    };
    port as u16
}
