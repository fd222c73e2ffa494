//! The case files of filter/core/tests/cases: a configuration, requests, and what is decided.
//!
//! One specification, run by `decide()`, by `sluice explain` and by a real Envoy. A line of
//! decisions.txt begins with what Envoy's upstream can see of it, then two spaces, then the rest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sluice::operations::described::Described;
use sluice::operations::explain::is_open;
use sluice_core::config::Document;
use sluice_core::decide::{Reason, decide};
use sluice_core::plan::{Node, NodeKind, Plan};

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its folder's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: Value,
    /// The proxy that decides.
    pub node: CaseNode,
    /// Its requests.
    pub requests: Vec<CaseRequest>,
}

/// The proxy that decides, as in node.yaml.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseNode {
    /// Envoy's node id.
    pub id: String,
    /// Its namespace.
    pub namespace: Option<String>,
}

/// One request, as in requests.yaml.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRequest {
    /// What the request is there for.
    pub name: String,
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// The host.
    #[serde(default = "localhost")]
    pub host: String,
    /// The path.
    #[serde(default = "root")]
    pub path: String,
    /// Request headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JWT claims.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// The client's address.
    pub source: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

/// Every case, by name.
pub fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filter/core/tests/cases");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders.into_iter().map(|folder| read(&folder)).collect()
}

fn read(folder: &Path) -> Case {
    let yaml = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name))
            .unwrap_or_else(|error| panic!("{}/{name}: {error}", folder.display()));
        yaml_serde::from_str::<Value>(&text).unwrap()
    };
    let node = if folder.join("node.yaml").exists() {
        serde_json::from_value(yaml("node.yaml")).unwrap()
    } else {
        CaseNode {
            id: "test".to_owned(),
            namespace: None,
        }
    };
    Case {
        name: folder.file_name().unwrap().to_string_lossy().into_owned(),
        config: yaml("config.yaml"),
        requests: serde_json::from_value(yaml("requests.yaml")).unwrap(),
        node,
        folder: folder.to_owned(),
    }
}

impl Case {
    /// The plan of its configuration for its proxy.
    pub fn plan(&self) -> Plan {
        let node = Node {
            kind: NodeKind::of_node_id(self.node.id.as_bytes()),
            namespace: self.node.namespace.clone(),
        };
        Plan::build(
            &Document::from_value(self.config.clone()).unwrap(),
            &node,
            None,
        )
    }

    /// What is decided, as decisions.txt has it: problems first, then each request.
    pub fn decisions(&self) -> String {
        let plan = self.plan();
        let mut text: String = plan
            .problems()
            .iter()
            .map(|problem| format!("problem: {problem}\n"))
            .collect();
        for request in &self.requests {
            text += &format!("{}\n", request.name);
            for line in request.decisions(&plan) {
                text += &format!("  {line}\n");
            }
        }
        text
    }
}

impl CaseRequest {
    /// What is decided for it, one line a split and one for the cookie.
    pub fn decisions(&self, plan: &Plan) -> Vec<String> {
        let decisions = decide(plan, &self.described());
        let mut lines: Vec<String> = decisions
            .iter()
            .map(|decision| {
                let definition = &plan.split(decision.split).unwrap().definition;
                let value = match decision.variant {
                    _ if is_open(decision.reason) => "?",
                    Some(variant) => definition.variant_name(variant),
                    None => "-",
                };
                let mut rest = decision.reason.name().to_owned();
                if !matches!(decision.reason, Reason::OffPath | Reason::Broken) {
                    rest = format!("{} {rest}", decision.audience.name(definition));
                }
                if let (Some(place), Some(bucket)) = (decision.identity, decision.bucket()) {
                    let source = &definition.identity[usize::from(place)];
                    rest += &format!(
                        " {bucket} by {}",
                        [Some(source.kind()), source.name()]
                            .into_iter()
                            .flatten()
                            .collect::<Vec<_>>()
                            .join(" ")
                    );
                }
                format!("{}: {value}  {} {rest}", definition.header, definition.name)
            })
            .collect();
        lines.extend(
            decisions
                .issued
                .map(|_| format!("set-cookie: {}  issued", plan.cookie().name)),
        );
        lines
    }

    /// The request as the core takes it.
    pub fn described(&self) -> Described {
        let mut headers: BTreeMap<String, Vec<u8>> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect();
        headers.insert(":method".to_owned(), self.method.clone().into_bytes());
        Described {
            host: self.host.clone(),
            path: self.path.clone(),
            headers,
            claims: self.claims.clone(),
            source: Some(
                self.source
                    .clone()
                    .unwrap_or_else(|| "127.0.0.1".to_owned()),
            ),
        }
    }

    /// The request's bytes for a real Envoy that takes claims from a header and the address from
    /// X-Forwarded-For.
    pub fn bytes(&self) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}").into_bytes())
            .collect();
        if !self.claims.is_empty() {
            let claims: Vec<String> = self
                .claims
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            lines.push(format!("x-test-claims: {}", claims.join(",")).into_bytes());
        }
        let source = self.source.as_deref().unwrap_or("127.0.0.1");
        lines.push(format!("x-forwarded-for: {source}").into_bytes());
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        crate::client::request(&self.method, &self.path, &self.host, &lines)
    }
}
