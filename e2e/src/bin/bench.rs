//! `make bench`: the table of DESIGN section 6 that concerns the filter, measured in one run, interleaved.
//!
//! CPU time of the Envoy process a request under wrk, in rounds over all competitors, so that a noisy neighbour
//! disturbs all alike; ratios are of medians, with their 90 % interval by bootstrap beside them. Instruction counts of
//! `decide()` come from valgrind and are repeatable. Prints Markdown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails loudly"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::local::process::{Envoy, find_module};
use sluice_core::revision::canonical;
use sluice_e2e::dev::Dev;
use sluice_e2e::mesh::{envoy_binary, sluice};

const COOKIES: &str = "_ga=GA1.2.1234; theme=dark; email=joe@some-company-name.com; visitor=AAECAwQFBgcICQoLDA0ODw; lang=en";
/// Rounds over all competitors; the first is thrown away.
const ROUNDS: usize = 31;
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
struct Competitor {
    name: &'static str,
    envoy: Envoy,
    address: std::net::SocketAddr,
    hosts: usize,
    /// Microseconds of Envoy's CPU a request, one a round.
    rounds: Vec<f64>,
}

#[tokio::main]
async fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let folder = tempfile::Builder::new()
        .prefix("sluice-bench-")
        .tempdir()
        .unwrap();
    let module = find_module(std::env::var_os("SLUICE_MODULE").as_deref().map(Path::new)).unwrap();
    let baseline = PathBuf::from(
        std::env::var_os("BASELINE_MODULE").expect("BASELINE_MODULE: run by `make bench`"),
    );
    let wrk = std::env::var_os("WRK").map_or_else(|| PathBuf::from("wrk"), PathBuf::from);

    println!("| what | figure |\n|---|---|");
    println!(
        "| module | {} bytes |",
        std::fs::metadata(&module).unwrap().len()
    );
    memory_and_changes(folder.path(), &module).await;

    effect_of_changes(folder.path(), if quick { 5 } else { 30 }).await;

    let lua = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": LUA}});
    let no_filter: Vec<Value> = Vec::new();
    let mut competitors = vec![
        start(
            folder.path(),
            "no filter",
            no_filter.clone(),
            1,
            Routes::Header,
        )
        .await,
        start(
            folder.path(),
            "baseline filter",
            vec![wasm(&baseline, "")],
            1,
            Routes::Header,
        )
        .await,
        start(
            folder.path(),
            "Lua",
            vec![json!({"name": "lua", "typed_config": lua})],
            1,
            Routes::Header,
        )
        .await,
        start(
            folder.path(),
            "native regex route",
            no_filter,
            1,
            Routes::CookieRegex,
        )
        .await,
        start(
            folder.path(),
            "sluice, 1 split",
            vec![wasm(&module, &canonical(&hostless()))],
            1,
            Routes::Header,
        )
        .await,
        start(
            folder.path(),
            "sluice, 1 split with a host",
            vec![wasm(&module, &canonical(&config(1)))],
            1,
            Routes::Header,
        )
        .await,
        start(
            folder.path(),
            "sluice, 100 splits",
            vec![wasm(&module, &canonical(&config(100)))],
            100,
            Routes::Header,
        )
        .await,
        start(
            folder.path(),
            "sluice, 1000 splits",
            vec![wasm(&module, &canonical(&config(1_000)))],
            1_000,
            Routes::Header,
        )
        .await,
    ];
    let rounds = if quick { 6 } else { ROUNDS };
    for round in 0..rounds {
        for competitor in &mut competitors {
            let microseconds = turn(&wrk, folder.path(), competitor);
            if round > 0 {
                competitor.rounds.push(microseconds);
            }
        }
    }
    print_cpu(&competitors);
    drop(competitors);
    instructions();
}

enum Routes {
    /// By the header that a filter sets.
    Header,
    /// By Envoy's own regex over the cookie header.
    CookieRegex,
}

