//! Envoy Gateway without a cluster: its own binary reads resources from files, fetches modules from the
//! registry, and runs Envoy on the host.
//!
//! What Envoy Gateway does in a cluster besides (pods of proxies, status of resources) is not run. Of
//! what it takes for granted there, its proxies' certificate is at /certs, and its own name is known.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::chain::Chain;
use crate::process::Process;

/// The version under which it looks for Envoy's binary.
const ENVOY_VERSION: &str = "1.40.0";

/// Makes certificates, hands the proxies' one over as the secret that a cluster would have, and starts it
/// with a root that has them at /certs.
const SCRIPT: &str = r#"
folder=$0 program=$1
"$program" certgen --local --config-home "$folder/config"
certificates=$folder/config/certs/envoy
text() { base64 -w0 "$certificates/$1"; }
cat > "$folder/resources/secret.yaml" <<END
apiVersion: v1
kind: Secret
metadata: {name: envoy, namespace: envoy-gateway-system}
type: kubernetes.io/tls
data: {ca.crt: $(text ca.crt), tls.crt: $(text tls.crt), tls.key: $(text tls.key)}
END
{ cat /etc/hosts; echo 127.0.0.1 envoy-gateway.envoy-gateway-system.svc.cluster.local; } > "$folder/hosts"
mount --bind "$folder/hosts" /etc/hosts
mount -t tmpfs tmpfs /mnt
for top in /*; do
  if [ -d "$top" ] && [ "$top" != /mnt ]; then mkdir "/mnt$top" && mount --rbind "$top" "/mnt$top"; fi
done
mkdir /mnt/certs && mount --bind "$certificates" /mnt/certs
exec chroot /mnt "$program" server --config-path "$folder/config.yaml"
"#;

/// A running Envoy Gateway, with its Envoy, until it is dropped.
#[derive(Debug)]
pub struct EnvoyGateway {
    resources: PathBuf,
    process: Process,
}

impl EnvoyGateway {
    /// Starts it in a new folder of a chain.
    pub fn start(chain: &Chain) -> Self {
        let folder = chain.folder().join("envoy-gateway");
        let resources = folder.join("resources");
        std::fs::create_dir_all(&resources).unwrap();
        let envoys = folder
            .join("data/envoy-versions")
            .join(ENVOY_VERSION)
            .join("bin");
        std::fs::create_dir_all(&envoys).unwrap();
        std::fs::copy(&chain.tools.envoy, envoys.join("envoy")).unwrap();
        std::fs::write(folder.join("config.yaml"), config(&folder)).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-euc", SCRIPT])
            .arg(&folder)
            .arg(chain.tools.go.join("envoy-gateway"))
            .current_dir(&folder)
            .env("HOME", &folder);
        let process = Process::start("envoy-gateway", &folder, &mut command);
        Self { resources, process }
    }

    /// Gives it a file of resources, in the place of the former one of that name.
    pub fn apply(&self, name: &str, yaml: &str) {
        let (file, new) = (self.resources.join(name), self.resources.join(".new"));
        std::fs::write(&new, yaml).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The resource that has it run the Envoy of the tests.
    pub fn proxy(namespace: &str, name: &str) -> String {
        let provider = json!({"type": "Host", "host": {"envoyVersion": ENVOY_VERSION}});
        let proxy = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyProxy",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"provider": provider},
        });
        proxy.to_string()
    }

    /// What it and its Envoy logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn config(folder: &Path) -> String {
    let in_folder = |name: &str| folder.join(name);
    let host = json!({
        "configHome": in_folder("config"), "dataHome": in_folder("data"),
        "stateHome": in_folder("state"), "runtimeDir": in_folder("run"),
    });
    let custom = json!({
        "resource": {"type": "File", "file": {"paths": [in_folder("resources")]}},
        "infrastructure": {"type": "Host", "host": host},
    });
    let config = json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyGateway",
        "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        "provider": {"type": "Custom", "custom": custom},
        "extensionApis": {"enableBackend": true},
    });
    config.to_string()
}
