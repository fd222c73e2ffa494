//! What `sluice abort` does beside its own write, where the plugin has a brake: the way past istiod.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sluice_core::definition::is_name;

use super::object::{Brake, BrakeSpec, Heard, Noted, State};
use super::release::all_of;
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

/// How often it is looked at least. Chosen: replicas look ten times a second, and write after that; one
/// that says its number later than the others is missed.
const LEAST_LOOKS: u32 = 7;

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
    by: String,
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
    let (snapshot, by) = tokio::join!(store.snapshot(), store.cluster().caller());
    // The admission policy takes no other name, so that one lost answer must not cost the brake.
    let by = match by {
        Some(by) => Some(by),
        None => store.cluster().caller().await,
    };
    let by = by.unwrap_or_else(|| caller.name.clone());
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
            by: by.clone(),
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
        None => Ok(Given { api, names, by }),
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
    let begin = format!("{}-", spec.split);
    let mut brake = Brake::new("", spec);
    if let Some(occasion) = once {
        let name = format!("{begin}{}", fingerprint(occasion));
        brake.metadata.name = Some(name.clone());
        match api.create(&PostParams::default(), &brake).await {
            Err(error) if code(&error) == Some(409) => {
                if let Some(given) = given_before(api, &name, &brake.spec).await? {
                    return Ok(given);
                }
            }
            given => return given.map(|_| name),
        }
    }
    brake.metadata.name = None;
    brake.metadata.generate_name = Some(begin);
    let given = api.create(&PostParams::default(), &brake).await?;
    Ok(given.metadata.name.unwrap_or_default())
}

/// The name of the brake that was given on the same occasion, where one is there. Others know how it is
/// named and may have taken the name: then one is looked for that went by another.
async fn given_before(
    api: &Api<Brake>,
    name: &str,
    spec: &BrakeSpec,
) -> kube::Result<Option<String>> {
    let named = api.get_opt(name).await?;
    // It may have been released since: who did that shall not be outvoted.
    if named
        .is_some_and(|named| is_same(&named, spec) && (named.spec.by == spec.by || holds(&named)))
    {
        return Ok(Some(name.to_owned()));
    }
    let all = all_of(api).await?.unwrap_or_default();
    let other = all
        .into_iter()
        .find(|one| is_same(one, spec) && one.spec.by == spec.by && holds(one));
    Ok(other.and_then(|one| one.metadata.name))
}

fn is_same(brake: &Brake, spec: &BrakeSpec) -> bool {
    let BrakeSpec {
        plugin,
        split,
        challenger,
        ..
    } = &brake.spec;
    (plugin, split, challenger) == (&spec.plugin, &spec.split, &spec.challenger)
}

