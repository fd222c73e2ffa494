//! What the rendered resources are called.
//!
//! A service may be split for callers in the mesh and at several gateways, each rendered by itself.
//! What is written for one of them must neither replace what was written for another nor, when its
//! file is given to `kubectl delete -f`, take that along. So all that belongs to a gateway has the
//! gateway in its name. (Istio adds up the subsets of a service's DestinationRules, so that two of
//! them may say the same.)

use super::{Gateway, Rendering};

/// What plugins are called.
const PLUGIN: &str = "sluice";

impl Rendering<'_> {
    /// The name of routes and subsets. At a gateway, two splits of one service may have hosts of
    /// their own, so it begins with the split; and the dots, which are in the name of no split, no
    /// service and no namespace, keep any two names apart. In the mesh it is the service's: there
    /// Istio takes one VirtualService for a service and no second one.
    pub(super) fn routes_name(&self) -> String {
        match &self.gateway {
            Some(Gateway { namespace, name }) => {
                format!("{}.{namespace}.{name}", self.request.split)
            }
            None => self.request.service.name.clone(),
        }
    }

    /// The plugin's name: one that was asked for, or else one that a gateway does not share with
    /// other proxies of its namespace.
    pub(super) fn plugin_name(&self) -> String {
        match (&self.request.name, &self.gateway) {
            (Some(name), _) => name.clone(),
            (None, Some(gateway)) => format!("{PLUGIN}-{}", gateway.name),
            (None, None) => PLUGIN.to_owned(),
        }
    }
}
