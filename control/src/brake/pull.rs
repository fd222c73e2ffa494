//! What `sluice abort` does beside its own write, where the plugin has a brake: the way past istiod.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sluice_core::definition::is_name;

use super::object::{Brake, BrakeSpec, Heard, Noted, State};
use super::watching::brakes;
use crate::cluster::{code, words};
use crate::model::reach::Reach;
use crate::model::weights::leaves;
use crate::operations::abort::Abort;
use crate::operations::{Caller, MAX_AT_ONCE};
use crate::store::Store as _;
use crate::store::kubernetes::Kubernetes;

/// How long proxies are waited for. Chosen: a proxy that is connected hears within a tenth of it.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often it is looked how many have heard.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often in a row the same number is to be seen: replicas say theirs one after the other.
const SEEN_AGAIN: u32 = 3;

/// The most splits of a plugin that are braked by one command, each by an object of its own.
pub const MAX_PULLED: usize = 512;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The plugin has no brake, or not this split.
    NotThere,
    /// Not all could be given; why.
    Refused {
        /// The API server's words.
        why: String,
    },
    /// It is given.
    Given {
        /// Of the brake of which the fewest have heard: how many proxies ask, and how many have.
        heard: Heard,
        /// Whether the zeros are in the plugin.
        state: State,
        /// Why they are not yet.
        message: Option<String>,
    },
}

/// Brakes that were given.
#[derive(Clone, Debug)]
pub struct Given {
    api: Api<Brake>,
    names: Vec<String>,
}

/// Brakes what an abort reaches; with `once`, no second time on the same occasion.
///
/// # Errors
/// What is said instead of [`Pulled::Given`].
pub async fn give(
    store: &Kubernetes,
    caller: &Caller,
    order: &Abort,
    once: Option<&str>,
) -> Result<Given, Pulled> {
    let refused = |why: String| Pulled::Refused { why };
    let snapshot = store.snapshot().await;
    let plugin = snapshot
        .map_err(|error| refused(format!("{error:#}")))?
        .plugin;
    let splits = braked(&plugin.config, &order.reach);
    let count = splits.len();
    if splits.is_empty() {
        return Err(Pulled::NotThere);
    }
    let namespace = plugin.namespace.clone().unwrap_or_default();
    let api = brakes(store.cluster(), Some(&namespace));
    let giving = splits.into_iter().take(MAX_PULLED).map(|split| {
        let spec = BrakeSpec {
            plugin: plugin.name.clone().unwrap_or_default(),
            split,
            challenger: order.reach.challenger.clone(),
            by: caller.name.clone(),
            reason: order.reason.clone(),
            written: None,
            released: None,
        };
        give_one(&api, spec, once)
    });
    let mut giving = futures::stream::iter(giving).buffer_unordered(MAX_AT_ONCE);
    let mut names = Vec::new();
    let mut failed = None;
    while let Some(given) = giving.next().await {
        match given {
            Ok(name) => names.push(name),
            Err(error) => failed = Some(error),
        }
    }
    drop(giving);
    match failed {
        None if count > MAX_PULLED => Err(refused(format!(
            "{MAX_PULLED} of {count} splits are braked, which is the most of one command"
        ))),
        None => Ok(Given { api, names }),
        Some(error) if code(&error) == Some(404) => Err(refused(
            "the cluster does not know Brakes; `sluice crds | kubectl apply --server-side -f -` installs them".to_owned(),
        )),
        Some(error) => {
            let given = names.len();
            Err(refused(format!("{} ({given} splits are braked)", words(&error))))
        }
    }
}

/// The splits to brake: those of the plugin within reach, where it has a brake.
fn braked(config: &Value, reach: &Reach) -> Vec<String> {
    if config.get("brake").is_none_or(Value::is_null) {
        return Vec::new();
    }
    let named = |field: &str| config.get(field).and_then(Value::as_object);
    let names = ["splits", "weights"]
        .map(named)
        .into_iter()
        .flatten()
        .flat_map(|splits| splits.keys());
    let partial = partial(config, reach);
    let names: BTreeSet<&String> = names
        .filter(|name| is_name(name) && reach.has_split(name) && !partial.contains(*name))
        .collect();
    names.into_iter().cloned().collect()
}

