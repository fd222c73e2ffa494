//! The routes of a split: a VirtualService with its subsets, or an HTTPRoute.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sluice_core::index::VariantIndex;

use super::{Rendering, Routing};
use crate::model::resources::gateway::{self, BackendRef, HeaderMatch, ParentRef, Rule};
use crate::model::resources::istio::{
    Destination, DestinationRule, HttpMatch, HttpRoute, Port, RouteDestination, StringMatch,
    Subset, VirtualService,
};
use crate::model::resources::{Resource, Spec};

impl Rendering<'_> {
    pub(super) fn destination_rule(&self) -> Resource<DestinationRule> {
        let subset = |variant: &str| Subset {
            name: variant.to_owned(),
            labels: BTreeMap::from([(self.request.subset_label.clone(), variant.into())]),
        };
        let service = &self.request.service;
        let variants = self.split.variants.iter();
        let spec = DestinationRule {
            host: service.host(),
            subsets: variants.map(|variant| subset(variant)).collect(),
        };
        Resource::new(&service.namespace, &self.routes_name(), spec)
    }

    pub(super) fn virtual_service(&self) -> Resource<VirtualService> {
        let mut http: Vec<HttpRoute> = self
            .split
            .challengers()
            .iter()
            .map(|variant| self.istio_route(variant, vec![self.istio_match(variant)]))
            .collect();
        let mut fallback = self.istio_route(self.fallback(), Vec::new());
        fallback.others = self.mirrored();
        http.push(fallback);
        let gateways = self
            .gateway
            .iter()
            .map(|gateway| format!("{}/{}", gateway.namespace, gateway.name));
        self.routes(VirtualService {
            hosts: self.route_hosts(),
            gateways: gateways.collect(),
            http,
            ..VirtualService::default()
        })
    }

    fn istio_match(&self, variant: &str) -> HttpMatch {
        let exact = StringMatch {
            exact: Some(variant.to_owned()),
            ..StringMatch::default()
        };
        HttpMatch {
            headers: BTreeMap::from([(self.split.header.to_string(), exact)]),
            ..HttpMatch::default()
        }
    }

    fn istio_route(&self, variant: &str, matches: Vec<HttpMatch>) -> HttpRoute {
        let destination = self.destination(variant);
        HttpRoute {
            name: Some(variant.to_owned()),
            matches,
            route: vec![RouteDestination {
                destination,
                weight: None,
            }],
            others: Map::new(),
        }
    }

    fn destination(&self, variant: &str) -> Destination {
        let service = &self.request.service;
        let (host, subset) = match self.request.routing {
            Routing::Subsets => (service.host(), Some(variant.to_owned())),
            _ => (service.of_variant(variant).host(), None),
        };
        Destination {
            host: Some(host),
            subset,
            port: self.request.port.map(|number| Port { number }),
        }
    }

    /// What has the challenger get copies of the fallback's requests, if it is to.
    fn mirrored(&self) -> Map<String, Value> {
        let percent = self.request.mirror;
        let challenger = self.split.challengers().first();
        let Some(challenger) = challenger.filter(|_| percent > 0.0) else {
            return Map::new();
        };
        let destination = json!(self.destination(challenger));
        let percentage = json!({"value": percent});
        Map::from_iter([
            ("mirror".to_owned(), destination),
            ("mirrorPercentage".to_owned(), percentage),
        ])
    }

    pub(super) fn http_route(&self) -> Resource<gateway::HttpRoute> {
        let mut rules: Vec<Rule> = self
            .split
            .challengers()
            .iter()
            .map(|variant| self.gateway_rule(variant, vec![self.gateway_match(variant)]))
            .collect();
        rules.push(self.gateway_rule(self.fallback(), Vec::new()));
        let hostnames = match self.gateway {
            Some(_) => self.route_hosts(),
            None => Vec::new(),
        };
        self.routes(gateway::HttpRoute {
            parent_refs: vec![self.parent()],
            hostnames,
            rules,
        })
    }

    fn parent(&self) -> ParentRef {
        match &self.gateway {
            Some(gateway) => ParentRef {
                group: gateway::GROUP.to_owned(),
                kind: "Gateway".to_owned(),
                name: gateway.name.to_owned(),
                namespace: Some(gateway.namespace.to_owned()),
                ..ParentRef::default()
            },
            None => ParentRef {
                kind: "Service".to_owned(),
                name: self.request.service.name.clone(),
                port: self.request.port,
                ..ParentRef::default()
            },
        }
    }

    fn gateway_match(&self, variant: &str) -> gateway::Match {
        let header = HeaderMatch {
            name: self.split.header.to_string(),
            value: Some(variant.to_owned()),
            kind: None,
        };
        gateway::Match {
            headers: vec![header],
            ..gateway::Match::default()
        }
    }

    fn gateway_rule(&self, variant: &str, matches: Vec<gateway::Match>) -> Rule {
        let backend = BackendRef {
            name: self.request.service.of_variant(variant).name,
            port: self.request.port,
            ..BackendRef::default()
        };
        Rule {
            matches,
            backend_refs: vec![backend],
        }
    }

    fn routes<S: Spec>(&self, spec: S) -> Resource<S> {
        Resource::new(&self.request.service.namespace, &self.routes_name(), spec)
    }

    /// At a gateway, the split's own hosts; in the mesh, the service.
    fn route_hosts(&self) -> Vec<String> {
        match self.gateway {
            Some(_) => self.hosts.clone(),
            None => vec![self.request.service.host()],
        }
    }

    pub(super) fn fallback(&self) -> &str {
        self.split.variant_name(VariantIndex::FALLBACK)
    }
}
