//! Istio's routes and subsets (networking.istio.io/v1), as far as a split needs them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Spec;

/// Routes by host.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct VirtualService {
    /// For which hosts; short names are services of its own namespace.
    pub hosts: Vec<String>,
    /// At which gateways, `NAMESPACE/NAME`; none, or `mesh`: for callers in the mesh.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<String>,
    /// Routes of HTTP requests; the first that matches is taken.
    pub http: Vec<HttpRoute>,
    /// Routes of TCP, which Sluice does not split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Value>,
    /// Routes of TLS that is passed through, which Sluice does not split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Value>,
}

impl Spec for VirtualService {
    const API_VERSION: &str = "networking.istio.io/v1";
    const KIND: &str = "VirtualService";
}

/// Which requests go where.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct HttpRoute {
    /// Its name, in access logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Alternatives; none: every request.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<HttpMatch>,
    /// Where they go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<RouteDestination>,
    /// Everything else that the route does.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// One alternative: everything in it must match.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatch {
    /// Its name, in access logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Header → what it must be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, StringMatch>,
    /// Query parameter → what it must be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query_params: BTreeMap<String, StringMatch>,
    /// Header → what it must not be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub without_headers: BTreeMap<String, StringMatch>,
    /// Everything else that it asks for.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// What a text must be; empty: it must be there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct StringMatch {
    /// The whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// An expression for the whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Other ways to match.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl StringMatch {
    /// Whether it only asks for presence.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A destination and its part of the requests.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RouteDestination {
    /// The service.
    pub destination: Destination,
    /// Its part of the sum of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// A service or a subset of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Destination {
    /// The service; a short name is one of the resource's own namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A subset that a DestinationRule defines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
    /// The port, where the service has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
}

/// A port by its number.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Port {
    /// The number.
    pub number: u16,
}

/// Subsets of a service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DestinationRule {
    /// The service; a short name is one of its own namespace.
    pub host: String,
    /// Its subsets.
    pub subsets: Vec<Subset>,
}

impl Spec for DestinationRule {
    const API_VERSION: &str = "networking.istio.io/v1";
    const KIND: &str = "DestinationRule";
}

/// Where a gateway takes requests.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Gateway {
    /// The pods that do it.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub servers: Vec<Server>,
}

impl Spec for Gateway {
    const API_VERSION: &str = "networking.istio.io/v1";
    const KIND: &str = "Gateway";
}

/// A port of a gateway.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Server {
    /// The port.
    pub port: ServerPort,
    /// For which hosts, `NAMESPACE/HOST` where the routes' namespace matters.
    pub hosts: Vec<String>,
    /// What it does about TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServerTls>,
}

/// A gateway's port by its protocol.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ServerPort {
    /// `HTTP`, `HTTPS` and so on.
    pub protocol: String,
}

/// What a gateway's port does about TLS.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerTls {
    /// Whether requests without TLS are sent to the same URL with it.
    pub https_redirect: bool,
}

/// The pods of a service with some labels.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Subset {
    /// How destinations name it.
    pub name: String,
    /// The labels; Istio takes texts, and what else stands there is Istio's to refuse.
    pub labels: BTreeMap<String, Value>,
}
