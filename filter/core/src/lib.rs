//! Decides, per user and not per request, which version of a service a request belongs to.
//!
//! The way of a configuration: [`config::Document::read`] → [`plan::Plan::build`]. The way of a
//! request: [`decide::decide`] asks a [`request::Request`] for what the [`plan::Plan`] needs and
//! answers with [`decide::Decisions`]. Neither knows of Envoy: the package `sluice-filter` hosts
//! them in a proxy, the `sluice` binary hosts them in `explain` and `simulate`.
//!
//! ```
//! use sluice_core::{bucket::bucket, config::Document, plan::{Node, Plan}};
//!
//! let json = br#"{"splits": {"web": {}}, "weights": {"web": {"everyone": {"canary": 5}}}}"#;
//! let document = Document::read(json).unwrap();
//! let plan = Plan::build(&document, &Node::default(), None);
//! assert!(plan.problems().is_empty());
//! assert_eq!(bucket("web", None, b"alice"), 56_066);
//! ```

pub mod allocation;
pub mod brake;
pub mod bucket;
pub mod byte_set;
mod caching;
pub mod config;
pub mod cookies;
pub mod decide;
pub mod decode;
pub mod definition;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod guard;
pub mod host;
pub mod hosts;
pub mod identity;
pub mod index;
pub mod lifecycle;
pub mod matching;
pub mod observed;
pub mod pairs;
pub mod pattern;
pub mod plan;
pub mod problem;
pub mod removal;
pub mod request;
pub mod responses;
pub mod revision;
pub mod scanner;
pub mod tally;
mod turn;
pub mod users;
mod wire;
