use std::sync::Mutex;

use futures::FutureExt as _;
use kube::runtime::reflector::store::Writer;
use sluice_core::brake::Question;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;
use crate::brake::key::asking::{At, Unanswered, ask};
use crate::brake::key::request::Pull;
use crate::brake::plugin::PluginName;
use crate::brake::table::Table;
use crate::brake::watching::lay;
use crate::brake::{object, service};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Where nobody asks, nobody is waited for.
const NONE: Duration = Duration::ZERO;

/// The clock of all that these tests start: whoever signs does it by the same.
fn clock() -> Timestamp {
    "2026-01-01T00:00:30Z".parse().unwrap()
}

/// A replica that has read no Brakes: its listener, its service for proxies, and what it said.
struct Replica {
    address: SocketAddr,
    proxies: SocketAddr,
    pulls: Arc<Pulls>,
    lines: Arc<Mutex<Vec<String>>>,
    told: mpsc::Receiver<Use>,
    end: watch::Sender<bool>,
    served: JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Replica {
    async fn start(patience: Duration) -> Self {
        crate::tls::set_up();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), format!("{KEY}\n")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let for_proxies = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [&listener, &for_proxies].map(|one| one.local_addr().unwrap());
        let [address, proxies] = addresses;
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&lines);
        let (sender, told) = mpsc::channel(8);
        let pulls = Arc::new(Pulls {
            key_file: folder.path().join("key"),
            namespace: None,
            known: Writer::default().as_reader(),
            desk: Arc::default(),
            shelf: Arc::default(),
            uses: Arc::default(),
            told: sender,
            patience,
            clock,
            say: Arc::new(move |line: &str| log.lock().unwrap().push(line.to_owned())),
        });
        let (end, ended) = watch::channel(false);
        let serving = serve(listener, Arc::clone(&pulls), ended.clone());
        let bounds = service::Bounds::within(usize::MAX);
        let answering = service::serve(for_proxies, Arc::clone(&pulls.desk), bounds, ended);
        let (desk, shelf) = (Arc::clone(&pulls.desk), Arc::clone(&pulls.shelf));
        let laying = async move {
            let mut given = shelf.given();
            while given.changed().await.is_ok() {
                let number = *given.borrow_and_update();
                lay(&desk, &shelf, None, clock());
                shelf.told(number);
            }
        };
        let served = tokio::spawn(serving.then(async |()| ()));
        tokio::spawn(answering);
        tokio::spawn(laying);
        Self {
            address,
            proxies,
            pulls,
            lines,
            told,
            end,
            served,
            folder,
        }
    }

    async fn ask(&self, signed: &Signed) -> Result<Answered, Unanswered> {
        let at = At::new(&format!("http://{}", self.address)).unwrap();
        let mut asked = ask(&[at.clone(), at], signed).await;
        assert_eq!(asked.len(), 1, "an address is asked once");
        assert_eq!(asked[0].address, self.address.to_string());
        asked.remove(0).answer
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    /// The rest of a connection on which so much is sent.
    async fn said(&self, sent: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn counted(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.pulls.uses.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut lines: Vec<&str> = lines.collect();
        lines.sort_unstable();
        lines.join("\n")
    }
}

fn key(folder: &tempfile::TempDir, text: &str) -> Key {
    let path = folder.path().join("own");
    std::fs::write(&path, text).unwrap();
    Key::read(&path).unwrap()
}

fn pull() -> Pull {
    Pull {
        reason: Some("errors".to_owned()),
        ..Pull::of_web()
    }
}

fn signed(replica: &Replica, id: &str) -> Signed {
    let key = key(&replica.folder, KEY);
    Signed::new(&key, &pull(), id.to_owned(), clock()).unwrap()
}

/// A proxy's question; the answer's body.
async fn asks(proxies: SocketAddr, version: Option<&str>) -> String {
    let question = serde_json::json!({
        "plugin": "shop.sluice~x", "node": "web-1", "version": version, "wait": 25, "trips": [],
    });
    let body = question.to_string();
    let length = body.len();
    let mut stream = TcpStream::connect(proxies).await.unwrap();
    let request = format!(
        "POST /v1/brakes HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    body.to_owned()
}

#[tokio::test]
async fn a_signed_request_brakes_every_proxy_that_asks_and_says_so_everywhere() {
    let mut replica = Replica::start(Duration::from_secs(60)).await;
    lay(
        &replica.pulls.desk,
        &replica.pulls.shelf,
        Some(Vec::new()),
        clock(),
    );
    let blank = asks(replica.proxies, None).await;
    let blank: serde_json::Value = serde_json::from_str(&blank).unwrap();
    let version = blank["version"].as_str().unwrap().to_owned();
    let proxies = replica.proxies;
    let proxy = tokio::spawn(async move {
        let answer = asks(proxies, Some(&version)).await;
        let read: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let version = read["version"].as_str().unwrap().to_owned();
        // It is held until the test ends.
        tokio::spawn(async move { asks(proxies, Some(&version)).await });
        read
    });
    while replica.pulls.desk.heard(&pull().plugin(), "").asking == 0 {
        tokio::task::yield_now().await;
    }
    let answered = replica.ask(&signed(&replica, "a")).await.unwrap();
    let found = (answered.state.as_str(), answered.asking, answered.following);
    assert_eq!(found, ("on", 1, 1));
    assert!(object::is_of_key(&answered.brake), "{answered:?}");
    let told = proxy.await.unwrap();
    let listed = serde_json::json!([{"id": answered.brake, "split": "web"}]);
    assert_eq!(told["brakes"], listed);
    let used = replica.told.try_recv().unwrap();
    assert_eq!((used.pull, used.name), (pull(), answered.brake));
    let from = used.peer;
    let line = format!(
        "BRAKED BY THE KEY: shop/sluice, split web, every challenger; by ann from {from}: errors"
    );
    assert_eq!(replica.lines(), [line]);
    let counted = "sluice_controller_key_uses_total{outcome=\"Braked\"} 1\n# EOF";
    assert_eq!(replica.counted() + "\n# EOF", counted);
}

#[tokio::test]
async fn a_request_that_comes_again_brakes_nothing_and_is_said() {
    let mut replica = Replica::start(NONE).await;
    let request = signed(&replica, "a");
    let first = replica.ask(&request).await.unwrap();
    assert_eq!((first.state.as_str(), first.asking), ("on", 0));
    let other = PluginName::of_envoy("shop.other").unwrap();
    let pages = [pull().plugin(), other].map(|plugin| replica.pulls.desk.page(&plugin).is_some());
    assert_eq!(
        pages,
        [true, false],
        "before the Brakes are read, others are told nothing"
    );
    replica.pulls.shelf.end(&first.brake, clock());
    let again = replica.ask(&request).await.unwrap();
    assert_eq!(
        (again.brake, again.state.as_str()),
        (first.brake, "released")
    );
    assert!(replica.told.try_recv().is_ok());
    assert!(replica.told.try_recv().is_err(), "nobody is told twice");
    let counted = "sluice_controller_key_uses_total{outcome=\"Braked\"} 1\n\
                   sluice_controller_key_uses_total{outcome=\"Repeated\"} 1";
    assert_eq!(replica.counted(), counted);
    let lines = replica.lines();
    assert!(
        lines[1].starts_with("the key's request for shop/sluice came again, from "),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_does_not_count_is_refused_and_brakes_nothing() {
    let replica = Replica::start(NONE).await;
    let own = key(&replica.folder, KEY);
    let other = key(&replica.folder, &KEY.replace('0', "1"));
    let early: Timestamp = "2025-12-31T23:59:29Z".parse().unwrap();
    let wrong = Pull {
        split: "Web".to_owned(),
        ..pull()
    };
    let sign = |key: &Key, pull: &Pull, at| Signed::new(key, pull, "a".to_owned(), at).unwrap();
    let cases = [
        (
            sign(&other, &pull(), clock()),
            401,
            "not signed with the controller's key",
        ),
        (
            sign(&other, &wrong, early),
            401,
            "not signed with the controller's key",
        ),
        (
            sign(&own, &pull(), early),
            401,
            "signed at 2025-12-31T23:59:29Z, and the controller's clock says 2026-01-01T00:00:30Z; accepted: at most 60 s apart",
        ),
        (
            sign(&own, &wrong, clock()),
            400,
            "split: \"Web\"; accepted: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
        ),
    ];
    for (signed, status, text) in cases {
        let text = text.to_owned();
        let refused = Unanswered::Refused { status, text };
        assert_eq!(replica.ask(&signed).await, Err(refused));
    }
    std::fs::remove_file(&replica.pulls.key_file).unwrap();
    let refused = Unanswered::Refused {
        status: 503,
        text: "the controller cannot read its key; its log says why".to_owned(),
    };
    assert_eq!(replica.ask(&signed(&replica, "a")).await, Err(refused));
    std::fs::write(&replica.pulls.key_file, KEY.replace('0', "1")).unwrap();
    let exchanged = sign(&other, &pull(), clock());
    assert_eq!(replica.pulls.shelf.waiting(), []);
    assert_eq!(
        replica.ask(&exchanged).await.unwrap().state,
        "on",
        "the key was exchanged"
    );
    assert_eq!(
        replica.counted(),
        "sluice_controller_key_uses_total{outcome=\"Braked\"} 1\n\
         sluice_controller_key_uses_total{outcome=\"Keyless\"} 1\n\
         sluice_controller_key_uses_total{outcome=\"Unsigned\"} 2\n\
         sluice_controller_key_uses_total{outcome=\"Untimely\"} 1\n\
         sluice_controller_key_uses_total{outcome=\"Wrong\"} 1"
    );
    let lines = replica.lines().join("\n");
    assert!(
        lines.starts_with("a request with the key is refused, from "),
        "{lines}"
    );
    assert!(!lines.contains(KEY), "{lines}");
}

#[tokio::test]
async fn whatever_else_is_sent_is_refused() {
    let replica = Replica::start(NONE).await;
    let long = "x".repeat(MAX_PULL_BYTES + 1);
    let length = long.len();
    let post = "POST /v1/pull HTTP/1.1\r\nhost: x\r\n";
    let cases = [
        (
            "GET /v1/pull HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            "405",
            "accepted: POST\n",
        ),
        (
            "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            "404",
            "accepted: /v1/pull\n",
        ),
        (
            format!("{post}content-length: {length}\r\n\r\n{long}"),
            "413",
            "accepted: a request of at most 16384 bytes\n",
        ),
        (
            format!("{post}content-length: 2\r\n\r\n{{}}"),
            "401",
            "not signed with the controller's key\n",
        ),
        (
            format!("{post}x: {}\r\n\r\n", "y".repeat(10_000)),
            "431",
            "",
        ),
        ("\u{1}\u{2}\r\n\r\n".to_owned(), "400", ""),
    ];
    for (sent, status, text) in cases {
        let answer = replica.said(&sent).await;
        let begin = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(&begin) && answer.ends_with(text),
            "{answer}"
        );
    }
    replica.end.send(true).unwrap();
    replica.served.await.unwrap();
    assert!(TcpStream::connect(replica.address).await.is_err());
}

#[tokio::test]
async fn more_than_are_checked_in_a_second_are_told_to_come_again() {
    let replica = Replica::start(NONE).await;
    let now = Instant::now();
    while replica.pulls.uses.may_check(now) {}
    let body = "POST /v1/pull HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let answer = replica.said(body).await;
    assert!(
        answer.ends_with("too many requests; ask again\n"),
        "{answer}"
    );
    // The one with the key asks again by itself.
    let answered = replica.ask(&signed(&replica, "a")).await;
    assert_eq!(answered.unwrap().state, "on");
}

#[tokio::test]
async fn a_controller_of_one_namespace_brakes_no_other() {
    let replica = Replica::start(NONE).await;
    let pulls = Pulls {
        namespace: Some("other".to_owned()),
        key_file: replica.pulls.key_file.clone(),
        known: Writer::default().as_reader(),
        desk: Arc::default(),
        shelf: Arc::default(),
        uses: Arc::default(),
        told: mpsc::channel(1).0,
        patience: Duration::ZERO,
        clock,
        say: Arc::new(|_: &str| ()),
    };
    let refused = pulls.counted(&signed(&replica, "a")).unwrap_err();
    let Refusal::Not(refused) = refused else {
        panic!("{refused:?}");
    };
    let expected = "namespace: \"shop\"; accepted: other, which alone this controller is for";
    assert_eq!(refused.to_string(), expected);
}

#[tokio::test]
async fn where_it_takes_too_long_to_tell_proxies_none_has_heard() {
    let replica = Replica::start(NONE).await;
    let pulls = Pulls {
        namespace: None,
        key_file: replica.pulls.key_file.clone(),
        known: Writer::default().as_reader(),
        desk: Arc::default(),
        // Nobody lays what it has on the desk.
        shelf: Arc::default(),
        uses: Arc::default(),
        told: mpsc::channel(1).0,
        patience: NONE,
        clock,
        say: Arc::new(|_: &str| ()),
    };
    let plugin = PluginName::of_envoy("shop.sluice").unwrap();
    pulls.desk.lay(Table::default());
    let version = pulls.desk.page(&plugin).map(|page| page.version.clone());
    let question = Question {
        version,
        wait: 25,
        ..Question::default()
    };
    pulls.desk.note(&plugin, &question);
    let counted = pulls.counted(&signed(&replica, "a")).unwrap();
    let answered = pulls.pull(&counted, replica.address).await.unwrap();
    let seen = (answered.state.as_str(), answered.asking, answered.following);
    assert_eq!(seen, ("on", 1, 0));
}
