//! Namespaces as environments with images: what a Rollout promoted in one is what Git should say in
//! another.

use serde_json::{Value, json};
use sluice_e2e_istio::kubernetes::documents;

use crate::releases::{push, taken_over, wait_for_rest};
use crate::rollouts::controller::{ramp, wait_for};
use crate::workloads::deployment;
use crate::world::World;

const PROMOTE: &str = "promote checkout --from a --to b --workload";

/// The Deployment of b as its Git has it; without an image, somebody else says it.
fn of_b(image: Option<&str>) -> Value {
    let mut deployment = deployment("checkout", "", "canary", 0);
    deployment["metadata"]["namespace"] = json!("b");
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    match image {
        Some(image) => container["image"] = json!(image),
        None => drop(container.as_object_mut().unwrap().remove("image")),
    }
    deployment
}

async fn image(world: &World) -> Value {
    let deployment = world
        .chain
        .kubernetes
        .get("Deployment", "b", "checkout")
        .await;
    deployment.unwrap().data["spec"]["template"]["spec"]["containers"][0]["image"].take()
}

pub async fn what_was_promoted_in_one_namespace_is_what_git_should_say_in_another(
    world: &mut World,
) {
    let (_workloads, _controller, load) = taken_over(world, &ramp(&[50, 100], "2s")).await;
    let kubernetes = &world.chain.kubernetes;
    let said = world.sluice(PROMOTE).await.ended_with(2);
    assert!(
        said.err.contains("there is no Deployment checkout in b"),
        "{said:?}"
    );
    let git = of_b(Some("registry.example/shop/ok:v0"));
    kubernetes
        .try_apply("argocd-controller", &git)
        .await
        .unwrap();

    push(world, "registry.example/shop/ok:v2").await;
    wait_for(world, "checkout", "a step of v2", |status| {
        status["run"]["stage"] == "Holding"
    })
    .await;
    let said = world.sluice(PROMOTE).await.ended_with(2);
    assert!(
        said.err
            .contains("Rollout checkout in a has a run under way, of ok:v2 ("),
        "{said:?}"
    );
    let said = world
        .sluice(&format!("{PROMOTE} --during-run"))
        .await
        .good();
    assert!(
        said.out.contains("image: registry.example/shop/ok:v1\n"),
        "{said:?}"
    );
    wait_for_rest(world, "v2").await;
    drop(load);

    // Git owns the image: it is to say it, and what is printed is what it should say.
    let said = world
        .sluice(&format!("{PROMOTE} --apply"))
        .await
        .ended_with(2);
    let owner = "spec.template.spec.containers[name=\"app\"].image is set by field manager \"argocd-controller\"";
    assert!(said.err.contains(owner), "{said:?}");
    assert_eq!(image(world).await, "registry.example/shop/ok:v0");
    let printed = world.sluice(PROMOTE).await.good().out;
    assert!(printed.starts_with("# version ok:v2 ("), "{printed}");
    let file = world.chain.folder().join("promotion.yaml");
    std::fs::write(&file, &printed).unwrap();
    let patch = format!(
        "patch deployment checkout -n b --type strategic --patch-file {}",
        file.display()
    );
    world.kubectl(&patch).await.good();
    let patched = kubernetes.get("Deployment", "b", "checkout").await.unwrap();
    let ports = &patched.data["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(ports[0]["containerPort"], 8080, "nothing else is patched");
    assert_eq!(image(world).await, "registry.example/shop/ok:v2");
    assert_eq!(documents(&printed).len(), 1);

    // Where both say the same, it is ours too, and stays when Git says it no more.
    kubernetes.delete("Deployment", "b", "checkout").await;
    let git = of_b(Some("registry.example/shop/ok:v2"));
    kubernetes
        .try_apply("argocd-controller", &git)
        .await
        .unwrap();
    let dry = format!("{PROMOTE} --apply --dry-run");
    let said = world.sluice(&dry).await.good();
    assert!(
        said.out.contains("dry run: nothing was written"),
        "{said:?}"
    );
    let without_image = of_b(None);
    let refused = kubernetes
        .try_apply("argocd-controller", &without_image)
        .await;
    assert!(refused.is_err(), "a template needs an image");
    world.sluice(&format!("{PROMOTE} --apply")).await.good();
    kubernetes
        .try_apply("argocd-controller", &without_image)
        .await
        .unwrap();
    assert_eq!(image(world).await, "registry.example/shop/ok:v2");
    push(world, "registry.example/shop/ok:v3").await;
    wait_for_rest(world, "v3").await;
    let said = world.sluice(&format!("{PROMOTE} --apply")).await.good();
    let expected = "checkout app: registry.example/shop/ok:v2 -> registry.example/shop/ok:v3\n";
    assert_eq!(said.out, expected);
    assert_eq!(image(world).await, "registry.example/shop/ok:v3");

    let by_hand = "set image deployment/checkout app=registry.example/shop/ok:v4 -n b";
    world.kubectl(by_hand).await.good();
    let said = world
        .sluice(&format!("{PROMOTE} --apply"))
        .await
        .ended_with(2);
    assert!(
        said.err.contains("is set by field manager \"kubectl-set\""),
        "{said:?}"
    );
    assert_eq!(image(world).await, "registry.example/shop/ok:v4");
}
