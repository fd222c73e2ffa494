//! What a file holds: a plugin configuration, bare or inside a WasmPlugin or TrafficExtension.
//!
//! Several documents of one plugin (plugin.yaml as applied, weights.yaml as the server-side-apply
//! patch) are merged as the API server merges them: maps field by field, later ones over earlier
//! ones, lists as a whole.

use anyhow::{Context as _, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};
use sluice_core::problem::Problem;

use crate::model::document;
use crate::model::input::Input;

/// How a plugin configuration is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `kind: WasmPlugin`, configuration at `spec.pluginConfig`.
    WasmPlugin,
    /// `kind: TrafficExtension`, configuration at `spec.wasm.pluginConfig`.
    TrafficExtension,
    /// The configuration itself.
    Bare,
}

impl Kind {
    /// The resource's kind, as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WasmPlugin => "WasmPlugin",
            Self::TrafficExtension => "TrafficExtension",
            Self::Bare => "plugin configuration",
        }
    }

    /// `WasmPlugin shop/sluice`.
    pub fn title(self, namespace: &str, name: &str) -> String {
        format!("{} {namespace}/{name}", self.name())
    }

    /// Where the configuration lies in the resource.
    pub const fn config_path(self) -> &'static [&'static str] {
        match self {
            Self::WasmPlugin => &["spec", "pluginConfig"],
            Self::TrafficExtension => &["spec", "wasm", "pluginConfig"],
            Self::Bare => &[],
        }
    }
}

/// The API group and version of both kinds.
pub const API_VERSION: &str = "extensions.istio.io/v1alpha1";

/// One plugin's configuration and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// The files it was read from, for messages.
    pub source: String,
    /// How it is wrapped.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: Option<String>,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// The configuration, merged.
    pub config: Value,
}

impl Plugin {
    /// The document as the filter reads it.
    ///
    /// # Errors
    /// When it is unreadable as a whole.
    pub fn document(&self) -> anyhow::Result<Document> {
        let read = document::read(&self.config);
        let nobody =
            "no proxy takes this configuration, each keeps the last one that it could read";
        read.with_context(|| format!("{}: {nobody}", self.source))
    }

    /// The plan for a proxy, and everything that is wrong with the configuration.
    ///
    /// # Errors
    /// When the document is unreadable as a whole.
    pub fn plan(&self, node: &Node) -> anyhow::Result<Plan> {
        Ok(Plan::build(&self.document()?, node, None))
    }

    /// The plan for a proxy of the plugin's own namespace.
    ///
    /// # Errors
    /// When the document is unreadable as a whole.
    pub fn plan_at_home(&self) -> anyhow::Result<Plan> {
        self.plan(&Node {
            namespace: self.namespace.clone(),
            ..Node::default()
        })
    }

    /// The plan of the splits alone, for who must know them also where the configuration is
    /// unreadable for another reason; `None` where it is unreadable for the splits' sake.
    pub fn splits_alone(&self) -> Option<Plan> {
        let splits = self.config.get("splits")?;
        let document = Document::from_value(json!({ "splits": splits })).ok()?;
        Some(Plan::build(&document, &Node::default(), None))
    }

    /// Everything that is wrong, whether or not the document is readable as a whole.
    pub fn problems(&self) -> Vec<Problem> {
        match document::read(&self.config) {
            Ok(document) => Plan::build(&document, &Node::default(), None)
                .problems()
                .to_vec(),
            Err(unreadable) => vec![unreadable.0],
        }
    }

    /// A server-side-apply patch of this plugin: fields of the configuration, wrapped as the plugin
    /// is wrapped, and what
    /// `metadata` has besides the name. Without fields, a patch of the metadata alone.
    ///
    /// # Errors
    /// When the metadata has no counterpart in JSON.
    pub fn patch(&self, metadata: ObjectMeta, fields: Option<Value>) -> serde_json::Result<Value> {
        let path = self.kind.config_path().iter().rev();
        let wrap =
            |inner, field: &&str| Value::Object(Map::from_iter([((*field).to_owned(), inner)]));
        let wrapped = fields
            .map(|fields| path.fold(fields, wrap))
            .unwrap_or_else(|| json!({}));
        if self.kind == Kind::Bare {
            return Ok(wrapped);
        }
        let metadata = ObjectMeta {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            ..metadata
        };
        let mut patch = json!({
            "apiVersion": API_VERSION, "kind": self.kind.name(), "metadata": serde_json::to_value(metadata)?,
        });
        merge(&mut patch, wrapped);
        Ok(patch)
    }
}

/// Whether a plugin's name in a spec (`NAME` or `KIND/NAME`) means the plugin `KIND/NAME`.
pub fn means(named: &str, plugin: &str) -> bool {
    let parts = |text: &str| {
        let (kind, name) = text.split_once('/').unwrap_or(("", text));
        let kind = kind.to_ascii_lowercase();
        (kind.trim_end_matches('s').to_owned(), name.to_owned())
    };
    let ((kind, name), (of_kind, of_name)) = (parts(named), parts(plugin));
    name == of_name && (kind.is_empty() || kind == of_kind)
}

