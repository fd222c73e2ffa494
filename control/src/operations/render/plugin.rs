//! The plugin: which module, in which proxies, with the configuration.

use serde_json::Value;

use super::{Rendering, Routing};
use crate::model::resources::gateway;
use crate::model::resources::plugin::{
    Module, PluginSpec, Scope, Selector, TargetRef, TrafficSelector,
};

impl Rendering<'_> {
    pub(super) fn plugin(&self, config: Value) -> serde_json::Result<Value> {
        let module = Module {
            url: Some(self.request.image.clone()),
            sha256: Some(self.sha256.to_owned()),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            // Every other strategy answers 403 to everything where the module cannot be fetched.
            fail_strategy: Some("FAIL_OPEN".to_owned()),
            plugin_config: Some(config),
        };
        let scope = self.scope();
        let spec = PluginSpec { scope, module };
        spec.to_document(self.request.kind, self.namespace(), &self.plugin_name())
    }

    /// The plugin's namespace.
    pub(super) fn namespace(&self) -> &str {
        let gateway = self.gateway.as_ref().map(|gateway| gateway.namespace);
        let named = self.request.namespace.as_deref().or(gateway);
        named.unwrap_or(&self.request.service.namespace)
    }

    /// Where the route is chosen: on the caller's side, and on gateways, which count as callers.
    fn scope(&self) -> Scope {
        let phase = if self.asks_for_claims {
            "AUTHZ"
        } else {
            "AUTHN"
        };
        let mut scope = Scope {
            matches: vec![TrafficSelector {
                mode: Some("CLIENT".to_owned()),
            }],
            phase: Some(phase.to_owned()),
            ..Scope::default()
        };
        let selector = &self.request.selector;
        match &self.gateway {
            _ if !selector.is_empty() => {
                let match_labels = selector.iter().cloned().collect();
                scope.selector = Some(Selector { match_labels });
            }
            Some(named) if self.request.routing == Routing::HttpRoute => {
                scope.target_refs.push(TargetRef {
                    group: Some(gateway::GROUP.to_owned()),
                    kind: Some("Gateway".to_owned()),
                    name: Some(named.name.to_owned()),
                    namespace: None,
                });
            }
            _ => {}
        }
        scope
    }
}
