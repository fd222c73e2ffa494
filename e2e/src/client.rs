//! Clients: raw HTTP/1.1 that may send any bytes, and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::{Body, Bytes};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::upstream::{header, headers, read_body, read_until_head};

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head as received.
    pub head: Vec<u8>,
    /// The body: of an echoing upstream, the header lines that it received.
    pub body: Vec<u8>,
}

impl Answer {
    /// The upstream's variant; empty when no upstream answered.
    pub fn variant(&self) -> String {
        self.header("x-variant").unwrap_or_default()
    }

    /// A response header's first value.
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// A response header's values.
    pub fn headers(&self, name: &str) -> Vec<String> {
        headers(&self.head, name.as_bytes())
            .into_iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The values of a request header as the upstream received them.
    pub fn received(&self, name: &str) -> Vec<String> {
        headers(&self.body, name.as_bytes())
            .into_iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// `name=value` of the cookie that the response sets.
    pub fn set_cookie(&self) -> Option<String> {
        Some(self.header("set-cookie")?.split(';').next()?.to_owned())
    }
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends bytes as they are and reads one answer. `None`: the peer closed the connection without
    /// one.
    pub async fn send(&mut self, bytes: &[u8]) -> Option<Answer> {
        self.stream.write_all(bytes).await.ok()?;
        self.answer().await
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .await
            .expect("the connection takes bytes");
    }

    /// Reads one answer.
    pub async fn answer(&mut self) -> Option<Answer> {
        let end = read_until_head(&mut self.stream, &mut self.buffer).await?;
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
        let body = if status == 101 {
            Vec::new()
        } else {
            read_body(&mut self.stream, &mut self.buffer, &head).await?
        };
        Some(Answer { status, head, body })
    }

    /// Reads exactly so many bytes, after an upgrade.
    pub async fn read_exact(&mut self, length: usize) -> Vec<u8> {
        use tokio::io::AsyncReadExt as _;
        while self.buffer.len() < length {
            assert!(
                self.stream.read_buf(&mut self.buffer).await.unwrap() > 0,
                "the connection was closed"
            );
        }
        self.buffer.drain(..length).collect()
    }
}

/// A request's bytes: `GET path`, `host`, and header lines without their line ends.
pub fn get(path: &str, host: &str, lines: &[&[u8]]) -> Vec<u8> {
    request("GET", path, host, lines)
}

/// A request's bytes without a body.
pub fn request(method: &str, path: &str, host: &str, lines: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
    for line in lines {
        bytes.extend(*line);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"\r\n");
    bytes
}

/// One GET to an address on a connection of its own; `None` when nobody answers.
pub async fn fetch(address: SocketAddr, path: &str) -> Option<Answer> {
    let mut connection = Connection::open(address).await.ok()?;
    connection
        .send(&get(path, "localhost", &[b"connection: close"]))
        .await
}

/// One HTTP/2 request with prior knowledge on a connection of its own.
pub async fn http2<B>(address: SocketAddr, request: hyper::Request<B>) -> hyper::Response<Bytes>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    http2_with_trailers(address, request).await.0
}

/// The same, and the trailers of the answer.
pub async fn http2_with_trailers<B>(
    address: SocketAddr,
    request: hyper::Request<B>,
) -> (hyper::Response<Bytes>, HeaderMap)
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let driver = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    driver.abort();
    (
        hyper::Response::from_parts(parts, body.to_bytes()),
        trailers,
    )
}
