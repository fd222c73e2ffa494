use super::*;
use crate::rollout::outbound::receiver::{Does, Received, Server};
use crate::rollout::secrets::OfThisMachine;
use message::Message;
use queue::Queue;
use serde_json::{Value, json};
use sluice_core::decode::Decode as _;
use std::path::PathBuf;

fn read_all(written: Value) -> (Vec<Receiver>, Vec<String>) {
    let mut problems = Vec::new();
    let written = Vec::<Notify>::decode("notify", &written, &mut problems).unwrap();
    let receivers = checked("notify", &written, &mut problems);
    let problems = problems.iter().map(Problem::to_string).collect();
    (receivers, problems)
}

fn receiver(written: Value) -> Receiver {
    let (mut receivers, problems) = read_all(json!([written]));
    assert_eq!(problems, Vec::<String>::new());
    receivers.remove(0)
}

fn subject() -> Subject {
    Subject {
        uid: "5f1c".to_owned(),
        namespace: "shop".to_owned(),
        rollout: "web".to_owned(),
        split: "web".to_owned(),
        challenger: "canary".to_owned(),
    }
}

fn message() -> Message {
    Message {
        event: Event::RolledBack,
        at: "2026-11-21T22:00:00Z".parse().unwrap(),
        run: 4,
        version: Some("v1<2".to_owned()),
        step: Some(3),
        steps: Some(7),
        weight: Some(12.5),
        text: "<!channel> & *p99* [a](b)".to_owned(),
    }
}

/// A file that holds a secret, and the folder that is gone with it.
fn kept(secret: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, secret).unwrap();
    (folder, path)
}

/// Sends one message until nothing waits any more, by a clock that jumps from one time that
/// something is due to the next.
async fn sent(receiver: &Receiver) -> (Queue, Vec<i64>) {
    let outbound = Outbound::new().unwrap();
    let subject = subject();
    let sender = Sender {
        patience: Duration::from_millis(100),
        ..Sender::new(&outbound, &OfThisMachine)
    };
    let mut queue = Queue::default();
    queue.put(&message(), [receiver.id()]);
    let mut times = Vec::new();
    while let Some(now) = queue.next() {
        times.push(now.duration_since(message().at).as_secs());
        for due in queue.take_due(now) {
            let outcome = sender.send(receiver, &subject, &due, now).await;
            queue.settle(&due, &outcome, now);
        }
    }
    (queue, times)
}

fn answers(status: u16, headers: &'static str, body: &str) -> Does {
    Does::Answers(status, headers, body.to_owned())
}

fn body(received: &Received) -> Value {
    assert_eq!(received.header("content-type"), Some("application/json"));
    serde_json::from_str(&received.body).unwrap()
}

#[tokio::test]
async fn slack_gets_blocks_in_which_nothing_is_markup() {
    let server = Server::that(&[answers(200, "", "ok")]).await;
    let (_folder, url) = kept(&server.url("services/T0/B0/s3cret"));
    let (queue, _) = sent(&receiver(json!({"slack": {"urlFile": url}}))).await;
    assert_eq!((queue.lost(), queue.trouble()), (0, None));
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].line, "POST /services/T0/B0/s3cret HTTP/1.1");
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let facts = "split web, canary v1<2, run 4, step 3 of 7, 12.5 %";
    let expected = json!({
        "text": "Rolled back: shop/web: &lt;!channel&gt; &amp; *p99* [a](b)",
        "blocks": [
            {"type": "header", "text": plain("Rolled back: shop/web")},
            {"type": "section", "text": plain("<!channel> & *p99* [a](b)")},
            {"type": "context", "elements": [plain(facts)]},
        ],
    });
    assert_eq!(body(&received[0]), expected);
}