/// `number` splits on as many hosts, ten distinct expressions, weights that make 50 % of staff sticky.
fn config(number: usize) -> Value {
    let names: Vec<String> = (0..number)
        .map(|place| {
            if place == 0 {
                "web".to_owned()
            } else {
                format!("s{place}")
            }
        })
        .collect();
    let split = |place: usize| {
        let domain = if place.is_multiple_of(10) {
            "some-company-name".to_owned()
        } else {
            format!("some-company-name{}", place % 10)
        };
        json!({
            "hosts": [format!("host{place}.example.com")],
            "header": "x-sluice-web",
            "rules": [{"name": "staff", "match": [{"cookies": {"email": {"regex": format!(r"[^@]+@{domain}\.com")}}}]}],
        })
    };
    let weights = || json!({"staff": {"canary": 50}, "everyone": {"canary": 5}});
    json!({
        "splits": names.iter().enumerate().map(|(place, name)| (name.clone(), split(place))).collect::<serde_json::Map<_, _>>(),
        "weights": names.iter().map(|name| (name.clone(), weights())).collect::<serde_json::Map<_, _>>(),
        "cookie": {"name": "visitor", "secure": false},
    })
}

/// One split for every host, as the baseline filter, Lua and the native route are.
fn hostless() -> Value {
    let mut config = config(1);
    config["splits"]["web"]
        .as_object_mut()
        .unwrap()
        .remove("hosts");
    config
}

