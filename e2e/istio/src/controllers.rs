//! Kubernetes' own controllers, for the tests that have Deployments: pods of a Deployment are made,
//! counted and taken away, and their addresses become a Service's.
//!
//! Only the controllers that such a test is about run. The namespaces of the harness are not
//! theirs, and pods that nobody owns, such as those of its proxies, stay what they are.

use std::path::Path;
use std::process::Command;

use crate::process::Process;
use crate::tools::Tools;

const CONTROLLERS: &str = "deployment-controller,replicaset-controller,endpointslice-controller,\
    garbage-collector-controller,horizontal-pod-autoscaler-controller,disruption-controller,\
    serviceaccount-controller";

/// No lease, since there is one of it; an autoscaler that looks every second instead of every 15.
const ARGUMENTS: &str = "--leader-elect=false --secure-port=0 --kube-api-qps=200 \
    --kube-api-burst=400 --horizontal-pod-autoscaler-sync-period=1s";

/// The running controllers, until this is dropped.
#[derive(Debug)]
pub struct Controllers {
    process: Process,
}

impl Controllers {
    /// Starts them, of the API server whose administrator's kubeconfig lies in a folder. What they
    /// have not seen yet, a test waits for.
    pub fn start(tools: &Tools, folder: &Path) -> Self {
        let mut command = Command::new(tools.go.join("kube-controller-manager"));
        command
            .arg("--kubeconfig")
            .arg(folder.join("admin.kubeconfig"))
            .arg(format!("--controllers={CONTROLLERS}"))
            .args(ARGUMENTS.split_whitespace())
            .current_dir(folder);
        let process = Process::start("kube-controller-manager", folder, &mut command);
        Self { process }
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        // At once: what they would still write is put right before the next test.
        self.process.kill();
    }
}
