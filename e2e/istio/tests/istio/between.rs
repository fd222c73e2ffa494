//! Writes that somebody interferes with: another writer who is faster, a connection that is lost.

use sluice_e2e_istio::between::{Between, Fate};
use sluice_e2e_istio::command::Tool;

use crate::world::World;

/// `sluice` through somebody who interferes with its writes.
async fn interfered(world: &World, fates: impl IntoIterator<Item = Fate>) -> Tool {
    let chain = &world.chain;
    let kubeconfig = Between::start(&chain.kubernetes, chain.folder(), fates).await;
    chain.sluice.with_kubeconfig(&kubeconfig)
}

/// A write is passed on after `sluice` did something else.
fn behind(world: &World, arguments: &str) -> Fate {
    Fate::Behind(world.chain.sluice.clone(), arguments.to_owned())
}

const WEB: &str = "/web/everyone/canary";
const CHECKOUT: &str = "/checkout/everyone/canary";

pub async fn a_change_that_an_abort_overtook_is_refused(world: &mut World) {
    world.chain.kubernetes.apply(&world.plugin("a")).await;
    world.set("checkout", 10).await;
    world.set("web", 10).await;
    for (command, abort, what) in [
        (
            "set web canary=20",
            "abort web",
            "everyone/canary 10 -> 0, by `abort web`",
        ),
        (
            "set web canary=20",
            "abort --all",
            "everyone/canary 10 -> 0, by `abort --all`",
        ),
        (
            "rollback",
            "abort web",
            "everyone/canary 10 -> 0, by `abort web`",
        ),
    ] {
        world.sluice("set web canary=10 -n a --force").await.good();
        let sluice = interfered(world, [behind(world, &format!("{abort} -n a"))]).await;
        let said = sluice
            .run_beside(&format!("{command} -n a"))
            .await
            .ended_with(1);
        assert!(said.err.contains(what), "{command}, {abort}: {said:?}");
        assert!(
            said.err.contains("nothing was changed by this command"),
            "{said:?}"
        );
        assert_eq!(
            world.weight("a", WEB).await,
            Some(0.0),
            "{command}, {abort}"
        );
    }
    // Zeros that were zeros already are to stay so too.
    let sluice = interfered(world, [behind(world, "abort web -n a")]).await;
    let said = sluice
        .run_beside("set web canary=20 -n a")
        .await
        .ended_with(1);
    assert!(
        said.err
            .contains("its zeros were written again, by `abort web`"),
        "{said:?}"
    );
    assert_eq!(world.weight("a", WEB).await, Some(0.0));
}

pub async fn a_change_that_another_split_s_overtook_is_made(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let sluice = interfered(world, [behind(world, "set checkout canary=7 -n a")]).await;
    sluice.run_beside("set web canary=20 -n a").await.good();
    let weights = [
        world.weight("a", WEB).await,
        world.weight("a", CHECKOUT).await,
    ];
    assert_eq!(weights, [Some(20.0), Some(7.0)]);
}

pub async fn a_write_without_an_answer_is_looked_up(world: &mut World) {
    world.fresh_plugin("a", 10).await;
    let unknown = "it is unknown whether it was made: looking";
    let sluice = interfered(world, [Fate::LostBefore]).await;
    let said = sluice
        .run_beside("set web canary=20 -n a")
        .await
        .ended_with(2);
    for part in [
        unknown,
        "it was not made: the weights were read back and are as they were",
    ] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    assert_eq!(world.weight("a", WEB).await, Some(10.0));

    let sluice = interfered(world, [Fate::LostAfter]).await;
    let said = sluice.run_beside("set web canary=20 -n a").await.good();
    for part in [unknown, "but it was made: it was read back"] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    assert!(
        said.out.contains("web everyone canary: 10 -> 20"),
        "{said:?}"
    );
    assert_eq!(world.weight("a", WEB).await, Some(20.0));
    let history = world.sluice("history -n a").await.good().out;
    assert!(history.contains("web/everyone/canary 10->20"), "{history}");

    let sluice = interfered(world, [Fate::LostForGood]).await;
    let said = sluice
        .run_beside("set web canary=30 -n a")
        .await
        .ended_with(1);
    for part in [unknown, "it is still unknown whether it was made"] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    assert_eq!(world.weight("a", WEB).await, Some(30.0));
}
