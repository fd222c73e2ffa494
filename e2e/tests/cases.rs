//! The case files through `decide()`, through `sluice explain`, and through a real Envoy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "Clippy sees the tests, but not the functions they share"
)]

use serde_json::Value;
use sluice_e2e::adapter::Adapter;
use sluice_e2e::cases::{self, Case};
use sluice_e2e::mesh::{Mesh, Options, claims_from_header, sluice};

fn expected(case: &Case) -> String {
    std::fs::read_to_string(case.folder.join("decisions.txt")).unwrap_or_default()
}

/// What a request's block in decisions.txt says, without its indentation.
fn expected_lines(case: &Case, request: &str) -> Vec<String> {
    let text = expected(case);
    let block = text
        .lines()
        .skip_while(|line| *line != request)
        .skip(1)
        .take_while(|line| line.starts_with("  "));
    block.map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn decide_answers_as_the_case_files_say() {
    for case in cases::all() {
        let decisions = case.decisions();
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(case.folder.join("decisions.txt"), &decisions).unwrap();
        }
        assert_eq!(
            decisions,
            expected(&case),
            "{}; `make golden` rewrites",
            case.name
        );
    }
}

#[test]
fn sluice_explain_answers_as_the_case_files_say() {
    for case in cases::all() {
        for request in &case.requests {
            let mut command = std::process::Command::new(sluice());
            command
                .arg("explain")
                .arg("-f")
                .arg(case.folder.join("config.yaml"))
                .args(["-o", "json"]);
            command.args([
                "--host",
                &request.host,
                "--path",
                &request.path,
                "--method",
                &request.method,
            ]);
            command.args(["--source", request.source.as_deref().unwrap_or("127.0.0.1")]);
            let kind = case
                .node
                .id
                .split('~')
                .next()
                .filter(|kind| ["sidecar", "waypoint"].contains(kind))
                .unwrap_or("gateway");
            command.args(["--proxy", kind]);
            if let Some(namespace) = &case.node.namespace {
                command.args(["--proxy-namespace", namespace]);
            }
            for (name, value) in &request.headers {
                command.args(["--header", &format!("{name}: {value}")]);
            }
            for (name, value) in &request.claims {
                command.args(["--claim", &format!("{name}={value}")]);
            }
            let output = command.output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{}: {}",
                case.name,
                String::from_utf8_lossy(&output.stderr)
            );
            let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(
                lines(&explained),
                expected_lines(&case, &request.name),
                "{}: {}",
                case.name,
                request.name
            );
        }
    }
}

/// `sluice explain -o json` in the words of decisions.txt.
fn lines(explained: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut lines = Vec::new();
    for split in explained["splits"].as_array().unwrap() {
        let reason = split["reason"].as_str().unwrap();
        let variant = match (text(&split["variant"]), reason) {
            (Some(variant), _) => variant,
            (None, "issued" | "perRequest") => "?".to_owned(),
            (None, _) => "-".to_owned(),
        };
        let mut words = vec![text(&split["split"]).unwrap()];
        words.extend(text(&split["audience"]));
        words.push(reason.to_owned());
        if let Some(bucket) = split["bucket"].as_u64() {
            words.extend([bucket.to_string(), "by".to_owned()]);
            words.extend(text(&split["identity"]["source"]));
            words.extend(text(&split["identity"]["name"]));
        }
        lines.push(format!(
            "{}: {variant}  {}",
            split["header"].as_str().unwrap(),
            words.join(" ")
        ));
    }
    lines.extend(text(&explained["setCookie"]).map(|name| format!("set-cookie: {name}  issued")));
    lines
}

async fn a_real_envoy_answers_as_the_case_files_say(adapter: Adapter) {
    for case in cases::all() {
        let options = Options {
            node_id: case.node.id.clone(),
            namespace: case.node.namespace.clone(),
            filters_before: vec![claims_from_header()],
            trusted_hops: 1,
            ..Options::on(adapter)
        };
        // Everything goes to the default upstream, which answers with the headers it received.
        let mesh = Mesh::start_with(
            &sluice_core::revision::canonical(&case.config),
            &Value::Null,
            options,
        )
        .await;
        for request in &case.requests {
            let answer = mesh.send(&request.bytes()).await;
            assert_eq!(answer.status, 200, "{}: {}", case.name, request.name);
            let plan = case.plan();
            for line in expected_lines(&case, &request.name) {
                let visible = line.split("  ").next().unwrap();
                let (header, value) = visible.split_once(": ").unwrap();
                let seen = if header == "set-cookie" {
                    vec![answer.set_cookie().unwrap_or_default()]
                } else {
                    answer.received(header)
                };
                let seen = match seen.as_slice() {
                    [] => "-",
                    [cookie] if header == "set-cookie" => cookie.split('=').next().unwrap(),
                    [one] => one,
                    _ => panic!(
                        "{}: {}: {header} occurs {} times",
                        case.name,
                        request.name,
                        seen.len()
                    ),
                };
                let is_variant = plan
                    .splits()
                    .iter()
                    .any(|split| split.definition.variant(seen.as_bytes()).is_some());
                let agrees = if value == "?" {
                    is_variant
                } else {
                    seen == value
                };
                assert!(
                    agrees,
                    "{}: {}: {header} is {seen}, expected {value}",
                    case.name, request.name
                );
            }
            let is_issued = expected_lines(&case, &request.name)
                .iter()
                .any(|line| line.starts_with("set-cookie"));
            assert_eq!(
                answer.header("set-cookie").is_some(),
                is_issued,
                "{}: {}",
                case.name,
                request.name
            );
        }
    }
}

sluice_e2e::over_both_adapters![a_real_envoy_answers_as_the_case_files_say,];
