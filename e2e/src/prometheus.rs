//! A real Prometheus (`make prometheus`), which scrapes what a test says several times a second.

use std::fs::{File, read_to_string, write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::fetch;
use crate::mesh::sluice;
use crate::wait::until;

/// How often it scrapes, in its own words.
pub const SCRAPED_EVERY: &str = "200ms";

/// What it scrapes: an address whose `/stats/prometheus` has metrics, and labels for its series.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address.
    pub address: SocketAddr,
    /// The pod's namespace and name; Istio's scrape configurations give these labels.
    pub pod: Option<[&'static str; 2]>,
}

/// A running Prometheus; the kernel ends it when this process dies.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

/// How it is to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What it scrapes.
    pub targets: Vec<Target>,
    /// The file of `--web.config.file`, which asks for TLS and passwords.
    pub web: Option<Value>,
    /// Further parts of its configuration, such as `remote_read`.
    pub others: Value,
}

impl Prometheus {
    /// Starts it, and waits until it listens.
    pub async fn start(options: &Options) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("sluice-prometheus-")
            .tempdir()
            .unwrap();
        // It takes no port 0 that it would tell of; the port is free but for a race with strangers.
        let address = free_address();
        let at = |name: &str| folder.path().join(name);
        write(at("prometheus.yaml"), configuration(options).to_string()).unwrap();
        let mut command = Command::new(sluice());
        command.args(["leash", "--parent", &std::process::id().to_string(), "--"]);
        command.arg(found().expect("Prometheus: run `make prometheus` first, or set PROMETHEUS"));
        command.arg("--config.file").arg(at("prometheus.yaml"));
        command.arg("--storage.tsdb.path").arg(at("data"));
        command.arg(format!("--web.listen-address={address}"));
        if let Some(web) = &options.web {
            write(at("web.yaml"), web.to_string()).unwrap();
            command.arg("--web.config.file").arg(at("web.yaml"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(at("log")).unwrap());
        let mut prometheus = Self {
            child: command.spawn().unwrap(),
            address,
            folder,
        };
        prometheus.wait(options.web.is_some()).await;
        prometheus
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn wait(&mut self, is_guarded: bool) {
        let (address, log) = (self.address, self.folder.path().join("log"));
        until("Prometheus", async || {
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("Prometheus: {ended}\n{}", read_to_string(&log).unwrap());
            }
            let is_ready = match is_guarded {
                // Only that it listens is known without its password.
                true => tokio::net::TcpStream::connect(address).await.is_ok(),
                false => fetch(address, "/-/ready")
                    .await
                    .is_some_and(|answer| answer.status == 200),
            };
            is_ready.then_some(()).ok_or("not ready".to_owned())
        })
        .await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(options: &Options) -> Value {
    let target = |target: &Target| {
        let labels = target.pod.map_or(
            json!({}),
            |[namespace, pod]| json!({"namespace": namespace, "pod": pod}),
        );
        json!({"targets": [target.address], "labels": labels})
    };
    let targets: Vec<_> = options.targets.iter().map(target).collect();
    let mut configuration = json!({
        "global": {"scrape_interval": SCRAPED_EVERY, "scrape_timeout": SCRAPED_EVERY},
        "scrape_configs": [
            {"job_name": "proxies", "metrics_path": "/stats/prometheus", "static_configs": targets},
        ],
    });
    if let Value::Object(others) = &options.others {
        for (name, value) in others {
            configuration[name] = value.clone();
        }
    }
    configuration
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Whether there is one to start.
pub fn is_there() -> bool {
    found().is_some()
}

/// promtool, which lies beside it in every package; `None`: there is no Prometheus.
pub fn promtool() -> Option<PathBuf> {
    Some(found()?.with_file_name("promtool"))
}

/// The program: `PROMETHEUS`, or the one that the Makefile fetched.
fn found() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PROMETHEUS") {
        return Some(path.into());
    }
    let program = std::env::current_exe().unwrap();
    program
        .ancestors()
        .map(|folder| folder.join("tools/debian/usr/bin/prometheus"))
        .find(|path| path.is_file())
}
