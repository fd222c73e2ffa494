//! What people call an image: `oci://HOST/REPOSITORY:TAG`, or with a digest in place of the tag.
//!
//! Which repository of which registry that is; nothing is asked here.

use anyhow::bail;
use oci_client::Reference;

use crate::model::redacted;

/// How images are named that are pushed.
const TAGGED: &str =
    "accepted: oci://HOST/REPOSITORY:TAG, such as oci://registry.example.com/sluice:1.0";

/// How images are named that are read.
const ANY: &str = "accepted: oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…";

/// The name of an image that is to be pushed.
///
/// # Errors
/// When it is none, or has no tag: the digest follows from the bytes.
pub fn tagged(image: &str) -> anyhow::Result<Reference> {
    let reference = parsed(image, TAGGED)?;
    if reference.digest().is_some() {
        bail!(
            "{image}: an image is pushed by tag, and its digest follows from its bytes; {TAGGED}"
        );
    }
    if !has_tag(image) {
        bail!("{image}: no tag; {TAGGED}");
    }
    Ok(reference)
}

/// The name of an image that is to be read, by its tag or its digest.
///
/// # Errors
/// When it is none, or has neither.
pub fn any(image: &str) -> anyhow::Result<Reference> {
    let reference = parsed(image, ANY)?;
    if reference.digest().is_none() && !has_tag(image) {
        bail!("{image}: no tag and no digest; {ANY}");
    }
    if let Some(digest) = reference.digest()
        && super::digest::hex(digest).is_none()
    {
        bail!("{image}: the digest is not one of SHA-256; {ANY}");
    }
    Ok(reference)
}

fn has_tag(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    last.contains(':')
}

fn parsed(image: &str, accepted: &str) -> anyhow::Result<Reference> {
    let Some(name) = image.strip_prefix("oci://") else {
        let image = redacted::text(&format!("oci://{image}")).replacen("oci://", "", 1);
        bail!("{image}: not an OCI image; {accepted}");
    };
    let Ok(reference) = name.parse::<Reference>() else {
        bail!("{}: not an image name; {accepted}", redacted::text(image));
    };
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pushed_by_its_tag() {
        assert!(tagged("oci://127.0.0.1:5000/sluice:1").is_ok());
        let cases = [
            (
                "registry.example.com/sluice:1",
                "registry.example.com/sluice:1: not an OCI image",
            ),
            (
                "oci://127.0.0.1:5000/sluice",
                "oci://127.0.0.1:5000/sluice: no tag",
            ),
            (
                "oci://user:pw@127.0.0.1/sluice:1",
                "oci://***@127.0.0.1/sluice:1: not an image name",
            ),
            (
                "user:pw@127.0.0.1/sluice:1",
                "***@127.0.0.1/sluice:1: not an OCI image",
            ),
            (
                "oci://UPPER CASE:1",
                "oci://UPPER CASE:1: not an image name",
            ),
        ];
        for (image, expected) in cases {
            assert_eq!(
                tagged(image).unwrap_err().to_string(),
                format!("{expected}; {TAGGED}")
            );
        }
    }

    #[test]
    fn an_image_is_read_by_tag_or_digest() {
        let digest = super::super::digest::digest(b"");
        let by_digest = format!("oci://127.0.0.1:5000/sluice@{digest}");
        assert_eq!(any(&by_digest).unwrap().digest(), Some(digest.as_str()));
        assert!(tagged(&by_digest).is_err());
        let by_tag = any("oci://127.0.0.1:5000/sluice:1").unwrap();
        assert_eq!((by_tag.tag(), by_tag.digest()), (Some("1"), None));
        let error = any("oci://127.0.0.1:5000/sluice").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("oci://127.0.0.1:5000/sluice: no tag and no digest; {ANY}")
        );
        let sha512 = format!("oci://127.0.0.1:5000/sluice@sha512:{}", "0".repeat(128));
        let error = any(&sha512).unwrap_err().to_string();
        assert!(
            error.contains("the digest is not one of SHA-256"),
            "{error}"
        );
    }
}
