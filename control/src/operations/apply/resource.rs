//! What an application is made of: resources with what becomes of them, the terms it runs with, the
//! steps that it tells.

use std::time::Duration;

use kube::api::DynamicObject;
use serde::Serialize;

use super::subsets::{Unseen, Waited};
use crate::cluster::prometheus::Prometheus;
use crate::model::manifest::Manifest;
use crate::model::resources::Resource;
use crate::model::resources::istio::DestinationRule;
use crate::store::{Note, OthersFields};

/// What becomes of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there and was another.
    Changed,
    /// It is as it was.
    Unchanged,
}

/// How far a resource has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Progress {
    /// It is applied.
    Applied,
    /// It was being sent when all was stopped: it may be applied or not.
    Unknown,
    /// It was only tried.
    Tried,
}

/// A resource, and what became or would become of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resourced {
    /// Which, as `VirtualService shop/web`.
    pub resource: String,
    /// What becomes of it.
    pub change: Change,
    /// How far it has come.
    pub progress: Progress,
    #[serde(skip)]
    pub(super) manifest: Manifest,
    /// As it was before.
    #[serde(skip)]
    pub(super) live: Option<DynamicObject>,
    /// As the API server says that it will be.
    #[serde(skip)]
    pub(super) tried: DynamicObject,
}

/// What an application runs with.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// What happens to fields that somebody else set.
    pub others_fields: OthersFields,
    /// The Prometheus that scrapes the proxies, to see whether they have the subsets.
    pub prometheus: Option<&'a Prometheus>,
    /// How long proxies may go without a new subset before it is given up; at least
    /// [`super::SUBSETS_SECONDS`].
    pub timeout: Duration,
    /// Istio's root namespace: a plugin in it selects the proxies of every namespace.
    pub root_namespace: &'a str,
}

/// A step of an application.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// A resource was applied.
    Applied(&'a Resourced),
    /// Something went wrong beside it.
    Noted(&'a Note),
    /// It waits until proxies have the subsets; how many are looked at.
    Looks(usize),
    /// It waits so many seconds, because nobody can be asked.
    Waits(u64, Unseen),
    /// It has waited.
    Waited(&'a Waited),
}

/// The subsets of a DestinationRule; none of any other resource.
pub(super) fn subsets_of(object: &DynamicObject) -> Vec<String> {
    let rule = Resource::<DestinationRule>::read(&object.data);
    let subsets = rule.map(|rule| rule.spec.subsets).unwrap_or_default();
    subsets.into_iter().map(|subset| subset.name).collect()
}
