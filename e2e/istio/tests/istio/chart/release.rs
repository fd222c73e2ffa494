//! What these tests share: a namespace that takes restricted pods alone, Helm, and pods that run.

use std::path::PathBuf;

use sluice_e2e::wait::until;
use sluice_e2e_istio::command::{Said, Tool};
use sluice_e2e_istio::controllers::Controllers;
use sluice_e2e_istio::kubelet::Kubelet;
use sluice_e2e_istio::kubelet::program::Programs;

use crate::access::checkout;
use crate::world::World;

/// The release's namespace, in which the API server takes no other pods.
const NAMESPACE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: sluice, labels: {pod-security.kubernetes.io/enforce: restricted}}
";

/// What is left of a release that a failed test did not take away.
const LEFT: &str = "secret,serviceaccount,role,rolebinding,networkpolicy,configmap";

/// What any installation here needs: the tests' Prometheus, and a standby that waits for less.
pub const HERE: &str = "--set prometheus.url=http://127.0.0.1:9090,leaseSeconds=3";

/// Helm, and what makes pods of Deployments, until it is dropped.
pub struct Release {
    pub kubelet: Kubelet,
    helm: Tool,
    _controllers: Controllers,
}

/// Helm, with the administrator's kubeconfig.
pub fn helm(world: &World) -> Tool {
    let kubeconfig = world.chain.folder().join("admin.kubeconfig");
    Tool::new(world.chain.tools.go.join("helm"), &kubeconfig)
}

/// Where the chart is.
pub fn chart() -> PathBuf {
    checkout("wasmplugin/chart")
}

/// The binary that pods run: that of the image, where the environment says where it is.
fn binary(world: &World) -> PathBuf {
    let image = std::env::var_os("SLUICE_IMAGE_BINARY").map(PathBuf::from);
    image.unwrap_or_else(|| world.chain.tools.sluice.clone())
}

/// What pods of the image run, and what that needs.
pub fn programs(world: &World) -> Programs {
    let folder = world.chain.folder();
    Programs {
        binary: binary(world),
        folder: folder.to_owned(),
        authority: folder.join("api-certificates/apiserver.crt"),
    }
}

impl Release {
    /// An empty namespace, and a cluster in which pods run.
    pub async fn begin(world: &World) -> Self {
        world.chain.kubernetes.apply(NAMESPACE).await;
        let purge = format!("delete {LEFT} --all -n sluice");
        world.kubectl(&purge).await.good();
        let folder = world.chain.folder();
        let monitoring = world.chain.tools.go.join("monitoring.yaml");
        let monitoring = std::fs::read_to_string(monitoring).unwrap();
        world.chain.kubernetes.apply(&monitoring).await;
        let programs = programs(world);
        Self {
            helm: helm(world),
            _controllers: Controllers::start(&world.chain.tools, folder),
            kubelet: Kubelet::start_with_programs(&world.chain.kubernetes, programs).await,
        }
    }

    /// What Helm says.
    pub async fn helm(&self, arguments: &str) -> Said {
        self.helm.run_beside(arguments).await
    }

    /// The first install of a test: what the tests' world and Kustomize have of the chart's objects
    /// is taken over, as docs/install.md says that it is.
    pub async fn take_over(&self, chart: &str, values: &str) -> Said {
        let values = format!("{HERE} {values} --take-ownership --force-conflicts");
        self.deploy("install", chart, &values).await
    }

    /// `helm install` or `helm upgrade` of a chart as the release `sluice`, until it is ready, with
    /// nothing but what the page has and these values.
    pub async fn deploy(&self, verb: &str, chart: &str, values: &str) -> Said {
        let command = format!("{verb} sluice {chart} -n sluice {values} --wait --timeout 90s");
        let said = self.helm(&command).await;
        assert_eq!(said.code, 0, "{said:?}\n{}", self.logs());
        said
    }

    /// `helm uninstall`, until all is gone that goes.
    pub async fn uninstall(&self, world: &World) -> Said {
        let said = self.helm("uninstall sluice -n sluice --wait --timeout 60s");
        let said = said.await.good();
        until("the controller's pods to be gone", async || {
            let pods = world.chain.kubernetes.list("Pod", "sluice").await.unwrap();
            pods.is_empty()
                .then_some(())
                .ok_or(format!("{}", pods.len()))
        })
        .await;
        said
    }

    /// What every controller logged.
    pub fn logs(&self) -> String {
        let logs = self.kubelet.programs().into_iter();
        logs.map(|(pod, log, _)| format!("{pod}:\n{log}\n"))
            .collect()
    }

    /// Asserts that no controller lacked a right.
    pub fn assert_nothing_was_denied(&self) {
        let logs = self.logs();
        let denials = ["not allowed", "forbidden"];
        assert!(
            !denials.iter().any(|denial| logs.contains(denial)),
            "{logs}"
        );
    }
}
