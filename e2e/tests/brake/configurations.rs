//! Configurations that come while a challenger is braked, and those that end it.

use super::*;

/// A mesh in which everybody would get the canary, which is braked.
async fn braked(adapter: Adapter, workers: u32) -> (Brakes, Mesh, Vec<Connection>) {
    let brakes = Brakes::start().await;
    brakes.list("1", &[("1", "web", Some("canary"))], &[]);
    let mesh = start(adapter, workers, &config(100), &brakes).await;
    let mut all = connections(&mesh, 16).await;
    until_all_give(&mut all, "stable").await;
    (brakes, mesh, all)
}

/// Another configuration with the same split.
fn with_another(number: u32) -> Value {
    let mut config = config(100);
    config["draws"] = json!({"api": number.to_string()});
    config["splits"]["api"] = json!({"hosts": ["api.example.com"]});
    config
}

async fn two_hundred_configurations_end_no_brake_and_leave_nothing_behind(adapter: Adapter) {
    let (brakes, mesh, mut all) = braked(adapter, 4).await;
    let traffic = Traffic::of(&mesh, "stable").await;
    let before = mesh.resident_bytes();
    for number in 0..200 {
        mesh.deliver(&with_another(number).to_string());
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    mesh.configure(&with_another(200)).await;
    traffic.end().await;
    let after = mesh.resident_bytes();
    println!("resident: {} MiB, then {} MiB", before >> 20, after >> 20);
    assert!(after < before + (24 << 20), "{before} {after}");
    connected(&mesh, 1.0).await;
    brakes.list("2", &[], &["1"]);
    until_all_give(&mut all, "canary").await;
}

async fn a_brake_that_was_written_ends_when_its_weights_come(adapter: Adapter) {
    let (brakes, mesh, mut all) = braked(adapter, 2).await;
    mesh.configure(&config(99)).await;
    until_all_give(&mut all, "stable").await;
    brakes.list("2", &[], &[]);
    until_all_give(&mut all, "canary").await;

    brakes.list("3", &[("2", "web", Some("canary"))], &[]);
    until_all_give(&mut all, "stable").await;
    let traffic = Traffic::of(&mesh, "stable").await;
    let asked = Instant::now();
    brakes.list("4", &[], &[]);
    mesh.wait_for("the answer to be taken", async || {
        let questions = brakes.questions_since(asked);
        questions
            .iter()
            .any(|(_, question)| question.version.as_deref() == Some("4"))
    })
    .await;
    traffic.end().await;
    mesh.configure(&config(100)).await;
    until_all_give(&mut all, "canary").await;
}

async fn a_configuration_without_brake_ends_every_brake(adapter: Adapter) {
    let (_brakes, mesh, mut all) = braked(adapter, 2).await;
    let mut without = config(100);
    without.as_object_mut().unwrap().remove("brake");
    mesh.configure(&without).await;
    until_all_give(&mut all, "canary").await;
    connected(&mesh, 0.0).await;
    let asked = Instant::now();
    mesh.configure(&config(100)).await;
    until_all_give(&mut all, "stable").await;
    assert!(asked.elapsed() < Duration::from_secs(5));
}

/// As another module is: the former VMs drain and end, and what they held is taken over.
async fn new_vms_keep_a_brake_and_ask_on(adapter: Adapter) {
    let (brakes, mesh, mut all) = braked(adapter, 2).await;
    let traffic = Traffic::of(&mesh, "stable").await;
    for number in 1..=3 {
        let (before, replaced) = (mesh.updates().await, Instant::now());
        mesh.replace_module(&config(100).to_string(), &number.to_string());
        mesh.wait_for("new VMs", async || mesh.updates().await > before)
            .await;
        mesh.wait_for("their question", async || {
            !brakes.questions_since(replaced).is_empty()
        })
        .await;
        let took = brakes.questions_since(replaced)[0].0 - replaced;
        println!("new VMs asked after {took:?}");
        // A lease that nobody releases lasts for 3.5 s.
        assert!(took < Duration::from_secs(2), "{took:?}");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    traffic.end().await;
    connected(&mesh, 1.0).await;
    brakes.list("2", &[], &["1"]);
    until_all_give(&mut all, "canary").await;
}

/// Istio's root namespace has a plugin, and the proxy's own another one.
async fn two_plugins_of_a_proxy_have_each_their_own_brakes(adapter: Adapter) {
    let brakes = Brakes::start().await;
    let other = json!({
        "splits": {"shop": {"identity": [{"header": "x-user-id"}]}},
        "weights": {"shop": {"everyone": {"canary": 100}}},
        "brake": {"service": "sluice.sluice-system"},
    });
    let options = Options {
        workers: 2,
        clusters: vec![brakes.cluster()],
        filters_before: vec![Mesh::plugin(adapter, "istio-system.sluice", &other)],
        ..Options::on(adapter)
    };
    let began = Instant::now();
    let mesh = Mesh::start(&config(100), options).await;
    mesh.wait_for("both to ask", async || {
        let questions = brakes.questions_since(began);
        let is_asked = |plugin: &str| {
            let mut own = questions
                .iter()
                .filter(|(_, question)| question.plugin == plugin);
            own.any(|(_, question)| question.wait > 0 || adapter == Adapter::Native)
        };
        is_asked("dev.sluice") && is_asked("istio-system.sluice")
    })
    .await;
    brakes.list("1", &[("1", "web", None), ("2", "shop", None)], &[]);
    let shows = async |plugin: &str, split: &str, braked: f64| {
        let labels = [("sluice_plugin", plugin), ("sluice_split", split)];
        mesh.wait_for_metric("sluice_braked", &labels, braked).await;
    };
    shows("dev.sluice", "web", 1.0).await;
    shows("istio-system.sluice", "shop", 1.0).await;
    let gives = async |web: &str, shop: &str| {
        let what = format!("{web} and {shop}");
        mesh.wait_for(&what, async || {
            let answer = mesh.get("/", HOST, &[b"x-user-id: joe"]).await;
            answer.received("x-sluice-web") == [web] && answer.received("x-sluice-shop") == [shop]
        })
        .await;
    };
    gives("stable", "stable").await;
    brakes.list("2", &[("1", "web", None)], &["2"]);
    shows("istio-system.sluice", "shop", 0.0).await;
    gives("stable", "canary").await;
    shows("dev.sluice", "web", 1.0).await;
}

sluice_e2e::over_both_adapters![
    two_hundred_configurations_end_no_brake_and_leave_nothing_behind,
    a_brake_that_was_written_ends_when_its_weights_come,
    a_configuration_without_brake_ends_every_brake,
    new_vms_keep_a_brake_and_ask_on,
    two_plugins_of_a_proxy_have_each_their_own_brakes,
];
