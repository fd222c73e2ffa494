//! What ten thousand proxies that ask for brakes cost one controller, and how soon all of them have
//! heard of one. Proxies are a load generator's; the controller, the API server and the Brakes are
//! real. The figures are printed, and not judged.

mod idlers;
mod proxies;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use sluice_e2e_istio::process::Process;

use crate::speed_of_rollouts::{SPLITS, plugin_of_nobody};
use crate::world::World;
use idlers::Idlers;
use proxies::{Listing, Proxies};

const PROXIES: usize = 10_000;

const PLUGINS: usize = 1_000;

/// How often each is measured.
const TIMES: usize = 30;

/// Where the controller answers proxies.
const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 6, 1)), 8085);

/// How long the controller is left alone before its memory and CPU are read, and how long that
/// takes: long enough for every question to be asked again.
const REST: Duration = Duration::from_secs(30);

/// How long it is left alone between two brakes.
const BREATH: Duration = Duration::from_millis(700);

/// Of so few files, what is left for connections is soon taken.
const FEW_FILES: u64 = 2_048;
const IDLERS: usize = 4_000;
const NEWCOMERS: usize = 100;

fn figure(what: &str, ours: impl std::fmt::Display) {
    println!("figure: {what}: {ours}");
}

/// The least, the middle one and the worst.
fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let [least, median, worst] = [0, times.len() / 2, times.len() - 1].map(|at| times[at]);
    let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
    figure(
        what,
        format!(
            "{} / {} / {} s of {}",
            seconds(least),
            seconds(median),
            seconds(worst),
            times.len()
        ),
    );
}

/// One whose proxies ask for brakes.
fn plugin(index: usize) -> Value {
    let mut plugin = plugin_of_nobody(index);
    plugin["spec"]["pluginConfig"]["brake"] = json!({"service": "brakes.b", "port": 8085});
    plugin
}

/// A brake of a plugin's split.
fn brake(name: &str, plugin: usize, split: &str) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Brake",
        "metadata": {"name": name, "namespace": "b"},
        "spec": {"plugin": format!("p{plugin}"), "split": split, "by": "figures"},
    })
}

/// A controller, with so many open files at most; with as many as it may have where none are said.
async fn start(world: &World, files: Option<u64>) -> Process {
    let arguments =
        format!("controller -n b --brake-listen {ADDRESS} --listen 127.0.0.1:0 --lease-seconds 3");
    let mut command = world.chain.sluice.command(&arguments);
    if let Some(files) = files {
        let mut limited = Command::new("sh");
        limited
            .arg("-c")
            .arg(format!("ulimit -n {files}; exec \"$0\" \"$@\""))
            .arg(command.get_program())
            .args(command.get_args())
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        command = limited;
    }
    let mut controller = Process::start("controller", world.chain.folder(), &mut command);
    controller
        .wait_until("the brakes' service", async || {
            tokio::net::TcpStream::connect(ADDRESS).await.is_ok()
        })
        .await;
    controller
}

/// As many files as this process may have: each proxy is one.
fn open_many_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

pub async fn ten_thousand_proxies_hear_of_a_brake(world: &mut World) {
    open_many_files();
    println!();
    let made = (0..PLUGINS).map(|index| {
        let kubernetes = world.chain.kubernetes.clone();
        async move { kubernetes.create(&plugin(index)).await.unwrap() }
    });
    let mut made = futures::stream::iter(made).buffer_unordered(16);
    while made.next().await.is_some() {}
    of_one_plugin(world).await;
    of_many_plugins(world).await;
    beside_idlers(world).await;
    for kind in ["Brake", "WasmPlugin"] {
        world.chain.kubernetes.delete_all(kind, "b").await;
    }
}

