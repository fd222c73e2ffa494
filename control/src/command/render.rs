//! `sluice render`: writes the resources of a split, in the order in which they are applied.

mod envoy;
mod native;

use std::path::{Path, PathBuf};

use sluice_core::plan::Node;

use super::outcome::Outcome;
use crate::command::output;
use crate::files;
use crate::model::plugin::Kind;
use crate::model::service::ServiceRef;
use crate::model::workload::VARIANT_LABEL;
use crate::operations::render::{self, Followed, Rendered, Request, Routing};

/// `sluice render`.
#[derive(clap::Args, Debug)]
pub(super) struct Render {
    /// The split whose routes are written
    #[arg(required_unless_present_any = ["native", "envoy"])]
    split: Option<String>,
    /// The configuration or, with --native and --envoy, the plugin: a file, a directory, or - for
    /// standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The module's image, as `sluice push` prints it
    #[arg(long, value_name = "oci://…", required_unless_present_any = ["native", "envoy"])]
    image: Option<String>,
    /// The image's digest, as `sluice push` prints it
    #[arg(long, value_name = "sha256:…", required_unless_present_any = ["native", "envoy"])]
    digest: Option<String>,
    /// The service that has the variants
    #[arg(
        long,
        value_name = "SERVICE.NAMESPACE",
        required_unless_present_any = ["native", "envoy"]
    )]
    service: Option<ServiceRef>,
    /// The plugin's namespace, that of the proxies [default: the gateway's, or the service's]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The service's Deployment: writes a Rollout that follows it, and which label its pods need
    #[arg(
        long,
        value_name = "DEPLOYMENT",
        conflicts_with_all = ["subset_label", "service_per_variant", "gateway_api"]
    )]
    workload: Option<String>,
    /// Which resources.
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    native: native::NativeArgs,
    #[command(flatten)]
    envoy: envoy::EnvoyArgs,
}

/// Which resources a split gets, beyond what every one needs.
#[derive(clap::Args, Clone, Debug)]
#[group(requires = "split")]
pub(super) struct ResourceArgs {
    /// The service's port; needed where it has several, and by --gateway-api
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// The pods' label whose value is the variant
    #[arg(long, default_value = "version", value_name = "LABEL")]
    subset_label: String,
    /// Where requests come in; without it, routes and plugin are for callers in the mesh
    #[arg(long, value_name = "NAMESPACE/NAME")]
    gateway: Option<String>,
    /// Route to a service for each variant, SERVICE-VARIANT, instead of subsets
    #[arg(long)]
    service_per_variant: bool,
    /// Write an HTTPRoute to a service for each variant instead of a VirtualService
    #[arg(long)]
    gateway_api: bool,
    /// Send the challenger a copy of this percentage of the fallback's requests, 0 to 100; nobody
    /// sees its answers to them
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0.0,
        hide_default_value = true,
        value_parser = percentage,
        conflicts_with = "gateway_api"
    )]
    mirror: f64,
    /// The plugin's kind
    #[arg(long, value_enum, default_value_t = PluginKind::WasmPlugin)]
    kind: PluginKind,
    /// The plugin's name [default: sluice, or with --gateway sluice-GATEWAY]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A label of the proxies that get the plugin; repeatable [default: every proxy of the
    /// namespace]
    #[arg(long, value_name = "LABEL=VALUE", value_parser = label)]
    selector: Vec<(String, String)>,
}

/// The kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PluginKind {
    /// Every Istio
    #[value(name = "WasmPlugin")]
    WasmPlugin,
    /// Istio 1.30 and newer
    #[value(name = "TrafficExtension")]
    TrafficExtension,
}

/// What every split's resources need.
pub(super) struct Needed<'a> {
    pub(super) split: &'a str,
    pub(super) image: &'a str,
    pub(super) digest: &'a str,
    pub(super) service: &'a ServiceRef,
    /// The plugin's namespace.
    pub(super) namespace: Option<&'a str>,
    /// The Deployment that a Rollout is to follow.
    pub(super) workload: Option<&'a str>,
}

pub(super) fn run(arguments: &Render) -> anyhow::Result<Outcome> {
    let Render {
        split: Some(split),
        image: Some(image),
        digest: Some(digest),
        service: Some(service),
        ..
    } = arguments
    else {
        let text = match arguments.envoy.envoy {
            true => envoy::text(&arguments.file, &arguments.envoy)?,
            false => native::text(&arguments.file, &arguments.native)?,
        };
        output::document(text.trim_end());
        return Ok(Outcome::Good);
    };
    let needed = Needed {
        split,
        image,
        digest,
        service,
        namespace: arguments.namespace.as_deref(),
        workload: arguments.workload.as_deref(),
    };
    let rendered = rendered(&arguments.file, &needed, &arguments.resources)?;
    output::document(text(&rendered)?.trim_end());
    Ok(Outcome::Good)
}

