//! What takes connections and asks nothing: half of a question's head, and then silence.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::proxies::connect;

/// How long one waits that was closed until it comes again.
const PAUSE: Duration = Duration::from_secs(1);

/// Some of them; they end when they are dropped.
pub struct Idlers(Vec<JoinHandle<()>>);

impl Idlers {
    pub fn start(address: SocketAddr, count: usize) -> Self {
        let idlers = (0..count).map(|index| {
            tokio::spawn(async move {
                loop {
                    let _ = idle(index, address).await;
                    tokio::time::sleep(PAUSE).await;
                }
            })
        });
        Self(idlers.collect())
    }
}

impl Drop for Idlers {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// Until the other side closes it.
async fn idle(index: usize, address: SocketAddr) -> std::io::Result<()> {
    let mut stream = connect(index, address).await?;
    stream
        .write_all(b"POST /v1/brakes HTTP/1.1\r\nhost: brakes")
        .await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}
