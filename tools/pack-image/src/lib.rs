//! Packs what was built into OCI images: the program, and bills of materials and provenances that
//! refer to an image.
//!
//! Pure, and the same bytes for the same inputs: nothing here asks for the time, the machine or Git.
//! What a layout is and how the module is packed is `sluice::operations`'; files and arguments are
//! `main`'s.

pub mod bill;
pub mod packages;
pub mod program;
pub mod provenance;
pub mod referrer;