fn wasm(module: &Path, configuration: &str) -> Value {
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
async fn start(
    folder: &Path,
    name: &'static str,
    mut filters: Vec<Value>,
    hosts: usize,
    routes: Routes,
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
        "static_resources": {"listeners": [{
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

/// One competitor's turn under wrk: microseconds of Envoy's CPU a request.
fn turn(wrk: &Path, folder: &Path, competitor: &Competitor) -> f64 {
    let script = folder.join("hosts.lua");
    std::fs::write(
        &script,
        format!(
            "local n = 0\nrequest = function()\n  n = (n * 31 + 7) % {0}\n  return wrk.format('GET', '/', {{['Host'] = 'host' .. (n % {0}) .. '.example.com', ['Cookie'] = '{COOKIES}'}})\nend\n",
            competitor.hosts.max(1)
        ),
    )
    .unwrap();
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

/// CPU time of a process so far, in seconds, from the nanoseconds of each of its threads.
fn cpu_seconds(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    tasks.filter_map(nanoseconds).sum::<f64>() / 1e9
}

/// What a competitor adds to no filter, of what another adds: the ratio of the medians, and its 90 % interval by
/// bootstrap over the rounds (Efron 1979), so that one disturbed round weighs little.
fn ratio_of_added(own: &[f64], other: &[f64], none: &[f64]) -> (f64, f64, f64) {
    let ratio = |rounds: &[usize]| {
        let median = |values: &[f64]| {
            quantile(
                &rounds
                    .iter()
                    .map(|&round| values[round])
                    .collect::<Vec<_>>(),
                0.5,
            )
        };
        (median(own) - median(none)) / (median(other) - median(none))
    };
    let all: Vec<usize> = (0..own.len()).collect();
    let mut state = 20_261_120_u64;
    let mut draw = || {
        // xorshift64 (Marsaglia 2003): the same draws each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % own.len() as u64) as usize
    };
    let drawn: Vec<f64> = (0..2_000)
        .map(|_| ratio(&all.iter().map(|_| draw()).collect::<Vec<_>>()))
        .collect();
    (ratio(&all), quantile(&drawn, 0.05), quantile(&drawn, 0.95))
}

fn quantile(values: &[f64], at: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * at).round() as usize]
}

fn print_cpu(competitors: &[Competitor]) {
    let rounds = |name: &str| {
        &competitors
            .iter()
            .find(|competitor| competitor.name == name)
            .unwrap()
            .rounds
    };
    let (none, base, lua, one) = (
        rounds("no filter"),
        rounds("baseline filter"),
        rounds("Lua"),
        rounds("sluice, 1 split"),
    );
    let native = rounds("native regex route");
    println!(
        "\n| Envoy with | CPU a request | of no filter, whole | of native, whole | added to no filter | added, of the baseline filter | added, of Lua | added, of 1 split |\n|---|---|---|---|---|---|---|---|"
    );
    for competitor in competitors {
        let ratio = |other: &[f64]| {
            let (at, low, high) = ratio_of_added(&competitor.rounds, other, none);
            format!("{at:.2} ({low:.2} to {high:.2})")
        };
        let whole = |other: &[f64]| {
            let ratios: Vec<f64> = competitor
                .rounds
                .iter()
                .zip(other)
                .map(|(own, other)| own / other)
                .collect();
            format!("{:.2}", quantile(&ratios, 0.5))
        };
        let added: Vec<f64> = competitor
            .rounds
            .iter()
            .zip(none)
            .map(|(own, none)| own - none)
            .collect();
        let is_filter = !["no filter", "native regex route"].contains(&competitor.name);
        let cell = |other: &[f64]| {
            if is_filter {
                ratio(other)
            } else {
                "-".to_owned()
            }
        };
        println!(
            "| {} | {:.2} us | {} | {} | {:.2} us | {} | {} | {} |",
            competitor.name,
            quantile(&competitor.rounds, 0.5),
            whole(none),
            whole(native),
            quantile(&added, 0.5),
            cell(base),
            cell(lua),
            if competitor.name.starts_with("sluice") {
                cell(one)
            } else {
                "-".to_owned()
            },
        );
    }
}

/// Memory of a VM with 1 and with 1,000 splits, and what a weight change costs with 1,000.
async fn memory_and_changes(folder: &Path, module: &Path) {
    for number in [1, 1_000] {
        let files = folder.join(format!("ecds-{number}"));
        std::fs::create_dir_all(&files).unwrap();
        let settings = sluice::local::files::Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            node_id: "bench".to_owned(),
            namespace: None,
            upstreams: Vec::new(),
            filters_before: Vec::new(),
            trusted_hops: 0,
            module: module.to_owned(),
        };
        let files = sluice::local::files::Files::new(&files, settings).unwrap();
        let mut config = config(number);
        for (_, split) in config["splits"].as_object_mut().unwrap() {
            split.as_object_mut().unwrap().remove("header");
        }
        files
            .deliver_routes(&sluice_e2e::mesh::plan(&json!({})))
            .unwrap();
        files.deliver_plugin(&canonical(&config)).unwrap();
        let envoy = Envoy::start(&sluice(), &envoy_binary(), &files.bootstrap_path(), 1)
            .await
            .unwrap();
        let memories = linear_memories(envoy.id());
        println!(
            "| VM memory, {number} splits ({} bytes of configuration) | {:.1} MiB in each of {} VMs |",
            canonical(&config).len(),
            memories.iter().copied().max().unwrap_or(0) as f64 / 1048576.0,
            memories.len()
        );
        if number == 1_000 {
            changes(&envoy, &files, config).await;
            let memories = linear_memories(envoy.id());
            println!(
                "| VM memory after 20 more configurations | {:.1} MiB |",
                memories.iter().copied().max().unwrap_or(0) as f64 / 1048576.0
            );
        }
    }
}

/// From typing `sluice set` to the first request that shows it, through a running `sluice dev`.
async fn effect_of_changes(folder: &Path, changes: u32) {
    let folder = folder.join("effect");
    let mut dev = Dev::start(&folder);
    let mut connection = sluice_e2e::client::Connection::open(dev.address)
        .await
        .unwrap();
    // bucket("web", "bob") is 45061: on the canary at 50 %, not at 25 %.
    let request = sluice_e2e::client::get("/", "localhost", &[b"cookie: sluice=bob"]);
    let mut took = Vec::new();
    for change in 0..changes {
        let (share, variant) =
            [("canary=50", "canary"), ("canary=25", "stable")][change as usize % 2];
        let began = Instant::now();
        let mut set = Command::new(sluice())
            .args(["set", "web", share, "--dir"])
            .arg(&folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while connection.send(&request).await.unwrap().variant() != variant {
            assert!(began.elapsed() < Duration::from_secs(10));
        }
        took.push(began.elapsed().as_secs_f64());
        set.wait().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(dev.interrupt(), "sluice dev ends when it is told to");
    let (median, worst) = (quantile(&took, 0.5), quantile(&took, 1.0));
    println!(
        "| `sluice set` to its effect, local Envoy | {median:.3} s median, {worst:.3} s worst of {changes} |"
    );
}

/// Envoy configures three VMs a change (a throw-away one, the main thread's, the worker's), so a third of its CPU time
/// is an upper bound of one VM's.
async fn changes(envoy: &Envoy, files: &sluice::local::files::Files, mut config: Value) {
    let mut costs = Vec::new();
    for change in 0..20 {
        config["weights"]["web"]["everyone"]["canary"] = json!(change + 6);
        let revision = sluice_core::revision::Revision::of(&config).as_gauge() as f64;
        let before = cpu_seconds(envoy.id());
        files.deliver_plugin(&canonical(&config)).unwrap();
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(400)).await;
        costs.push((cpu_seconds(envoy.id()) - before) * 1e3 / 3.0);
        let samples = envoy.admin().samples().await.unwrap();
        assert_eq!(
            sluice::local::metrics::sum(&samples, "sluice_config_revision", &[]),
            revision,
            "after {:?}",
            began.elapsed()
        );
    }
    println!(
        "| a weight change with 1,000 splits, CPU a VM | {:.1} ms median, {:.1} ms worst of 20 |",
        quantile(&costs, 0.5),
        quantile(&costs, 1.0)
    );
}

/// The linear memories of a process: what V8 has opened at the start of each of its reservations of 4 GiB and more.
fn linear_memories(pid: u32) -> Vec<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?, words.next()?.to_owned()))
    };
    let maps: Vec<_> = maps.lines().filter_map(parse).collect();
    let is_memory = |pair: &&[(u64, u64, String)]| {
        let [(_, open_end, open), (guard_start, guard_end, guard)] = pair else {
            return false;
        };
        open == "rw-p"
            && guard == "---p"
            && open_end == guard_start
            && guard_end - guard_start > 4_000_000_000
    };
    maps.windows(2)
        .filter(is_memory)
        .map(|pair| pair[0].1 - pair[0].0)
        .collect()
}

/// Instructions of `decide()`, by valgrind, over the scenarios of filter/benches/decide.rs.
fn instructions() {
    let Some(program) = std::env::var_os("DECIDE_BENCH") else {
        return;
    };
    println!("\n| decide() | instructions |\n|---|---|");
    for scenario in [
        "email-rule",
        "thousand-splits",
        "newcomer",
        "classic-rule",
        "other-host",
    ] {
        let count = |iterations: u64| {
            let output = Command::new("valgrind")
                .args([
                    "--tool=cachegrind",
                    "--cache-sim=no",
                    "--cachegrind-out-file=/dev/null",
                ])
                .arg(&program)
                .args([scenario, &iterations.to_string()])
                .output()
                .expect("valgrind");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let line = text
                .lines()
                .find(|line| line.contains("refs:"))
                .expect("valgrind's count")
                .to_owned();
            line.rsplit(' ')
                .next()
                .unwrap()
                .replace(',', "")
                .parse::<u64>()
                .unwrap()
        };
        println!("| {scenario} | {} |", (count(2_000) - count(1_000)) / 1_000);
    }
}
