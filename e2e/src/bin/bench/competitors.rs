//! The Envoys that are compared: the same answer and the same rule, decided by different means.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sluice::local::process::Envoy;
use sluice_core::revision::canonical;
use sluice_e2e::mesh::{envoy_binary, sluice};

use crate::configurations::{config, hostless};
use crate::processes::cpu_seconds;

const COOKIES: &str = "_ga=GA1.2.1234; theme=dark; email=joe@some-company-name.com; visitor=AAECAwQFBgcICQoLDA0ODw; lang=en";
const SECONDS_PER_TURN: u32 = 1;

/// The same rule in Lua: the named cookie, the email pattern, FNV-1a over the visitor's cookie.
const LUA: &str = r#"
local function cookie(header, name)
  for pair in string.gmatch(header, "[^;]+") do
    local key, value = string.match(pair, "^%s*([^=]+)=(.*)$")
    if key == name then return value end
  end
end
local function bucket(salt, id)
  local hash = 2166136261
  for _, text in ipairs({salt, "\0", id}) do
    for place = 1, #text do
      hash = bit.bxor(hash, string.byte(text, place))
      hash = bit.tobit(bit.lshift(bit.band(hash, 0xffff) * 403 % 65536, 0) + bit.lshift(hash, 24) + bit.lshift(bit.rshift(hash, 16) * 403 % 65536, 16))
    end
  end
  return (hash % 4294967296) % 100000
end
function envoy_on_request(handle)
  local headers = handle:headers()
  local variant = "stable"
  local header = headers:get("cookie")
  if header ~= nil then
    local email = cookie(header, "email")
    local percent = 5000
    if email ~= nil and string.match(email, "^[^@]+@some%-company%-name%.com$") then percent = 50000 end
    local id = cookie(header, "visitor")
    if id ~= nil and bucket("web", id) < percent then variant = "canary" end
  end
  headers:replace("x-sluice-web", variant)
end
"#;

/// One Envoy among those compared.
pub(crate) struct Competitor {
    pub(crate) name: &'static str,
    envoy: Envoy,
    pub(crate) address: std::net::SocketAddr,
    hosts: usize,
    /// Microseconds of Envoy's CPU a request, one a round.
    pub(crate) rounds: Vec<f64>,
}

#[derive(Clone, Copy)]
pub(crate) enum Routes {
    /// By the header that a filter sets.
    Header,
    /// By Envoy's own regex over the cookie header.
    CookieRegex,
}

impl Competitor {
    /// Envoy's process.
    pub(crate) fn id(&self) -> u32 {
        self.envoy.id()
    }
}

/// What Envoy loads: the product by both ways, and by each the least that can be loaded.
pub(crate) struct Modules {
    pub(crate) wasm: PathBuf,
    pub(crate) baseline: PathBuf,
    pub(crate) native: PathBuf,
    pub(crate) empty: PathBuf,
}

/// A competitor that is not started yet.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    filters: Vec<Value>,
    /// How many hosts its requests are for.
    pub(crate) hosts: usize,
    routes: Routes,
}

impl Row {
    /// Starts it in a folder.
    pub(crate) async fn start(&self, folder: &Path) -> Competitor {
        let filters = self.filters.clone();
        start(folder, self.name, filters, self.hosts, self.routes).await
    }
}

/// All of them, in the order of the table.
pub(crate) fn rows(modules: &Modules) -> Vec<Row> {
    let lua = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": LUA},
    });
    let lua = json!({"name": "lua", "typed_config": lua});
    let sluice = |config: &Value| vec![wasm(&modules.wasm, &canonical(config))];
    let native = |config: &Value| vec![dynamic(&modules.native, PLUGIN, &canonical(config))];
    let baseline = vec![wasm(&modules.baseline, "")];
    let empty = vec![dynamic(&modules.empty, "", "")];
    let least = vec![dynamic(&modules.empty, "least", "")];
    let by_header = |name, filters, hosts| Row {
        name,
        filters,
        hosts,
        routes: Routes::Header,
    };
    let mut rows = vec![
        by_header("no filter", Vec::new(), 1),
        by_header("empty dynamic module", empty, 1),
        by_header("least dynamic module", least, 1),
        by_header("baseline filter", baseline, 1),
        by_header("Lua", vec![lua], 1),
        Row {
            routes: Routes::CookieRegex,
            ..by_header("native regex route", Vec::new(), 1)
        },
    ];
    for (names, config, hosts) in [
        (["sluice, 1 split", "native module, 1 split"], hostless(), 1),
        (
            [
                "sluice, 1 split with a host",
                "native module, 1 split with a host",
            ],
            config(1),
            1,
        ),
        (
            ["sluice, 100 splits", "native module, 100 splits"],
            config(100),
            100,
        ),
        (
            ["sluice, 1000 splits", "native module, 1000 splits"],
            config(1_000),
            1_000,
        ),
    ] {
        let [of_wasm, of_native] = names;
        rows.push(by_header(of_wasm, sluice(&config), hosts));
        rows.push(by_header(of_native, native(&config), hosts));
    }
    rows
}

