//! The history of a plugin in a cluster: one ControllerRevision a change, owned by the plugin.
//!
//! A change's number is the plugin's generation after it: the API server counts it, so two writers
//! never get the same one, and their order is the order in which the changes took effect. Others
//! may write ControllerRevisions too: what is read is bounded, and `verified` says which are ours.

mod verified;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use verified::{Doubt, Owner};

use super::split_change::SplitChange;
use crate::cluster::plugins::LivePlugin;
use crate::cluster::{Cluster, code, words};
use crate::store::history::{Entry, KEPT, Remembered, unrecorded};
use crate::store::{Note, Snapshot};

/// The label that holds the plugin's uid.
const PLUGIN: &str = "sluice.dev/plugin-uid";

/// So many revisions are read in one request, whole: all of them, unless somebody made more.
const FEW: u32 = 64;

/// So many names of revisions are read in one request.
const PAGE: u32 = 500;

/// So many pages of names are read, whoever made the revisions.
const MAX_REVISION_PAGES: usize = 20;

/// Of so many changes of a plugin, one abort forgets what is too old.
const FORGETS_EACH: i64 = 10;

/// Every change that is remembered, oldest first; what only claims to be one is left out and said.
pub(super) async fn read(cluster: &Cluster, live: &LivePlugin) -> kube::Result<Remembered> {
    let owner = Owner::of(live);
    let (revisions, mut doubts) = match few(cluster, live, &owner).await? {
        Some(revisions) => (revisions, Doubts::default()),
        None => newest(cluster, live, &owner).await?,
    };
    let mut entries = Vec::new();
    for revision in revisions {
        let name = revision.metadata.name.clone().unwrap_or_default();
        match owner.entry(revision) {
            Ok(entry) => entries.push(entry),
            Err(doubt) => doubts.add(name, &doubt),
        }
    }
    entries.sort_by_key(|entry| entry.revision);
    let notes = doubts.note().into_iter().collect();
    Ok(Remembered { entries, notes })
}

