use super::*;
use std::sync::Arc;

use crate::rollout::outbound::bounds::{Bounded, Bounds};
use crate::rollout::outbound::receiver::{Does, Server};
use crate::rollout::secrets::OfThisMachine;
use serde_json::{Value, json};
use sluice_core::decode::Decode as _;

fn read_all(written: Value) -> (Vec<Gate>, Vec<String>) {
    let mut problems = Vec::new();
    let written = Vec::<resource::Gate>::decode("gates", &written, &mut problems).unwrap();
    let gates = checked("gates", &written, &mut problems);
    let problems = problems.iter().map(Problem::to_string).collect();
    (gates, problems)
}

fn gate(written: Value) -> Gate {
    let (mut gates, problems) = read_all(json!([written]));
    assert_eq!(problems, Vec::<String>::new());
    gates.remove(0)
}

fn question() -> Question {
    Question {
        before: Before::Step,
        namespace: "shop".to_owned(),
        rollout: "web".to_owned(),
        split: "web".to_owned(),
        run: 4,
        version: Some("v1.2.3".to_owned()),
        step: 3,
        audience: "everyone".to_owned(),
        weight: 12.5,
    }
}

async fn asked(gate: &Gate) -> Answer {
    let outbound = Outbound::new().unwrap();
    ask(gate, &question(), &outbound, &OfThisMachine).await
}

fn answers(status: u16, body: &str) -> Does {
    Does::Answers(status, "", body.to_owned())
}

