//! Decisions in traces: the resources of docs/tracing.md, applied as they stand there, and the tag in
//! what a receiver of OTLP over HTTP gets from a real proxy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sluice_e2e::wait::until;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::users::{WEB_A, answer, variant};
use crate::world::World;

const PAGE: &str = include_str!("../../../../docs/tracing.md");

/// Where the receiver listens, and the service by which proxies find it.
const RECEIVER: &str = "127.0.9.1:4318";
const COLLECTOR: &str = "
apiVersion: v1
kind: Service
metadata: {name: collector, namespace: istio-system}
spec: {clusterIP: 127.10.9.1, selector: {app: collector}, ports: [{name: http-otlp, port: 4318, targetPort: 4318}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: collector, namespace: istio-system}
spec: {address: 127.0.9.1, labels: {app: collector}}
";

/// A receiver of OTLP over HTTP that keeps what it gets, until it is dropped.
struct Receiver {
    received: Arc<Mutex<Vec<Bytes>>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    async fn start() -> Self {
        let address: SocketAddr = RECEIVER.parse().unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let received: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let kept = Arc::clone(&received);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| keep(request, Arc::clone(&kept)));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { received, serving }
    }

    /// Whether a span has an attribute: a KeyValue of OTLP as protobuf writes it, the key in field 1,
    /// and in field 2 an AnyValue whose field 1 is the text.
    fn has(&self, key: &str, value: &str) -> bool {
        let field = |number: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).unwrap();
            [&[number << 3 | 2, length], content].concat()
        };
        let value = field(2, &field(1, value.as_bytes()));
        let attribute = [field(1, key.as_bytes()), value].concat();
        let received = self.received.lock().unwrap();
        let has = |body: &Bytes| {
            let mut windows = body.windows(attribute.len());
            windows.any(|window| window == attribute)
        };
        received.iter().any(has)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn keep(
    request: Request<Incoming>,
    kept: Arc<Mutex<Vec<Bytes>>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if let (Ok(body), "/v1/traces") = (request.into_body().collect().await, &*path) {
        kept.lock().unwrap().push(body.to_bytes());
    }
    Ok(Response::new(Empty::new()))
}

/// A block of the page.
fn block(number: usize) -> &'static str {
    let block = PAGE.split("```yaml\n").nth(number).unwrap();
    block.split("```").next().unwrap()
}

pub async fn a_decision_is_a_tag_of_the_callers_span(world: &mut World) {
    let mesh = std::fs::read_to_string(world.chain.folder().join("mesh.yaml")).unwrap();
    assert!(
        mesh.contains(block(1)),
        "istiod has another provider: {mesh}"
    );
    world.fresh_plugin("a", 50).await;
    let receiver = Receiver::start().await;
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(COLLECTOR).await;
    let caller = &world.callers[0];
    caller.import(kubernetes, &[8080, 4318]).await;
    let telemetry = block(2).replace("namespace: shop", "namespace: a");
    kubernetes.apply(&telemetry).await;
    let of = |wanted: &str| (0..).find(|user| variant(*user, 50) == wanted).unwrap();
    for wanted in ["canary", "stable"] {
        until(&format!("a span of {wanted}"), async || {
            let answered = answer(caller, WEB_A, of(wanted)).await;
            let has = receiver.has("sluice.web", wanted);
            let count = receiver.received.lock().unwrap().len();
            has.then_some(())
                .ok_or(format!("{answered:?}, {count} messages: {}", caller.log()))
        })
        .await;
        assert!(
            !receiver.has("sluice.web", "none"),
            "the split decides every request"
        );
    }
    kubernetes.delete("Telemetry", "a", "decisions").await;
    caller.import(kubernetes, &[8080]).await;
    for kind in ["Service", "WorkloadEntry"] {
        kubernetes.delete(kind, "istio-system", "collector").await;
    }
}
