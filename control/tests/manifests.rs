//! The committed routes and plugin are those that `sluice render` writes, and they fit together; the
//! definition of Rollouts is what `sluice crds` prints. What the Helm chart takes from both is there
//! once more, since Helm reads no file outside of a chart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use serde::Deserialize as _;
use serde_json::{Value, json};
use sluice_book::tree;

/// Overlays replace image and digest by what `sluice push` printed.
const IMAGE: [&str; 4] = [
    "--image",
    "oci://registry.example.com/sluice-module:0.1.0",
    "--digest",
    NO_DIGEST,
];
const NO_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn sluice(arguments: &[&str]) -> (i32, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasmplugin/base");
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn the_committed_manifests_are_the_rendered_ones() {
    let arguments = [
        "render",
        "web",
        "-f",
        "config.yaml",
        "--service",
        "web.shop",
    ];
    let (code, rendered) = sluice(&[&arguments[..], &IMAGE[..]].concat());
    assert_eq!(code, 0, "{rendered}");
    let text = format!("# Rendered from config.yaml by `make manifests`; do not edit.\n{rendered}");
    assert_committed("base/web.yaml", &text);
}

#[test]
fn the_committed_definitions_are_those_that_are_read() {
    let (code, printed) = sluice(&["crds"]);
    assert_eq!(code, 0, "{printed}");
    let text = format!("# `sluice crds`, by `make manifests`; do not edit.\n{printed}");
    assert_committed("crds/definitions.yaml", &text);
    assert_committed("chart/files/definitions.yaml", &text);
}

#[test]
fn the_chart_has_the_admission_policies_of_the_base() {
    for name in ["policy.yaml", "history.yaml", "brakes.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasmplugin/base");
        let policy = std::fs::read_to_string(path.join(name)).unwrap();
        assert_committed(&format!("chart/files/policies/{name}"), &policy);
    }
}

fn assert_committed(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasmplugin");
    let path = path.join(name);
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        text,
        "`make manifests` rewrites"
    );
}

#[test]
fn the_committed_manifests_fit_together() {
    assert_eq!(
        sluice(&["validate", "-f", "web.yaml"]),
        (0, "web.yaml: good\n".to_owned())
    );
}

/// What the Pod Security Standard `restricted` asks of a container.
#[test]
fn every_cluster_takes_the_pods_of_the_examples() {
    let mut containers = 0;
    for file in tree::files(Path::new("../wasmplugin/examples"), ".yaml").unwrap() {
        let text = std::fs::read_to_string(&file).unwrap();
        for document in yaml_serde::Deserializer::from_str(&text) {
            let object = Value::deserialize(document).unwrap();
            // Without a selector, it is a patch of one.
            if object["kind"] != "Deployment" || object["spec"]["selector"].is_null() {
                continue;
            }
            let pod = &object["spec"]["template"]["spec"];
            for container in pod["containers"].as_array().unwrap() {
                containers += 1;
                let rights = &container["securityContext"];
                let found = json!([
                    rights["runAsNonRoot"],
                    rights["allowPrivilegeEscalation"],
                    rights["capabilities"]["drop"],
                    rights["seccompProfile"]["type"],
                ]);
                let wanted = json!([true, false, ["ALL"], "RuntimeDefault"]);
                let (file, name) = (file.display(), &object["metadata"]["name"]);
                assert_eq!(found, wanted, "{file}: {name}");
            }
        }
    }
    assert!(containers > 10, "{containers} containers were found");
}
