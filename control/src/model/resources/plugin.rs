//! Istio's resources for a proxy-wasm module, WasmPlugin and TrafficExtension
//! (extensions.istio.io/v1alpha1).
//!
//! They say the same: which proxies, and which module. A TrafficExtension has the module's part
//! under `wasm`. What the configuration itself says is [`crate::model::plugin`]'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FieldError, part};
use crate::model::plugin::{API_VERSION, Kind, merge};

/// Which module runs in which proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginSpec {
    /// Where it runs.
    pub scope: Scope,
    /// What runs.
    pub module: Module,
}

/// Which proxies run a plugin, and where among their filters.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scope {
    /// The pods; none, and no targets: every proxy of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Gateways and services instead of pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<TargetRef>,
    /// The one target, in the field that Istio had before `targetRefs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
    /// Behind which of Istio's own filters: `AUTHN`, `AUTHZ`, `STATS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The order within the phase, highest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// For which traffic; none: all of it.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<TrafficSelector>,
}

impl Scope {
    /// The scope of a WasmPlugin or a TrafficExtension.
    ///
    /// # Errors
    /// The first field that has another type.
    pub fn read(document: &Value) -> Result<Self, FieldError> {
        part(document, "spec")
    }

    /// What it names as its targets, in either field.
    pub fn targets(&self) -> Vec<&TargetRef> {
        self.target_refs.iter().chain(&self.target_ref).collect()
    }

    /// The labels of the pods.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        let labels = self
            .selector
            .iter()
            .flat_map(|selector| &selector.match_labels);
        labels
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}

/// Pods by their labels.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Every one of them.
    pub match_labels: BTreeMap<String, String>,
}

/// A gateway, a class of them, or a service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct TargetRef {
    /// The kind's API group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace; none: the plugin's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Traffic of one direction.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct TrafficSelector {
    /// `CLIENT`, `SERVER` or, the default, `CLIENT_AND_SERVER`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// A module, how it is fetched, and its configuration.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Module {
    /// `oci://…`, `http://…` or `file://…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `IfNotPresent` or `Always`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// What happens where the module cannot be fetched or fails; the default is `FAIL_CLOSE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_strategy: Option<String>,
    /// The filter's configuration, read by the filter's own reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_config: Option<Value>,
}

impl PluginSpec {
    /// The `spec` of a resource of a kind; a bare configuration has none.
    ///
    /// # Errors
    /// The first field that has another type.
    pub fn read(kind: Kind, document: &Value) -> Result<Self, FieldError> {
        let module = match kind {
            Kind::TrafficExtension => {
                let spec = document.get("spec").unwrap_or(&Value::Null);
                part(spec, "wasm").map_err(|error| FieldError {
                    path: format!("spec.{}", error.path),
                    ..error
                })?
            }
            _ => part(document, "spec")?,
        };
        Ok(Self {
            scope: Scope::read(document)?,
            module,
        })
    }

    /// The resource of a kind to apply; a bare configuration is none and becomes a WasmPlugin.
    ///
    /// # Errors
    /// When a value has no counterpart in JSON.
    pub fn to_document(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> serde_json::Result<Value> {
        let kind = match kind {
            Kind::Bare => Kind::WasmPlugin,
            kind => kind,
        };
        let mut spec = serde_json::to_value(&self.scope)?;
        let module = serde_json::to_value(&self.module)?;
        match kind {
            Kind::TrafficExtension => spec["wasm"] = module,
            _ => merge(&mut spec, module),
        }
        Ok(json!({
            "apiVersion": API_VERSION, "kind": kind.name(),
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        }))
    }
}
