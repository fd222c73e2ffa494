//! API servers whose answers do not end, given to the program itself: what it waits for, what it
//! reads, and what it says then.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a server does with a request: the path and query, and where the answer goes.
type Answer = fn(&str, &mut TcpStream);

/// Answers every request on every connection; how many there were, and where it listens.
fn server(answer: Answer) -> (Arc<AtomicUsize>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || serve(connection.unwrap(), answer, &count));
        }
    });
    (requests, port)
}

/// Reads requests without a body, or with one that it passes over, until the client goes away.
fn serve(mut connection: TcpStream, answer: Answer, count: &AtomicUsize) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            lines.push(line.to_ascii_lowercase());
        }
        let length = lines.iter().find_map(|line| {
            let length = line.strip_prefix("content-length:")?;
            length.trim().parse::<u64>().ok()
        });
        let mut body = Vec::new();
        let _ = (&mut reader)
            .take(length.unwrap_or(0))
            .read_to_end(&mut body);
        count.fetch_add(1, Ordering::Relaxed);
        let path = lines[0].split(' ').nth(1).unwrap().to_owned();
        answer(&path, &mut connection);
    }
}

fn respond(status: &str, headers: &str, body: &str, connection: &mut TcpStream) {
    let length = body.len();
    // In one piece: each further one would wait for an acknowledgement.
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    let _ = connection.write_all(answer.as_bytes());
}

fn sluice(port: u16, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    );
    std::fs::write(folder.path().join("config"), config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .args(["--kubeconfig", "config"])
        .current_dir(folder.path())
        .env_clear()
        .output()
        .unwrap()
}

/// The exit code and everything that was said on standard error.
fn said(output: &Output) -> (i32, String) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn an_answer_without_an_end_is_read_to_its_limit() {
    let (_, port) = server(|_, connection| {
        let mebibyte = " ".repeat(1024 * 1024);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut sent = connection.write_all(head.as_bytes());
        while sent.is_ok() {
            sent = write!(connection, "100000\r\n{mebibyte}\r\n");
        }
    });
    let (code, text) = said(&sluice(
        port,
        &["get", "-n", "a", "--plugin", "wasmplugin/s"],
    ));
    assert_eq!(code, 2, "{text}");
    let why = "has more than 134217728 bytes; accepted: at most that";
    assert!(text.contains(why), "{text}");
    assert!(text.contains("does not answer as it should"), "{text}");
}

#[test]
fn a_list_without_an_end_is_read_to_its_limit() {
    let (requests, port) = server(|path, connection| {
        let absent = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404,"reason":"NotFound"}"#;
        let more = r#"{"metadata":{"continue":"more"},"items":[]}"#;
        match path.contains("wasmplugins") {
            true => respond("200 OK", "", more, connection),
            false => respond("404 Not Found", "", absent, connection),
        }
    });
    let (code, text) = said(&sluice(port, &["abort", "--all", "-A"]));
    assert_eq!(code, 2, "{text}");
    let why = "a list of wasmplugins goes on and on; accepted: at most 1000 answers";
    assert!(text.contains(why), "{text}");
    let requests = requests.load(Ordering::Relaxed);
    assert!((1_000..1_010).contains(&requests), "{requests}");
}

#[test]
fn a_server_that_is_busy_for_longer_than_a_call_is_not_waited_for() {
    let (requests, port) = server(|_, connection| {
        let busy = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":429,"reason":"TooManyRequests","message":"busy"}"#;
        let later = "retry-after: 3600\r\n";
        respond("429 Too Many Requests", later, busy, connection);
    });
    let (code, text) = said(&sluice(
        port,
        &["get", "-n", "a", "--plugin", "wasmplugin/s"],
    ));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("busy"), "{text}");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

/// The pages of a list, by how many objects each may have.
static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn a_list_whose_pages_are_too_long_is_read_in_shorter_ones() {
    let (_, port) = server(|path, connection| {
        let object = r#"{"metadata":{"name":"s","namespace":"a","uid":"u","generation":1},"spec":{"pluginConfig":{"splits":{"web":{}}}}}"#;
        let Some((_, limit)) = path.split_once("limit=") else {
            return respond("200 OK", "", object, connection);
        };
        let limit = limit.split('&').next().unwrap().to_owned();
        let is_plugins = path.contains("wasmplugins");
        if is_plugins {
            ASKED.lock().unwrap().push(limit.clone());
        }
        let objects = match is_plugins {
            true if limit.len() > 2 => " ".repeat(129 * 1024 * 1024),
            true => object.to_owned(),
            false => String::new(),
        };
        let list = format!(r#"{{"metadata":{{}},"items":[{objects}]}}"#);
        respond("200 OK", "", &list, connection);
    });
    let output = sluice(port, &["get", "-A"]);
    let (code, text) = said(&output);
    assert_eq!(code, 0, "{text}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("WasmPlugin a/s"), "{table}");
    assert_eq!(*ASKED.lock().unwrap(), ["250", "31"]);
}
