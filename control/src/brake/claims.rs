//! What proxies say that their guards took out, until somebody looks whether it is so. Who asks for
//! brakes is not proven, so a claim is a reason to look and nothing else.

use std::collections::BTreeSet;

use parking_lot::{Mutex, MutexGuard};
use sluice_core::brake::Question;
use tokio::sync::Notify;

use super::plugin::PluginName;

/// How many claims wait at most; a proxy says the same again with its next question. Chosen: some
/// hundred kilobytes, and they wait for less than a millisecond.
pub const MAX_CLAIMS: usize = 1_024;

/// The longest name of a pod, and of a namespace, in bytes, as Kubernetes has them.
const LONGEST_POD: usize = 253;
const LONGEST_NAMESPACE: usize = 63;

/// That the guard of a proxy took a challenger out, as somebody says who says to be that proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The plugin.
    pub plugin: PluginName,
    /// The split.
    pub split: String,
    /// The challenger.
    pub variant: String,
    /// The proxy.
    pub pod: PodName,
}

/// A pod by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl PodName {
    /// Of Istio's id of a node, `sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local`. A namespace has no
    /// dots.
    fn of_node(node: &str) -> Option<Self> {
        let (name, namespace) = node.split('~').nth(2)?.rsplit_once('.')?;
        Self::new(namespace, name)
    }

    /// Of `NAMESPACE/NAME`, as it is displayed.
    pub fn read(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        Self::new(namespace, name)
    }

    /// Only names that Kubernetes has: they become a part of what the API server is asked.
    fn new(namespace: &str, name: &str) -> Option<Self> {
        let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_good = |text: &str, longest: usize, also: &[u8]| {
            let is_within = (1..=longest).contains(&text.len());
            is_within
                && text
                    .bytes()
                    .all(|byte| is_of_name(byte) || also.contains(&byte))
        };
        let is_name =
            is_good(namespace, LONGEST_NAMESPACE, b"-") && is_good(name, LONGEST_POD, b"-.");
        is_name.then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl std::fmt::Display for PodName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Claims that wait, each once.
#[derive(Debug, Default)]
pub struct Claims {
    waiting: Mutex<BTreeSet<Claim>>,
    more: Notify,
}

impl Claims {
    /// Notes what a question says; what there is no room for is left out.
    pub fn note(&self, plugin: &PluginName, question: &Question) {
        if question.trips.is_empty() {
            return;
        }
        let Some(pod) = PodName::of_node(&question.node) else {
            return;
        };
        let mut waiting = self.waiting();
        for trip in &question.trips {
            if waiting.len() >= MAX_CLAIMS {
                break;
            }
            waiting.insert(Claim {
                plugin: plugin.clone(),
                split: trip.split.clone(),
                variant: trip.variant.clone(),
                pod: pod.clone(),
            });
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Waits for one.
    pub async fn next(&self) -> Claim {
        loop {
            let claim = self.waiting().pop_first();
            match claim {
                Some(claim) => return claim,
                None => self.more.notified().await,
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeSet<Claim>> {
        self.waiting.lock()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use sluice_core::brake::Tripped;

    use super::*;

    fn question(node: &str, splits: &[&str]) -> Question {
        let trip = |split: &&str| Tripped {
            split: (*split).to_owned(),
            variant: "canary".to_owned(),
        };
        Question {
            node: node.to_owned(),
            trips: splits.iter().map(trip).collect(),
            ..Question::default()
        }
    }

    /// What waits, as `SPLIT of NAMESPACE/POD`.
    fn taken(claims: &Claims) -> Vec<String> {
        let next = || claims.next().now_or_never();
        let all = std::iter::from_fn(next);
        all.map(|claim| format!("{} of {}", claim.split, claim.pod))
            .collect()
    }

    const NODE: &str = "sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local";

    #[test]
    fn what_is_said_again_waits_once_and_again_once_it_was_taken() {
        let (claims, shop) = (
            Claims::default(),
            PluginName::of_envoy("shop.sluice").unwrap(),
        );
        for _ in 0..3 {
            claims.note(&shop, &question(NODE, &["web", "api"]));
        }
        claims.note(&shop, &question(NODE, &[]));
        assert_eq!(taken(&claims), ["api of shop/web-1", "web of shop/web-1"]);
        claims.note(&shop, &question(NODE, &["web"]));
        assert_eq!(taken(&claims), ["web of shop/web-1"]);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let claims = Claims::default();
        let shop = PluginName::of_envoy("shop.sluice").unwrap();
        let note = async { claims.note(&shop, &question(NODE, &["web"])) };
        let (claim, ()) = tokio::join!(claims.next(), note);
        assert_eq!(claim.split, "web");
    }

    #[test]
    fn only_so_many_wait() {
        let (claims, shop) = (
            Claims::default(),
            PluginName::of_envoy("shop.sluice").unwrap(),
        );
        for pod in 0..2 * MAX_CLAIMS {
            let node = format!("sidecar~10.0.0.7~web-{pod}.shop~x");
            claims.note(&shop, &question(&node, &["api", "web"]));
        }
        assert_eq!(taken(&claims).len(), MAX_CLAIMS);
    }

    #[test]
    fn a_node_that_names_no_pod_says_nothing() {
        let cases = [
            (NODE, Some("shop/web-1")),
            (
                "router~1.2.3.4~gw.v2-1.istio-system~x",
                Some("istio-system/gw.v2-1"),
            ),
            ("sidecar~10.0.0.7~web-1~x", None),
            ("sidecar~10.0.0.7~.shop~x", None),
            ("sidecar~10.0.0.7~web,metadata.name!=x.shop~x", None),
            ("sidecar~10.0.0.7~../secrets.shop~x", None),
            ("web-1.shop", None),
            ("", None),
        ];
        for (node, expected) in cases {
            let pod = PodName::of_node(node).map(|pod| pod.to_string());
            assert_eq!(pod.as_deref(), expected, "{node}");
            let again = pod.as_deref().and_then(PodName::read);
            assert_eq!(again, PodName::of_node(node));
        }
    }
}
