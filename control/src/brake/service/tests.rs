use futures::FutureExt as _;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::json;
use sluice_core::brake::Answer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;
use crate::brake::object::Brake;
use crate::brake::table::Table;

struct Running {
    address: SocketAddr,
    desk: Arc<Desk>,
    end: watch::Sender<bool>,
    served: JoinHandle<()>,
}

const LONG: Duration = Duration::from_secs(3_600);

fn start(connections: usize, idle: Duration, reading: Duration) -> Running {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (desk, (end, ended)) = (Arc::<Desk>::default(), watch::channel(false));
    let bounds = Bounds {
        connections,
        idle,
        reading,
    };
    let served = tokio::spawn(serve(listener, Arc::clone(&desk), bounds, ended));
    Running {
        address,
        desk,
        end,
        served,
    }
}

/// One that has read brakes of these plugins.
fn start_with(connections: usize, plugins: &[&str]) -> Running {
    let running = start(connections, LONG, LONG);
    running.desk.lay(table(plugins));
    running
}

fn table(plugins: &[&str]) -> Table {
    let brake = |plugin: &&str| -> Brake {
        let created = "2026-01-01T00:00:00Z";
        let metadata = json!({"namespace": "shop", "uid": plugin, "creationTimestamp": created});
        let spec = json!({"plugin": plugin, "split": "web", "by": "ann"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    };
    let brakes: Vec<Brake> = plugins.iter().map(brake).collect();
    Table::of(&brakes, "2026-01-01T00:00:01Z".parse().unwrap())
}

impl Running {
    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Client { stream }
    }

    fn version(&self, plugin: &str) -> String {
        let plugin = PluginName::of_envoy(plugin).unwrap();
        self.desk.page(&plugin).unwrap().version.clone()
    }

    /// Waits until a count is so much.
    async fn until(&self, line: &str) {
        let mut registry = Registry::default();
        self.desk.counts().register(&mut registry);
        loop {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            if text.lines().any(|found| found == line) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn until_held(&self, count: usize) {
        self.until(&format!("sluice_controller_brake_questions_held {count}"))
            .await;
    }
}

struct Client {
    stream: TcpStream,
}

fn question(plugin: &str, node: &str, version: Option<&str>, wait: u32) -> String {
    let question = Question {
        plugin: plugin.to_owned(),
        node: node.to_owned(),
        version: version.map(str::to_owned),
        wait,
        trips: Vec::new(),
    };
    post(&question.to_json())
}

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST /v1/brakes HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer: its status and its body.
    async fn answer(&mut self) -> (u16, String) {
        let mut bytes = Vec::new();
        loop {
            assert_ne!(
                self.stream.read_buf(&mut bytes).await.unwrap(),
                0,
                "it is closed"
            );
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            if body.len() == length {
                let status = head.split(' ').nth(1).unwrap();
                return (status.parse().unwrap(), body.to_owned());
            }
        }
    }

    async fn ask(&mut self, plugin: &str, version: Option<&str>, wait: u32) -> (u16, String) {
        self.send(&question(plugin, "node", version, wait)).await;
        self.answer().await
    }

    /// All that is said until it is closed.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // What was sent and is not read any more has the connection reset.
        let _ = self.stream.read_to_end(&mut rest).await;
        String::from_utf8(rest).unwrap()
    }

    /// Whether nothing has been said, and it is open.
    fn waits(&mut self) -> bool {
        let mut byte = [0];
        self.stream.read(&mut byte).now_or_never().is_none()
    }
}

fn listed((status, body): (u16, String)) -> (u16, Vec<String>) {
    let answer = Answer::read(body.as_bytes(), &mut Vec::new()).unwrap();
    let ids = answer.brakes.into_iter().map(|brake| brake.id);
    (status, ids.collect())
}

#[tokio::test]
async fn a_question_is_held_until_the_brakes_of_its_plugin_are_others() {
    let running = start_with(9, &["two"]);
    let mut clients = Vec::new();
    for plugin in ["shop.one~x", "shop.two", "shop.one"] {
        let mut client = running.connect().await;
        assert_eq!(
            client.ask(plugin, None, 25).await.0,
            200,
            "the first at once"
        );
        let version = running.version(plugin);
        client
            .send(&question(plugin, "node", Some(&version), 25))
            .await;
        clients.push(client);
    }
    running.until_held(3).await;
    running.desk.lay(table(&["two", "three"]));
    running.desk.lay(table(&["one", "two"]));
    let [one, two, also_one] = &mut clients[..] else {
        panic!("three");
    };
    for client in [one, also_one] {
        assert_eq!(listed(client.answer().await), (200, vec!["one".to_owned()]));
    }
    running.until_held(1).await;
    assert!(two.waits());
    running.desk.lay(table(&[]));
    assert_eq!(listed(two.answer().await), (200, vec![]));
    running.until_held(0).await;
    running
        .until("sluice_controller_brake_answers_total{answer=\"Changed\"} 6")
        .await;
}

#[tokio::test]
async fn what_a_proxy_has_is_said_to_be_nothing_new_when_its_time_is_over() {
    let running = start_with(9, &["one"]);
    let mut client = running.connect().await;
    let version = running.version("shop.one");
    let nothing = (204, String::new());
    assert_eq!(client.ask("shop.one", Some(&version), 0).await, nothing);
    let began = Instant::now();
    assert_eq!(client.ask("shop.one", Some(&version), 1).await, nothing);
    assert!(began.elapsed() >= Duration::from_secs(1));
    let (status, _) = client.ask("shop.one", Some("another"), 25).await;
    assert_eq!(status, 200);
    running
        .until("sluice_controller_brake_answers_total{answer=\"Unchanged\"} 2")
        .await;
}

#[tokio::test]
async fn until_the_brakes_are_read_questions_wait_and_not_for_long() {
    let running = start(9, LONG, LONG);
    let mut client = running.connect().await;
    client.send(&question("shop.one", "node", None, 0)).await;
    running.until_held(1).await;
    running.desk.lay(table(&["one"]));
    assert_eq!(listed(client.answer().await), (200, vec!["one".to_owned()]));
    let running = start(9, LONG, Duration::from_millis(1));
    let mut client = running.connect().await;
    let not_read = (503, "the brakes are not read yet\n".to_owned());
    assert_eq!(client.ask("shop.one", None, 25).await, not_read);
}

#[tokio::test]
async fn whatever_else_is_asked_is_refused() {
    let running = start_with(9, &[]);
    let most = "accepted: a question of at most 16384 bytes\n";
    let long = "x".repeat(MAX_QUESTION_BYTES + 1);
    let chunked = "POST /v1/brakes HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = format!("4001\r\n{}x\r\n0\r\n\r\n", "x".repeat(16_384));
    let cases = [
        (
            "path",
            "POST /v1/brakes/x HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            404,
            "accepted: /v1/brakes\n",
        ),
        (
            "method",
            "GET /v1/brakes HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            405,
            "accepted: POST\n",
        ),
        ("size", post(&long), 413, most),
        ("size in chunks", format!("{chunked}{chunks}"), 413, most),
        (
            "not JSON",
            post("{"),
            400,
            "question: EOF while parsing an object at line 1 column 1; accepted: a JSON object\n",
        ),
        (
            "many mistakes",
            post(r#"{"plugin": "shop.one", "wait": 26}"#),
            400,
            "node: nothing; accepted: 0 to 512 bytes of text\nwait: a number (26); accepted: 0 to 25, whole seconds\n",
        ),
        (
            "no plugin's name",
            post(r#"{"plugin": "one", "node": "", "wait": 0}"#),
            400,
            "plugin: \"one\"; accepted: NAMESPACE.NAME\n",
        ),
        ("garbage", "\u{1}\u{2}\r\n\r\n".to_owned(), 400, ""),
        (
            "a long head",
            format!("POST / HTTP/1.1\r\nx: {long}\r\n\r\n"),
            431,
            "",
        ),
    ];
    for (label, request, status, text) in cases {
        let mut client = running.connect().await;
        client.send(&request).await;
        let answer = client.answer().await;
        assert_eq!(answer, (status, text.to_owned()), "{label}");
    }
    running
        .until("sluice_controller_brake_answers_total{answer=\"Refused\"} 7")
        .await;
}

#[tokio::test]
async fn who_sends_no_whole_question_or_reads_no_answer_is_ended() {
    let running = start(9, Duration::from_millis(50), LONG);
    running.desk.lay(table(&[]));
    let whole = question("shop.one", "node", Some("other"), 0);
    let (half, _) = whole.split_at(whole.len() - 1);
    for (label, sent, begin) in [
        ("nothing", "", ""),
        ("half a head", "POST /v1/br", ""),
        ("half a body", half, ""),
        ("nothing more", whole.as_str(), "HTTP/1.1 200 OK\r\n"),
    ] {
        let mut client = running.connect().await;
        client.send(sent).await;
        let rest = client.rest().await;
        assert_eq!(rest.is_empty(), begin.is_empty(), "{label}: {rest}");
        assert!(rest.starts_with(begin), "{label}: {rest}");
    }
    let mut client = running.connect().await;
    // Answers pile up until the connection takes no more of them.
    let asked = async { while client.stream.write_all(whole.as_bytes()).await.is_ok() {} };
    asked.await;
    running.until("sluice_controller_brake_connections 0").await;
    running
        .until("sluice_controller_brake_connections_refused_total{why=\"Idle\"} 5")
        .await;
}

#[tokio::test]
async fn a_held_question_may_take_longer_than_an_idle_connection() {
    let running = start(9, Duration::from_millis(20), LONG);
    running.desk.lay(table(&[]));
    let mut held = running.connect().await;
    let version = running.version("shop.one");
    held.send(&question("shop.one", "node", Some(&version), 25))
        .await;
    running.until_held(1).await;
    let mut idle = running.connect().await;
    assert_eq!(idle.rest().await, "");
    assert!(held.waits());
    running.desk.lay(table(&["one"]));
    assert_eq!(listed(held.answer().await), (200, vec!["one".to_owned()]));
}

#[tokio::test]
async fn connections_without_a_question_keep_no_proxy_out() {
    let running = start_with(2, &[]);
    let (mut first, mut second) = (running.connect().await, running.connect().await);
    running.until("sluice_controller_brake_connections 2").await;
    let mut proxy = running.connect().await;
    let version = running.version("shop.one");
    proxy
        .send(&question("shop.one", "node", Some(&version), 25))
        .await;
    running.until_held(1).await;
    assert_eq!(first.rest().await, "");
    assert!(second.waits());
    // It takes the seat of whoever is idle, and not the proxy's.
    let _third = running.connect().await;
    assert_eq!(second.rest().await, "");
    assert!(proxy.waits());
    running
        .until("sluice_controller_brake_connections_refused_total{why=\"Replaced\"} 2")
        .await;
}

#[tokio::test]
async fn where_every_question_is_held_one_more_is_refused_until_one_has_gone() {
    let running = start_with(2, &[]);
    let version = running.version("shop.one");
    let asked = question("shop.one", "node", Some(&version), 25);
    let (mut first, mut second) = (running.connect().await, running.connect().await);
    first.send(&asked).await;
    second.send(&asked).await;
    running.until_held(2).await;
    let mut third = running.connect().await;
    assert_eq!(third.rest().await, "");
    running
        .until("sluice_controller_brake_connections_refused_total{why=\"Full\"} 1")
        .await;
    assert!(first.waits() && second.waits());
    drop(first);
    running.until_held(1).await;
    let mut fourth = running.connect().await;
    assert_eq!(fourth.ask("shop.one", None, 25).await.0, 200);
}

#[tokio::test]
async fn at_the_end_held_questions_are_answered_and_nobody_is_taken_any_more() {
    let running = start_with(9, &[]);
    let version = running.version("shop.one");
    let (mut held, mut idle) = (running.connect().await, running.connect().await);
    held.send(&question("shop.one", "node", Some(&version), 25))
        .await;
    running.until_held(1).await;
    running.until("sluice_controller_brake_connections 2").await;
    running.end.send(true).unwrap();
    assert_eq!(held.answer().await, (204, String::new()));
    assert_eq!(
        (held.rest().await, idle.rest().await),
        (String::new(), String::new())
    );
    running.served.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn proxies_are_counted_over_connections_by_what_they_say_they_have() {
    let running = start_with(9, &["one"]);
    let (plugin, version) = (
        PluginName::of_envoy("shop.one").unwrap(),
        running.version("shop.one"),
    );
    let heard = || {
        let heard = running.desk.heard(&plugin, &version);
        (heard.asking, heard.following)
    };
    let mut client = running.connect().await;
    client.ask("shop.one", None, 0).await;
    assert_eq!(heard(), (1, 0), "it was told, and is to come again");
    for _ in 0..2 {
        client = running.connect().await;
        client.ask("shop.one", Some(&version), 0).await;
        assert_eq!(heard(), (1, 1));
    }
    let mut other = running.connect().await;
    other
        .send(&question("shop.one", "other", Some(&version), 25))
        .await;
    running.until_held(1).await;
    assert_eq!(heard(), (2, 2));
    drop(other);
    running.until_held(0).await;
    assert_eq!(heard(), (2, 1), "it left, and may come again");
    let former = version.clone();
    running.desk.lay(table(&["one", "two"]));
    assert_eq!((heard(), running.version("shop.one")), ((2, 1), former));
}

#[test]
fn connections_are_bounded_by_files() {
    let cases = [
        (usize::MAX, MAX_QUESTIONS),
        (20_256, 20_000),
        (20_000, 19_744),
        (1_024, 768),
        (100, 1),
    ];
    for (files, expected) in cases {
        assert_eq!(Bounds::within(files).connections, expected, "{files}");
    }
}
