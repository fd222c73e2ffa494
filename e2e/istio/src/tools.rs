//! Where the binaries are that `make istio` built and unpacked.

use std::path::PathBuf;

/// Where the binaries are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// etcd, kube-apiserver, kubectl, istiod, and files of their modules.
    pub go: PathBuf,
    /// The registry and Prometheus.
    pub(crate) debian: PathBuf,
    /// Envoy.
    pub envoy: PathBuf,
    /// Istio's agent.
    pub pilot_agent: PathBuf,
    /// The filter's module.
    pub module: PathBuf,
    /// The native module: `SLUICE_NATIVE`, or where `make native` writes it.
    pub native: PathBuf,
    /// The `sluice` binary.
    pub sluice: PathBuf,
}

impl Tools {
    /// Prometheus.
    pub fn prometheus(&self) -> PathBuf {
        self.debian.join("prometheus")
    }

    /// From the environment that `make e2e-istio` sets.
    pub fn from_environment() -> Self {
        let path = |name: &str| -> PathBuf {
            let value = std::env::var_os(name)
                .unwrap_or_else(|| panic!("{name} is not set: run `make e2e-istio`"));
            std::path::absolute(PathBuf::from(value)).unwrap()
        };
        let (go, module) = (path("GO_BIN"), path("SLUICE_MODULE"));
        let made = module.parent().unwrap().with_file_name("native");
        let native = std::env::var_os("SLUICE_NATIVE").map(PathBuf::from);
        Self {
            pilot_agent: go.join("pilot-agent"),
            go,
            debian: path("DEBIAN_BIN"),
            // The agent starts what it is told to start by its real name.
            envoy: path("ENVOY").canonicalize().unwrap(),
            native: native.unwrap_or_else(|| made.join("libsluice.so")),
            module,
            sluice: path("SLUICE"),
        }
    }
}
