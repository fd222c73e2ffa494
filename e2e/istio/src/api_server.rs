//! Kubernetes' API server and its etcd: their processes, their keys, and kubeconfigs for them.
//!
//! No kubelet and no controller runs beside them, unless a test starts one (`kubelet`, `controllers`):
//! nobody starts pods, makes endpoints or collects garbage.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::kubernetes::Kubernetes;
use crate::process::Process;
use crate::tools::Tools;

/// Where it is reached.
pub const URL: &str = "https://127.0.0.1:6443";
/// Who signs tokens of service accounts, and the audience that the API server itself takes.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The token of who may do everything.
pub const ADMIN_TOKEN: &str = "admintoken";

/// A client that may do everything.
pub(crate) fn administrator() -> Kubernetes {
    Kubernetes::new(URL, ADMIN_TOKEN)
}

/// Writes the keys that sign tokens, and the administrator's token; gives the administrator's
/// kubeconfig.
pub(crate) fn prepare(folder: &Path) -> PathBuf {
    openssl(folder, "genrsa -out accounts.key 2048");
    openssl(folder, "rsa -in accounts.key -pubout -out accounts.pub");
    std::fs::write(
        folder.join("tokens.csv"),
        format!("{ADMIN_TOKEN},admin,admin-uid,\"system:masters\"\n"),
    )
    .unwrap();
    write_kubeconfig(folder, "admin", ADMIN_TOKEN)
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl");
    assert!(output.status.success(), "openssl {arguments}: {output:?}");
}

/// Writes `NAME.kubeconfig` with a bearer token.
pub(crate) fn write_kubeconfig(folder: &Path, name: &str, token: &str) -> PathBuf {
    let certificate = folder.join("api-certificates/apiserver.crt");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": {"server": URL, "certificate-authority": certificate}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": name, "namespace": "a"}}],
    });
    let path = folder.join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// Starts etcd.
pub(crate) fn start_etcd(tools: &Tools, folder: &Path) -> Process {
    let mut command = Command::new(tools.go.join("etcd"));
    command.arg("--data-dir").arg(folder.join("etcd")).args([
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]);
    Process::start("etcd", folder, &mut command)
}

/// Where a second one is reached.
pub const SECOND_URL: &str = "https://127.0.0.1:6444";

/// A client of the second one that may do everything.
pub(crate) fn second_administrator() -> Kubernetes {
    Kubernetes::new(SECOND_URL, ADMIN_TOKEN)
}

/// Starts the API server on the data that etcd holds, and waits until it is ready.
pub(crate) async fn start(tools: &Tools, folder: &Path) -> Process {
    start_one(tools, folder, "kube-apiserver", [6443, 10], "/registry").await
}

/// Starts a second one, whose data lies beside that of the first: a cluster of its own.
pub(crate) async fn start_second(tools: &Tools, folder: &Path) -> Process {
    start_one(tools, folder, "kube-apiserver-2", [6444, 11], "/second").await
}

async fn start_one(
    tools: &Tools,
    folder: &Path,
    name: &str,
    [port, services]: [u16; 2],
    prefix: &str,
) -> Process {
    let in_folder = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new(tools.go.join("kube-apiserver"));
    command.args([
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        &format!("--secure-port={port}"),
        &format!("--etcd-prefix={prefix}"),
        &format!("--service-cluster-ip-range=127.{services}.0.0/16"),
        "--authorization-mode=RBAC",
        &format!("--cert-dir={}", in_folder("api-certificates")),
        &format!("--token-auth-file={}", in_folder("tokens.csv")),
        &format!("--service-account-issuer={ISSUER}"),
        &format!("--service-account-key-file={}", in_folder("accounts.pub")),
        &format!(
            "--service-account-signing-key-file={}",
            in_folder("accounts.key")
        ),
        &format!("--api-audiences={ISSUER},istio-ca"),
        // Endpoints on loopback are refused.
        "--endpoint-reconciler-type=none",
    ]);
    let mut api_server = Process::start(name, folder, &mut command);
    let kubernetes = Kubernetes::new(&format!("https://127.0.0.1:{port}"), ADMIN_TOKEN);
    api_server
        .wait_until("the API server's readiness", async || {
            kubernetes.is_ready().await
        })
        .await;
    api_server
}
