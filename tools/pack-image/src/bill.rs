//! The bill of materials: CycloneDX 1.6 as JSON, of what is linked into a binary or module.
//!
//! Without a serial number and a time, which the format lets be left out, so that the same sources
//! give the same bill.

use serde_json::{Value, json};

use crate::packages::{Identity, Package, Packages};

/// What registries call it by.
pub const TYPE: &str = "application/vnd.cyclonedx+json";

/// The bill of an image whose digest is `sha256:…`. Beside the crates it names Rust's own library of
/// a version, and, where there are some, other things by name, version and licence.
pub fn bill(packages: &Packages, image: &str, rust: &str, others: &[(&str, &str, &str)]) -> Value {
    let (name, version) = &packages.root;
    let component = json!({
        "type": "container", "bom-ref": image, "name": name, "version": version,
        "hashes": [{"alg": "SHA-256", "content": image.trim_start_matches("sha256:")}],
        "licenses": [{"expression": packages.all[&packages.root].licence}],
    });
    let mut components: Vec<Value> = packages.all.iter().map(component_of).collect();
    let mut dependencies: Vec<Value> = packages.all.iter().map(needs_of).collect();
    let mut contained = vec![purl(&packages.root)];
    let rust = ("rust-std", rust, "MIT OR Apache-2.0");
    for (name, version, licence) in [&rust].into_iter().chain(others) {
        let reference = format!("pkg:generic/{name}@{version}");
        components.push(json!({
            "type": "library", "bom-ref": reference, "name": name, "version": version,
            "purl": reference, "licenses": [{"expression": licence}],
        }));
        dependencies.push(json!({"ref": reference, "dependsOn": []}));
        contained.push(reference);
    }
    dependencies.insert(0, json!({"ref": image, "dependsOn": contained}));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {
            "component": component,
            "tools": {"components": [{"type": "application", "name": "pack-image"}]},
        },
        "components": components,
        "dependencies": dependencies,
    })
}

/// How the package URL specification calls a crate.
fn purl((name, version): &Identity) -> String {
    // The only character of a version that has to be escaped.
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn component_of((identity, package): (&Identity, &Package)) -> Value {
    let (name, version) = identity;
    let purl = purl(identity);
    let mut component = json!({
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
        "licenses": [{"expression": package.licence}],
    });
    if let Some(checksum) = &package.checksum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

fn needs_of((identity, package): (&Identity, &Package)) -> Value {
    let needs: Vec<String> = package.needs.iter().map(purl).collect();
    json!({"ref": purl(identity), "dependsOn": needs})
}
