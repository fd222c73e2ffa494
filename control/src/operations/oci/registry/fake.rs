//! A registry in memory for tests: it keeps what is pushed to it, and gives what a test put there
//! in its place.
//!
//! It speaks HTTP on a loopback address, one request a connection, and checks nothing. A registry
//! that does is asked in e2e/istio.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::digest::digest;
use super::super::manifest::Manifest;
use super::super::name;
use super::{Access, Registry, Transport};

/// The repository that everybody asks.
const REPOSITORY: &str = "/v2/sluice/";

/// What is done after a manifest was written under a name.
type Meanwhile = Box<dyn FnMut(&str, &mut BTreeMap<String, Manifest>) + Send>;

/// What it has.
#[derive(Default)]
pub(in super::super::super) struct Kept {
    /// By tag or digest.
    pub(crate) manifests: BTreeMap<String, Manifest>,
    /// By digest.
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// What is never answered, by the end of its address.
    pub(crate) silent: BTreeSet<String>,
    /// What another does meanwhile.
    pub(crate) meanwhile: Option<Meanwhile>,
    /// The addresses that were asked.
    pub(crate) asked: Vec<String>,
    uploaded: Vec<u8>,
    waiting: Vec<TcpStream>,
}

/// It runs until the test ends.
pub(in super::super::super) struct Fake {
    address: String,
    kept: Arc<Mutex<Kept>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        // Refused only where a test has chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let serving = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &mut serving.lock().unwrap());
            }
        });
        Self { address, kept }
    }

    /// The image's name for a tag, or a digest behind `@`.
    pub(crate) fn image(&self, tag: &str) -> String {
        let before = if tag.starts_with('@') { "" } else { ":" };
        format!("oci://{}/sluice{before}{tag}", self.address)
    }

    pub(crate) async fn open(&self) -> Registry {
        let reference = name::any(&self.image("1")).unwrap();
        let opened = Registry::open(&reference, Transport::Secure, Access::Push).await;
        opened.unwrap()
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Has a manifest at its digest, and at a tag.
    pub(crate) fn put(&self, tag: &str, manifest: &Manifest) {
        let mut kept = self.kept();
        for name in [tag.to_owned(), manifest.digest()] {
            kept.manifests.insert(name, manifest.clone());
        }
    }

    /// Has a blob.
    pub(crate) fn put_blob(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        kept.blobs.insert(digest(bytes), bytes.to_vec());
    }
}

fn serve(stream: TcpStream, kept: &mut Kept) {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let mut headers = lines.iter().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let Some((method, rest)) = lines.first().and_then(|first| first.split_once(' ')) else {
        return;
    };
    let path = rest.split(' ').next().unwrap().to_owned();
    kept.asked.push(path.clone());
    if kept.silent.iter().any(|silent| path.ends_with(silent)) {
        kept.waiting.push(stream.into_inner());
        return;
    }
    let kind = header("content-type").unwrap_or_default();
    let (status, kind, body) = answer(kept, method, &path, kind, body);
    let location = format!("location: {REPOSITORY}blobs/uploads/1\r\nrange: 0-0\r\n");
    let head = format!(
        "HTTP/1.1 {status} -\r\nconnection: close\r\n{location}content-type: {kind}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
}

/// The status, the content's type, and the content.
fn answer(
    kept: &mut Kept,
    method: &str,
    path: &str,
    kind: String,
    body: Vec<u8>,
) -> (u16, String, Vec<u8>) {
    let nothing = |status| (status, String::new(), Vec::new());
    let name = path.strip_prefix(REPOSITORY).unwrap_or_default();
    let manifest = name.strip_prefix("manifests/");
    match (method, manifest, name.strip_prefix("blobs/")) {
        ("GET", Some(name), _) => match kept.manifests.get(name) {
            Some(found) => (200, found.media_type.clone(), found.bytes.clone()),
            None => nothing(404),
        },
        ("GET", _, Some(digest)) => match kept.blobs.get(digest) {
            Some(found) => (200, String::new(), found.clone()),
            None => nothing(404),
        },
        ("GET", ..) => nothing(if path == "/v2/" { 200 } else { 404 }),
        ("PUT", Some(name), _) => {
            let (media_type, bytes) = (kind, body);
            let manifest = Manifest { media_type, bytes };
            kept.manifests.insert(name.to_owned(), manifest);
            if let Some(meanwhile) = &mut kept.meanwhile {
                meanwhile(name, &mut kept.manifests);
            }
            nothing(201)
        }
        ("POST", ..) => nothing(202),
        ("PATCH", ..) => {
            kept.uploaded.extend(body);
            nothing(202)
        }
        ("PUT", ..) => {
            kept.uploaded.extend(body);
            let uploaded = std::mem::take(&mut kept.uploaded);
            kept.blobs.insert(digest(&uploaded), uploaded);
            nothing(201)
        }
        _ => nothing(404),
    }
}
