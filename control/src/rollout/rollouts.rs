//! Where Rollouts are kept, for those who look at them and ask something of them: beside the weights
//! of a directory, or in a cluster. What runs them is [`super::host`]'s and the controller's.

mod cluster;

use serde::Serialize;

pub use super::commands::{Command, Verb};
pub use cluster::{ClusterRollouts, ROLLOUTS};

use super::kept::{Held, Keeper, Kept};
use super::manifest::is_label;
use super::outline::{CheckLine, StepLine};
use super::peers::Summary;
use super::status::Status;
use crate::cluster::ClusterError;
use crate::model::suggest;
use crate::operations::Caller;
use crate::store::AnyStore;
use crate::store::directory::Directory;

/// Where Rollouts are kept.
#[derive(Clone, Debug)]
pub enum RolloutStore {
    /// Beside the weights of a directory.
    Directory(Directory),
    /// In a namespace of a cluster, or in all of them.
    Cluster(ClusterRollouts),
}

/// One Rollout as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its namespace, in a cluster.
    pub namespace: Option<String>,
    /// What others need to know of it, its name too.
    pub rollout: Summary,
    /// The plugin that its spec names.
    pub plugin: Option<String>,
    /// Its steps.
    pub steps: Vec<StepLine>,
    /// Its checks as they stand.
    pub checks: Vec<CheckLine>,
    /// How far it is.
    pub status: Status,
    /// Commands that nobody obeyed yet.
    pub waiting: Vec<Command>,
    /// Whether somebody runs it.
    pub host: Host,
    /// What runs it.
    pub runner: Hosting,
    /// What is wrong with its spec.
    pub mistakes: Vec<String>,
    /// Whether the status is of the spec as it is now, and not of an earlier one.
    pub is_of_spec: bool,
}

/// Whether somebody runs a Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Host {
    /// A process does.
    Running,
    /// Nobody does.
    Nobody,
    /// That cannot be seen: in a cluster, whether a controller is there shows when it acts.
    Unknown,
}

/// What runs a Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosting {
    /// `sluice rollout run`, with what it keeps.
    Foreground,
    /// `sluice controller`, with a resource.
    Controller,
}

/// Rollouts as far as they could be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// Those that could, by namespace and name.
    pub found: Vec<Found>,
    /// Why others could not.
    pub unread: Vec<String>,
}

