//! The Envoys that are compared: the same answer and the same rule, decided by different means.

use std::path::Path;
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

/// Starts them all, in the order of the table.
pub(crate) async fn start_all(folder: &Path, module: &Path, baseline: &Path) -> Vec<Competitor> {
    let lua = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": LUA},
    });
    let lua = json!({"name": "lua", "typed_config": lua});
    let sluice = |config: &Value| vec![wasm(module, &canonical(config))];
    let mut competitors = Vec::new();
    for (name, filters, hosts, routes) in [
        ("no filter", vec![], 1, Routes::Header),
        (
            "baseline filter",
            vec![wasm(baseline, "")],
            1,
            Routes::Header,
        ),
        ("Lua", vec![lua], 1, Routes::Header),
        ("native regex route", vec![], 1, Routes::CookieRegex),
        ("sluice, 1 split", sluice(&hostless()), 1, Routes::Header),
        (
            "sluice, 1 split with a host",
            sluice(&config(1)),
            1,
            Routes::Header,
        ),
        (
            "sluice, 100 splits",
            sluice(&config(100)),
            100,
            Routes::Header,
        ),
        (
            "sluice, 1000 splits",
            sluice(&config(1_000)),
            1_000,
            Routes::Header,
        ),
    ] {
        competitors.push(start(folder, name, filters, hosts, routes).await);
    }
    competitors
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
