//! What refers to an image, for registries that cannot be asked for it: an index at a tag made of
//! the image's digest (OCI distribution specification 1.1, "Referrers Tag Schema").
//!
//! Pure; what others listed there is kept as it is. Called by a push.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::manifest::{Descriptor, INDEX, Manifest};

/// How many manifests such an index may list. Chosen: ours are two.
pub const MAX_REFERRERS: usize = 200;

/// Where it is.
pub fn tag(digest: &str) -> String {
    digest.replacen(':', "-", 1)
}

/// What describes a manifest that refers to an image: with its kind and its labels.
///
/// # Errors
/// When it is no manifest.
pub fn descriptor(manifest: &Manifest) -> anyhow::Result<Descriptor> {
    let named = manifest.named()?;
    let config = named.config.map(|config| config.media_type);
    Ok(Descriptor {
        artifact_type: named.artifact_type.or(config),
        annotations: named.annotations,
        ..manifest.descriptor()
    })
}

/// The index with these added; `None` where it lists all of them already.
///
/// # Errors
/// When what is there is no index, or would list too many.
pub fn listing(
    existing: Option<&Manifest>,
    new: &[Descriptor],
) -> anyhow::Result<Option<Manifest>> {
    let mut index = match existing {
        None => json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}),
        Some(existing) => serde_json::from_slice(&existing.bytes).context("not an index")?,
    };
    let Some(Value::Array(listed)) = index.get_mut("manifests") else {
        bail!("not an index; accepted: one that lists what refers to an image");
    };
    let before = listed.len();
    for descriptor in new {
        if !listed.iter().any(|one| one["digest"] == descriptor.digest) {
            listed.push(serde_json::to_value(descriptor)?);
        }
    }
    if listed.len() > MAX_REFERRERS {
        let count = listed.len();
        bail!("{count} manifests refer to the image; accepted: at most {MAX_REFERRERS}");
    }
    if listed.len() == before {
        return Ok(None);
    }
    Ok(Some(Manifest {
        media_type: INDEX.to_owned(),
        bytes: serde_json::to_vec(&index)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{CONFIG, IMAGE, Named};
    use super::*;

    fn described(number: usize) -> Descriptor {
        Descriptor::of(IMAGE, number.to_string().as_bytes())
    }

    #[test]
    fn what_others_listed_is_kept() {
        let other = json!({
            "schemaVersion": 2, "annotations": {"a": "b"},
            "manifests": [{"mediaType": IMAGE, "digest": "sha256:1", "size": 1, "data": "e30="}],
        });
        let existing = Manifest {
            media_type: INDEX.to_owned(),
            bytes: serde_json::to_vec(&other).unwrap(),
        };
        let new = [described(1), described(2)];
        let listed = listing(Some(&existing), &new).unwrap().unwrap();
        let mut expected = other;
        let manifests = expected["manifests"].as_array_mut().unwrap();
        manifests.extend(new.iter().map(|one| serde_json::to_value(one).unwrap()));
        assert_eq!(
            serde_json::from_slice::<Value>(&listed.bytes).unwrap(),
            expected
        );
        assert_eq!(listing(Some(&listed), &new).unwrap(), None);
    }

    #[test]
    fn so_many_are_listed_and_no_more() {
        let new: Vec<_> = (0..=MAX_REFERRERS).map(described).collect();
        assert!(listing(None, &new[1..]).unwrap().is_some());
        assert_eq!(
            listing(None, &new).unwrap_err().to_string(),
            "201 manifests refer to the image; accepted: at most 200"
        );
        let bytes = b"[]".to_vec();
        let garbage = Manifest {
            media_type: INDEX.to_owned(),
            bytes,
        };
        assert!(listing(Some(&garbage), &new[1..]).is_err());
    }

    #[test]
    fn a_referrer_is_described_by_what_is_in_it() {
        let mut named = Named {
            config: Some(Descriptor::of(CONFIG, b"{}")),
            ..Named::default()
        };
        let kind = |named: &Named| {
            let manifest = named.clone().manifest(IMAGE).unwrap();
            descriptor(&manifest).unwrap().artifact_type.unwrap()
        };
        assert_eq!(kind(&named), CONFIG);
        named.artifact_type = Some("application/vnd.cyclonedx+json".to_owned());
        assert_eq!(kind(&named), "application/vnd.cyclonedx+json");
    }
}
