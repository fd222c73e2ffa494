//! A server that notes what it receives and answers as it is told, for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How the server answers one request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// A status, more headers, a body.
    Answers(u16, &'static str, String),
    /// It receives everything and closes the connection.
    HangsUp,
    /// It receives everything and never answers.
    Waits,
}

/// What the server received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(header, _)| header == name);
        header.map(|(_, value)| value.as_str())
    }
}

/// The server.
pub(crate) struct Server {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Does these things in turn, and the last one for ever.
    pub(crate) async fn that(does: &[Does]) -> Self {
        // Refused where another test has done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let mut does: VecDeque<Does> = does.iter().cloned().collect();
        let notes = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let next = match does.len() {
                    1 => does.front().cloned(),
                    _ => does.pop_front(),
                };
                tokio::spawn(serve(stream, next.unwrap(), notes.clone()));
            }
        });
        Self { address, received }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Its host and port, as they are shown.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, does: Does, notes: Arc<Mutex<Vec<Received>>>) {
    let received = request(&mut stream).await;
    notes.lock().unwrap().push(received);
    match does {
        Does::Answers(status, headers, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        Does::HangsUp => {}
        Does::Waits => std::future::pending().await,
    }
}

async fn request(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<(String, String)> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut received = Received {
        line,
        headers,
        body: String::new(),
    };
    let length = received.header("content-length");
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    received.body = String::from_utf8(bytes[head_end..].to_vec()).unwrap();
    received
}