/// Why a Rollout is not there, or is not asked.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// There is none of the name.
    #[error("{place} has no Rollout {name:?}; {hint}{begin}")]
    Unknown {
        /// Where it was looked for.
        place: String,
        /// As typed.
        name: String,
        /// The near names.
        hint: String,
        /// What would begin one.
        begin: String,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    Store(#[from] anyhow::Error),
}

impl RolloutError {
    /// Whether the API server did not answer, or not as it should.
    pub fn is_without_answer(&self) -> bool {
        match self {
            Self::Unknown { .. } => false,
            Self::Store(error) => error
                .downcast_ref()
                .is_some_and(ClusterError::is_without_answer),
        }
    }
}

impl RolloutStore {
    /// How people call it: `directory ./shop`, `context kind, namespace shop`.
    pub fn title(&self) -> String {
        match self {
            Self::Directory(directory) => directory.title(),
            Self::Cluster(cluster) => cluster.title(),
        }
    }

    /// What runs a Rollout of it, as a person would type it.
    pub fn runner(&self, hosting: Hosting) -> String {
        match (self, hosting) {
            (Self::Directory(directory), _) => format!(
                "`sluice rollout run -f FILE --dir {}`",
                directory.path().display()
            ),
            (Self::Cluster(_), Hosting::Foreground) => "`sluice rollout run -f FILE`".to_owned(),
            (Self::Cluster(_), Hosting::Controller) => "`sluice controller`".to_owned(),
        }
    }

    /// Every Rollout.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn rollouts(&self) -> anyhow::Result<Listed> {
        match self {
            Self::Directory(directory) => in_directory(&Keeper::new(directory)),
            Self::Cluster(cluster) => cluster.rollouts().await,
        }
    }

    /// One Rollout.
    ///
    /// # Errors
    /// When there is none of the name, which is then said with the near ones; when it cannot be
    /// read.
    pub async fn one(&self, name: &str) -> Result<Found, RolloutError> {
        let found = match self {
            _ if !is_label(name) => None,
            Self::Directory(directory) => one_in_directory(&Keeper::new(directory), name)?,
            Self::Cluster(cluster) => cluster.one(name).await?,
        };
        match found {
            Some(found) => Ok(found),
            None => Err(self.unknown(name).await?),
        }
    }

    async fn unknown(&self, name: &str) -> anyhow::Result<RolloutError> {
        let (names, begin) = match self {
            Self::Directory(directory) => (
                Keeper::new(directory).names()?,
                format!(" ({} begins one)", self.runner(Hosting::Foreground)),
            ),
            Self::Cluster(cluster) => (cluster.names().await?, String::new()),
        };
        Ok(RolloutError::Unknown {
            place: self.title(),
            name: name.to_owned(),
            hint: suggest::hint(name, names.iter().map(String::as_str)),
            begin,
        })
    }

    /// Leaves a command for whoever runs a Rollout that is there, and answers its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn ask(
        &self,
        name: &str,
        verb: Verb,
        caller: &Caller,
        reason: Option<&str>,
    ) -> anyhow::Result<u64> {
        match self {
            Self::Directory(directory) => {
                Keeper::new(directory).ask(name, verb, &caller.name, reason)
            }
            Self::Cluster(cluster) => cluster.ask(name, verb, caller, reason).await,
        }
    }

    /// The split of a Rollout that cannot be read, if that can be seen, and its store.
    pub async fn split(&self, name: &str) -> Option<(String, AnyStore)> {
        match self {
            Self::Directory(directory) => {
                let split = Keeper::new(directory).split(name)?;
                Some((split, AnyStore::Directory(directory.clone())))
            }
            Self::Cluster(cluster) => {
                let (split, weights) = cluster.split(name).await?;
                Some((split, AnyStore::Kubernetes(weights)))
            }
        }
    }

    /// The store of a Rollout's split.
    pub fn weights(&self, found: &Found) -> AnyStore {
        match self {
            Self::Directory(directory) => AnyStore::Directory(directory.clone()),
            Self::Cluster(cluster) => AnyStore::Kubernetes(cluster.weights(found)),
        }
    }
}

impl Found {
    /// `shop/web`, or its name where there are no namespaces.
    pub fn title(&self) -> String {
        let name = &self.rollout.name;
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.clone(),
        }
    }
}

fn in_directory(keeper: &Keeper<'_>) -> anyhow::Result<Listed> {
    let mut listed = Listed::default();
    for name in keeper.names()? {
        match one_in_directory(keeper, &name) {
            Ok(found) => listed.found.extend(found),
            Err(error) => listed.unread.push(format!("{error:#}")),
        }
    }
    Ok(listed)
}

fn one_in_directory(keeper: &Keeper<'_>, name: &str) -> anyhow::Result<Option<Found>> {
    // Asked first: whoever ended since then has kept its last word.
    let held = keeper.held(name)?;
    let Some(Kept {
        rollout,
        steps,
        checks,
        status,
    }) = keeper.kept(name)?
    else {
        return Ok(None);
    };
    let mut waiting = keeper.commands(name)?;
    waiting.retain(|command| command.number > status.handled_command);
    Ok(Some(Found {
        namespace: None,
        rollout,
        plugin: None,
        steps,
        checks,
        status,
        waiting,
        host: match held {
            Held::Yes => Host::Running,
            Held::No => Host::Nobody,
        },
        runner: Hosting::Foreground,
        mistakes: Vec::new(),
        is_of_spec: true,
    }))
}
