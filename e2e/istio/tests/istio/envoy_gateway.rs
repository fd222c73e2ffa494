//! The example of Envoy Gateway, by Envoy Gateway itself: it fetches the module from the registry, and
//! its Envoy splits users as the filter's configuration says.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sluice_core::bucket::bucket;
use sluice_e2e::client::{Connection, get};
use sluice_e2e::upstream::Upstream;
use sluice_e2e::wait::until;
use sluice_e2e_istio::envoy_gateway::EnvoyGateway;
use sluice_e2e_istio::kubernetes::documents;
use sluice_e2e_istio::registry;

use crate::world::World;

const GATEWAY: &str =
    include_str!("../../../../wasmplugin/examples/15-without-istio/envoy-gateway/gateway.yaml");
const POLICY: &str =
    include_str!("../../../../wasmplugin/examples/15-without-istio/envoy-gateway/policy.yaml");
const SPLIT: &str =
    include_str!("../../../../wasmplugin/examples/15-without-istio/envoy-gateway/split.yaml");

const HOST: &str = "shop.example.com";

/// Where the Gateway listens here; and its versions.
const PORT: u16 = 8888;
const VERSIONS: [(&str, [u8; 4]); 2] = [("v1", [127, 0, 12, 1]), ("v2", [127, 0, 12, 2])];

/// How many users come.
const USERS: u32 = 200;

/// The example's routes, at another port, to addresses in the place of Services, which only a cluster
/// resolves.
fn gateway() -> String {
    let mut resources = documents(GATEWAY);
    for resource in &mut resources {
        match resource["kind"].as_str().unwrap() {
            "GatewayClass" => {
                resource["spec"]["parametersRef"] = json!({
                    "group": "gateway.envoyproxy.io", "kind": "EnvoyProxy",
                    "namespace": "shop", "name": "proxy",
                });
            }
            "Gateway" => resource["spec"]["listeners"][0]["port"] = json!(PORT),
            _ => {
                for rule in resource["spec"]["rules"].as_array_mut().unwrap() {
                    let name = rule["backendRefs"][0]["name"].take();
                    rule["backendRefs"] = json!([{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}]);
                }
            }
        }
    }
    for (version, address) in VERSIONS {
        let ip = json!({"address": SocketAddr::from((address, 8080)).ip(), "port": 8080});
        resources.push(json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend",
            "metadata": {"name": format!("web-{version}"), "namespace": "shop"},
            "spec": {"endpoints": [{"ip": ip}]},
        }));
    }
    let resources = resources.iter().map(Value::to_string);
    let resources = resources.chain([EnvoyGateway::proxy("shop", "proxy")]);
    resources.collect::<Vec<_>>().join("\n---\n")
}

/// The example's policy with the tests' image and another weight.
fn policy(world: &World, percent: u32) -> String {
    let mut policy = documents(POLICY).remove(0);
    let wasm = &mut policy["spec"]["wasm"][0];
    let image = format!("{}/sluice:e2e", registry::ADDRESS);
    let sha256 = world.digest.trim_start_matches("sha256:");
    let code = &mut wasm["code"]["image"];
    for (field, value) in [("url", image.as_str()), ("sha256", sha256)] {
        assert!(code[field].is_string(), "{code}");
        code[field] = json!(value);
    }
    wasm["config"]["weights"]["web"]["everyone"]["v2"] = json!(percent);
    policy.to_string()
}

/// The version of a user's answer.
async fn version(user: u32) -> Result<String, String> {
    let address = SocketAddr::from(([127, 0, 0, 1], PORT));
    let connection = Connection::open(address).await;
    let mut connection = connection.map_err(|error| error.to_string())?;
    let cookie = format!("cookie: uid=user-{user}");
    let answer = connection.send(&get("/", HOST, &[cookie.as_bytes()])).await;
    let answer = answer.ok_or("no answer")?;
    match answer.status {
        200 => Ok(answer.variant()),
        status => Err(format!("status {status}")),
    }
}

/// Waits until every user has the version of their bucket, and looks once more.
async fn wait_for_split(gateway: &EnvoyGateway, percent: u32) {
    let look = async || {
        for user in 0..USERS {
            let place = bucket("web", None, format!("user-{user}").as_bytes());
            let expected = if place < percent * 1000 { "v2" } else { "v1" };
            let found = version(user).await;
            if found.as_deref() != Ok(expected) {
                return Err(format!("user {user}: {found:?}; {}", gateway.log()));
            }
        }
        Ok(())
    };
    until(&format!("{percent} % by Envoy Gateway"), look).await;
    look().await.unwrap();
}

pub async fn the_example_splits_users_by_envoy_gateway_itself(world: &mut World) {
    let config = &documents(POLICY)[0]["spec"]["wasm"][0]["config"];
    assert_eq!(config, &documents(SPLIT)[0], "policy.yaml and split.yaml");
    for (version, address) in VERSIONS {
        Upstream::start_at((address, 8080).into(), version).await;
    }
    let envoy_gateway = EnvoyGateway::start(&world.chain);
    envoy_gateway.apply("gateway.yaml", &gateway());
    envoy_gateway.apply("policy.yaml", &policy(world, 20));
    wait_for_split(&envoy_gateway, 20).await;
    envoy_gateway.apply("policy.yaml", &policy(world, 50));
    wait_for_split(&envoy_gateway, 50).await;
}