#[tokio::test]
async fn a_gate_is_asked_with_what_is_to_happen() {
    let server = Server::that(&[answers(204, "")]).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let gate = gate(json!({"webhook": server.url("gate?team=shop"), "bearerTokenFile": token}));
    assert_eq!(asked(&gate).await, Answer::Open);
    let received = server.received().remove(0);
    assert_eq!(received.line, "POST /gate?team=shop HTTP/1.1");
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(received.header("authorization"), Some("Bearer s3cret"));
    let body: Value = serde_json::from_str(&received.body).unwrap();
    let expected = json!({
        "before": "step", "namespace": "shop", "rollout": "web", "split": "web", "run": 4, "version": "v1.2.3",
        "step": 3, "audience": "everyone", "weight": 12.5,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn whatever_is_no_success_keeps_a_gate_closed() {
    let elsewhere = Server::that(&[answers(200, "")]).await;
    let location: &'static str = format!("location: {}\r\n", elsewhere.url("")).leak();
    let cases = [
        (
            answers(403, "{\"why\":\n \"no\u{1b}[31m ticket\"}"),
            "answered 403: {\"why\": \"no [31m ticket\"}",
        ),
        (answers(404, ""), "answered 404"),
        (answers(500, "oops"), "answered 500: oops"),
        (Does::Answers(302, location, String::new()), "answered 302"),
        (
            Does::HangsUp,
            "the connection broke: connection closed before message completed",
        ),
        (Does::Waits, "no answer within 100ms"),
    ];
    for (does, why) in cases {
        let server = Server::that(&[does]).await;
        let gate = gate(json!({"webhook": server.url("gate"), "timeout": "100ms"}));
        let why = format!("gate {} {why}", server.address());
        assert_eq!(asked(&gate).await, Answer::Closed { why });
    }
    assert_eq!(elsewhere.received().len(), 0, "no redirect is followed");
}

#[tokio::test]
async fn of_an_answer_the_beginning_is_told() {
    let server = Server::that(&[answers(503, &"ä".repeat(100_000))]).await;
    let gate = gate(json!({"webhook": server.url("gate")}));
    let why = format!(
        "gate {} answered 503: {}",
        server.address(),
        "ä".repeat(128)
    );
    assert_eq!(asked(&gate).await, Answer::Closed { why });
}

#[tokio::test]
async fn a_token_that_an_answer_repeats_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret-token").unwrap();
    let cut = format!("{} s3cret-token", "x".repeat(249));
    for said in ["Bearer s3cret-token is unknown", &cut] {
        let server = Server::that(&[answers(401, said)]).await;
        let gate = gate(json!({"webhook": server.url("gate"), "bearerTokenFile": token}));
        let why = format!("gate {} answered 401", server.address());
        assert_eq!(asked(&gate).await, Answer::Closed { why });
    }
}

#[tokio::test]
async fn a_gate_that_cannot_be_asked_is_closed_and_shows_its_host_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    crate::tls::set_up();
    let url = format!("http://ann:s3cret@{address}/s3cret?key=s3cret");
    let refused = gate(json!({"webhook": url}));
    let why = format!("gate {address} cannot be reached: Connection refused (os error 111)");
    assert_eq!(asked(&refused).await, Answer::Closed { why });
    assert!(!format!("{refused:?}").contains("s3cret"));
    let unread = gate(json!({"webhook": url, "bearerTokenEnv": "SLUICE_NOT_SET"}));
    let why = format!("gate {address} its token: variable SLUICE_NOT_SET: not set");
    assert_eq!(asked(&unread).await, Answer::Closed { why });
}

#[test]
fn a_closed_gate_is_asked_less_and_less_often() {
    let pauses: Vec<u64> = [0, 1, 2, 3, 4, 5, 6, u32::MAX]
        .map(|asked| pause(asked).as_secs())
        .to_vec();
    assert_eq!(pauses, [5, 5, 10, 20, 40, 60, 60, 60]);
}

#[test]
fn every_mistake_is_said_with_what_is_accepted() {
    let url = "accepted: a URL such as https://ci.example.com/gate";
    let (_, problems) = read_all(json!([
        {"before": "lunch", "timeout": "31s"},
        {"webhook": "ci/gate", "timeout": "99ms", "bearerTokenFile": "t", "bearerTokenEnv": "T"},
        {"webhook": "https://ci/gate", "bearerTokenFrom": {"key": "k"}},
        {"webhook": "https://ci/gate", "bearerTokenEnv": ""},
    ]));
    let expected = [
        "gates[0].before: a string (\"lunch\"); accepted: one of start, step, finish".to_owned(),
        format!("gates[1].webhook: another text; {url}"),
        "gates[0].timeout: 31s; accepted: 100ms to 30s".to_owned(),
        format!("gates[0].webhook: missing; {url}"),
        "gates[1].bearerTokenEnv: given beside bearerTokenFile; one of bearerTokenFrom, bearerTokenFile, bearerTokenEnv".to_owned(),
        "gates[1].timeout: 99ms; accepted: 100ms to 30s".to_owned(),
        "gates[2].bearerTokenFrom.name: missing; accepted: the name of a Secret".to_owned(),
        "gates[3].bearerTokenEnv: empty; accepted: a name".to_owned(),
    ];
    assert_eq!(problems, expected);
    let (_, problems) = read_all(json!(vec![json!({"webhook": "https://ci/gate"}); 9]));
    assert_eq!(problems, ["gates: 9 items; at most 8"]);
}

#[tokio::test]
async fn a_gate_of_a_controller_is_asked_only_where_it_may_be() {
    let server = Server::that(&[answers(204, "")]).await;
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    let by_name = format!("http://localhost:{port}/gate");
    let loopback = "not sent: 127.0.0.1 is loopback, which the controller sends nothing to";
    let unlisted = "not sent: the controller's --outbound-hosts does not list";
    let cases = [
        (None, server.url("gate"), Err(loopback.to_owned())),
        (None, by_name.clone(), Err("is loopback".to_owned())),
        (
            Some(vec!["localhost"]),
            by_name.clone(),
            Err("is loopback".to_owned()),
        ),
        (
            Some(vec!["10.0.0.1"]),
            by_name.clone(),
            Err(format!("{unlisted} localhost")),
        ),
        (Some(vec!["localhost", "127.0.0.1"]), by_name, Ok(())),
        (Some(vec!["127.0.0.1"]), server.url("gate"), Ok(())),
    ];
    let mut received = 0;
    for (hosts, url, expected) in cases {
        let listed = hosts.clone();
        let listed = listed.map(|hosts| hosts.iter().map(|host| host.parse().unwrap()).collect());
        let bounded = Bounded {
            hosts: listed,
            api_server: Vec::new(),
        };
        let outbound = Outbound::within(Bounds::Bounded(Arc::new(bounded))).unwrap();
        let gate = gate(json!({"webhook": url}));
        let answer = ask(&gate, &question(), &outbound, &OfThisMachine).await;
        received += usize::from(expected.is_ok());
        match (answer, expected) {
            (Answer::Open, Ok(())) => {}
            (Answer::Closed { why }, Err(part)) => {
                assert!(why.contains(&part), "{hosts:?} {url}: {why}")
            }
            (answer, _) => panic!("{hosts:?} {url}: {answer:?}"),
        }
        assert_eq!(server.received().len(), received, "{hosts:?} {url}");
    }
}
