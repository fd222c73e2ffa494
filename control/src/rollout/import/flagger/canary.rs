//! What a Canary is about: its Deployment, its Service, and the resources that it names.

use serde_json::{Map, Value, json};

use super::super::documents::Documents;
use super::super::fields::Fields;
use super::super::found::Known;
use super::super::length;
use super::super::notes::Notes;
use crate::model::input::Input;

/// The group of its kinds.
pub(crate) const GROUP: &str = "flagger.app";

/// The rule of an A/B test.
pub(super) const AB_TEST: &str = "ab-test";

/// What is known of a Canary where its parts are read.
pub(super) struct Canary<'i> {
    pub(super) documents: &'i Documents<'i>,
    pub(super) known: &'i Known,
    pub(super) name: String,
    pub(super) namespace: String,
    /// What it follows.
    pub(super) target: String,
    /// The Service of both versions.
    pub(super) service: String,
    /// The Ingress, where one is named.
    pub(super) ingress: String,
    pub(super) route: String,
    pub(super) metrics_server: Option<String>,
}

impl<'i> Canary<'i> {
    pub(super) fn new(
        documents: &'i Documents<'i>,
        input: &Input,
        known: &'i Known,
        spec: &mut Fields,
        notes: &mut Notes,
    ) -> Self {
        let name = input.name().unwrap_or("canary").to_owned();
        let mut reference = |field: &str| {
            let mut fields = spec.map(field, notes).unwrap_or_default();
            let name = fields.text("name", notes).unwrap_or_default();
            fields.take("kind");
            fields.take("apiVersion");
            fields.end(notes);
            name
        };
        let (ingress, route) = (reference("ingressRef"), reference("routeRef"));
        for (field, name) in [("ingressRef", &ingress), ("routeRef", &route)] {
            if !name.is_empty() {
                let why =
                    "requests are split by Istio's proxies; write routes with `sluice render`";
                notes.lost(&format!("spec.{field}"), why);
            }
        }
        Self {
            documents,
            known,
            namespace: input.namespace().unwrap_or("default").to_owned(),
            target: String::new(),
            service: name.clone(),
            name,
            ingress,
            route,
            metrics_server: spec.text("metricsServer", notes),
        }
    }

    /// The hosts that are routed; what else a Canary's service says belongs to routes and Services.
    pub(super) fn service(&mut self, spec: &mut Fields, notes: &mut Notes) -> Vec<String> {
        // The target first: the service is called as it is, where nothing else is said.
        match spec.map("targetRef", notes) {
            Some(target) => self.target(target, notes),
            None => notes.lost("spec.targetRef", "missing, so the Rollout has no workload"),
        }
        let mut service = spec.map("service", notes).unwrap_or_default();
        let named = service.text("name", notes);
        let target = Some(self.target.clone()).filter(|target| !target.is_empty());
        self.service = named.or(target).unwrap_or_else(|| self.name.clone());
        let mut hosts = vec![self.service.clone()];
        for host in service.list("hosts", notes) {
            match host.as_str() {
                Some(host) if host != "*" => hosts.push(host.to_owned()),
                _ => notes.lost(
                    &service.at("hosts"),
                    format!("{host:.80}; name the hosts in the split"),
                ),
            }
        }
        let gateways = service.list("gateways", notes);
        if gateways.iter().any(|gateway| gateway != "mesh") {
            notes.said(
                &service.at("gateways"),
                "a gateway's proxies split too, where the plugin selects them: `sluice render --gateway NAMESPACE/NAME`",
            );
        }
        service.all_lost(&OF_SERVICES, notes);
        service.end(notes);
        hosts
    }

    /// What it follows, where that is a Deployment.
    fn target(&mut self, mut target: Fields, notes: &mut Notes) {
        self.target = target.text("name", notes).unwrap_or_default();
        let kind = target.text("kind", notes);
        target.take("apiVersion");
        target.end(notes);
        if kind.as_deref() != Some("Deployment") {
            let kind = kind.unwrap_or_else(|| "missing".to_owned());
            let why = "a Rollout follows Deployments alone; it has no workload, and a run begins with another \
                       spec.version, which is yours to set at each release";
            notes.lost("spec.targetRef.kind", format!("{kind:.80}: {why}"));
            self.target.clear();
        }
    }

    pub(super) fn workload(
        &self,
        spec: &mut Fields,
        rollout: &mut Map<String, Value>,
        notes: &mut Notes,
    ) {
        let deadline = spec.whole("progressDeadlineSeconds", notes);
        if self.target.is_empty() {
            if deadline.is_some() {
                notes.lost("spec.progressDeadlineSeconds", "no workload is followed");
            }
            return;
        }
        let mut workload = json!({"deployment": self.target});
        #[expect(clippy::cast_precision_loss, reason = "seconds of a deadline")]
        let deadline = deadline.and_then(|seconds| length::of_seconds(seconds as f64));
        if let Some(deadline) = deadline.and_then(length::written) {
            workload["progressDeadline"] = json!(deadline);
        }
        rollout.insert("workload".to_owned(), workload);
    }

    /// The spec of a resource of Flagger's that the Canary names, and what it is called.
    pub(super) fn named(
        &mut self,
        kind: &str,
        name: &str,
        namespace: Option<&str>,
        notes: &mut Notes,
    ) -> Result<(String, Fields), String> {
        let wanted = namespace.unwrap_or(&self.namespace);
        let found = self.documents.find((GROUP, kind), name, Some(wanted));
        let Some((_, input)) = found else {
            return Err(format!(
                "{kind} {wanted:.80}/{name:.80} is not among the documents"
            ));
        };
        notes.name(input);
        let path = format!("{kind} {name}: spec");
        let spec = Fields::of(path, input.value.get("spec").cloned(), notes);
        Ok((format!("{wanted}/{name}"), spec))
    }
}

/// What a Canary's service says of routes, Services and pods, and who says it from now on.
const OF_SERVICES: [(&str, &str); 24] = [
    (
        "port",
        "the Service stays as it is: write it in Git, if Flagger made it",
    ),
    ("portName", "the Service's, as port"),
    ("targetPort", "the Service's, as port"),
    ("appProtocol", "the Service's, as port"),
    ("portDiscovery", "the Service's, as port"),
    ("trafficDistribution", "the Service's, as port"),
    (
        "headless",
        "the Service's; a headless Service has no routes",
    ),
    ("timeout", "keep it in the VirtualService, on every route"),
    ("backendTimeout", "keep it in the HTTPRoute, on every rule"),
    ("retries", "keep them in the VirtualService, on every route"),
    ("headers", "keep them in the VirtualService, on every route"),
    (
        "corsPolicy",
        "keep it in the VirtualService, on every route",
    ),
    ("rewrite", "keep it in the VirtualService, on every route"),
    (
        "match",
        "keep it in the VirtualService, on every route; a split that is for some paths only has `paths`",
    ),
    ("mirror", "keep it in the HTTPRoute"),
    (
        "delegation",
        "write the delegate VirtualService as `sluice render` does, without hosts",
    ),
    ("trafficPolicy", "keep it in the DestinationRule"),
    (
        "gatewayRefs",
        "write the HTTPRoute with `sluice render --gateway-api`",
    ),
    ("meshName", "it is App Mesh's"),
    ("backends", "they are App Mesh's"),
    (
        "apex",
        "labels and annotations of the Service: write them in Git",
    ),
    (
        "primary",
        "labels and annotations of NAME-primary, which goes",
    ),
    (
        "canary",
        "labels and annotations of NAME-canary, which goes",
    ),
    ("unmanagedMetadata", "Services are left alone"),
];
