//! A registry of images: Debian's docker-registry, open or with a login.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sluice_e2e::client::fetch;

use crate::process::Process;
use crate::tools::Tools;

/// Where the registry is that plugins pull from.
pub const ADDRESS: &str = "127.0.0.1:5000";

/// Starts the registry that plugins pull from; what was pushed to an earlier one of this folder is
/// in it.
pub(crate) async fn start(tools: &Tools, folder: &Path) -> Process {
    start_at(ADDRESS, Value::Null, tools, folder).await
}

/// Starts another registry that asks for a login: user `ann`, password `secret`.
pub(crate) async fn start_closed(address: &str, tools: &Tools, folder: &Path) -> Process {
    let path = folder.join("htpasswd");
    std::fs::write(
        &path,
        "ann:$2b$04$0nzEHCBcA3IipY5EDTNxRujtpHWjYqaocvQOSkBmuooFIFU1K0qkK\n",
    )
    .unwrap();
    let auth = json!({"htpasswd": {"realm": "e2e", "path": path}});
    start_at(address, auth, tools, folder).await
}

async fn start_at(address: &str, auth: Value, tools: &Tools, folder: &Path) -> Process {
    let name = format!("registry-{}", address.rsplit(':').next().unwrap());
    let storage =
        json!({"filesystem": {"rootdirectory": folder.join(&name)}, "delete": {"enabled": true}});
    let mut config = json!({
        "version": 0.1, "log": {"level": "warn"}, "http": {"addr": address}, "storage": storage,
    });
    if !auth.is_null() {
        config["auth"] = auth;
    }
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, config.to_string()).unwrap();
    let mut command = Command::new(tools.debian.join("docker-registry"));
    let mut registry = Process::start(&name, folder, command.arg("serve").arg(path));
    let address = address.parse().unwrap();
    registry
        .wait_until("the registry", async || {
            fetch(address, "/v2/").await.is_some()
        })
        .await;
    registry
}
