//! An upstream that answers with what it saw: its variant, and every header line it received.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The body of an answer in HTTP/2.
type Answered = WithTrailers<
    Full<Bytes>,
    std::future::Ready<Option<Result<HeaderMap, std::convert::Infallible>>>,
>;

/// A running upstream; it ends with the runtime, or with the future that serves.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// How many requests it answered.
    pub requests: Arc<AtomicU64>,
    /// The status of every answer; 0: what the request asks for.
    pub status: Arc<AtomicU16>,
    /// Only one in so many answers has that status; 0: all.
    pub one_in: Arc<AtomicU64>,
    /// How many milliseconds it takes for every answer.
    pub delay: Arc<AtomicU64>,
}

impl Upstream {
    /// Starts an HTTP/1.1 upstream on a free port of 127.0.0.1.
    ///
    /// Answers 200 with `x-variant`, and with a body of one received header line after another; to
    /// `/status/N` it answers N, to a WebSocket handshake it echoes bytes, to `/count` it answers
    /// the body's length and FNV-1a hash, to `/public` it adds `cache-control: public, max-age=60`.
    /// To `/never` it never answers.
    /// Each `x-answer-with` of a request is a header line of the answer.
    pub async fn start(variant: &str) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), variant).await
    }

    /// The same at an address.
    pub async fn start_at(address: SocketAddr, variant: &str) -> Self {
        let (upstream, serving) = Self::bind(address, variant).await;
        tokio::spawn(serving);
        upstream
    }

    /// The same that serves while a future runs: once that is dropped, its connections are closed.
    pub async fn bind(
        address: SocketAddr,
        variant: &str,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            status: Arc::default(),
            one_in: Arc::default(),
            delay: Arc::default(),
        };
        let serving = serve(listener, variant.to_owned(), upstream.clone());
        (upstream, serving)
    }
}

async fn serve(listener: TcpListener, variant: String, upstream: Upstream) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(connection(stream, variant.clone(), upstream.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut stream: TcpStream, variant: String, upstream: Upstream) {
    let Upstream {
        requests,
        status,
        one_in,
        delay,
        ..
    } = upstream;
    let mut preface = [0; 3];
    if stream.peek(&mut preface).await.is_ok() && preface == *b"PRI" {
        return http2(stream, variant, requests).await;
    }
    let mut buffer = Vec::new();
    loop {
        let Some(head_end) = read_until_head(&mut stream, &mut buffer).await else {
            return;
        };
        let head: Vec<u8> = buffer.drain(..head_end).collect();
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let path = head
            .split(|&byte| byte == b' ')
            .nth(1)
            .unwrap_or_default()
            .to_vec();
        if header(&head, b"upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
            return echo(stream, &variant).await;
        }
        let Some(body) = read_body(&mut stream, &mut buffer, &head).await else {
            return;
        };
        if path == b"/never" {
            return std::future::pending().await;
        }
        let delay = Duration::from_millis(delay.load(Ordering::Relaxed));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let is_chosen = number.is_multiple_of(one_in.load(Ordering::Relaxed).max(1));
        let status = Some(status.load(Ordering::Relaxed));
        let status = status.filter(|&status| is_chosen && status != 0);
        let response = response(&variant, status, &path, &head, &body);
        if stream.write_all(&response).await.is_err() {
            return;
        }
    }
}

fn response(variant: &str, status: Option<u16>, path: &[u8], head: &[u8], body: &[u8]) -> Vec<u8> {
    let path = String::from_utf8_lossy(path).into_owned();
    let asked = path.strip_prefix("/status/");
    let status = status.or_else(|| asked?.parse().ok()).unwrap_or(200);
    let answer = if path == "/count" {
        let mut hash = fnv::FnvHasher::default();
        std::hash::Hasher::write(&mut hash, body);
        format!("{} {:x}", body.len(), std::hash::Hasher::finish(&hash)).into_bytes()
    } else {
        head.splitn(2, |&byte| byte == b'\n')
            .nth(1)
            .unwrap_or_default()
            .to_vec()
    };
    let extra = match path.as_str() {
        "/public" => "cache-control: public, max-age=60\r\n",
        "/no-store" => "cache-control: no-store\r\n",
        _ => "",
    };
    let mut response =
        format!("HTTP/1.1 {status} X\r\nx-variant: {variant}\r\n{extra}").into_bytes();
    for line in headers(head, b"x-answer-with") {
        response.extend([line, b"\r\n"].concat());
    }
    response.extend(format!("content-length: {}\r\n\r\n", answer.len()).into_bytes());
    response.extend(answer);
    response
}

/// HTTP/2 with prior knowledge: answers as HTTP/1.1 is answered, and to `/count` with the trailers of
/// the request.
async fn http2(stream: TcpStream, variant: String, requests: Arc<AtomicU64>) {
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        requests.fetch_add(1, Ordering::Relaxed);
        let variant = variant.clone();
        async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            let mut head = format!("{} {path} HTTP/2\r\n", parts.method).into_bytes();
            for (name, value) in &parts.headers {
                head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
            }
            head.extend(b"\r\n");
            let body = body.collect().await?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            let answer = response(&variant, None, path.as_bytes(), &head, &body.to_bytes());
            Ok::<_, hyper::Error>(of_http1(&answer, &parts.method, trailers))
        }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // More than Envoy lets pass.
    builder.max_header_list_size(128 * 1024);
    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
}

