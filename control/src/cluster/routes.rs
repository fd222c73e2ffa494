//! What surrounds a plugin in a cluster: routes, subsets and Gateways, as far as the account may see
//! them and the cluster knows the kinds.

use std::ops::ControlFlow;

use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;
use serde_json::Value;

use super::Cluster;
use super::bounded::{Objects, kind_named, unexpected};
use super::plugins::LivePlugin;
use crate::model::input::Input;
use crate::model::resources::{Spec, gateway, istio};

/// How many resources of a kind are searched. Chosen: a namespace of a team has dozens.
const MAX_SEARCHED: usize = 500;

/// How many of them are read at once. Chosen: of the largest that the API server stores, some 50 MB.
const MAX_SEARCHED_AT_ONCE: u32 = 32;

/// The routes and subsets in a plugin's namespace, as far as the account may see them and the
/// cluster knows the kinds.
pub async fn routes(cluster: &Cluster, live: &LivePlugin) -> Vec<Input> {
    let namespace = live.namespace();
    let (services, rules, routes) = tokio::join!(
        documents::<istio::VirtualService>(cluster, Some(namespace)),
        documents::<istio::DestinationRule>(cluster, Some(namespace)),
        documents::<gateway::HttpRoute>(cluster, Some(namespace)),
    );
    [services, rules, routes].concat()
}

/// The Gateways of both kinds. They may lie in other namespaces than the pods that serve them; an
/// account that may not list those sees the ones in the plugin's namespace.
pub async fn gateways(cluster: &Cluster, live: &LivePlugin) -> Vec<Input> {
    let namespace = live.object.metadata.namespace.as_deref();
    let (classic, newer) = tokio::join!(
        wherever::<istio::Gateway>(cluster, namespace),
        wherever::<gateway::Gateway>(cluster, namespace),
    );
    [classic, newer].concat()
}

async fn wherever<S: Spec>(cluster: &Cluster, namespace: Option<&str>) -> Vec<Input> {
    match documents::<S>(cluster, None).await {
        none if none.is_empty() => documents::<S>(cluster, namespace).await,
        everywhere => everywhere,
    }
}

/// What is found in the resources of a kind in the cluster's namespace, the first so many: no more of
/// them are read than that takes.
///
/// # Errors
/// The API server's, and more than `MAX_SEARCHED` resources.
pub async fn search<T>(
    cluster: &Cluster,
    (api_version, kind): (&str, &str),
    most: usize,
    find: impl Fn(&DynamicObject) -> Option<T>,
) -> kube::Result<Vec<T>> {
    let resource = ApiResource::from_gvk(&kind_named(api_version, kind));
    let objects = Objects::of(cluster.client(), &resource, Some(cluster.namespace()));
    found(&objects, most, find).await
}

async fn found<T>(
    objects: &Objects<'_>,
    most: usize,
    find: impl Fn(&DynamicObject) -> Option<T>,
) -> kube::Result<Vec<T>> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let parameters = ListParams::default().limit(MAX_SEARCHED_AT_ONCE);
    let visit = objects.visit(parameters, |object| {
        seen += 1;
        if seen <= MAX_SEARCHED {
            found.extend(find(&object));
        }
        match found.len() >= most || seen > MAX_SEARCHED {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    visit.await?;
    match seen > MAX_SEARCHED {
        true => Err(unexpected(format!(
            "there are more than {MAX_SEARCHED} of them"
        ))),
        false => Ok(found),
    }
}

/// Every resource of a kind, of one namespace or of all; none where the kind is unknown or hidden.
async fn documents<S: Spec>(cluster: &Cluster, namespace: Option<&str>) -> Vec<Input> {
    let resource = ApiResource::from_gvk(&kind_named(S::API_VERSION, S::KIND));
    let objects = Objects::of(cluster.client(), &resource, namespace);
    let (objects, _) = objects.list(ListParams::default()).await;
    let input = |object: DynamicObject| {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let source = format!("{} {namespace}/{name}", S::KIND);
        let mut value = serde_json::to_value(&object).ok()?;
        // The API server leaves these two out of a list's items.
        value["kind"] = Value::from(S::KIND);
        value["apiVersion"] = Value::from(S::API_VERSION);
        Some(Input { source, value })
    };
    objects.into_iter().filter_map(input).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::json;

    use super::*;

    /// The first object and the number of those that were asked for, of each request.
    type Asked = Arc<Mutex<Vec<(usize, usize)>>>;

    /// An API server with a thousand objects, of which one is called `wanted`.
    fn server(wanted: usize) -> (Client, Asked) {
        let asked = Asked::default();
        let noted = Arc::clone(&asked);
        let server = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let value = |name: &str| {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                let value = pairs.find(|(own, _)| *own == name)?.1;
                value.parse::<usize>().ok()
            };
            let (from, limit) = (value("continue").unwrap_or(0), value("limit").unwrap());
            noted.lock().push((from, limit));
            let end = (from + limit).min(1000);
            let name = |number| if number == wanted { "wanted" } else { "other" };
            let items = (from..end).map(|number| json!({"metadata": {"name": name(number)}}));
            let items: Vec<Value> = items.collect();
            let next = (end < 1000).then(|| end.to_string());
            let list = json!({"metadata": {"continue": next}, "items": items});
            let answer = Response::new(Body::from(list.to_string().into_bytes()));
            std::future::ready(Ok::<_, tower::BoxError>(answer))
        });
        (Client::new(server, "shop"), asked)
    }

    #[tokio::test]
    async fn a_kind_is_searched_in_small_answers_and_no_further_than_needed() {
        let resource = ApiResource::from_gvk(&kind_named("v1", "Service"));
        let too_many = "there are more than 500 of them";
        for (wanted, most, expected, answers) in [
            (0, 1, Ok(1), 1),
            (40, 1, Ok(1), 2),
            (40, 2, Err(too_many), 16),
            (700, 1, Err(too_many), 16),
        ] {
            let (client, asked) = server(wanted);
            let objects = Objects::of(&client, &resource, Some("shop"));
            let is_wanted = |object: &DynamicObject| {
                (object.metadata.name.as_deref() == Some("wanted")).then_some(())
            };
            let found = found(&objects, most, is_wanted).await;
            let found = found.map(|found| found.len());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{wanted}"),
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
                (found, _) => panic!("{wanted}: {found:?}"),
            }
            let asked = asked.lock();
            assert_eq!(asked.len(), answers, "{wanted}");
            assert!(asked.iter().all(|(_, limit)| *limit == 32), "{asked:?}");
        }
    }
}
