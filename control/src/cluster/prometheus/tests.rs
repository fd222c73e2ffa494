use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that answers each connection once with the next of these texts; the requests' heads go
/// to a channel.
async fn server(answers: Vec<String>) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    crate::tls::set_up();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 16 * 1024];
            let length = stream.read(&mut head).await.unwrap();
            head.truncate(length);
            sender.send(String::from_utf8(head).unwrap()).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heads)
}

fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn basic() -> Access {
    let credentials = Credentials::Basic {
        user: "ann".to_owned(),
        password: SecretString::from("s3cret"),
    };
    Access {
        credentials: Some(credentials),
        ..Access::default()
    }
}

/// What asking a server that answers so says, and with which server's URL as `URL`.
async fn said(access: Access, answer: String) -> String {
    let (url, _heads) = server(vec![answer]).await;
    let prometheus = Prometheus::with(&url, access).unwrap();
    let error = prometheus.ask("up").await.unwrap_err();
    error.to_string().replace(&url, "URL")
}

#[tokio::test]
async fn every_refusal_says_who_what_and_why_and_holds_no_secret() {
    let refused =
        r#"{"status":"error","errorType":"bad_data","error":"parse error:\n unexpected \"}\""}"#;
    let slow = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
    let echo = "no such user: ann s3cret Basic YW5uOnMzY3JldA== http://ann:s3cret@elsewhere/";
    let location = "location: https://login.example.com/in?next=s3cret\r\n";
    let cases = [
        (
            http("400 Bad Request", "", refused),
            "Prometheus at URL/ refused up: bad_data: parse error: unexpected \"}\"",
        ),
        (
            http("503 Service Unavailable", "", slow),
            "Prometheus at URL/ refused up: timeout: query timed out",
        ),
        (
            http("401 Unauthorized", "", echo),
            "Prometheus at URL/ answered 401 Unauthorized to the password of user \"ann\": no such user: ann *** \
             Basic *** http://***@elsewhere/",
        ),
        (
            http("302 Found", location, ""),
            "Prometheus at URL/ answered 302 Found, which leads to https://login.example.com/in?next=***: not \
             followed, because credentials and queries go nowhere but to the address that is named; name that one \
             if it is Prometheus",
        ),
        (
            http("502 Bad Gateway", "", "<html>\nno   upstream</html>"),
            "URL/ answered 502 Bad Gateway: not Prometheus' API: <html> no upstream</html>",
        ),
        (
            http("200 OK", "", ""),
            "URL/ answered 200 OK: not Prometheus' API: an empty answer",
        ),
        (
            http("200 OK", "", r#"{"status": "s3cret", "data": 5}"#),
            "URL/ answered 200 OK: not Prometheus' API: {\"status\": \"***\", \"data\": 5}",
        ),
        (
            http("200 OK", "", "HTTP/1.1 200 OK").replace("15", "1500"),
            "Prometheus at URL/ cannot be reached",
        ),
    ];
    for (answer, expected) in cases {
        assert_eq!(said(basic(), answer).await, expected);
    }
}

#[tokio::test]
async fn a_servers_words_are_cut() {
    let long = http("500 Internal Server Error", "", &"é ".repeat(100_000));
    let said = said(Access::default(), long).await;
    assert_eq!(
        said.chars().count(),
        "URL/ answered 500 Internal Server Error: not Prometheus' API: ".len() + 401
    );
    assert!(said.ends_with("é …"), "{said}");
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_given_up() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let endless = format!("{head}{}", " ".repeat(MAX_PROMETHEUS_BYTES + 1));
    assert_eq!(
        said(Access::default(), endless).await,
        "Prometheus at URL/ answered with more than 67108864 bytes; accepted: at most that"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_and_told_when() {
    let access = Access {
        timeout: Duration::from_millis(50),
        ..Access::default()
    };
    // Accepted by the kernel, answered by nobody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    crate::tls::set_up();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let prometheus = Prometheus::with(&url, access).unwrap();
    let error = prometheus.ask("up").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Prometheus at {url} did not answer within 50ms")
    );
}

#[tokio::test]
async fn credentials_go_to_the_server_and_its_other_paths_and_nowhere_else() {
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let within = http("307 Temporary Redirect", "location: /prom/\r\n", "");
    let (url, mut heads) = server(vec![within, http("200 OK", "", empty)]).await;
    let bearer = Access {
        credentials: Some(Credentials::Bearer(SecretString::from("t0ken"))),
        ..Access::default()
    };
    let prometheus = Prometheus::with(&format!("{url}/base"), bearer).unwrap();
    let answer = prometheus.ask("up{a=\"b\"}").await.unwrap();
    assert!(matches!(answer.outcome, Outcome::Vector(series) if series.is_empty()));
    let head = heads.recv().await.unwrap();
    assert!(
        head.starts_with(
            "GET /base/api/v1/query?query=up%7Ba%3D%22b%22%7D&timeout=10000ms HTTP/1.1\r\n"
        ),
        "{head}"
    );
    for head in [head, heads.recv().await.unwrap()] {
        assert!(head.contains("authorization: Bearer t0ken\r\n"), "{head}");
    }
    let (other, mut never) = server(vec![http("200 OK", "", empty)]).await;
    let elsewhere = format!("location: {other}/api/v1/query\r\n");
    let (url, _heads) = server(vec![http("302 Found", &elsewhere, "")]).await;
    let prometheus = Prometheus::with(&url, basic()).unwrap();
    let error = prometheus.ask("up").await.unwrap_err();
    assert!(
        matches!(error, PrometheusError::Elsewhere { .. }),
        "{error}"
    );
    assert!(never.try_recv().is_err());
}

#[test]
fn what_no_header_and_no_tls_can_carry_is_refused_without_being_shown() {
    let bearer = |token: &str| Access {
        credentials: Some(Credentials::Bearer(SecretString::from(token))),
        ..Access::default()
    };
    let user = Credentials::Basic {
        user: "a:b".to_owned(),
        password: SecretString::from("s3cret"),
    };
    let user = Access {
        credentials: Some(user),
        ..Access::default()
    };
    let authorities = Access {
        trust: Trust::Authorities(b"s3cret".to_vec()),
        ..Access::default()
    };
    let token = "the bearer token for Prometheus is empty, or has characters that a header cannot carry; accepted: \
                 visible ASCII";
    let url = "http://prometheus:9090";
    let cases = [
        (url, bearer("s3cret\n"), token),
        (url, bearer(""), token),
        (
            url,
            user,
            "user \"a:b\" for Prometheus has a colon, which basic authentication cannot carry (RFC 7617)",
        ),
        (
            url,
            authorities,
            "no certificate in the authorities that Prometheus' TLS should trust; accepted: PEM",
        ),
        (
            "ftp://ann:s3cret@prometheus",
            Access::default(),
            "\"ftp://***@prometheus\": not a URL; accepted: one such as http://prometheus.monitoring:9090",
        ),
    ];
    for (url, access, expected) in cases {
        assert_eq!(
            Prometheus::with(url, access).unwrap_err().to_string(),
            expected
        );
    }
}

#[test]
fn debugging_output_holds_no_secret() {
    crate::tls::set_up();
    for (url, access) in [
        ("http://ann:s3cret@prometheus:9090", Access::default()),
        ("http://prometheus:9090", basic()),
    ] {
        let shown = format!("{:?}", Prometheus::with(url, access).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn warnings_that_are_only_remarks_are_none() {
    let body = r#"{"status":"success","warnings":["PromQL info: metric might not be a counter","store a: down"],
        "data":{"resultType":"scalar","result":[1.5,"+Inf"]}}"#;
    let answer = answer::read(body.as_bytes()).unwrap().unwrap();
    assert_eq!(answer.warnings, ["store a: down"]);
    let Outcome::Scalar((at, value)) = answer.outcome else {
        panic!("{answer:?}");
    };
    assert_eq!((at, value.parse()), (1.5, Ok(f64::INFINITY)));
}

#[tokio::test]
async fn who_asks_the_same_at_once_is_told_the_same() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let refused = r#"{"status":"error","errorType":"bad_data","error":"no"}"#;
    let answers = [("200 OK", body), ("400 Bad Request", refused)];
    let answers = answers.map(|(status, body)| http(status, "", body));
    let (url, mut heads) = server(answers.to_vec()).await;
    let prometheus = Prometheus::new(&url).unwrap();
    let clone = prometheus.clone();
    let (one, other) = tokio::join!(prometheus.query_lately("a"), clone.query_lately("a"));
    assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
    let (one, other) = tokio::join!(prometheus.query_lately("b"), clone.query_lately("b"));
    assert!(Arc::ptr_eq(&one.unwrap_err(), &other.unwrap_err()));
    drop((prometheus, clone));
    for query in ["a", "b"] {
        let head = heads.recv().await.unwrap();
        assert!(head.contains(&format!("query={query}&")), "{head}");
    }
    assert!(heads.recv().await.is_none(), "each was asked once");
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_hangs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let access = Access {
        timeout: Duration::from_millis(300),
        ..Access::default()
    };
    crate::tls::set_up();
    let prometheus = Prometheus::with(&url, access).unwrap();
    let first = prometheus.ask("up").await.unwrap_err().to_string();
    let (_kept, _) = listener.accept().await.unwrap();
    let told = prometheus.clone().ask("other").await.unwrap_err();
    assert_eq!(told.to_string(), first);
    // Nobody has connected again.
    let next = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(next.is_err(), "{next:?}");
}
