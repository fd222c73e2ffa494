//! The pages of this repository as a book: what a page links to, says to type and shows; the
//! pictures; and the folder that mdBook is given.
//!
//! It knows Markdown and nothing of Sluice. `make docs` runs its program; its tests look at links,
//! the summary and the pictures, and those of control at commands, YAML and what is printed.

pub mod build;
pub mod links;
pub mod page;
pub mod picture;
pub mod shell;
pub mod transcript;
pub mod tree;

pub use page::{Block, Page};