/// The splits of which others have a challenger within reach than those whom the abort reaches: a
/// brake takes it from every audience.
fn partial(config: &Value, reach: &Reach) -> BTreeSet<String> {
    let any_audience = Reach {
        audiences: None,
        ..reach.clone()
    };
    let others = leaves(config).filter(|(key, _)| any_audience.has(key) && !reach.has(key));
    let given = others.filter(|(_, percent)| percent.as_f64() != Some(0.0));
    given.map(|(key, _)| key.split).collect()
}

/// Writes a brake; its name.
async fn give_one(api: &Api<Brake>, spec: BrakeSpec, once: Option<&str>) -> kube::Result<String> {
    let mut brake = Brake::new("", spec);
    let begin = format!("{}-", brake.spec.split);
    match once {
        Some(occasion) => {
            let name = format!("{begin}{}", fingerprint(occasion));
            brake.metadata.name = Some(name.clone());
            return match api.create(&PostParams::default(), &brake).await {
                // Given before, and maybe released since.
                Err(error) if code(&error) == Some(409) => Ok(name),
                given => given.map(|_| name),
            };
        }
        None => {
            brake.metadata.name = None;
            brake.metadata.generate_name = Some(begin);
        }
    }
    let given = api.create(&PostParams::default(), &brake).await?;
    Ok(given.metadata.name.unwrap_or_default())
}

fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text);
    let bytes = digest.iter().take(8);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

impl Given {
    /// Notes that the zeros are written and in force, whether or not a controller looks.
    pub async fn written(&self, caller: &Caller) {
        let noted = Noted {
            at: caller.now().to_string(),
            by: caller.name.clone(),
        };
        let patch = Patch::Merge(json!({"spec": {"written": noted}}));
        let noting = self.names.clone().into_iter().map(|name| {
            let (api, patch) = (self.api.clone(), patch.clone());
            async move {
                // A controller that leads finds it out by itself.
                let _ = api.patch(&name, &PatchParams::default(), &patch).await;
            }
        });
        let mut noting = futures::stream::iter(noting).buffer_unordered(MAX_AT_ONCE);
        while noting.next().await.is_some() {}
    }

    /// Waits until every proxy that asks has heard of each, or it took too long.
    pub async fn followed(&self) -> Pulled {
        let until = tokio::time::Instant::now() + PATIENCE;
        let (mut before, mut times) = ((Heard::default(), 0), 0);
        loop {
            let worst = match self.worst().await {
                Ok(Some(worst)) => worst,
                Ok(None) => return Pulled::NotThere,
                Err(error) => return Pulled::Refused { why: words(&error) },
            };
            // Also a replica that none asks says so.
            let (heard, replicas) = (worst.heard(), worst.replicas().count());
            let is_same = (heard, replicas) == before;
            times = if is_same { times + 1 } else { 0 };
            before = (heard, replicas);
            let is_heard =
                heard.asking > 0 && heard.following == heard.asking && times >= SEEN_AGAIN;
            if is_heard || tokio::time::Instant::now() >= until {
                return Pulled::Given {
                    heard,
                    state: worst.state(),
                    message: worst.status.and_then(|status| status.message),
                };
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The brake of which the most proxies have not heard.
    async fn worst(&self) -> kube::Result<Option<Brake>> {
        let looking = self.names.iter().map(|name| self.api.get(name));
        let mut looking = futures::stream::iter(looking).buffer_unordered(MAX_AT_ONCE);
        let missing = |brake: &Brake| {
            let heard = brake.heard();
            (
                heard.asking == 0,
                heard.asking.saturating_sub(heard.following),
            )
        };
        let mut worst: Option<Brake> = None;
        while let Some(brake) = looking.next().await {
            let brake = brake?;
            if worst
                .as_ref()
                .is_none_or(|worst| missing(&brake) > missing(worst))
            {
                worst = Some(brake);
            }
        }
        Ok(worst)
    }
}
