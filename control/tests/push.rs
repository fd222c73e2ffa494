//! Where `sluice push` sends docker's login, and in which order it publishes what, asked of servers
//! that write down what they got.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

#[path = "../src/operations/libraries/fixture.rs"]
mod fixture;

/// `Basic` and base64 of ann:secret.
const LOGIN: &str = "Basic YW5uOnNlY3JldA==";

/// A request: its first line, and what it had as Authorization.
type Got = (String, Option<String>);

/// A server on a loopback address that answers by a request's first line, and what it got so far.
struct Server {
    address: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    fn start(host: &str, answer: impl Fn(&str, Option<&str>) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let got = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
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
                    headers
                        .find(|(header, _)| header.eq_ignore_ascii_case(name))
                        .map(|(_, value)| value.to_owned())
                };
                let length = header("content-length").map_or(0, |length| length.parse().unwrap());
                stream.read_exact(&mut vec![0; length]).unwrap();
                let Some(first) = lines.first().cloned() else {
                    continue;
                };
                let login = header("authorization");
                let answer = answer(&first, login.as_deref());
                written.lock().unwrap().push((first, login));
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { address, got }
    }

    fn logins(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        got.iter().filter_map(|(_, login)| login.clone()).collect()
    }

    fn got(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// The smallest module that is accepted: an ABI, an allocator, a page of memory.
fn module(folder: &Path) {
    let section = |id: u8, content: &[u8]| [&[id, content.len() as u8], content].concat();
    let export = |name: &str, kind: u8| [&[name.len() as u8], name.as_bytes(), &[kind, 0]].concat();
    let exports = [
        vec![3],
        export("proxy_abi_version_0_2_1", 0),
        export("malloc", 0),
        export("memory", 2),
    ];
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[1, 0]),
        section(5, &[1, 0, 1]),
        section(7, &exports.concat()),
        section(10, &[1, 2, 0, 0x0b]),
    ];
    std::fs::write(folder.join("a.wasm"), module.concat()).unwrap();
}