/// All revisions in one request; `None` where there are more than usual, or where one of them
/// cannot be read as JSON, which spoils the whole list.
async fn few(
    cluster: &Cluster,
    live: &LivePlugin,
    owner: &Owner,
) -> kube::Result<Option<Vec<ControllerRevision>>> {
    let parameters = selected(owner).limit(FEW);
    match api(cluster, live).list(&parameters).await {
        Ok(list) if is_last(list.metadata.continue_.as_deref()) => Ok(Some(list.items)),
        Ok(_) | Err(kube::Error::SerdeError(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The newest revisions among any number of others, one by one: their names are looked at first.
async fn newest(
    cluster: &Cluster,
    live: &LivePlugin,
    owner: &Owner,
) -> kube::Result<(Vec<ControllerRevision>, Doubts)> {
    let (numbers, mut doubts) = numbers(cluster, live, owner, MAX_REVISION_PAGES).await?;
    let api = api(cluster, live);
    let newest: Vec<String> = numbers
        .iter()
        .rev()
        .take(KEPT)
        .map(|n| owner.revision_name(*n))
        .collect();
    let read = newest.into_iter().map(|name| {
        let api = api.clone();
        async move { (api.get(&name).await, name) }
    });
    let mut revisions = Vec::new();
    let mut answers = futures::stream::iter(read).buffered(8);
    while let Some((answer, name)) = answers.next().await {
        match answer {
            Ok(revision) => revisions.push(revision),
            Err(kube::Error::SerdeError(error)) => {
                doubts.add(name, &Doubt::Content(error.to_string()));
            }
            Err(error) if code(&error) == Some(404) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((revisions, doubts))
}

/// The numbers of the revisions that are ours by their metadata, and the others.
async fn numbers(
    cluster: &Cluster,
    live: &LivePlugin,
    owner: &Owner,
    pages: usize,
) -> kube::Result<(BTreeSet<i64>, Doubts)> {
    let (mut numbers, mut doubts) = (BTreeSet::new(), Doubts::default());
    let mut parameters = selected(owner).limit(PAGE);
    for _ in 0..pages {
        let list = api(cluster, live).list_metadata(&parameters).await?;
        for revision in list.items {
            match owner.number(&revision.metadata) {
                Ok(number) => _ = numbers.insert(number),
                Err(doubt) => doubts.add(revision.metadata.name.unwrap_or_default(), &doubt),
            }
        }
        let token = list.metadata.continue_.unwrap_or_default();
        if is_last(Some(&token)) {
            return Ok((numbers, doubts));
        }
        parameters = parameters.continue_token(&token);
    }
    doubts.are_more = true;
    Ok((numbers, doubts))
}

/// Revisions that only claim to be of the history.
#[derive(Default)]
struct Doubts {
    count: usize,
    first: Option<(String, String)>,
    /// Whether there are more than were looked at.
    are_more: bool,
}

impl Doubts {
    fn add(&mut self, name: String, doubt: &Doubt) {
        self.count += 1;
        self.first.get_or_insert_with(|| (name, doubt.to_string()));
    }

    fn note(self) -> Option<Note> {
        let (first, why) = self.first?;
        Some(Note::NotOurs {
            count: self.count,
            first,
            why,
            are_more: self.are_more,
        })
    }
}

/// Remembers what was applied, with the plugin's generation after it, and before it what others
/// changed meanwhile; forgets what is too old. The change is made already, so this never fails: it
/// says what could not be remembered.
pub(super) async fn record(
    cluster: &Cluster,
    live: &LivePlugin,
    before: &Snapshot,
    applied: &[(&SplitChange, Option<i64>)],
) -> Vec<Note> {
    if applied.is_empty() {
        return Vec::new();
    }
    let owner = Owner::of(live);
    let mut created = Vec::new();
    if let Some(last) = last(cluster, live).await {
        let foreign = unrecorded(&last, before);
        created.extend(foreign.map(|entry| (live.generation(), entry, Taken::BySomebody)));
    }
    let telling = telling(live.generation(), applied);
    let mut after = before.managed.clone();
    for (index, (change, generation)) in applied.iter().enumerate() {
        after.replace(&change.split, &change.part);
        if let Some(number) = generation.filter(|_| telling.contains(&index)) {
            let entry = Entry {
                after: after.clone(),
                ..change.entry.clone()
            };
            let taken = Taken::of(&entry);
            created.push((number, entry, taken));
        }
    }
    for (number, entry, taken) in &created {
        if let Err(error) = create(cluster, live, &owner, *number, entry, *taken).await {
            return vec![not_remembered(&error)];
        }
    }
    let newest = created.iter().map(|(number, ..)| *number).max();
    let owner = owner.at(newest.unwrap_or_default());
    notes_of(forget(cluster, live, &owner).await)
}

/// The last change that is remembered of those before the plugin was read: whoever wrote since has
/// nothing to do with what was there then. Where nothing can be read, there is none.
async fn last(cluster: &Cluster, live: &LivePlugin) -> Option<Entry> {
    let number = live.generation().unsigned_abs();
    let mut entries = read(cluster, live).await.ok()?.entries;
    entries.retain(|entry| entry.revision <= number);
    entries.pop()
}

/// Remembers a change of the whole plugin, with its generation after it. What is too old is
/// forgotten by the changes that wait for their turn, and here only now and then, for a plugin that
/// is aborted again and again.
pub(super) async fn remember(cluster: &Cluster, patched: &LivePlugin, entry: &Entry) -> Vec<Note> {
    let (owner, number) = (Owner::of(patched), patched.generation());
    let taken = Taken::of(entry);
    if let Err(error) = create(cluster, patched, &owner, number, entry, taken).await {
        return vec![not_remembered(&error)];
    }
    if number % FORGETS_EACH != 0 {
        return Vec::new();
    }
    notes_of(forget(cluster, patched, &owner).await)
}

/// Remembers again what was remembered once: each entry under its own number, where none of that
/// number is there, and only those that the newest ones leave room for.
pub(super) async fn remember_again(
    cluster: &Cluster,
    live: &LivePlugin,
    entries: &[Entry],
) -> Vec<Note> {
    let (owner, api) = (Owner::of(live), api(cluster, live));
    let known = match numbers(cluster, live, &owner, MAX_REVISION_PAGES).await {
        Ok((known, _)) => known,
        Err(error) => return vec![not_restored(entries.len(), words(&error))],
    };
    let reached = live.generation();
    let numbered = entries.iter().filter_map(|entry| {
        let number = i64::try_from(entry.revision).ok()?;
        (number > 0).then_some((number, entry))
    });
    let (missing, later): (Vec<_>, Vec<_>) = numbered
        .filter(|(number, _)| !known.contains(number))
        .partition(|(number, _)| *number <= reached);
    let mut notes = Vec::new();
    if !later.is_empty() {
        let why = format!(
            "their numbers are above the plugin's generation, {reached}, as those of a former plugin of this name"
        );
        notes.push(not_restored(later.len(), why));
    }
    let room = KEPT.saturating_sub(known.len());
    let mut missing: BTreeMap<i64, &Entry> = missing.into_iter().collect();
    let mut refused = None;
    for _ in 0..room {
        let Some((number, entry)) = missing.pop_last() else {
            break;
        };
        match send(&api, &owner, number, entry).await {
            Ok(()) => {}
            Err(error) if code(&error) == Some(409) => {}
            Err(error) => {
                missing.insert(number, entry);
                refused = Some(words(&error));
                break;
            }
        }
    }
    if !missing.is_empty() {
        let why =
            refused.unwrap_or_else(|| format!("a history keeps {KEPT}, and newer ones are there"));
        notes.push(not_restored(missing.len(), why));
    }
    notes
}

const fn not_restored(count: usize, why: String) -> Note {
    Note::NotRestored { count, why }
}

fn notes_of(forgotten: kube::Result<()>) -> Vec<Note> {
    match forgotten {
        Ok(()) => Vec::new(),
        Err(error) if code(&error) == Some(403) => Vec::new(),
        Err(error) => vec![Note::NotForgotten {
            why: error.to_string(),
        }],
    }
}

/// Which of the changes get an entry, by their place: one a generation, since a patch that changed
/// nothing was answered with the number of one that did; rather one that says something.
fn telling(before: i64, applied: &[(&SplitChange, Option<i64>)]) -> BTreeSet<usize> {
    let numbered = applied.iter().enumerate();
    let numbered =
        numbered.filter_map(|(index, (change, number))| Some((index, change, (*number)?)));
    let (telling, silent): (Vec<_>, Vec<_>) =
        numbered.partition(|(_, change, _)| !change.entry.changes.is_empty());
    let mut known = BTreeSet::from([before]);
    let all = telling.into_iter().chain(silent);
    all.filter(|(_, _, number)| known.insert(*number))
        .map(|(index, ..)| index)
        .collect()
}

fn not_remembered(error: &kube::Error) -> Note {
    Note::NotRemembered {
        why: words(error),
        is_forbidden: code(error) == Some(403),
    }
}

/// What it means that a revision of an entry's number is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// Somebody else noticed the same, or changed the plugin where this entry changed nothing.
    BySomebody,
    /// The generation is that of our change: whoever wrote something else wrote it in advance.
    InAdvance,
}

impl Taken {
    const fn of(own: &Entry) -> Self {
        if own.changes.is_empty() {
            Self::BySomebody
        } else {
            Self::InAdvance
        }
    }
}

async fn create(
    cluster: &Cluster,
    live: &LivePlugin,
    owner: &Owner,
    number: i64,
    entry: &Entry,
    taken: Taken,
) -> kube::Result<()> {
    let api = api(cluster, live);
    let name = owner.revision_name(number);
    match send(&api, owner, number, entry).await {
        Err(error) if code(&error) == Some(409) && taken == Taken::BySomebody => Ok(()),
        Err(error) if code(&error) == Some(409) && is_told(&api, owner, number, entry).await => {
            Ok(())
        }
        Err(error) if code(&error) == Some(409) => {
            api.delete(&name, &DeleteParams::default()).await?;
            send(&api, owner, number, entry).await
        }
        // The admission policy wants the API server's name of us, for which an abort may not have
        // waited.
        Err(error) if matches!(code(&error), Some(403 | 422)) => {
            let Some(by) = cluster.caller().await.filter(|name| *name != entry.by) else {
                return Err(error);
            };
            let entry = Entry {
                by,
                ..entry.clone()
            };
            send(&api, owner, number, &entry).await
        }
        result => result,
    }
}

/// Whether the history says of a generation what an entry says: of two aborts at once, the one that
/// changed nothing any more finds the other one's.
async fn is_told(api: &Api<ControllerRevision>, owner: &Owner, number: i64, entry: &Entry) -> bool {
    let Ok(revision) = api.get(&owner.revision_name(number)).await else {
        return false;
    };
    let own = verified::readable(entry.clone());
    let told = owner.at(number).entry(revision);
    told.is_ok_and(|told| told.changes == own.changes && told.after == own.after)
}

async fn send(
    api: &Api<ControllerRevision>,
    owner: &Owner,
    number: i64,
    entry: &Entry,
) -> kube::Result<()> {
    let mut entry = verified::readable(entry.clone());
    entry.revision = number.unsigned_abs();
    let data = serde_json::to_value(&entry).map_err(kube::Error::SerdeError)?;
    let revision = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(owner.revision_name(number)),
            labels: Some(BTreeMap::from([(PLUGIN.to_owned(), owner.uid.clone())])),
            owner_references: Some(vec![owner.reference()]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(data)),
        revision: number,
    };
    api.create(&PostParams::default(), &revision)
        .await
        .map(drop)
}

/// Deletes the oldest revisions of those on the first page, where all are unless somebody made more;
/// of those that are not ours, none.
async fn forget(cluster: &Cluster, live: &LivePlugin, owner: &Owner) -> kube::Result<()> {
    let (numbers, _) = numbers(cluster, live, owner, 1).await?;
    let surplus = numbers.len().saturating_sub(KEPT);
    for number in numbers.into_iter().take(surplus) {
        let name = owner.revision_name(number);
        match api(cluster, live)
            .delete(&name, &DeleteParams::default())
            .await
        {
            Ok(_) => {}
            Err(error) if code(&error) == Some(404) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn selected(owner: &Owner) -> ListParams {
    ListParams::default().labels(&format!("{PLUGIN}={}", owner.uid))
}

/// Whether a list ends with the page that has this token for the next one.
fn is_last(token: Option<&str>) -> bool {
    token.is_none_or(str::is_empty)
}

fn api(cluster: &Cluster, live: &LivePlugin) -> Api<ControllerRevision> {
    Api::namespaced(cluster.client().clone(), live.namespace())
}
