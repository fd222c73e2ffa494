//! A thousand splits, each on a host of its own, in four workers.

use serde_json::{Map, Value, json};
use sluice_e2e::adapter::Adapter;
use sluice_e2e::mesh::{Mesh, Options, plan};

const SPLITS: usize = 1_000;

fn config() -> Value {
    let name = |number: usize| format!("s{number:03}");
    let split = |number: usize| {
        let host = format!("h{number}.example.com");
        json!({"hosts": [host], "identity": [{"header": "x-user-id"}]})
    };
    let splits: Map<String, Value> = (0..SPLITS)
        .map(|number| (name(number), split(number)))
        .collect();
    let weights: Map<String, Value> = (0..SPLITS)
        .map(|number| (name(number), json!({"everyone": {"canary": number % 101}})))
        .collect();
    json!({"splits": splits, "weights": weights})
}

async fn each_of_a_thousand_splits_decides_on_its_host(adapter: Adapter) {
    let config = config();
    let options = Options {
        workers: 4,
        ..Options::on(adapter)
    };
    // Everything goes to the default upstream, which answers with the headers it received.
    let document = sluice_core::revision::canonical(&config);
    let mesh = Mesh::start_with(&document, &Value::Null, options).await;
    let plan = plan(&config);
    let mut on_canary = 0;
    for (number, split) in plan.splits().iter().enumerate() {
        let user = format!("user-{number}");
        let bucket = split.seed.bucket(user.as_bytes());
        let expected = ["stable", "canary"][usize::from(split.allocation(None).variant(bucket))];
        let line = format!("x-user-id: {user}");
        let host = format!("h{number}.example.com");
        let answer = mesh.get("/", &host, &[line.as_bytes()]).await;
        let header = format!("x-sluice-{}", split.definition.name);
        assert_eq!(answer.received(&header), [expected], "{header}");
        on_canary += u32::from(expected == "canary");
    }
    assert!((300..700).contains(&on_canary), "{on_canary}");
    mesh.wait_for_metric("sluice_decisions_total", &[], SPLITS as f64)
        .await;
}

sluice_e2e::over_both_adapters![each_of_a_thousand_splits_decides_on_its_host];