/// All proxies are of one plugin: whatever changes is news to each of them.
async fn of_one_plugin(world: &World) {
    let mut controller = start(world, None).await;
    figure("memory without proxies", memory(&controller));
    let (began, cpu) = (Instant::now(), controller.cpu());
    let proxies = Proxies::start(ADDRESS, PROXIES, |_| 0);
    proxies.all_held().await;
    figure(
        "10,000 proxies of one plugin, until all are held",
        format!(
            "{:.2} s, {:.2} s of CPU, {} failures",
            began.elapsed().as_secs_f64(),
            (controller.cpu() - cpu).as_secs_f64(),
            proxies.failed()
        ),
    );
    rest(&controller).await;
    rounds(world, &controller, &proxies, PROXIES).await;
    for split in ["s7", "s8", "s9"] {
        let said = world
            .sluice(&format!("abort {split} -n b --plugin p0"))
            .await;
        let words = said.err.lines().find(|line| line.starts_with("braked: "));
        let took = said.took.as_secs_f64();
        figure(
            "what `sluice abort` says",
            format!("{} after {took:.2} s", words.unwrap_or(&said.err)),
        );
        proxies.all_held().await;
    }
    controller.kill();
    let killed = Instant::now();
    let failed = proxies.failed();
    let again = start(world, None).await;
    let listened = killed.elapsed();
    proxies.all_held().await;
    figure(
        "killed and started again, until it listens; until all are held again",
        format!(
            "{:.2} s; {:.2} s, {} failures",
            listened.as_secs_f64(),
            killed.elapsed().as_secs_f64(),
            proxies.failed() - failed
        ),
    );
    figure("peak of memory of the one that began anew", peak(&again));
    tokio::time::sleep(BREATH).await;
    let mut again = again;
    let ended = Instant::now();
    again.stop();
    figure(
        "told to end, until it has, with 10,000 held",
        format!("{:.2} s", ended.elapsed().as_secs_f64()),
    );
}

