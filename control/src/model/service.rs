//! A Kubernetes service and its names: how people, routes and plugins name it.
//!
//! By which names a caller may use it is the filter's to say ([`sluice_core::hosts`]). Called by
//! the analysis, the import and the rendering.

use std::fmt;
use std::str::FromStr;

/// What the full name of every service ends with.
const CLUSTER: &str = ".svc.cluster.local";

/// A service, `web.shop`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    /// `web`.
    pub name: String,
    /// `shop`.
    pub namespace: String,
}

impl ServiceRef {
    /// The service that a host stands for in a route of a namespace: its full name, or `web` alone.
    /// `None` for any other host.
    pub fn of_host(host: &str, namespace: &str) -> Option<Self> {
        match host.strip_suffix(CLUSTER) {
            Some(short) => short.parse().ok(),
            None if host.contains(['.', '*']) => None,
            None => Some(Self {
                name: host.to_owned(),
                namespace: namespace.to_owned(),
            }),
        }
    }

    /// The full name, `web.shop.svc.cluster.local`.
    pub fn host(&self) -> String {
        format!("{self}{CLUSTER}")
    }

    /// The service of the same namespace that has only the pods of a variant.
    pub fn of_variant(&self, variant: &str) -> Self {
        Self {
            name: format!("{}-{variant}", self.name),
            namespace: self.namespace.clone(),
        }
    }
}

/// As in the configuration, `web.shop`.
impl fmt::Display for ServiceRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.name, self.namespace)
    }
}

impl FromStr for ServiceRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let short = text
            .strip_suffix(CLUSTER)
            .or_else(|| text.strip_suffix(".svc"))
            .unwrap_or(text);
        match short.split_once('.') {
            Some((name, namespace))
                if !name.is_empty() && !namespace.is_empty() && !namespace.contains('.') =>
            {
                Ok(Self {
                    name: name.to_owned(),
                    namespace: namespace.to_owned(),
                })
            }
            _ => Err("write SERVICE.NAMESPACE, such as web.shop".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> ServiceRef {
        ServiceRef {
            name: "web".to_owned(),
            namespace: "shop".to_owned(),
        }
    }

    #[test]
    fn a_service_is_named_by_any_of_its_names() {
        for name in ["web.shop", "web.shop.svc", "web.shop.svc.cluster.local"] {
            assert_eq!(name.parse(), Ok(web()));
        }
        for name in ["web", "web.", "web.shop.example.com"] {
            assert_eq!(
                name.parse::<ServiceRef>(),
                Err("write SERVICE.NAMESPACE, such as web.shop".to_owned())
            );
        }
    }

    #[test]
    fn a_route_names_a_service_by_its_full_name_or_its_name_alone() {
        let cases = [
            ("web", Some(web())),
            ("web.shop.svc.cluster.local", Some(web())),
            ("web.shop", None),
            ("shop.example.com", None),
            ("*", None),
            ("*.shop.svc.cluster.local.example.com", None),
        ];
        for (host, expected) in cases {
            assert_eq!(ServiceRef::of_host(host, "shop"), expected, "{host}");
        }
    }

    #[test]
    fn the_full_name_is_one_by_which_the_filter_knows_the_service() {
        let names = sluice_core::hosts::service_names(&web().to_string(), None).unwrap();
        assert!(names.iter().any(|name| name.to_string() == web().host()));
    }
}
