//! What a page's commands made and did not take away again.

use std::collections::BTreeSet;

use sluice_e2e::wait::until;

use crate::world::World;

/// What decides where users go and who may do what: the next example has some of the same names. The
/// app, its Gateway and namespaces are the same for all, and may stay.
const KINDS: &str = "rollouts.sluice.dev,brakes.sluice.dev,wasmplugins,trafficextensions,envoyfilters,\
    virtualservices,destinationrules,serviceentries,authorizationpolicies,peerauthentications,\
    requestauthentications,httproutes,horizontalpodautoscalers,poddisruptionbudgets,roles,rolebindings,\
    clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings";

/// The namespaces that examples share, and none, as kubectl prints it. Others are one example's own and
/// go with it.
const SHARED: [&str; 3] = ["shop", "istio-ingress", "<none>"];

/// What there is of all that, as `NAMESPACE KIND/NAME`.
pub async fn there(world: &World) -> BTreeSet<String> {
    let columns = "custom-columns=N:.metadata.namespace,K:.kind,M:.metadata.name";
    let get = format!("get {KINDS} -A --no-headers -o {columns}");
    let said = world.kubectl(&get).await.good();
    let lines = said.out.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [namespace, kind, name] = words[..] else {
            return None;
        };
        SHARED
            .contains(&namespace)
            .then(|| format!("{namespace} {kind}/{name}"))
    });
    lines.collect()
}

/// Waits until nothing is there that was not there `before`.
pub async fn until_none_is_left(world: &World, before: &BTreeSet<String>) {
    until("what the page made to be gone again", async || {
        let there = there(world).await;
        let left: Vec<&String> = there.difference(before).collect();
        left.is_empty().then_some(()).ok_or(format!("{left:#?}"))
    })
    .await;
}
