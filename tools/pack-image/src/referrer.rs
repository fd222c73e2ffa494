//! A document that refers to an image: a manifest with the image as its subject and the document as
//! its only layer (OCI image specification 1.1, "Guidelines for Artifact Usage").

use std::collections::BTreeMap;

use serde_json::Value;
use sluice::operations::oci::layout::Layout;
use sluice::operations::oci::manifest::{Descriptor, IMAGE, Named};

/// The kind of the config that such a manifest has in place of an image's: `{}`.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Adds a document of a kind to what refers to the image of a layout.
///
/// # Errors
/// Never in practice: it is written to memory.
pub fn refer(layout: &mut Layout, kind: &str, about: &str, document: &Value) -> anyhow::Result<()> {
    let document = serde_json::to_vec(document)?;
    let empty = b"{}".to_vec();
    let title = "org.opencontainers.image.description".to_owned();
    let named = Named {
        artifact_type: Some(kind.to_owned()),
        config: Some(Descriptor::of(EMPTY, &empty)),
        layers: vec![Descriptor::of(kind, &document)],
        subject: Some(layout.image.descriptor()),
        annotations: BTreeMap::from([(title, about.to_owned())]),
        ..Named::default()
    };
    layout.referrers.push(named.manifest(IMAGE)?);
    layout.add([empty, document]);
    Ok(())
}
