//! gRPC, WebSockets and streamed bodies: they are split and pass untouched.

use http_body_util::{BodyExt as _, Full};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use sluice_e2e::adapter::Adapter;
use sluice_e2e::client::{get, http2, http2_with_trailers, request};

use crate::{BOB, HOST, mesh};

async fn grpc_requests_are_split_and_keep_their_body(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    let body = Bytes::from_static(b"\0\0\0\0\x05hello");
    let call = hyper::Request::post(format!("http://{HOST}/count"))
        .header("content-type", "application/grpc");
    let call = call
        .header("x-user-id", "bob")
        .body(Full::new(body))
        .unwrap();
    let answer = http2(mesh.address(), call).await;
    assert_eq!(answer.headers()["x-variant"], "canary");
    assert!(answer.body().starts_with(b"10 "), "{:?}", answer.body());
}

async fn the_trailers_of_a_request_and_of_its_answer_pass(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(b"hello"));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    let call = hyper::Request::post(format!("http://{HOST}/count"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-user-id", "bob");
    let answer = http2_with_trailers(mesh.address(), call.body(body).unwrap()).await;
    assert_eq!(answer.0.headers()["x-variant"], "canary");
    assert_eq!(answer.1["grpc-status"], "0");
}

async fn websockets_are_split_and_pass_bytes(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    let mut connection = mesh.connect().await;
    let lines: [&[u8]; 4] = [
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        BOB,
    ];
    let answer = connection.send(&get("/chat", HOST, &lines)).await.unwrap();
    assert_eq!((answer.status, answer.variant().as_str()), (101, "canary"));
    connection.write(b"\x81\x05hello\xff\x00").await;
    assert_eq!(connection.read_exact(9).await, b"\x81\x05hello\xff\x00");
}

async fn a_streamed_megabyte_passes_untouched(adapter: Adapter) {
    let mesh = mesh(adapter).await;
    let mut connection = mesh.connect().await;
    let body: Vec<u8> = (0..1_000_000_u32)
        .map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let head = request(
        "POST",
        "/count",
        HOST,
        &[b"transfer-encoding: chunked", BOB],
    );
    connection.write(&head).await;
    for chunk in body.chunks(7_777) {
        connection
            .write(format!("{:x}\r\n", chunk.len()).as_bytes())
            .await;
        connection.write(chunk).await;
        connection.write(b"\r\n").await;
    }
    connection.write(b"0\r\n\r\n").await;
    let answer = connection.answer().await.unwrap();
    let mut hash = fnv::FnvHasher::default();
    std::hash::Hasher::write(&mut hash, &body);
    let expected = format!("1000000 {:x}", std::hash::Hasher::finish(&hash));
    assert_eq!(
        (answer.variant(), String::from_utf8(answer.body).unwrap()),
        ("canary".to_owned(), expected)
    );
}

sluice_e2e::over_both_adapters![
    grpc_requests_are_split_and_keep_their_body,
    the_trailers_of_a_request_and_of_its_answer_pass,
    websockets_are_split_and_pass_bytes,
    a_streamed_megabyte_passes_untouched,
];