/// Pushes to a registry with ann's login; the exit code and what was said.
fn push(registry: &str) -> (i32, String) {
    let (_, login) = LOGIN.split_once(' ').unwrap();
    push_with(
        registry,
        &format!(r#"{{"auths":{{"{registry}":{{"auth":"{login}"}}}}}}"#),
    )
}

/// The same with what `docker login` left.
fn push_with(registry: &str, config: &str) -> (i32, String) {
    push_these(registry, config, &[])
}

/// The same with further arguments; `x86_64.so` and `aarch64.so` are native libraries.
fn push_these(registry: &str, config: &str, arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    module(folder.path());
    for (name, machine) in [("x86_64.so", 62), ("aarch64.so", 183)] {
        let library = fixture::library(machine, "envoy_dynamic_module_on_program_init");
        std::fs::write(folder.path().join(name), library).unwrap();
    }
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["push", "a.wasm", &format!("oci://{registry}/sluice:1")])
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("DOCKER_CONFIG", folder.path())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

/// A registry that wants a token of a realm, and takes everything that comes with `token`.
fn registry(realm: impl Fn() -> String + Send + 'static) -> Server {
    Server::start("127.0.0.1", move |first, login| {
        let challenge = format!(
            "www-authenticate: Bearer realm=\"{}\",service=\"s\"\r\n",
            realm()
        );
        match first.split_once(' ').unwrap().0 {
            _ if login != Some("Bearer token") => answer("401 Unauthorized", &challenge, ""),
            "HEAD" => answer("404 Not Found", "", ""),
            "POST" => answer(
                "202 Accepted",
                "location: /v2/sluice/blobs/uploads/1\r\n",
                "",
            ),
            "PATCH" => answer(
                "202 Accepted",
                "location: /v2/sluice/blobs/uploads/1\r\nrange: 0-0\r\n",
                "",
            ),
            _ => answer("201 Created", "location: /v2/sluice/manifests/1\r\n", ""),
        }
    })
}

fn realm(host: &str) -> Server {
    Server::start(host, |_, _| answer("200 OK", "", r#"{"token":"token"}"#))
}

#[test]
fn a_login_goes_to_the_realm_and_the_token_to_the_registry() {
    let realm = realm("127.0.0.1");
    let url = format!("http://{}/token", realm.address);
    let registry = registry(move || url.clone());
    let (code, text) = push(&registry.address);
    assert_eq!(code, 0, "{text}");
    assert_eq!(realm.logins(), [LOGIN]);
    let asked = realm.got.lock().unwrap()[0].0.clone();
    assert_eq!(
        asked,
        "GET /token?scope=repository%3Asluice%3Apull%2Cpush&service=s HTTP/1.1"
    );
    let logins = registry.logins();
    assert!(
        !logins.is_empty() && logins.iter().all(|login| login == "Bearer token"),
        "{logins:?}"
    );
}

#[test]
fn a_realm_by_plain_http_elsewhere_gets_nothing() {
    let realm = realm("127.0.0.2");
    let url = format!("http://{}/token", realm.address);
    let registry = registry({
        let url = url.clone();
        move || url.clone()
    });
    let (code, text) = push(&registry.address);
    assert_eq!(code, 2, "{text}");
    let said = format!(
        "wants docker's login to be sent to {url}, which is not by TLS; it was sent to nobody"
    );
    assert!(text.contains(&said) && !text.contains("secret"), "{text}");
    assert_eq!((realm.got(), registry.logins()), (0, Vec::new()));
}

#[test]
fn a_realm_elsewhere_is_not_asked_without_a_login_either() {
    let inside = realm("127.0.0.2");
    let url = format!("http://{}/internal/token", inside.address);
    let registry = registry({
        let url = url.clone();
        move || url.clone()
    });
    let (code, text) = push_with(&registry.address, "{}");
    assert_eq!(code, 2, "{text}");
    let said = format!("a token to be asked of {url}, which is not by TLS; nobody was asked");
    assert!(text.contains(&said), "{text}");
    assert_eq!((inside.got(), registry.logins()), (0, Vec::new()));
}

#[test]
fn a_realm_s_redirect_is_not_followed() {
    let elsewhere = realm("127.0.0.2");
    let location = format!("location: http://{}/token\r\n", elsewhere.address);
    let realm = Server::start("127.0.0.1", move |_, _| {
        answer("307 Temporary Redirect", &location, "")
    });
    let url = format!("http://{}/token", realm.address);
    let registry = registry(move || url.clone());
    let (code, text) = push(&registry.address);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("answered docker's login with 307"), "{text}");
    assert_eq!(elsewhere.got(), 0);
}

#[test]
fn a_registry_s_redirect_drops_the_token() {
    let elsewhere = realm("127.0.0.2");
    let realm = realm("127.0.0.1");
    let url = format!("http://{}/token", realm.address);
    let location = format!("location: http://{}/v2/x\r\n", elsewhere.address);
    let registry = Server::start("127.0.0.1", move |_, login| {
        if login.is_some() {
            return answer("307 Temporary Redirect", &location, "");
        }
        let challenge = format!("www-authenticate: Bearer realm=\"{url}\"\r\n");
        answer("401 Unauthorized", &challenge, "")
    });
    let (code, text) = push(&registry.address);
    assert_eq!(code, 2, "{text}");
    assert_eq!(
        registry.logins().first().map(String::as_str),
        Some("Bearer token")
    );
    assert!(elsewhere.got() > 0);
    assert_eq!(elsewhere.logins(), Vec::<String>::new());
}

#[test]
fn a_registry_that_changes_its_mind_is_not_followed() {
    // First it wants the login itself, then a token of a realm elsewhere.
    let elsewhere = realm("127.0.0.2");
    let bearer = format!(
        "www-authenticate: Bearer realm=\"http://{}/token\"\r\n",
        elsewhere.address
    );
    let count = Mutex::new(0);
    let registry = Server::start("127.0.0.1", move |_, _| {
        *count.lock().unwrap() += 1;
        let is_first = *count.lock().unwrap() == 1;
        let challenge = if is_first {
            "www-authenticate: Basic realm=\"r\"\r\n"
        } else {
            bearer.as_str()
        };
        answer("401 Unauthorized", challenge, "")
    });
    let (code, text) = push(&registry.address);
    assert_eq!(code, 2, "{text}");
    assert_eq!(elsewhere.logins(), Vec::<String>::new());
}

/// A registry that wants no login.
fn open_registry() -> Server {
    Server::start("127.0.0.1", |first, _| {
        let uploads = "location: /v2/sluice/blobs/uploads/1\r\n";
        match first.split_once(' ').unwrap().0 {
            "HEAD" => answer("404 Not Found", "", ""),
            "POST" => answer("202 Accepted", uploads, ""),
            "PATCH" => answer("202 Accepted", &format!("{uploads}range: 0-0\r\n"), ""),
            _ => answer("201 Created", "location: /v2/sluice/manifests/1\r\n", ""),
        }
    })
}

#[test]
fn native_libraries_are_there_before_the_modules_tag() {
    let registry = open_registry();
    let both = ["--native", "aarch64.so", "--native", "x86_64.so"];
    let (code, text) = push_these(&registry.address, "{}", &both);
    assert_eq!(code, 0, "{text}");
    let got = registry.got.lock().unwrap();
    let manifests: Vec<&str> = got
        .iter()
        .filter_map(|(first, _)| first.strip_prefix("PUT /v2/sluice/manifests/"))
        .map(|rest| rest.split_once(' ').unwrap().0)
        .collect();
    let [one, other, libraries, module] = manifests.as_slice() else {
        panic!("four manifests: {manifests:?}");
    };
    assert!(one.starts_with("sha256:") && other.starts_with("sha256:"));
    assert_eq!((*libraries, *module), ("1-native", "1"));
    let lines: Vec<&str> = text.lines().collect();
    let [image, digest, beside, its_digest, file] = lines.as_slice() else {
        panic!("five lines: {text}");
    };
    let name = format!("oci://{}/sluice:1", registry.address);
    assert_eq!((*image, *beside), (&*name, &*format!("{name}-native")));
    assert!(digest.starts_with("sha256:") && its_digest.starts_with("sha256:"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        *file,
        format!("libsluice-{version}.so for linux/amd64, linux/arm64")
    );
}

#[test]
fn what_is_no_native_library_is_refused_before_anything_is_published() {
    let registry = open_registry();
    let cases = [
        (
            vec!["--native", "a.wasm"],
            "a.wasm\n  a WebAssembly module, which is no native library; accepted: a shared library",
        ),
        (
            vec!["--native", "x86_64.so", "--native", "x86_64.so"],
            "--native\n  two libraries for linux/amd64; accepted: one for each processor",
        ),
        (
            vec!["--native", "x86_64.so", "--image-version", "1/2"],
            "--native\n  the version \"1/2\" cannot be part of a file's name",
        ),
    ];
    for (arguments, expected) in cases {
        let (code, text) = push_these(&registry.address, "{}", &arguments);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(registry.got(), 0);
}
