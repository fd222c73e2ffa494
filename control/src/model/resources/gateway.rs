//! The Gateway API's Gateway and HTTPRoute (gateway.networking.k8s.io/v1), as far as a split's
//! routes need them.
//!
//! The `gateway-api` crate has it whole, but its newest version wants another version of `kube`
//! than we use.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Spec;

/// The group of the Gateway API's kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// The label that Istio gives the pods of a Gateway (waypoints too).
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Routes of a Gateway or, in a mesh, of a Service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    /// What it is a route of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentRef>,
    /// Its hosts; none: those of the parent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The most specific one that matches is taken.
    pub rules: Vec<Rule>,
}

impl Spec for HttpRoute {
    const API_VERSION: &str = "gateway.networking.k8s.io/v1";
    const KIND: &str = "HTTPRoute";
}

/// Where requests come in.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Who makes it: Istio's classes are `istio` and, for waypoints, `istio-waypoint`.
    pub gateway_class_name: String,
    /// Its ports.
    pub listeners: Vec<Listener>,
}

impl Spec for Gateway {
    const API_VERSION: &str = "gateway.networking.k8s.io/v1";
    const KIND: &str = "Gateway";
}

/// A port of a Gateway.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Listener {
    /// Its name, by which routes may ask for it.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// For which host; none: every host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `HTTP`, `HTTPS` and so on.
    pub protocol: String,
}

/// A Gateway or a Service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ParentRef {
    /// The kind's API group; empty for a Service.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; none: the route's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The listener of a Gateway; none: every one.
    #[serde(rename = "sectionName", skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// The port; none: every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl ParentRef {
    /// Whether it is a Gateway, which is the default, and no Service.
    pub fn is_gateway(&self) -> bool {
        ["", "Gateway"].contains(&self.kind.as_str())
    }
}

/// Which requests go where.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Alternatives; none: every request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    /// Where they go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendRef>,
}

/// One alternative.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Match {
    /// Every one must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// Everything else that it asks for; where it says nothing, the API server fills in the path `/`.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// What a header must be.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct HeaderMatch {
    /// The header.
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `Exact`, which is the default, or `RegularExpression`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl HeaderMatch {
    /// The value that is matched exactly; `None` for an expression, and where there is none.
    pub fn exact(&self) -> Option<&str> {
        let is_exact = self.kind.as_deref().is_none_or(|kind| kind == "Exact");
        self.value.as_deref().filter(|_| is_exact)
    }
}

/// A Service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct BackendRef {
    /// Its name.
    pub name: String,
    /// Its kind; none: a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its namespace; none: the route's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its part of the sum of the weights; none: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}
