//! Images as registries have them: their manifests, a folder that holds them, a repository of a
//! registry, what refers to an image, and its signatures.
//!
//! What is published and what is believed is decided by [`super::push`] and [`super::verify`].

pub mod digest;
pub mod key;
pub mod layout;
pub mod manifest;
pub mod name;
pub mod referrers;
pub mod registry;
pub mod signature;
