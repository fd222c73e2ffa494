//! What asks for brakes as proxies do: when, the filter's own rules say; there is no Envoy around it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sluice_core::brake::Question;
use sluice_core::brake::asking::{Asking, Outcome, Wait};
use sluice_core::brake::lease::Heard;
use sluice_e2e::wait::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// So many of them have an address, so that none runs out of ports.
const A_HOST: usize = 2_000;

/// How often a VM looks whether it is time to ask again.
const TICK: Duration = Duration::from_secs(1);

/// Some proxies; they end when they are dropped.
pub struct Proxies {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    address: SocketAddr,
    began: Instant,
    held: AtomicUsize,
    failed: AtomicUsize,
    watched: Mutex<Watched>,
}

/// What an answer is looked through for, and who saw it when.
#[derive(Default)]
struct Watched {
    text: String,
    wanted: Listing,
    seen: Vec<Instant>,
}

/// Whether a split is to be among the braked ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    #[default]
    Listed,
    Gone,
}

impl Proxies {
    /// So many, each of the plugin in namespace b that `plugin` says.
    pub fn start(address: SocketAddr, count: usize, plugin: impl Fn(usize) -> usize) -> Self {
        let shared = Arc::new(Shared {
            address,
            began: Instant::now(),
            held: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            watched: Mutex::default(),
        });
        let tasks = (0..count).map(|index| {
            let proxy = Proxy {
                index,
                question: Question {
                    plugin: format!("b.p{}~istio-translated-wasmplugin", plugin(index)),
                    node: format!("sidecar~10.0.0.1~web-{index}.b~b.svc.cluster.local"),
                    ..Question::default()
                },
                shared: Arc::clone(&shared),
                connection: None,
            };
            tokio::spawn(proxy.live())
        });
        let tasks = tasks.collect();
        Self { shared, tasks }
    }

    /// How many have a question that is held, as far as they know.
    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// How many questions failed so far.
    pub fn failed(&self) -> usize {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Waits until all have.
    pub async fn all_held(&self) {
        until("all proxies to be held", async || {
            let held = self.held();
            (held == self.tasks.len())
                .then_some(())
                .ok_or(format!("{held}"))
        })
        .await;
    }

    /// From now on, notes who is answered that a split is braked, or not any more.
    pub fn watch_for(&self, split: &str, wanted: Listing) {
        *self.shared.watched() = Watched {
            text: format!("\"split\":\"{split}\""),
            wanted,
            seen: Vec::new(),
        };
    }

    /// Waits until so many were; when each was.
    pub async fn seen(&self, count: usize) -> Vec<Instant> {
        until("all proxies to be told", async || {
            let watched = self.shared.watched();
            (watched.seen.len() >= count)
                .then(|| watched.seen.clone())
                .ok_or(format!("{}", watched.seen.len()))
        })
        .await
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, answer: &str) {
        let mut watched = self.watched();
        let is_listed = answer.contains(&watched.text);
        if is_listed == (watched.wanted == Listing::Listed) {
            watched.seen.push(Instant::now());
        }
    }
}

struct Proxy {
    index: usize,
    question: Question,
    shared: Arc<Shared>,
    connection: Option<TcpStream>,
}

impl Proxy {
    async fn live(mut self) {
        let (mut asking, mut heard) = (Asking::default(), Heard::Nothing);
        // A chance of its own, the same in each run.
        let share = (self.index * 97 % 256) as u8;
        let phase = TICK * u32::from(share) / 256;
        loop {
            let now = self.now();
            let Some(wait) = asking.next(now, heard) else {
                let delay = asking.delay(now);
                let delay = match heard {
                    Heard::Failure => to_tick(now, delay, phase),
                    _ => delay.max(Duration::from_millis(1)),
                };
                tokio::time::sleep(delay).await;
                continue;
            };
            self.question.wait = wait.seconds();
            let outcome = self.ask(wait).await;
            heard = match outcome {
                Outcome::Failure => Heard::Failure,
                _ => Heard::Answer,
            };
            if outcome == Outcome::Failure {
                self.shared.failed.fetch_add(1, Ordering::Relaxed);
                self.connection = None;
            }
            asking.ended(outcome, self.now(), share);
        }
    }

    fn now(&self) -> Duration {
        // The filter's clock counts from the epoch.
        Duration::from_secs(1_000_000) + self.shared.began.elapsed()
    }

    async fn ask(&mut self, wait: Wait) -> Outcome {
        let answer = tokio::time::timeout(wait.patience(), self.exchange(wait)).await;
        match answer {
            Ok(Ok((200, body))) => {
                self.question.version = version(&body);
                self.shared.note(&body);
                Outcome::News
            }
            Ok(Ok((204, _))) => Outcome::Nothing,
            _ => Outcome::Failure,
        }
    }

    async fn exchange(&mut self, wait: Wait) -> std::io::Result<(u16, String)> {
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => connect(self.index, self.shared.address).await?,
        };
        let body = self.question.to_json();
        let question = format!(
            "POST /v1/brakes HTTP/1.1\r\nhost: brakes.b:8085\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nx-envoy-expected-rq-timeout-ms: 30000\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(question.as_bytes()).await?;
        let _held = (wait == Wait::Held).then(|| Held::begin(&self.shared.held));
        let (answer, stream) = read(stream).await?;
        self.connection = stream;
        Ok(answer)
    }
}

/// Counts while it is there.
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// From now to the first tick after a delay.
fn to_tick(now: Duration, delay: Duration, phase: Duration) -> Duration {
    let due = now + delay - phase;
    let ticks = due.as_secs() + 1;
    Duration::from_secs(ticks) + phase - now
}

/// A connection from an address that this one shares with some others.
pub async fn connect(index: usize, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let host = (index / A_HOST) as u8;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 9, 1 + host), 0)))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Status and body; and the connection, where another question may follow on it.
async fn read(mut stream: TcpStream) -> std::io::Result<((u16, String), Option<TcpStream>)> {
    let mut bytes = Vec::with_capacity(1_024);
    let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(broken());
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| broken())?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = field("content-length: ").map_or(Some(0), |length| length.parse().ok());
        if body.len() < length.ok_or_else(broken)? {
            continue;
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let answer = (status.ok_or_else(broken)?, body.to_owned());
        let is_last = field("connection: close").is_some();
        return Ok((answer, (!is_last).then_some(stream)));
    }
}

fn version(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("\"version\":\"")?;
    rest.split('"').next().map(str::to_owned)
}
