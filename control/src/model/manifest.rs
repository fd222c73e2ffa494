//! The resources of a split as one applies them: which kinds, in which order, and without weights.
//!
//! Pure. What the cluster makes of them, and when the next one may follow, is the apply
//! operation's.

use serde_json::Value;

use super::input::Input;
use super::plugin::{Kind, merge};

/// More resources are none that one split needs. Chosen: fifty splits with all that is theirs.
pub const MAX_APPLIED: usize = 200;

/// When a resource is applied. Those of a later stage need those of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The subsets that routes lead to.
    Subsets,
    /// The routes that match the header.
    Routes,
    /// The filter that sets the header.
    Plugins,
}

/// The kinds that are applied: kind, API group, stage.
const KINDS: [(&str, &str, Stage); 5] = [
    ("DestinationRule", "networking.istio.io", Stage::Subsets),
    ("VirtualService", "networking.istio.io", Stage::Routes),
    ("HTTPRoute", "gateway.networking.k8s.io", Stage::Routes),
    ("WasmPlugin", "extensions.istio.io", Stage::Plugins),
    ("TrafficExtension", "extensions.istio.io", Stage::Plugins),
];

/// A resource to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// When.
    pub stage: Stage,
    /// Its API group and version, `networking.istio.io/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The whole of it.
    pub document: Value,
}

impl Manifest {
    /// `VirtualService shop/web`.
    pub fn title(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }

    /// The plugin's kind; `None` for any other resource.
    pub fn plugin_kind(&self) -> Option<Kind> {
        match self.kind {
            "WasmPlugin" => Some(Kind::WasmPlugin),
            "TrafficExtension" => Some(Kind::TrafficExtension),
            _ => None,
        }
    }

    /// Removes weights and draws; whether there were any.
    fn leave_weights_out(&mut self) -> bool {
        let path = self.plugin_kind().map_or(&[][..], Kind::config_path);
        let config = path
            .iter()
            .try_fold(&mut self.document, |value, field| value.get_mut(field));
        let Some(config) = config.and_then(Value::as_object_mut) else {
            return false;
        };
        let [weights, draws] = ["weights", "draws"].map(|field| config.remove(field));
        weights.is_some() || draws.is_some()
    }
}

/// Why resources cannot be applied as they are.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is of no kind that a split needs.
    #[error(
        "{source_name}: {found}; accepted: {}, of which `sluice render` writes some",
        KINDS.map(|(kind, ..)| kind).join(", ")
    )]
    OtherKind {
        /// Where it stands.
        source_name: String,
        /// Its kind and API version.
        found: String,
    },
    /// It has no name.
    #[error("{source_name}: a {kind} without metadata.name")]
    NoName {
        /// Where it stands.
        source_name: String,
        /// Its kind.
        kind: String,
    },
    /// It is for another namespace than the one that was asked for.
    #[error("{title}: not in the namespace {wanted} of -n; accepted: one of them")]
    OtherNamespace {
        /// The resource.
        title: String,
        /// What was asked for.
        wanted: String,
    },
    /// There are too many.
    #[error("{0} resources; accepted: at most {MAX_APPLIED}")]
    TooMany(usize),
    /// There is nothing to apply.
    #[error("no resource to apply; accepted: what `sluice render` writes")]
    Nothing,
}

/// Which namespace a resource without one is in.
#[derive(Clone, Copy, Debug)]
pub enum Namespace<'a> {
    /// This one, and no resource may be in another.
    Only(&'a str),
    /// This one.
    Default(&'a str),
}

/// Everything to apply, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifests {
    /// The resources.
    pub all: Vec<Manifest>,
    /// Whether there were weights or draws, which belong to `sluice set`.
    pub left_weights_out: bool,
}

impl Manifests {
    /// The resources of a stream. Documents of one resource are merged, as a directory keeps a
    /// plugin and its weights apart.
    ///
    /// # Errors
    /// The first document that cannot be applied.
    pub fn of(inputs: Vec<Input>, namespace: Namespace<'_>) -> Result<Self, ManifestError> {
        let mut all: Vec<Manifest> = Vec::new();
        for input in inputs {
            let manifest = manifest(input, namespace)?;
            let same = |known: &&mut Manifest| known.title() == manifest.title();
            match all.iter_mut().find(same) {
                Some(known) => merge(&mut known.document, manifest.document),
                None => all.push(manifest),
            }
        }
        match all.len() {
            0 => return Err(ManifestError::Nothing),
            many if many > MAX_APPLIED => return Err(ManifestError::TooMany(many)),
            _ => {}
        }
        // Stable: within a stage, as they were written.
        all.sort_by_key(|manifest| manifest.stage);
        let mut left_weights_out = false;
        for manifest in &mut all {
            left_weights_out |= manifest.leave_weights_out();
        }
        Ok(Self {
            all,
            left_weights_out,
        })
    }
}

fn manifest(input: Input, namespace: Namespace<'_>) -> Result<Manifest, ManifestError> {
    let text = |field: &str| input.value.get(field).and_then(Value::as_str);
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    let group = api_version.and_then(|version| Some(version.split_once('/')?.0));
    let known = KINDS
        .iter()
        .find(|(known, of, _)| Some(*known) == kind && Some(*of) == group);
    let (Some((kind, _, stage)), Some(api_version)) = (known, api_version) else {
        return Err(ManifestError::OtherKind {
            found: match (kind, api_version) {
                (Some(kind), Some(version)) => format!("a {kind} of {version}"),
                _ => "no resource with kind and apiVersion".to_owned(),
            },
            source_name: input.source,
        });
    };
    let Some(name) = input.name().map(str::to_owned) else {
        return Err(ManifestError::NoName {
            source_name: input.source,
            kind: (*kind).to_owned(),
        });
    };
    let manifest = Manifest {
        stage: *stage,
        api_version: api_version.to_owned(),
        kind,
        namespace: match (input.namespace(), namespace) {
            (Some(own), _) => own.to_owned(),
            (None, Namespace::Only(given) | Namespace::Default(given)) => given.to_owned(),
        },
        name,
        document: input.value,
    };
    in_its_namespace(manifest, namespace)
}

fn in_its_namespace(
    mut manifest: Manifest,
    namespace: Namespace<'_>,
) -> Result<Manifest, ManifestError> {
    match namespace {
        Namespace::Only(wanted) if manifest.namespace != wanted => {
            return Err(ManifestError::OtherNamespace {
                title: manifest.title(),
                wanted: wanted.to_owned(),
            });
        }
        _ => {}
    }
    let own = Value::from(manifest.namespace.clone());
    if let Some(Value::Object(metadata)) = manifest.document.get_mut("metadata") {
        metadata.insert("namespace".to_owned(), own);
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests;
