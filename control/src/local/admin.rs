//! Envoy's admin interface: stats, listeners, and whether it is ready.
//!
//! One connection a question, since questions are few. [`super::process`] waits with it until Envoy
//! serves; the status of a directory reads the filter's metrics.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;

use super::metrics::{self, Sample};

/// How long an answer may take. Chosen: it is on loopback, and a hung Envoy should be said to be
/// one.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may be. Chosen: our metrics of a thousand splits have some two megabytes.
pub const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// The admin interface of one Envoy.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    /// The interface at an address.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The filter's metrics.
    ///
    /// # Errors
    /// When Envoy does not answer.
    pub async fn samples(&self) -> anyhow::Result<Vec<Sample>> {
        Ok(metrics::parse(
            &self.get("/stats/prometheus?filter=sluice").await?,
        ))
    }

    /// Where the listener really listens.
    ///
    /// # Errors
    /// When Envoy does not answer, or has no listener.
    pub async fn listener(&self) -> anyhow::Result<SocketAddr> {
        let text = self.get("/listeners?format=json").await?;
        let listeners: serde_json::Value = serde_json::from_str(&text)?;
        let socket = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
        let (host, port) = (socket["address"].as_str(), socket["port_value"].as_u64());
        match (host, port.and_then(|port| u16::try_from(port).ok())) {
            (Some(host), Some(port)) => Ok(SocketAddr::new(host.parse()?, port)),
            _ => bail!("envoy has no listener"),
        }
    }

    /// Whether it serves.
    pub async fn is_ready(&self) -> bool {
        self.get("/ready")
            .await
            .is_ok_and(|text| text.trim() == "LIVE")
    }

    /// The text at a path.
    ///
    /// # Errors
    /// When Envoy does not answer within 5 s, or not with 200.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.get_within(path, MAX_ANSWER_BYTES).await
    }

    /// The same, if it is not longer than so many bytes.
    ///
    /// # Errors
    /// As [`Self::get`]; when it is longer.
    pub async fn get_within(&self, path: &str, most: usize) -> anyhow::Result<String> {
        let answer = tokio::time::timeout(PATIENCE, self.ask(path, most)).await;
        answer
            .map_err(|_| anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs()))?
            .with_context(|| format!("envoy's admin interface at {}", self.address))
    }

    async fn ask(&self, path: &str, most: usize) -> anyhow::Result<String> {
        let stream = tokio::net::TcpStream::connect(self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", "admin")
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), most);
        let body = body.collect().await.map_err(anyhow::Error::from_boxed)?;
        let body = body.to_bytes();
        driver.abort();
        if !status.is_success() {
            bail!("{path} answered {status}");
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}