#[tokio::test]
async fn wecom_gets_markdown_in_which_nothing_is_a_mention() {
    let server = Server::that(&[
        answers(
            200,
            "",
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
        ),
        answers(200, "", r#"{"errcode":0,"errmsg":"ok"}"#),
    ])
    .await;
    let (_folder, url) = kept(&server.url("cgi-bin/webhook/send?key=s3cret"));
    let (queue, times) = sent(&receiver(json!({"weCom": {"urlFile": url}}))).await;
    assert_eq!((queue.lost(), queue.trouble(), times.len()), (0, None, 2));
    let received = server.received();
    assert_eq!(
        received[1].line,
        "POST /cgi-bin/webhook/send?key=s3cret HTTP/1.1"
    );
    let content = "**<font color=\"warning\">Rolled back</font>** shop/web\n\
                   ＜!channel＞ & ＊p99＊ ［a］(b)\n\
                   > split web, canary v1＜2, run 4, step 3 of 7, 12.5 %";
    let expected = json!({"msgtype": "markdown", "markdown": {"content": content}});
    assert_eq!(body(&received[1]), expected);
}

#[test]
fn the_longest_message_is_within_wecoms_limit() {
    let long = Message {
        text: "ü".repeat(5_000),
        ..message()
    };
    let body: Value = serde_json::from_slice(&wecom::body(&long.letter(&subject()))).unwrap();
    let content = body["markdown"]["content"].as_str().unwrap();
    assert!(
        (4_092..=4_096).contains(&content.len()),
        "{}",
        content.len()
    );
}

#[tokio::test]
async fn a_webhook_gets_a_signed_event() {
    let server = Server::that(&[answers(202, "", "")]).await;
    let (_folder, secret) = kept("s3cret");
    let webhook = json!({"webhook": {"url": server.url("events"), "signingSecretFile": secret}});
    sent(&receiver(webhook)).await;
    let received = server.received().remove(0);
    let expected = json!({
        "type": "rollout.rolledBack",
        "timestamp": "2026-11-21T22:00:00Z",
        "data": {
            "uid": "5f1c", "namespace": "shop", "rollout": "web", "split": "web", "challenger": "canary", "run": 4,
            "version": "v1<2", "step": 3, "steps": 7, "weight": 12.5, "message": "<!channel> & *p99* [a](b)",
        },
    });
    assert_eq!(body(&received), expected);
    assert_eq!(received.header("webhook-id"), Some("5f1c-4-rolledBack-1"));
    assert_eq!(received.header("webhook-timestamp"), Some("1795298400"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s3cret");
    let signed = format!("5f1c-4-rolledBack-1.1795298400.{}", received.body);
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    let signature = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, signature);
    let expected = format!("v1,{signature}");
    assert_eq!(
        received.header("webhook-signature"),
        Some(expected.as_str())
    );
}

#[tokio::test]
async fn what_may_be_mended_is_sent_again_under_the_same_key() {
    let ok = || answers(200, "", "");
    let cases = [
        ("an answer that is lost", Does::HangsUp, 5..=6),
        ("a server that hangs", Does::Waits, 5..=6),
        ("an error of the server", answers(500, "", ""), 5..=6),
        ("a bad gateway", answers(502, "", ""), 5..=6),
        ("too many, without a time", answers(429, "", ""), 5..=6),
        (
            "too many, with a time",
            answers(429, "retry-after: 90\r\n", ""),
            90..=90,
        ),
        (
            "too many, for ever",
            answers(429, "retry-after: 99999999\r\n", ""),
            3_600..=3_600,
        ),
        (
            "too many, with a date",
            answers(429, "retry-after: Sat, 21 Nov 2026 22:00:00 GMT\r\n", ""),
            5..=6,
        ),
    ];
    for (name, fails, pause) in cases {
        let server = Server::that(&[fails, ok()]).await;
        let receiver = receiver(json!({"webhook": {"url": server.url("events")}}));
        let (queue, times) = sent(&receiver).await;
        assert_eq!((queue.lost(), queue.trouble()), (0, None), "{name}");
        assert!(
            times.len() == 2 && pause.contains(&times[1]),
            "{name}: {times:?}"
        );
        let received = server.received();
        let ids: Vec<Option<&str>> = received
            .iter()
            .map(|one| one.header("webhook-id"))
            .collect();
        assert_eq!(ids, [Some("5f1c-4-rolledBack-1"); 2], "{name}");
        assert_eq!(received[0].body, received[1].body, "{name}");
    }
}

#[tokio::test]
async fn what_will_not_be_mended_is_sent_once() {
    let cases = [
        (answers(404, "", "no_service"), "answered 404: no_service"),
        (answers(400, "", "POST /s3cret is wrong"), "answered 400"),
        (
            answers(302, "location: http://127.0.0.1:1/\r\n", ""),
            "answered 302",
        ),
    ];
    for (does, why) in cases {
        let server = Server::that(&[does]).await;
        let (_folder, url) = kept(&server.url("s3cret"));
        let (queue, times) = sent(&receiver(json!({"slack": {"urlFile": url}}))).await;
        let said = format!("Slack (file {}): {why}", url.display());
        assert_eq!((queue.lost(), queue.trouble()), (1, Some(said.as_str())));
        assert_eq!((times.len(), server.received().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_receiver_that_is_never_there_is_given_up_and_shows_no_secret() {
    crate::tls::set_up();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_folder, url) = kept(&format!("http://ann:s3cret@{address}/s3cret?key=s3cret"));
    let refused = "cannot be reached: Connection refused (os error 111)";
    let own = json!({"webhook": {"url": format!("http://{address}/s3cret")}});
    for (written, who) in [
        (
            json!({"slack": {"urlFile": url}}),
            format!("Slack (file {})", url.display()),
        ),
        (
            json!({"weCom": {"urlFile": url}}),
            format!("WeCom (file {})", url.display()),
        ),
        (
            json!({"webhook": {"urlFile": url}}),
            format!("webhook (file {})", url.display()),
        ),
        (own, format!("webhook {address}")),
    ] {
        let receiver = receiver(written);
        let (queue, times) = sent(&receiver).await;
        assert_eq!(
            (queue.lost(), times.len()),
            (1, queue::MAX_ATTEMPTS as usize)
        );
        let trouble = queue.trouble().unwrap();
        let begin: String = format!("{who}: {refused}").chars().take(190).collect();
        assert!(trouble.starts_with(&begin), "{trouble}");
        let all = format!("{receiver:?} {receiver} {queue:?} {}", receiver.id());
        let all = all + &serde_json::to_string(&queue).unwrap();
        assert!(!all.contains("s3cret"), "{all}");
    }
}

#[test]
fn without_a_list_everything_but_steps_is_told() {
    let slack = json!({"secretRef": {"name": "slack"}});
    let quiet = receiver(json!({"slack": slack}));
    let loud = receiver(json!({"slack": slack, "on": ["stepped", "failed"]}));
    let told = [Event::Started, Event::Stepped, Event::Failed]
        .map(|event| (quiet.is_told(event), loud.is_told(event)));
    assert_eq!(told, [(true, false), (false, true), (true, true)]);
    assert_eq!(quiet.to_string(), "Slack (key url of Secret slack)");
    assert_eq!(quiet.id(), loud.id());
}

#[test]
fn every_mistake_is_said_with_what_is_accepted() {
    let (_, problems) = read_all(json!([
        {},
        {"slack": {}, "weCom": {}},
        {"slack": {}},
        {"slack": "https://hooks"},
        {"webhook": {"url": "https://a", "urlFile": "b"}},
        {"webhook": {"url": "a"}},
        {"webhook": {"signingSecretEnv": "S"}, "on": []},
        {"weCom": {"urlFile": "a", "secretRef": {"name": "b"}}, "on": ["lunch"]},
    ]));
    let events = "started, stepped, paused, resumed, blocked, waiting, rolledBack, aborted, superseded, succeeded, failed";
    let expected = [
        "notify[3].slack: a string (\"https://hooks\"); accepted: a map".to_owned(),
        "notify[5].webhook.url: another text; accepted: a URL such as https://ci.example.com/gate"
            .to_owned(),
        format!("notify[7].on[0]: a string (\"lunch\"); accepted: one of {events}"),
        "notify[0]: no receiver; accepted: slack, weCom or webhook".to_owned(),
        "notify[1]: several receivers; one of slack, weCom, webhook; write another item".to_owned(),
        "notify[2].slack: no URL; accepted: secretRef, urlFile or urlEnv".to_owned(),
        "notify[4].webhook: several URLs; one of url, secretRef, urlFile, urlEnv".to_owned(),
        "notify[6].on: an empty list; at least one event, or no such field".to_owned(),
        "notify[6].webhook: no URL; accepted: url, secretRef, urlFile or urlEnv".to_owned(),
        "notify[7].weCom.urlFile: given beside secretRef; one of secretRef, urlFile, urlEnv"
            .to_owned(),
    ];
    assert_eq!(problems, expected);
    let many = vec![json!({"slack": {"secretRef": {"name": "slack"}}}); 9];
    assert_eq!(read_all(json!(many)).1, ["notify: 9 items; at most 8"]);
}