/// Ten proxies of each plugin.
async fn of_many_plugins(world: &World) {
    let controller = start(world, None).await;
    let proxies = Proxies::start(ADDRESS, PROXIES, |index| index % PLUGINS);
    proxies.all_held().await;
    rest(&controller).await;
    rounds(world, &controller, &proxies, PROXIES / PLUGINS).await;
    let cpu = controller.cpu();
    proxies.watch_for("s1", Listing::Listed);
    let (began, written) = (Instant::now(), create_all(world).await);
    let seen = proxies.seen(PROXIES).await;
    let last = seen.iter().max().unwrap();
    figure(
        "a brake of each of 1,000 plugins: all written; the last proxy told",
        format!(
            "{:.2} s; {:.2} s",
            written.as_secs_f64(),
            (*last - began).as_secs_f64()
        ),
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    figure(
        "the same, the controller's CPU, with ten seconds after it",
        format!("{:.2} s", (controller.cpu() - cpu).as_secs_f64()),
    );
    figure("peak of memory", peak(&controller));
    world.chain.kubernetes.delete_all("Brake", "b").await;
}

/// A brake of each plugin, as fast as the API server takes them; how long that took.
async fn create_all(world: &World) -> Duration {
    let began = Instant::now();
    let all = (0..PLUGINS).map(|index| {
        let kubernetes = world.chain.kubernetes.clone();
        async move {
            let brake = brake(&format!("all-{index}"), index, "s1");
            kubernetes.create(&brake).await.unwrap()
        }
    });
    let mut all = futures::stream::iter(all).buffer_unordered(32);
    while all.next().await.is_some() {}
    began.elapsed()
}

/// Brakes one split after the other, and releases it; `told` proxies hear of each.
async fn rounds(world: &World, controller: &Process, proxies: &Proxies, told: usize) {
    let (mut braked, mut released, mut half) = (Vec::new(), Vec::new(), Vec::new());
    let cpu = controller.cpu();
    for round in 0..TIMES {
        // Each brake is another split's than the last.
        let (name, split) = (format!("b{told}-{round}"), format!("s{}", round % SPLITS));
        proxies.watch_for(&split, Listing::Listed);
        let began = Instant::now();
        let kubernetes = &world.chain.kubernetes;
        kubernetes.create(&brake(&name, 0, &split)).await.unwrap();
        let mut seen = proxies.seen(told).await;
        seen.sort();
        braked.push(seen[told - 1] - began);
        half.push(seen[told / 2] - began);
        proxies.all_held().await;
        tokio::time::sleep(BREATH + Duration::from_millis(37 * (round as u64 % 10))).await;
        proxies.watch_for(&split, Listing::Gone);
        let began = Instant::now();
        let release =
            json!({"spec": {"released": {"at": "2026-01-01T00:00:00Z", "by": "figures"}}});
        let merged = kubernetes.merge("Brake", "b", &name, &release).await;
        merged.unwrap();
        let mut seen = proxies.seen(told).await;
        seen.sort();
        released.push(seen[told - 1] - began);
        proxies.all_held().await;
        tokio::time::sleep(BREATH).await;
    }
    let of = format!("a brake of {told} of 10,000 proxies");
    print(&format!("{of}, to the last that was told"), braked);
    print(&format!("{of}, to the middle one"), half);
    print(&format!("{of}, its release to the last"), released);
    let rounds = 2 * TIMES as u32;
    let each = (controller.cpu() - cpu) / rounds;
    figure(
        &format!("{of}, the controller's CPU for a change and the second after it"),
        format!("{:.3} s", each.as_secs_f64()),
    );
    figure(
        "memory after them, and the peak",
        format!("{}, {}", memory(controller), peak(controller)),
    );
    figure("questions that failed so far", proxies.failed());
}

/// Connections that ask nothing take every place; proxies that come then, and a brake.
async fn beside_idlers(world: &World) {
    let controller = start(world, Some(FEW_FILES)).await;
    let first = Proxies::start(ADDRESS, NEWCOMERS, |_| 0);
    first.all_held().await;
    let idlers = Idlers::start(ADDRESS, IDLERS);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let later = Proxies::start(ADDRESS, NEWCOMERS, |_| 0);
        let held = until_held(&later).await;
        if held < NEWCOMERS {
            figure(
                "4,000 idle connections on 2,048 files: 100 proxies that come then",
                format!(
                    "{held} are held after {:.0} s",
                    began.elapsed().as_secs_f64()
                ),
            );
            break;
        }
        times.push(began.elapsed());
    }
    if !times.is_empty() {
        print(
            "4,000 idle connections on 2,048 files, until 100 proxies that come then are held",
            times,
        );
    }
    let mut braked = Vec::new();
    for round in 0..10 {
        let (name, split) = (format!("idle-{round}"), format!("s{}", round % SPLITS));
        first.watch_for(&split, Listing::Listed);
        let began = Instant::now();
        let kubernetes = &world.chain.kubernetes;
        kubernetes.create(&brake(&name, 0, &split)).await.unwrap();
        let mut seen = first.seen(NEWCOMERS).await;
        seen.sort();
        braked.push(seen[NEWCOMERS - 1] - began);
        tokio::time::sleep(BREATH).await;
    }
    print(
        "the same, a brake to the last of the 100 that came before",
        braked,
    );
    let (cpu, began) = (controller.cpu(), Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let share = (controller.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    figure("the same, CPU", format!("{:.1} % of a core", share * 100.0));
    figure("the same, questions that failed", first.failed());
    drop(idlers);
}

/// How many are held when all are, or after a minute and a half.
async fn until_held(proxies: &Proxies) -> usize {
    let patience = Duration::from_secs(90);
    let _ = tokio::time::timeout(patience, async {
        while proxies.held() < NEWCOMERS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    proxies.held()
}

/// What all of them cost while nothing changes.
async fn rest(controller: &Process) {
    tokio::time::sleep(REST).await;
    let (cpu, began) = (controller.cpu(), Instant::now());
    tokio::time::sleep(REST).await;
    let share = (controller.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    figure("all held, CPU", format!("{:.1} % of a core", share * 100.0));
    figure("all held, memory", memory(controller));
}

fn memory(controller: &Process) -> String {
    format!("{} MiB", controller.resident_mebibytes())
}

fn peak(controller: &Process) -> String {
    format!("{} MiB", controller.peak_mebibytes())
}