/// A response of HTTP/1.1 as one of HTTP/2, with trailers; to HEAD without a body.
fn of_http1(answer: &[u8], method: &Method, trailers: HeaderMap) -> hyper::Response<Answered> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a head") + 4);
    let status = std::str::from_utf8(&head[9..12]).expect("a status");
    let mut response = hyper::Response::builder().status(status);
    for line in head.split(|&byte| byte == b'\n').skip(1) {
        let colon = line.iter().position(|&byte| byte == b':');
        if let Some(colon) = colon.filter(|&at| &line[..at] != b"content-length") {
            response = response.header(&line[..colon], line[colon + 1..].trim_ascii());
        }
    }
    let body = if method == Method::HEAD { b"" } else { body };
    let body = Full::new(Bytes::copy_from_slice(body));
    let trailers = std::future::ready((!trailers.is_empty()).then_some(Ok(trailers)));
    response
        .body(body.with_trailers(trailers))
        .expect("a response")
}

/// Switches protocols and sends back every byte.
async fn echo(mut stream: TcpStream, variant: &str) {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-variant: {variant}\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 || stream.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Reads until a head is complete; where it ends.
pub(crate) async fn read_until_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            return Some(at + 4);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads a body by content-length or chunks; none without either.
pub(crate) async fn read_body(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    head: &[u8],
) -> Option<Vec<u8>> {
    if let Some(length) = header(head, b"content-length") {
        let length = std::str::from_utf8(length).ok()?.parse::<usize>().ok()?;
        fill(stream, buffer, length).await?;
        return Some(buffer.drain(..length).collect());
    }
    if header(head, b"transfer-encoding").is_none() {
        return Some(Vec::new());
    }
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            match buffer.windows(2).position(|two| two == b"\r\n") {
                Some(at) => break at,
                None if stream.read_buf(buffer).await.ok()? == 0 => return None,
                None => {}
            }
        };
        let line: Vec<u8> = buffer.drain(..line_end + 2).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        fill(stream, buffer, size + 2).await?;
        body.extend(buffer.drain(..size));
        buffer.drain(..2);
        if size == 0 {
            return Some(body);
        }
    }
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>, length: usize) -> Option<()> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(())
}

/// A header's first value in a raw head; `name` in lower case.
pub fn header<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    headers(head, name).into_iter().next()
}

/// A header's values in a raw head; `name` in lower case.
pub fn headers<'h>(head: &'h [u8], name: &[u8]) -> Vec<&'h [u8]> {
    let lines = head.split(|&byte| byte == b'\n');
    let fields = lines.filter_map(|line| {
        let colon = line
            .iter()
            .position(|&byte| byte == b':')
            .filter(|&at| at > 0)?;
        line[..colon]
            .eq_ignore_ascii_case(name)
            .then(|| line[colon + 1..].trim_ascii())
    });
    fields.collect()
}