/// The name of a plugin that a spec names as `NAME` or `KIND/NAME`.
pub fn plugin_name(named: &str) -> &str {
    named.rsplit('/').next().unwrap_or(named)
}

/// Whether a document is no resource of another kind.
pub fn may_be_one(input: &Input) -> bool {
    let kinds = [Kind::WasmPlugin, Kind::TrafficExtension];
    let is_known = |kind: &str| kinds.iter().any(|known| known.name() == kind);
    input.kind().is_none_or(is_known)
}

/// Every plugin among documents, each merged; other resources are left out.
///
/// # Errors
/// When a plugin's fields have the wrong shape.
pub fn plugins(inputs: Vec<Input>) -> anyhow::Result<Vec<Plugin>> {
    let mut plugins: Vec<Plugin> = Vec::new();
    for input in inputs {
        let Some(plugin) = read(input)? else {
            continue;
        };
        let same = |known: &&mut Plugin| {
            known.kind == plugin.kind
                && known.name == plugin.name
                && known.namespace == plugin.namespace
        };
        match plugins.iter_mut().find(same) {
            Some(known) => {
                merge(&mut known.config, plugin.config);
                if !known.source.contains(&plugin.source) {
                    known.source = format!("{} + {}", known.source, plugin.source);
                }
            }
            None => plugins.push(plugin),
        }
    }
    Ok(plugins)
}

/// Merges as server-side apply does: maps field by field, everything else as a whole.
pub fn merge(into: &mut Value, over: Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (name, value) in over {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over,
    }
}

fn read(input: Input) -> anyhow::Result<Option<Plugin>> {
    if !input.value.is_object() {
        // Another file was named, which may be long, and nobody's to read here.
        let found = match &input.value {
            Value::String(_) => "text without a field".to_owned(),
            other => sluice_core::decode::kind_of(other),
        };
        bail!(
            "{}: {found}; accepted: a resource or a plugin configuration",
            input.source
        );
    }
    let kind = match input.kind() {
        Some("WasmPlugin") => Kind::WasmPlugin,
        Some("TrafficExtension") => Kind::TrafficExtension,
        Some(_) => return Ok(None),
        None => Kind::Bare,
    };
    let (name, namespace) = match kind {
        Kind::Bare => (None, None),
        _ => (input.name(), input.namespace()),
    };
    let mut config = &input.value;
    for field in kind.config_path() {
        config = config.get(field).unwrap_or(&Value::Null);
    }
    let config = match config {
        Value::Null => Value::Object(Map::new()),
        other => other.clone(),
    };
    Ok(Some(Plugin {
        name: name.map(str::to_owned),
        namespace: namespace.map(str::to_owned),
        source: input.source,
        kind,
        config,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Vec<Plugin> {
        plugins(crate::model::input::parse("f", text).unwrap()).unwrap()
    }

    #[test]
    fn a_configuration_is_found_in_every_wrapping() {
        let wasm = "kind: WasmPlugin\nmetadata: {name: s, namespace: a}\nspec: {pluginConfig: {splits: {web: {}}}}";
        let extension = "kind: TrafficExtension\nmetadata: {name: s}\nspec: {wasm: {pluginConfig: {splits: {web: {}}}}}";
        for (text, kind) in [
            (wasm, Kind::WasmPlugin),
            (extension, Kind::TrafficExtension),
            ("splits: {web: {}}", Kind::Bare),
        ] {
            let plugins = read_all(text);
            assert_eq!(
                (plugins.len(), plugins[0].kind, &plugins[0].config),
                (1, kind, &json!({"splits": {"web": {}}}))
            );
        }
        assert_eq!(read_all("kind: VirtualService\nspec: {}"), []);
    }

    #[test]
    fn documents_of_one_plugin_merge_as_the_api_server_merges_them() {
        let plugins = read_all(
            "splits: {web: {hosts: [a, b]}}\nweights: {web: {everyone: {canary: 5, blue: 1}}}\n---\n\
             splits: {web: {hosts: [c]}}\nweights: {web: {everyone: {canary: 10}, staff: {canary: 50}}}",
        );
        let expected = json!({
            "splits": {"web": {"hosts": ["c"]}},
            "weights": {"web": {"everyone": {"canary": 10, "blue": 1}, "staff": {"canary": 50}}},
        });
        assert_eq!(plugins[0].config, expected);
    }

    #[test]
    fn a_patch_is_wrapped_as_its_plugin() {
        let plugin =
            &read_all("kind: TrafficExtension\nmetadata: {name: s, namespace: a}\nspec: {}")[0];
        let expected = json!({
            "apiVersion": API_VERSION, "kind": "TrafficExtension", "metadata": {"name": "s", "namespace": "a"},
            "spec": {"wasm": {"pluginConfig": {"weights": {}}}},
        });
        let fields = Some(json!({"weights": {}}));
        assert_eq!(
            plugin.patch(ObjectMeta::default(), fields).unwrap(),
            expected
        );
    }
}
