//! Where this Envoy runs: what the filter's name says, and where it is silent, Envoy's own bootstrap.
//!
//! Envoy does not hand its node to dynamic modules. The name is `PLUGIN[~KIND[~NAMESPACE]]`: an
//! EnvoyFilter knows which kind of proxy each of its patches is for. The bootstrap is the file after
//! `-c` or `--config-path` on Envoy's command line, as Istio's agent writes it: JSON.

use std::fs::File;
use std::io::Read as _;
use std::sync::LazyLock;

use serde_json::Value;
use sluice_core::brake::question::MAX_PLACE_BYTES;
use sluice_core::plan::{Node, NodeKind};

/// The longest bootstrap that is read; see docs/limits.md. Chosen: Istio's have 20 KB.
const MAX_BOOTSTRAP_BYTES: u64 = 4 * 1024 * 1024;

/// The longest command line that is read.
const MAX_COMMAND_LINE_BYTES: u64 = 256 * 1024;

/// What the bootstrap says of this Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Own {
    id: String,
    namespace: Option<String>,
}

/// A filter's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The plugin: in Istio, namespace and name.
    pub(crate) plugin: String,
    /// Where it runs.
    pub(crate) node: Node,
}

impl Name {
    /// What a name says, completed by the bootstrap.
    pub(crate) fn read(name: &[u8]) -> Self {
        Self::with(name, &OWN)
    }

    fn with(name: &[u8], own: &Own) -> Self {
        let name = String::from_utf8_lossy(name);
        let mut parts = name.splitn(3, '~');
        let plugin = parts.next().unwrap_or_default().to_owned();
        let kind = match parts.next() {
            Some("sidecar") => NodeKind::Sidecar,
            Some("waypoint") => NodeKind::Waypoint,
            Some("gateway") => NodeKind::Gateway,
            _ => NodeKind::of_node_id(own.id.as_bytes()),
        };
        let namespace = parts.next().filter(|name| !name.is_empty());
        let namespace = namespace.map(str::to_owned);
        let namespace = namespace.or_else(|| own.namespace.clone());
        Self {
            plugin,
            node: Node { kind, namespace },
        }
    }
}

/// This Envoy's id, or nothing.
pub(crate) fn id() -> String {
    OWN.id.clone()
}

static OWN: LazyLock<Own> = LazyLock::new(|| {
    let arguments = read("/proc/self/cmdline", MAX_COMMAND_LINE_BYTES).unwrap_or_default();
    let path = bootstrap_path(&arguments);
    let bootstrap = path.and_then(|path| read(&path, MAX_BOOTSTRAP_BYTES));
    bootstrap
        .map(|json| of_bootstrap(&json))
        .unwrap_or_default()
});

fn read(path: &str, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path).ok()?.take(most);
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The bootstrap's path, of arguments that each end in NUL.
fn bootstrap_path(arguments: &[u8]) -> Option<String> {
    let mut arguments = arguments.split(|&byte| byte == 0);
    while let Some(argument) = arguments.next() {
        let path = match argument {
            b"-c" | b"--config-path" => arguments.next(),
            _ => argument.strip_prefix(b"--config-path="),
        };
        if let Some(path) = path {
            return String::from_utf8(path.to_vec()).ok();
        }
    }
    None
}

fn of_bootstrap(json: &[u8]) -> Own {
    let bootstrap: Value = serde_json::from_slice(json).unwrap_or_default();
    let text = |path| bootstrap.pointer(path).and_then(Value::as_str);
    let id = text("/node/id").unwrap_or_default();
    Own {
        id: id.chars().take(MAX_PLACE_BYTES / 4).collect(),
        namespace: text("/node/metadata/NAMESPACE").map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(id: &str) -> Own {
        Own {
            id: id.to_owned(),
            namespace: Some("shop".to_owned()),
        }
    }

    #[test]
    fn a_name_says_plugin_kind_and_namespace_and_the_bootstrap_the_rest() {
        let sidecar = "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local";
        let cases = [
            ("shop.web", "", NodeKind::Gateway, "shop"),
            ("shop.web", sidecar, NodeKind::Sidecar, "shop"),
            ("shop.web~gateway", sidecar, NodeKind::Gateway, "shop"),
            ("shop.web~waypoint~", sidecar, NodeKind::Waypoint, "shop"),
            ("shop.web~sidecar~api", "", NodeKind::Sidecar, "api"),
            ("shop.web~other", sidecar, NodeKind::Sidecar, "shop"),
        ];
        for (name, id, kind, namespace) in cases {
            let read = Name::with(name.as_bytes(), &own(id));
            let namespace = Some(namespace.to_owned());
            assert_eq!(read.plugin, "shop.web", "{name}");
            assert_eq!(read.node, Node { kind, namespace }, "{name}");
        }
        assert_eq!(Name::with(b"\xff", &Own::default()).plugin, "\u{fffd}");
    }

    #[test]
    fn the_bootstrap_is_the_file_that_the_command_line_names() {
        let cases: [(&[u8], Option<&str>); 6] = [
            (b"envoy\0-c\0a.json\0-l\0info\0", Some("a.json")),
            (b"envoy\0--config-path\0a.json\0", Some("a.json")),
            (b"envoy\0--config-path=a.json\0", Some("a.json")),
            (b"envoy\0--config-yaml\0{}\0", None),
            (b"envoy\0-c", None),
            (b"", None),
        ];
        for (arguments, expected) in cases {
            assert_eq!(bootstrap_path(arguments).as_deref(), expected);
        }
    }

    #[test]
    fn a_bootstrap_that_is_no_json_says_nothing() {
        let json = br#"{"node": {"id": "router~x", "metadata": {"NAMESPACE": "shop"}}}"#;
        assert_eq!(of_bootstrap(json), own("router~x"));
        assert_eq!(of_bootstrap(b"node: {id: x}"), Own::default());
        let long = format!(r#"{{"node": {{"id": "{}"}}}}"#, "x".repeat(1_000));
        assert_eq!(of_bootstrap(long.as_bytes()).id.len(), MAX_PLACE_BYTES / 4);
    }
}
