//! A write of which no answer came: whether it was made.
//!
//! A connection that is lost once a request was sent leaves that open. So it is said, then the
//! plugin is read back a few times: the note of the write and its weights tell. A write that
//! carries the resourceVersion that it was decided on cannot be made any more once that is another.

use std::fmt;
use std::time::Duration;

use tower::retry::backoff::Backoff as _;

use super::Kubernetes;
use super::note::noted;
use super::pauses::pauses;
use super::split_change::SplitChange;
use crate::cluster::plugins::LivePlugin;
use crate::cluster::{is_too_large, managed_fields};
use crate::store::history::Entry;
use crate::store::{Note, WriteError};

/// How often a plugin is read back. Chosen: with the pauses between, some three seconds.
const MAX_LOOKS: usize = 5;

/// The first and the longest pause between two looks. Chosen: a server in trouble is given time.
const MIN_LOOK_PAUSE: Duration = Duration::from_millis(100);
const MAX_LOOK_PAUSE: Duration = Duration::from_secs(1);

/// How long one look may take. Chosen: as long as a connection.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// A write of which it is not known whether it was made; what a person reads at once.
#[derive(Debug)]
pub struct Doubt<'a> {
    /// The plugin's kind, namespace and name.
    plugin: &'a str,
    /// What became of the connection.
    lost: &'a kube::Error,
}

impl fmt::Display for Doubt<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: no answer to a write ({}); it is unknown whether it was made: looking",
            self.plugin,
            innermost(self.lost)
        )
    }
}

/// What looking found.
pub(super) enum Found {
    /// It was made; the plugin as it was read back, and its generation after it.
    Made(Box<LivePlugin>, i64, Note),
    /// It was not, or that is still not known.
    Other(WriteError),
}

/// Whether a request may have been done although no answer, or none of its own, came.
pub(super) fn is_doubtful(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            let is_certain =
                status.message.contains("failed calling webhook") || is_too_large(status);
            status.code >= 500 && !is_certain
        }
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::SerdeError(_) => {
            !is_before_sending(error)
        }
        _ => false,
    }
}

/// Whether there was no connection to send anything on.
fn is_before_sending(error: &kube::Error) -> bool {
    let mut causes = causes(error);
    causes.any(|cause| {
        let cause = cause.downcast_ref::<hyper_util::client::legacy::Error>();
        cause.is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

fn causes(error: &kube::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
}

/// The last cause, which says most in the fewest words.
fn innermost(error: &kube::Error) -> String {
    let last = causes(error).last();
    last.map(ToString::to_string).unwrap_or_default()
}

impl Kubernetes {
    /// Says that it is unknown whether a write was made; what became of the connection.
    pub(super) fn tell_of(&self, live: &LivePlugin, lost: &kube::Error) -> String {
        let plugin = &live.plugin.source;
        (self.tell)(&Doubt { plugin, lost });
        innermost(lost)
    }

    /// Says that it is unknown whether a change was made, and looks.
    pub(super) async fn look(
        &self,
        live: &LivePlugin,
        change: &SplitChange,
        lost: &kube::Error,
    ) -> Found {
        let plugin = live.plugin.source.clone();
        let why = self.tell_of(live, lost);
        let mut pauses = pauses(MIN_LOOK_PAUSE, MAX_LOOK_PAUSE);
        let mut seen = Err("it was not read".to_owned());
        for look in 0..MAX_LOOKS {
            if look > 0 {
                pauses.next_backoff().await;
            }
            seen = self.seen_again(live, change).await;
            match &seen {
                Ok(Seen::Made(now, generation)) => {
                    return Found::Made(now.clone(), *generation, Note::FoundMade { why });
                }
                Ok(Seen::Overtaken) => break,
                Ok(Seen::Unchanged) | Err(_) => {}
            }
        }
        Found::Other(match seen {
            Err(unread) => WriteError::Unknown {
                plugin,
                why,
                unread,
            },
            Ok(_) => WriteError::NotMade { plugin, why },
        })
    }

    /// The plugin as soon as it shows a write, or why it does not.
    pub(super) async fn shown(
        &self,
        live: &LivePlugin,
        is_shown: impl Fn(&LivePlugin) -> bool,
    ) -> Result<LivePlugin, String> {
        let mut pauses = pauses(MIN_LOOK_PAUSE, MAX_LOOK_PAUSE);
        let mut looks = 1;
        loop {
            let unread = match self.look_once(live).await {
                Ok(now) if is_shown(&now) => return Ok(now),
                Ok(_) => "the plugin does not show it".to_owned(),
                Err(unread) => unread,
            };
            if looks == MAX_LOOKS {
                return Err(unread);
            }
            looks += 1;
            pauses.next_backoff().await;
        }
    }

    async fn look_once(&self, live: &LivePlugin) -> Result<LivePlugin, String> {
        let read = tokio::time::timeout(LOOK_PATIENCE, self.read_again(live)).await;
        let now = read.map_err(|_| format!("no answer in {} s", LOOK_PATIENCE.as_secs()))?;
        now.map_err(|error| innermost(&error))
    }

    async fn seen_again(&self, live: &LivePlugin, change: &SplitChange) -> Result<Seen, String> {
        let now = self.look_once(live).await?;
        let split = &change.split;
        let is_same = |field: &str| part(live, field, split) == part(&now, field, split);
        let is_same_split = is_same("weights") && is_same("draws");
        // The note may be another split's by now; what was there already tells nothing.
        if holds(&now, change) && (is_noted(&now, change) || !is_same_split) {
            let generation = live.generation() + i64::from(!is_same_split);
            return Ok(Seen::Made(Box::new(now), generation));
        }
        let version = |live: &LivePlugin| live.object.metadata.resource_version.clone();
        match (version(live) == version(&now), is_same_split) {
            (true, _) => Ok(Seen::Unchanged),
            (false, true) => Ok(Seen::Overtaken),
            (false, false) => Err(format!("somebody else has changed split {split} since")),
        }
    }
}

/// What one look saw.
enum Seen {
    /// The change, and the generation that it led to.
    Made(Box<LivePlugin>, i64),
    /// What was there before; the change may still be under way.
    Unchanged,
    /// Another version with the weights as they were: the change cannot be made any more.
    Overtaken,
}

/// Whether a plugin's last change is this one.
fn is_noted(now: &LivePlugin, change: &SplitChange) -> bool {
    let Entry { at, command, .. } = &change.entry;
    let mut noted = noted(now).into_iter();
    // A note may be cut short.
    noted.any(|noted| noted.at == *at && command.starts_with(&noted.command))
}

/// Whether a plugin holds the change, and holds it by us.
fn holds(now: &LivePlugin, change: &SplitChange) -> bool {
    let (metadata, kind) = (&now.object.metadata, now.plugin.kind);
    let managed = managed_fields::managed(metadata, kind, &now.plugin.config);
    let (mut wanted, draw) = (change.part.iter(), change.part.draw(&change.split));
    wanted.all(|(key, weight)| managed.weight(key) == Some(weight))
        && draw.is_none_or(|draw| managed.draw(&change.split) == Some(draw))
}

fn part<'l>(live: &'l LivePlugin, field: &str, split: &str) -> Option<&'l serde_json::Value> {
    live.plugin.config.get(field)?.get(split)
}