fn holds(brake: &Brake) -> bool {
    matches!(brake.state(), State::On | State::Written)
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
            by: self.by.clone(),
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
        let (mut before, mut times, mut looks) = ((Heard::default(), 0), 0, 0);
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
            looks += 1;
            let is_whole = heard.asking > 0 && heard.following == heard.asking;
            let is_heard = is_whole && times >= SEEN_AGAIN && looks >= LEAST_LOOKS;
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
        let looking = self.names.clone().into_iter().map(|name| {
            let api = self.api.clone();
            async move { api.get(&name).await }
        });
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use parking_lot::Mutex;

    use super::*;

    /// The Brakes of a namespace by their names, and what answers as an API server does.
    type Kept = Arc<Mutex<BTreeMap<String, Value>>>;

    fn brakes(kept: &Kept) -> Api<Brake> {
        let kept = Arc::clone(kept);
        let service = tower::service_fn(move |request: Request<Body>| {
            let kept = Arc::clone(&kept);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (code, answer) = answer(&mut kept.lock(), head.uri.path(), body);
                let answer = Body::from(answer.to_string().into_bytes());
                let response = Response::builder().status(code).body(answer);
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        Api::namespaced(Client::new(service, "a"), "a")
    }

    fn answer(kept: &mut BTreeMap<String, Value>, path: &str, body: Value) -> (u16, Value) {
        let failure = |code: u16| {
            let failure = json!({"kind": "Status", "status": "Failure", "code": code, "message": "", "reason": ""});
            (code, failure)
        };
        let named = path.strip_prefix("/apis/sluice.dev/v1alpha1/namespaces/a/brakes/");
        match (named, body) {
            (Some(name), _) => kept
                .get(name)
                .map_or_else(|| failure(404), |found| (200, found.clone())),
            (None, Value::Null) => {
                let items: Vec<&Value> = kept.values().collect();
                (200, json!({"kind": "List", "metadata": {}, "items": items}))
            }
            (None, mut brake) => {
                let generated = format!("web-generated-{}", kept.len());
                let name = brake["metadata"]["name"].as_str().unwrap_or(&generated);
                let name = name.to_owned();
                if kept.contains_key(&name) {
                    return failure(409);
                }
                brake["metadata"]["name"] = json!(name);
                kept.insert(name, brake.clone());
                (201, brake)
            }
        }
    }

    fn spec(plugin: &str, by: &str) -> BrakeSpec {
        BrakeSpec {
            plugin: plugin.to_owned(),
            split: "web".to_owned(),
            challenger: None,
            by: by.to_owned(),
            reason: None,
            written: None,
            released: None,
        }
    }

    #[tokio::test]
    async fn a_replica_that_says_its_number_later_is_waited_for() {
        let said = |names: &[&str]| {
            let own = json!({"asking": 3, "following": 3, "at": "2026-01-01T00:00:00Z"});
            let replicas: serde_json::Map<String, Value> = names
                .iter()
                .map(|name| ((*name).to_owned(), own.clone()))
                .collect();
            let mut brake =
                serde_json::to_value(Brake::new("web-1", spec("sluice", "me"))).unwrap();
            brake["status"] = json!({"replicas": replicas});
            brake
        };
        let looks = Arc::new(Mutex::new(0));
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut looks = looks.lock();
            *looks += 1;
            // A fifth of a second after the first.
            let names: &[&str] = if *looks < 6 {
                &["one"]
            } else {
                &["one", "two"]
            };
            let answer = Body::from(said(names).to_string().into_bytes());
            std::future::ready(Ok::<_, Infallible>(Response::new(answer)))
        });
        let given = Given {
            api: Api::namespaced(Client::new(service, "a"), "a"),
            names: vec!["web-1".to_owned()],
            by: "me".to_owned(),
        };
        let Pulled::Given { heard, .. } = given.followed().await else {
            panic!("it is given");
        };
        assert_eq!((heard.asking, heard.following), (6, 6));
    }

    #[tokio::test]
    async fn on_one_occasion_a_brake_is_given_once_also_where_others_took_its_name() {
        let released = json!({"at": "2026-01-01T00:00:00Z", "by": "bob"});
        let own = format!("web-{}", fingerprint("run"));
        // Who has the name already, whether that one was released, and who gives it anew.
        let cases = [
            ("nobody", None, Value::Null, &*own),
            (
                "the same, before",
                Some(spec("sluice", "me")),
                Value::Null,
                &own,
            ),
            (
                "the same, released since",
                Some(spec("sluice", "me")),
                released.clone(),
                &own,
            ),
            (
                "another's of the same",
                Some(spec("sluice", "ann")),
                Value::Null,
                &own,
            ),
            (
                "another's, released",
                Some(spec("sluice", "ann")),
                released.clone(),
                "web-generated-1",
            ),
            (
                "of another plugin",
                Some(spec("other", "ann")),
                Value::Null,
                "web-generated-1",
            ),
        ];
        for (label, former, released, expected) in cases {
            let kept = Kept::default();
            if let Some(former) = former {
                let mut former = serde_json::to_value(Brake::new(&own, former)).unwrap();
                former["spec"]["released"] = released;
                kept.lock().insert(own.clone(), former);
            }
            let api = brakes(&kept);
            for _ in 0..2 {
                let given = give_one(&api, spec("sluice", "me"), Some("run")).await;
                assert_eq!(given.unwrap(), expected, "{label}");
            }
        }
    }
}
