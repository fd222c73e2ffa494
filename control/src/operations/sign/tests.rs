//! What becomes of a signature while others sign the same image.

use super::super::oci::digest::digest;
use super::super::oci::key::tests::generated;
use super::super::oci::registry::fake::Fake;
use super::*;

#[tokio::test]
async fn a_signature_that_another_overwrote_is_written_again() {
    let (fake, image) = (Fake::start(), digest(b"an image"));
    let registry = fake.open().await;
    let (ours, theirs) = (generated(), generated());
    let before = sign(&registry, &image, &theirs).await.unwrap();
    assert_eq!((before.signatures, before.was_signed), (1, false));
    let tag = signature::tag(&image);
    let former = fake.kept().manifests[&tag].clone();

    // Once, another writes what it had read before ours.
    let mut former = Some(former);
    fake.kept().meanwhile = Some(Box::new(move |name, manifests| {
        if let Some(former) = former.take() {
            manifests.insert(name.to_owned(), former);
        }
    }));
    let signed = sign(&registry, &image, &ours).await.unwrap();
    let expected = Signed {
        tag,
        signatures: 2,
        was_signed: false,
    };
    assert_eq!(signed, expected);
    let again = sign(&registry, &image, &ours).await.unwrap();
    let was_signed = true;
    assert_eq!(
        again,
        Signed {
            was_signed,
            ..expected
        }
    );
}

#[tokio::test]
async fn a_signature_that_is_never_kept_is_an_error() {
    let (fake, image) = (Fake::start(), digest(b"an image"));
    let registry = fake.open().await;
    fake.kept().meanwhile = Some(Box::new(|name, manifests| {
        manifests.remove(name);
    }));
    let error = sign(&registry, &image, &generated()).await.unwrap_err();
    let tag = signature::tag(&image);
    let expected =
        format!("{tag}: the signature was written 3 times, and was not there afterwards");
    assert!(error.to_string().starts_with(&expected), "{error}");
    let written = fake.kept().asked.clone();
    let written = written.iter().filter(|path| path.ends_with(&tag)).count();
    assert_eq!(
        written,
        3 + 4,
        "written three times, read before each and after"
    );
}
