//! The plugins of a cluster that are ours: WasmPlugins and TrafficExtensions whose configuration
//! has splits.
//!
//! Which kind it is, is found by looking at both; a cluster may know only one of them.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::bounded::{Objects, unexpected};
use super::{Cluster, ClusterError, code, managed_fields};
use crate::model::input::Input;
use crate::model::plugin::{self, Kind, Plugin};
use crate::model::suggest;

/// Where plugins are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One namespace.
    Namespace(String),
    /// The whole cluster.
    Everywhere,
}

/// That there is no plugin of a name.
#[derive(Debug, thiserror::Error)]
#[error("namespace {namespace} has no plugin {name:?}; {hint}")]
pub struct NoPlugin {
    namespace: String,
    name: String,
    hint: String,
}

/// A plugin as the API server has it.
#[derive(Clone, Debug)]
pub struct LivePlugin {
    /// The resource.
    pub object: DynamicObject,
    /// Its configuration.
    pub plugin: Plugin,
}

/// The API's resource for a kind.
///
/// The kinds are those of [`plugin::API_VERSION`]; a bare configuration is none and gets
/// WasmPlugin's.
pub fn resource(kind: Kind) -> ApiResource {
    let (name, plural) = match kind {
        Kind::TrafficExtension => ("TrafficExtension", "trafficextensions"),
        Kind::WasmPlugin | Kind::Bare => ("WasmPlugin", "wasmplugins"),
    };
    let kind = GroupVersionKind::gvk("extensions.istio.io", "v1alpha1", name);
    ApiResource::from_gvk_with_plural(&kind, plural)
}

impl LivePlugin {
    /// From what the API server sent.
    ///
    /// # Errors
    /// When it is no plugin.
    pub fn of(object: DynamicObject, kind: Kind) -> anyhow::Result<Self> {
        let (name, namespace) = (&object.metadata.name, &object.metadata.namespace);
        let namespace = namespace.as_deref().unwrap_or_default();
        let source = kind.title(namespace, name.as_deref().unwrap_or_default());
        let metadata = serde_json::json!({"name": name, "namespace": namespace});
        let spec = object.data.get("spec");
        let value = serde_json::json!({"kind": kind.name(), "metadata": metadata, "spec": spec});
        let mut plugins = plugin::plugins(vec![Input {
            source: source.clone(),
            value,
        }])?;
        let plugin = plugins
            .pop()
            .with_context(|| format!("{source}: no plugin"))?;
        Ok(Self { object, plugin })
    }

    /// Whether it is a plugin of ours: it has splits, or `sluice` has written to it.
    pub fn is_ours(&self) -> bool {
        self.plugin
            .config
            .get("splits")
            .is_some_and(Value::is_object)
            || managed_fields::is_touched(&self.object.metadata)
    }

    /// The resource as a document of Git's half: without the weights that `sluice` keeps in it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn resource(&self) -> anyhow::Result<Input> {
        let mut value = serde_json::to_value(&self.object)?;
        value["kind"] = Value::from(self.plugin.kind.name());
        let config = self
            .plugin
            .kind
            .config_path()
            .iter()
            .try_fold(&mut value, |value, field| value.get_mut(field));
        if let Some(config) = config.and_then(Value::as_object_mut) {
            config.remove("weights");
        }
        Ok(Input {
            source: self.plugin.source.clone(),
            value,
        })
    }

    /// When it was last changed, its status aside, by the API server's clock and to the second.
    pub fn last_change(&self) -> Option<Timestamp> {
        managed_fields::last_change(&self.object.metadata)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        let namespace = self.object.metadata.namespace.as_deref();
        namespace.unwrap_or_default()
    }

    /// What tells it from an earlier one of its name.
    pub fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    /// How often its spec was changed, as the API server counts.
    pub fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    /// `a/sluice`.
    pub fn namespaced_name(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }
}

/// Our plugins as far as they could be listed, by namespace and name.
#[derive(Debug, Default)]
pub struct Listed {
    /// Those that could.
    pub live: Vec<LivePlugin>,
    /// What could not, or not as a whole.
    pub unlisted: Vec<Unlisted>,
}

/// The plugins of one kind, not all of which could be listed.
#[derive(Debug)]
pub struct Unlisted {
    /// Which, such as `WasmPlugins of every namespace`.
    pub what: String,
    /// Why not.
    pub error: ClusterError,
}

impl Listed {
    /// All of our plugins.
    ///
    /// # Errors
    /// When not all could be listed; says why.
    pub fn all(self) -> Result<Vec<LivePlugin>, ClusterError> {
        match self.unlisted.into_iter().next() {
            None => Ok(self.live),
            Some(unlisted) => Err(unlisted.error),
        }
    }
}

