//! Which of the two adapters decides in a local Envoy, and the filters that this takes.
//!
//! What stands around them in Envoy's files is [`super::files`]'s; where their files are found,
//! [`super::process`]'s.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::model::native;

/// What decides in a local Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// The WebAssembly module in this file.
    Wasm(PathBuf),
    /// The native module, the shared library in this file. Envoy keeps what it loaded from a path
    /// until it ends, so that another library needs another file name.
    Native(PathBuf),
}

impl Adapter {
    /// What people call it.
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Wasm(_) => "the WebAssembly module",
            Self::Native(_) => "the native module",
        }
    }

    /// Whether it needs a filter before it that hands it claims and the virtual host.
    pub(super) const fn needs_state(&self) -> bool {
        matches!(self, Self::Native(_))
    }

    /// Its filter for a plugin's name and configuration, as Envoy's `typed_config`.
    pub fn filter(&self, plugin: &str, configuration: &str) -> Value {
        match self {
            Self::Wasm(module) => json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": plugin,
                    "failure_policy": "FAIL_OPEN",
                    "vm_config": {
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": module}},
                    },
                    "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
                },
            }),
            Self::Native(library) => {
                let module = json!({"local": {"filename": library}});
                native::module_filter(module, plugin, configuration)
            }
        }
    }

    /// Its filter under a name, as a file that Envoy reads by ECDS.
    pub fn extension(&self, name: &str, plugin: &str, configuration: &str) -> Value {
        extension(name, &self.filter(plugin, configuration))
    }

    /// How Envoy learns of its filter from a source.
    pub(super) fn discovery(&self, source: Value) -> Value {
        match self {
            Self::Wasm(_) => json!({
                "config_source": source,
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            }),
            Self::Native(_) => native::discovery(source),
        }
    }
}

/// A file with one filter, as Envoy reads it by ECDS.
pub(super) fn extension(name: &str, filter: &Value) -> Value {
    let kind = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
    json!({"resources": [{"@type": kind, "name": name, "typed_config": filter}]})
}
