use super::*;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: std::net::SocketAddr,
    readiness: watch::Sender<Readiness>,
    end: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn start() -> Running {
    let mut registry = Registry::default();
    let counter: Counter = Counter::default();
    counter.inc_by(3);
    registry.register("sluice_rollout_steps", "Steps that were passed", counter);
    let not_yet = Readiness::NotYet {
        why: "the Rollouts are being listed".to_owned(),
    };
    let (readiness, watched) = watch::channel(not_yet);
    let pages = Pages {
        metrics: Arc::new(MetricsPage::new(registry)),
        readiness: watched,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let ended = async { ended.await.unwrap() };
    let served = tokio::spawn(serve(listener, pages, ended));
    Running {
        address,
        readiness,
        end,
        served,
    }
}

/// The whole answer to a request, without the date.
async fn said(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let lines = answer.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

async fn got(running: &Running, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    said(running, &request).await
}

fn expected(status: &str, kind: &str, text: &str) -> String {
    let length = text.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}"
    )
}

#[tokio::test]
async fn metrics_health_and_readiness_are_answered() {
    let running = start().await;
    let text = "text/plain; charset=utf-8";
    let metrics = "# HELP sluice_rollout_steps Steps that were passed.\n\
                   # TYPE sluice_rollout_steps counter\nsluice_rollout_steps_total 3\n# EOF\n";
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(
        got(&running, "/metrics").await,
        expected("200 OK", kind, metrics)
    );
    assert_eq!(
        got(&running, "/healthz").await,
        expected("200 OK", text, "ok\n")
    );
    let why = "not ready: the Rollouts are being listed\n";
    let unready = expected("503 Service Unavailable", text, why);
    assert_eq!(got(&running, "/readyz").await, unready);
    running.readiness.send_replace(Readiness::Ready);
    assert_eq!(
        got(&running, "/readyz").await,
        expected("200 OK", text, "ok\n")
    );
}

#[tokio::test]
async fn whatever_else_is_asked_is_refused() {
    let running = start().await;
    let text = "text/plain; charset=utf-8";
    let paths = "accepted: /healthz, /readyz, /metrics\n";
    assert_eq!(
        got(&running, "/secret").await,
        expected("404 Not Found", text, paths)
    );
    let post = "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n";
    let refused = expected("405 Method Not Allowed", text, "accepted: GET, HEAD\n");
    assert_eq!(said(&running, post).await, refused);
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(10_000));
    let begin = "HTTP/1.1 431 Request Header Fields Too Large\r\n";
    let answer = said(&running, &long).await;
    assert!(answer.starts_with(begin), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_answered_once_there_is_room() {
    let running = start().await;
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        idle.push(TcpStream::connect(running.address).await.unwrap());
    }
    let one_more = got(&running, "/healthz");
    tokio::pin!(one_more);
    tokio::select! {
        biased;
        answer = &mut one_more => panic!("{answer}"),
        () = tokio::task::yield_now() => {}
    }
    drop(idle);
    assert!(one_more.await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_request_that_is_being_made_at_the_end_is_answered() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\n")
        .await
        .unwrap();
    // It is accepted by the time that another one after it is answered.
    got(&running, "/healthz").await;
    running.end.send(()).unwrap();
    stream.write_all(b"host: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
    running.served.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}