/// Our plugins, by namespace and name.
///
/// # Errors
/// When not all can be listed; says why.
pub async fn ours(cluster: &Cluster, scope: &Scope) -> Result<Vec<LivePlugin>, ClusterError> {
    listed(cluster, scope).await.all()
}

/// Our plugins as far as they can be listed. A cluster may know, or an account may see, only one of
/// the kinds: the other one is then not missed.
pub async fn listed(cluster: &Cluster, scope: &Scope) -> Listed {
    let ((mut live, wasm), (extensions, extension)) = tokio::join!(
        list(cluster, scope, Kind::WasmPlugin),
        list(cluster, scope, Kind::TrafficExtension)
    );
    live.extend(extensions);
    live.retain(LivePlugin::is_ours);
    live.sort_by_key(LivePlugin::namespaced_name);
    let unlisted = match (wasm, extension) {
        (Some(one), Some(other)) if code(&one) == Some(404) && code(&other) == Some(404) => {
            let (doing, url) = ("plugins".to_owned(), cluster.url.to_string());
            let what = doing_of(scope, "plugins");
            let error = ClusterError::NoKinds { doing, url };
            vec![Unlisted { what, error }]
        }
        (Some(error), None) | (None, Some(error)) if is_absent_or_hidden(&error) => Vec::new(),
        (wasm, extension) => {
            let failed = [("WasmPlugins", wasm), ("TrafficExtensions", extension)];
            let failed = failed
                .into_iter()
                .filter_map(|(kinds, error)| Some((kinds, error?)));
            let unlisted = |(kinds, error)| Unlisted {
                what: doing_of(scope, kinds),
                error: cluster.explain(doing_of(scope, "plugins"), error),
            };
            failed.map(unlisted).collect()
        }
    };
    Listed { live, unlisted }
}

fn doing_of(scope: &Scope, kinds: &str) -> String {
    match scope {
        Scope::Namespace(namespace) => format!("{kinds} of namespace {namespace}"),
        Scope::Everywhere => format!("{kinds} of every namespace"),
    }
}

fn is_absent_or_hidden(error: &kube::Error) -> bool {
    matches!(code(error), Some(403 | 404))
}

/// The plugins of a kind that could be listed, and why not all could.
async fn list(
    cluster: &Cluster,
    scope: &Scope,
    kind: Kind,
) -> (Vec<LivePlugin>, Option<kube::Error>) {
    let namespace = match scope {
        Scope::Namespace(namespace) => Some(namespace.as_str()),
        Scope::Everywhere => None,
    };
    let objects = Objects::of(cluster.client(), &resource(kind), namespace);
    let (objects, error) = objects.list(ListParams::default()).await;
    let live = objects.into_iter();
    let live = live.filter_map(|object| LivePlugin::of(object, kind).ok());
    (live.collect(), error)
}

/// The one plugin that is meant: by name (`NAME` or `KIND/NAME`), or the only one of ours in the
/// namespace.
///
/// # Errors
/// When there is none, or more than one; names them. When not all could be listed; says why.
pub async fn the_one(cluster: &Cluster, named: Option<&str>) -> anyhow::Result<LivePlugin> {
    Ok(certain(one_at_least(cluster, named).await?)?)
}

/// The one plugin, where everything could be listed.
///
/// # Errors
/// Why not.
pub fn certain((live, unlisted): (LivePlugin, Vec<Unlisted>)) -> Result<LivePlugin, ClusterError> {
    match unlisted.into_iter().next() {
        None => Ok(live),
        Some(unlisted) => Err(unlisted.error),
    }
}

/// The same, also where it is not certain to be the only one: with what could not be listed.
///
/// # Errors
/// When there is none, or more than one; names them.
pub async fn one_at_least(
    cluster: &Cluster,
    named: Option<&str>,
) -> anyhow::Result<(LivePlugin, Vec<Unlisted>)> {
    let namespace = cluster.namespace();
    let scope = Scope::Namespace(namespace.to_owned());
    let Some(named) = named else {
        let listed = listed(cluster, &scope).await;
        if listed.live.is_empty() {
            return Ok((only(listed.all()?, namespace)?, Vec::new()));
        }
        return Ok((only(listed.live, namespace)?, listed.unlisted));
    };
    let (kinds, name) = parse(named)?;
    let reads = kinds
        .iter()
        .map(|kind| read(cluster, namespace, *kind, name));
    let (live, errors): (Vec<_>, Vec<_>) = futures::future::join_all(reads)
        .await
        .into_iter()
        .partition(Result::is_ok);
    let live: Vec<LivePlugin> = live.into_iter().flatten().collect();
    if !live.is_empty() {
        return Ok((only(live, namespace)?, Vec::new()));
    }
    let errors: Vec<kube::Error> = errors.into_iter().filter_map(Result::err).collect();
    if let Some(error) = errors.into_iter().find(|error| code(error) != Some(404)) {
        return Err(cluster
            .explain(format!("plugin {namespace}/{name}"), error)
            .into());
    }
    let others = ours(cluster, &scope).await?;
    let names: Vec<&str> = others
        .iter()
        .filter_map(|live| live.plugin.name.as_deref())
        .collect();
    Err(NoPlugin {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        hint: suggest::hint(name, names.into_iter()),
    }
    .into())
}

