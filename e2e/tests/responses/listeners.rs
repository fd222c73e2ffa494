//! Listeners that come and go with the filter's configuration in them, as an Envoy gets them by LDS: what
//! is rejected disturbs nobody, and what drains takes nothing back.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sluice::files::replace;
use sluice::local::metrics::{Sample, sum};
use sluice::local::process::Envoy;
use sluice_core::revision::Revision;
use sluice_core::users::Users;
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::{Connection, get};
use sluice_e2e::mesh::{Mesh, envoy_binary, sluice};
use sluice_e2e::wait;

use crate::HOST;
use crate::users::{expected, users};

fn config(percent: u32) -> Value {
    json!({
        "splits": {"web": {"identity": [{"header": "x-user-id"}], "guard": {"responses": 1_000}}},
        "weights": {"web": {"everyone": {"canary": percent}}},
        "responseMetrics": true,
    })
}

/// An Envoy with a listener in a file, which answers 500 for the canary.
struct Proxy {
    adapter: Adapter,
    envoy: Envoy,
    folder: tempfile::TempDir,
}

/// Whether something else of a listener is wrong.
#[derive(PartialEq)]
enum Listener {
    Good,
    Bad,
}

impl Proxy {
    async fn start(adapter: Adapter, config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_listener(folder.path(), adapter, config, &Listener::Good);
        let tags = ["split", "audience", "variant", "plugin", "word"].map(|label| {
            json!({"tag_name": format!("sluice_{label}"), "regex": format!(r"(sluice_{label}=\.=(.*?);\.;)")})
        });
        let bootstrap = json!({
            "node": {"id": "listeners", "cluster": "listeners"},
            "admin": {"address": socket()},
            "stats_config": {"stats_tags": tags},
            // No runtime guard: the native module's metrics have Envoy's prefix here.
            "dynamic_resources": {"lds_config": {"path_config_source": {"path": folder.path().join("lds.json")}}},
        });
        let path = folder.path().join("bootstrap.json");
        std::fs::write(&path, bootstrap.to_string()).unwrap();
        let envoy = Envoy::start(&sluice(), &envoy_binary(), &path, 2)
            .await
            .unwrap();
        Self {
            adapter,
            envoy,
            folder,
        }
    }

    /// Delivers a listener, and waits until Envoy has taken or rejected it.
    async fn deliver(&self, config: &Value, listener: Listener) {
        let outcome = match listener {
            Listener::Good => "listener_manager.lds.update_success",
            Listener::Bad => "listener_manager.lds.update_rejected",
        };
        let before = self.stat(outcome).await;
        write_listener(self.folder.path(), self.adapter, config, &listener);
        wait::until(outcome, async || match self.stat(outcome).await {
            now if now > before => Ok(()),
            now => Err(now.to_string()),
        })
        .await;
    }

    async fn stat(&self, name: &str) -> u64 {
        let path = format!("/stats?filter=^{name}$");
        let text = self.envoy.admin().get(&path).await.unwrap();
        let value = text
            .trim()
            .rsplit_once(": ")
            .map(|(_, value)| value.parse());
        value.map_or(0, Result::unwrap)
    }

    async fn connect(&self) -> Connection {
        let address = self.envoy.admin().listener().await.unwrap();
        Connection::open(address).await.unwrap()
    }

    async fn serve(&self, users: std::ops::Range<u32>) {
        for user in users {
            visit(&mut self.connect().await, user).await;
        }
    }

    async fn samples(&self) -> Vec<Sample> {
        self.envoy.admin().samples().await.unwrap()
    }

    /// Waits until the gauges show a configuration and these users.
    async fn wait_for(&self, config: &Value, expected: &[Users; 2]) {
        wait::until("the users", async || {
            let users = users(&self.samples().await);
            let bits = users.each_ref().map(Users::failed_bits);
            match (self.shows(config).await, users == *expected) {
                (true, true) => Ok(()),
                (is_shown, _) => Err(format!("{is_shown}, failed bits {bits:?}")),
            }
        })
        .await;
    }

    async fn shows(&self, config: &Value) -> bool {
        let revision = Revision::of(config).as_gauge() as f64;
        sum(&self.samples().await, "sluice_config_revision", &[]) == revision
    }
}

async fn visit(connection: &mut Connection, user: u32) {
    assert!(is_served(connection, user).await);
}

async fn is_served(connection: &mut Connection, user: u32) -> bool {
    let line = format!("x-user-id: user-{user}");
    let answer = connection.send(&get("/", HOST, &[line.as_bytes()])).await;
    answer.is_some()
}

/// By the first connection that is still open: a listener that drains closes ever more of them.
async fn visit_one_of(connections: &mut Vec<Connection>, user: u32) {
    while let Some(connection) = connections.first_mut() {
        if is_served(connection, user).await {
            return;
        }
        connections.remove(0);
    }
    panic!("no connection is open any more");
}

fn socket() -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}})
}

fn write_listener(folder: &Path, adapter: Adapter, config: &Value, listener: &Listener) {
    let mut filters = vec![Mesh::plugin(adapter, "listeners", config)];
    if *listener == Listener::Bad {
        filters.push(json!({"name": "bad", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": "this is no Lua"},
        }}));
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let canary = json!([{"name": "x-sluice-web", "string_match": {"exact": "canary"}}]);
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "listeners",
        "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/", "headers": canary}, "direct_response": {"status": 500}},
            {"match": {"prefix": "/"}, "direct_response": {"status": 200}},
        ]}]},
    });
    let listener = json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "listeners",
        "address": socket(),
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    });
    let resources = json!({"resources": [listener]}).to_string();
    replace(&folder.join("lds.json"), resources.as_bytes()).unwrap();
}

async fn a_listener_that_envoy_rejects_with_its_configuration_disturbs_nothing(adapter: Adapter) {
    let proxy = Proxy::start(adapter, &config(30)).await;
    proxy.serve(0..100).await;
    proxy.wait_for(&config(30), &expected(0..100, 30)).await;
    for percent in 40..50 {
        proxy.deliver(&config(percent), Listener::Bad).await;
    }
    proxy.serve(100..200).await;
    proxy.wait_for(&config(30), &expected(0..200, 30)).await;
    proxy.deliver(&config(31), Listener::Good).await;
    proxy.serve(0..50).await;
    proxy.wait_for(&config(31), &expected(0..50, 31)).await;
}

/// Connections of a listener that drains: with each answer, Envoy closes one in as many as the time that
/// drains lasts in seconds (600) for each second that has passed.
const FORMER: usize = 10;

async fn connections_that_a_former_listener_still_serves_take_nothing_back(adapter: Adapter) {
    let proxy = Proxy::start(adapter, &config(30)).await;
    let mut former = Vec::new();
    for _ in 0..FORMER {
        let mut connection = proxy.connect().await;
        visit(&mut connection, 0).await;
        former.push(connection);
    }
    proxy.wait_for(&config(30), &expected(0..1, 30)).await;
    proxy.deliver(&config(31), Listener::Good).await;
    proxy.serve(0..50).await;
    proxy.wait_for(&config(31), &expected(0..50, 31)).await;
    for user in 100..160 {
        visit_one_of(&mut former, user).await;
        assert!(proxy.shows(&config(31)).await, "after request {user}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    proxy.serve(50..60).await;
    proxy.wait_for(&config(31), &expected(0..60, 31)).await;
}

sluice_e2e::over_both_adapters![
    a_listener_that_envoy_rejects_with_its_configuration_disturbs_nothing,
    connections_that_a_former_listener_still_serves_take_nothing_back,
];
