//! Steady traffic: many users at a fixed rate, and what they were answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sluice_e2e::client::{Connection, get};

/// One answer.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was received.
    pub at: Instant,
    /// Which of the load's proxies.
    pub proxy: usize,
    /// The user.
    pub user: u32,
    /// The status; 0 when the connection broke.
    pub status: u16,
    /// The variant that answered.
    pub variant: String,
}

/// Traffic that runs until it is ended.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Seen>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What a client does whose connection is closed before an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    /// It has no answer.
    Fails,
    /// Where the connection had served it before, it asks once more on a new one, as every HTTP
    /// client does with a GET (RFC 9110, section 9.2.2).
    Retries,
}

impl Load {
    /// `per_second` requests spread over the proxies, a connection each, from users `0..users` with
    /// a cookie `uid`.
    pub fn start(proxies: &[SocketAddr], host: &str, users: u32, per_second: u32) -> Self {
        Self::of(proxies, host, users, per_second, Closed::Fails)
    }

    /// The same from clients that ask again when a connection of theirs was closed. A proxy whose
    /// listener changed drains for 1 s here instead of Istio's 45, and then closes connections
    /// whatever is on its way.
    pub fn of_a_client_that_retries(
        proxies: &[SocketAddr],
        host: &str,
        users: u32,
        per_second: u32,
    ) -> Self {
        Self::of(proxies, host, users, per_second, Closed::Retries)
    }

    fn of(proxies: &[SocketAddr], host: &str, users: u32, per_second: u32, closed: Closed) -> Self {
        let (stop, seen) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let pause = Duration::from_secs_f64(proxies.len() as f64 / f64::from(per_second));
        let tasks = proxies.iter().enumerate().map(|(proxy, address)| {
            let (stop, seen, host, address) = (
                Arc::clone(&stop),
                Arc::clone(&seen),
                host.to_owned(),
                *address,
            );
            tokio::spawn(async move {
                let mut connection = None;
                let mut user = proxy as u32;
                let mut ticks = tokio::time::interval(pause);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    user = (user + 7) % users;
                    let was_open = connection.is_some();
                    let mut answer = ask(&mut connection, address, &host, user).await;
                    if answer.0 == 0 && was_open && closed == Closed::Retries {
                        answer = ask(&mut connection, address, &host, user).await;
                    }
                    let (status, variant) = answer;
                    seen.lock().unwrap().push(Seen {
                        at: Instant::now(),
                        proxy,
                        user,
                        status,
                        variant,
                    });
                }
            })
        });
        let tasks = tasks.collect();
        Self { stop, seen, tasks }
    }

    /// Everything seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Ends it; everything that was seen.
    pub async fn end(mut self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            task.await.unwrap();
        }
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// A test that fails leaves no traffic to those after it.
impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn ask(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    host: &str,
    user: u32,
) -> (u16, String) {
    let cookie = format!("cookie: uid=user-{user}");
    if connection.is_none() {
        *connection = Connection::open(address).await.ok();
    }
    let Some(open) = connection else {
        return (0, String::new());
    };
    match open.send(&get("/", host, &[cookie.as_bytes()])).await {
        Some(answer) => {
            // Envoy drains connections whose listener changed; it says so, and the next one is as
            // good.
            if answer
                .header("connection")
                .is_some_and(|value| value == "close")
            {
                *connection = None;
            }
            (answer.status, answer.variant())
        }
        None => {
            *connection = None;
            (0, String::new())
        }
    }
}