/// One plugin, ours or not.
///
/// # Errors
/// The API server's.
pub async fn read(
    cluster: &Cluster,
    namespace: &str,
    kind: Kind,
    name: &str,
) -> kube::Result<LivePlugin> {
    let objects = Objects::of(cluster.client(), &resource(kind), Some(namespace));
    let read = live(objects.get(name).await?, kind)?;
    if (read.namespace(), read.name()) != (namespace, name) || read.uid().is_empty() {
        return Err(not_of(&kind.title(namespace, name)));
    }
    Ok(read)
}

/// Changes one plugin; what it is then.
///
/// # Errors
/// The API server's.
pub async fn patch(
    cluster: &Cluster,
    plugin: &LivePlugin,
    parameters: &PatchParams,
    patch: &Patch<&Value>,
) -> kube::Result<LivePlugin> {
    let kind = plugin.plugin.kind;
    let objects = Objects::of(cluster.client(), &resource(kind), Some(plugin.namespace()));
    let patched = objects.patch(plugin.name(), parameters, patch).await?;
    let patched = live(patched, kind)?;
    let identity = |live: &LivePlugin| (live.namespaced_name(), live.uid().to_owned());
    let has_config = |live: &LivePlugin| {
        let mut path = live.plugin.kind.config_path().iter();
        let config = path.try_fold(&live.object.data, |value, field| value.get(field));
        config.is_some_and(Value::is_object)
    };
    if identity(&patched) != identity(plugin) || (has_config(plugin) && !has_config(&patched)) {
        return Err(not_of(&plugin.plugin.source));
    }
    Ok(patched)
}

fn live(object: DynamicObject, kind: Kind) -> kube::Result<LivePlugin> {
    LivePlugin::of(object, kind).map_err(unexpected)
}

/// What answers with something else than the plugin is no API server, or one in trouble.
fn not_of(plugin: &str) -> kube::Error {
    unexpected(format_args!("the answer is not {plugin}"))
}

fn parse(named: &str) -> anyhow::Result<(Vec<Kind>, &str)> {
    match named.split_once('/') {
        None => Ok((vec![Kind::WasmPlugin, Kind::TrafficExtension], named)),
        Some((kind, name)) => match kind.to_ascii_lowercase().as_str() {
            "wasmplugin" | "wasmplugins" => Ok((vec![Kind::WasmPlugin], name)),
            "trafficextension" | "trafficextensions" => Ok((vec![Kind::TrafficExtension], name)),
            _ => bail!(
                "--plugin {named:?}: accepted: NAME, wasmplugin/NAME or trafficextension/NAME"
            ),
        },
    }
}

fn only(mut live: Vec<LivePlugin>, namespace: &str) -> anyhow::Result<LivePlugin> {
    match live.len() {
        1 => Ok(live.remove(0)),
        0 => bail!(
            "namespace {namespace} has no plugin of ours, that is no WasmPlugin or TrafficExtension with `splits`; \
             name another namespace with -n, or see `sluice get -A`"
        ),
        _ => {
            let names: Vec<String> = live
                .iter()
                .map(|live| {
                    format!(
                        "{}/{}",
                        live.plugin.kind.name().to_lowercase(),
                        live.plugin.name.as_deref().unwrap_or_default()
                    )
                })
                .collect();
            bail!(
                "namespace {namespace} has {} plugins of ours: {}; name one with --plugin",
                live.len(),
                names.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_with_or_without_its_kind() {
        assert_eq!(
            parse("sluice").unwrap(),
            (vec![Kind::WasmPlugin, Kind::TrafficExtension], "sluice")
        );
        assert_eq!(
            parse("TrafficExtension/s").unwrap(),
            (vec![Kind::TrafficExtension], "s")
        );
        assert_eq!(
            parse("pod/s").unwrap_err().to_string(),
            "--plugin \"pod/s\": accepted: NAME, wasmplugin/NAME or trafficextension/NAME"
        );
    }
}