/// The resources of a split of a configuration; says where weights were left out, and
/// where it would move nobody.
pub(super) fn rendered(
    file: &Path,
    needed: &Needed<'_>,
    resources: &ResourceArgs,
) -> anyhow::Result<Rendered> {
    let plugin = files::plugin(file)?;
    let plan = plugin.plan(&Node::default())?;
    let rendered = render::render(&plugin, &plan, &resources.request(needed))?;
    if rendered.left_weights_out {
        say_weights_are_left_out();
    }
    if let Some(unserved) = &rendered.unserved {
        output::note(format!("warning: {unserved}"));
    }
    Ok(rendered)
}

pub(super) fn say_weights_are_left_out() {
    output::note(
        "note: weights and draws are left out: in Git they would undo an abort; `sluice set` writes them",
    );
}

impl ResourceArgs {
    fn request(&self, needed: &Needed<'_>) -> Request {
        let routing = match (self.gateway_api, self.service_per_variant) {
            (true, _) => Routing::HttpRoute,
            (false, true) => Routing::Services,
            (false, false) => Routing::Subsets,
        };
        let kind = match self.kind {
            PluginKind::WasmPlugin => Kind::WasmPlugin,
            PluginKind::TrafficExtension => Kind::TrafficExtension,
        };
        let subset_label = match needed.workload {
            Some(_) => VARIANT_LABEL.to_owned(),
            None => self.subset_label.clone(),
        };
        Request {
            split: needed.split.to_owned(),
            image: needed.image.to_owned(),
            digest: needed.digest.to_owned(),
            service: needed.service.clone(),
            port: self.port,
            subset_label,
            gateway: self.gateway.clone(),
            routing,
            kind,
            name: self.name.clone(),
            namespace: needed.namespace.map(str::to_owned),
            selector: self.selector.clone(),
            workload: needed.workload.map(str::to_owned),
            mirror: self.mirror,
        }
    }
}

/// The documents as one stream. Envoy may route to a subset before it has warmed it, when both come
/// in one push: measured, 1 to 5 of 1,290 requests at 300/s on six proxies were answered 503; none
/// with a pause between.
fn text(rendered: &Rendered) -> anyhow::Result<String> {
    if let Some(followed) = &rendered.followed {
        return text_around(followed, rendered);
    }
    let documents = rendered.documents.iter().map(output::yaml);
    let documents = documents.collect::<anyhow::Result<Vec<_>>>()?.join("---\n");
    let Some(subsets) = &rendered.subsets else {
        return Ok(documents);
    };
    Ok(format!(
        "{}---\n# Where the service has traffic already: apply what is above first, and this some seconds later (`sluice apply` does).\n{documents}",
        output::yaml(subsets)?
    ))
}

/// The same where a Rollout follows a Deployment: nobody may be routed to subsets before the copy
/// has the pods of one of them.
fn text_around(followed: &Followed, rendered: &Rendered) -> anyhow::Result<String> {
    let Followed {
        rollout,
        deployment,
        copy,
        challenger,
    } = followed;
    let (routes, plugins) = match rendered.documents.split_first() {
        Some((routes, plugins)) => (output::yaml(routes)?, plugins),
        None => (String::new(), &[][..]),
    };
    let first = rendered.subsets.iter().chain(plugins).chain([rollout]);
    let first = first
        .map(output::yaml)
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(format!(
        "# 1. In Git, give the pods of Deployment {deployment} this label, then apply what follows:\n\
         #    spec: {{template: {{metadata: {{labels: {{{VARIANT_LABEL}: {challenger}}}}}}}}}\n\
         {}---\n\
         # 2. Once Deployment {copy}, which the Rollout makes, has all its pods ready, apply this, and take\n\
         #    spec.replicas of Deployment {deployment} out of Git: the Rollout scales it.\n\
         {routes}",
        first.join("---\n"),
    ))
}

fn percentage(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok();
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "not a percentage; accepted: 0 to 100".to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write LABEL=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_a_number_from_0_to_100() {
        for (text, expected) in [("0", 0.0), ("10", 10.0), ("0.5", 0.5), ("100", 100.0)] {
            assert_eq!(percentage(text), Ok(expected), "{text}");
        }
        for text in ["-1", "100.1", "140", "NaN", "inf", "10 %", ""] {
            let refused = Err("not a percentage; accepted: 0 to 100".to_owned());
            assert_eq!(percentage(text), refused, "{text}");
        }
    }
}