/// What the native module is called: the plugin's name, and what Envoy does not tell it of the node.
pub(crate) const PLUGIN: &str = "bench.sluice~sidecar~bench";

/// A dynamic module as a filter.
pub(crate) fn dynamic(library: &Path, name: &str, configuration: &str) -> Value {
    json!({
        "name": "native",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {
                "module": {"local": {"filename": library}},
                "do_not_close": true,
                "metrics_namespace": "wasmsluice",
            },
            "filter_name": name,
            "filter_config": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
        },
    })
}

pub(crate) fn wasm(module: &Path, configuration: &str) -> Value {
    json!({
        "name": "wasm",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "bench",
                "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": module}}},
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
            },
        },
    })
}

/// An Envoy that answers by itself, so that only its own work is measured.
pub(crate) async fn start(
    folder: &Path,
    name: &'static str,
    filters: Vec<Value>,
    hosts: usize,
    routes: Routes,
) -> Competitor {
    start_with(folder, name, filters, hosts, routes, &[]).await
}

/// The same with clusters that a filter may call.
pub(crate) async fn start_with(
    folder: &Path,
    name: &'static str,
    mut filters: Vec<Value>,
    hosts: usize,
    routes: Routes,
    clusters: &[Value],
) -> Competitor {
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let matched = match routes {
        Routes::Header => json!([{"name": "x-sluice-web", "string_match": {"exact": "canary"}}]),
        Routes::CookieRegex => {
            let regex = r"^(.*?;\s*)?(email=[^;]*@some-company-name\.com)(;.*)?$";
            json!([{"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}}])
        }
    };
    let answer = |text: &str| json!({"status": 200, "body": {"inline_string": text}});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/", "headers": matched}, "direct_response": answer("canary")},
            {"match": {"prefix": "/"}, "direct_response": answer("stable")},
        ]}]},
    });
    let socket = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    let bootstrap = json!({
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": socket},
        "static_resources": {"clusters": clusters, "listeners": [{
            "name": "bench",
            "address": socket,
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
        }]},
    });
    let folder = folder.join(name.replace([' ', ','], "-"));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("bootstrap.json");
    std::fs::write(&path, bootstrap.to_string()).unwrap();
    let envoy = Envoy::start(&sluice(), &envoy_binary(), &path, 1)
        .await
        .unwrap();
    let address = envoy.admin().listener().await.unwrap();
    Competitor {
        name,
        envoy,
        address,
        hosts,
        rounds: Vec::new(),
    }
}

/// One competitor's turn under wrk, of a second: microseconds of Envoy's CPU a request.
pub(crate) fn turn(wrk: &Path, folder: &Path, competitor: &Competitor) -> f64 {
    let script = format!(
        "local n = 0\nrequest = function()\n  n = (n * 31 + 7) % {0}\n  return wrk.format('GET', '/', {{['Host'] = 'host' .. (n % {0}) .. '.example.com', ['Cookie'] = '{COOKIES}'}})\nend\n",
        competitor.hosts.max(1)
    );
    turn_of(wrk, folder, competitor, &script)
}

/// The same with the requests that a script of wrk makes.
pub(crate) fn turn_of(wrk: &Path, folder: &Path, competitor: &Competitor, requests: &str) -> f64 {
    let script = folder.join("requests.lua");
    std::fs::write(&script, requests).unwrap();
    let before = cpu_seconds(competitor.envoy.id());
    let output = Command::new(wrk)
        .args(["-t1", "-c8", &format!("-d{SECONDS_PER_TURN}s"), "-s"])
        .arg(&script)
        .arg(format!("http://{}/", competitor.address))
        .output()
        .expect("wrk");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && !text.contains("Non-2xx"),
        "wrk: {text}"
    );
    let line = text
        .lines()
        .find(|line| line.contains("requests in"))
        .expect("wrk's summary");
    let requests: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
    (cpu_seconds(competitor.envoy.id()) - before) * 1e6 / requests
}
