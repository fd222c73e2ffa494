//! The EnvoyFilter of a plugin as `sluice render --native` writes it, and what pods need for it.
//!
//! Pure. In a cluster the store and the controller write it, with the plugin as its owner.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::input::Input;
use crate::model::native::annotations::{Library, wanted};
use crate::model::native::envoy_filter::{NativePlugin, POD_LABEL, envoy_filter, mirror_name};
use crate::model::native::refusal::NativeError;
use crate::model::plugin::{Kind, Plugin};
use crate::model::resources::plugin::Scope;

/// A plugin for native proxies.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedNative {
    /// The EnvoyFilter.
    pub document: Value,
    /// What pods and the plugin need, in lines for people.
    pub needs: Vec<String>,
}

/// The EnvoyFilter of a plugin that was read of these documents, with its weights; `library`: where
/// the module is, else what the plugin's annotations say.
///
/// # Errors
/// What of the plugin native proxies cannot have, or what it is not.
pub fn native(
    plugin: &Plugin,
    documents: &[Input],
    library: Option<Library>,
) -> Result<RenderedNative, NativeError> {
    let lacks = |found| NativeError::NoPlugin {
        source_name: plugin.source.clone(),
        found,
    };
    if plugin.kind == Kind::Bare {
        return Err(lacks("a bare configuration"));
    }
    let name = plugin.name.as_deref().ok_or_else(|| lacks("no name"))?;
    let namespace = plugin
        .namespace
        .as_deref()
        .ok_or_else(|| lacks("no namespace"))?;
    let is_of = |input: &&Input| {
        input.kind() == Some(plugin.kind.name())
            && (input.name(), input.namespace()) == (Some(name), Some(namespace))
    };
    // The weights' document says no more than weights.
    let document = documents
        .iter()
        .find(is_of)
        .map_or(&Value::Null, |input| &input.value);
    let library = match library {
        Some(library) => library,
        None => wanted(&annotations(document))?.unwrap_or_default(),
    };
    let subject = NativePlugin {
        kind: plugin.kind,
        namespace,
        name,
        scope: Scope::read(document).map_err(|error| NativeError::Field(error.to_string()))?,
        config: &plugin.config,
        pushed: None,
    };
    let document = envoy_filter(&subject, &library)?;
    Ok(RenderedNative {
        needs: needs(&subject, &library),
        document,
    })
}

fn annotations(document: &Value) -> BTreeMap<String, String> {
    let fields = document
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    let texts = fields.into_iter().flatten();
    let texts = texts.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    texts.collect()
}

fn needs(plugin: &NativePlugin<'_>, library: &Library) -> Vec<String> {
    let NativePlugin {
        name, namespace, ..
    } = plugin;
    let kind = plugin.kind.name();
    let mirror = mirror_name(name);
    let annotations = library.annotations().into_iter();
    let annotations = annotations.map(|(name, value)| format!("'{name}={value}'"));
    let annotations: Vec<String> = annotations.collect();
    let mut lines = vec![
        format!(
            "{kind} {namespace}/{name} for proxies that run the native module (Istio 1.31 or newer; experimental)."
        ),
        format!(
            "It has the weights of now: keep it out of Git, where it would undo an abort. {mirror} is written"
        ),
        "by `sluice controller --native`, or by `sluice set` of who may, once the plugin says so:"
            .to_owned(),
        format!(
            "  kubectl annotate {} {name} -n {namespace} \\",
            kind.to_lowercase()
        ),
        format!("    {}", annotations.join(" \\\n    ")),
    ];
    if plugin.scope.targets().is_empty() {
        lines.push(format!(
            "Pods that are to run it need the label {POD_LABEL}: \"true\", and:"
        ));
    } else {
        lines.push("Pods of its targets run it, and need:".to_owned());
    }
    lines.extend(match library {
        Library::File(path) => {
            let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
            vec![
                format!("the file {path} in the proxy's container; a sidecar's by a volume of its pod's annotations:"),
                "  sidecar.istio.io/userVolume: '{\"sluice\": {\"hostPath\": {\"path\": \"/…\"}}}'".to_owned(),
                format!("  sidecar.istio.io/userVolumeMount: '{{\"sluice\": {{\"mountPath\": \"{folder}\", \"readOnly\": true}}}}'"),
                "A proxy that starts without the file passes traffic without splits; one that runs keeps what it has.\n\
                 Either refuses other changes of its listeners until it has it. See docs/native.md.".to_owned(),
            ]
        }
        Library::Fetched { .. } => vec![
            "a temporary folder that the proxy can write:".to_owned(),
            "  proxy.istio.io/config: '{\"proxyMetadata\": {\"TMPDIR\": \"/var/lib/istio/data\"}}'".to_owned(),
            "A proxy fetches the module at the first push and loads it at the next one (`sluice refetch`);".to_owned(),
            "until then it serves without splits.".to_owned(),
        ],
    });
    lines
}
