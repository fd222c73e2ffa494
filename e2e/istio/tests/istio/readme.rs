//! The commands of docs/start.md for an existing Istio, exactly as it prints them: from nothing to a
//! sticky 5 % of users who keep a cookie.
//!
//! Only what the page makes up is put in: the registry's address, and the digest that the first
//! command prints.

use std::process::Command;

use sluice_e2e::upstream::Upstream;
use sluice_e2e::wait::until;
use sluice_e2e_istio::proxy::{Proxy, Role};
use sluice_e2e_istio::registry;

use crate::users::{assert_split, variant};
use crate::world::{World, revision, versions};

const PAGE: &str = include_str!("../../../../docs/start.md");

/// The file that the page names as an example.
const CONFIG: &str = include_str!("../../../../wasmplugin/base/config.yaml");

/// The registry that the page makes up.
const MADE_UP: &str = "registry.example.com";

const WEB_SHOP: &str = "web.shop.svc.cluster.local:8080";

/// The commands of the page's first block, each with the lines that it goes on over.
fn commands() -> Vec<String> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with("    "));
    let block = lines.take_while(|line| line.starts_with("    "));
    let mut commands = vec![String::new()];
    for line in block {
        let command = commands.last_mut().expect("a command");
        command.push_str(line);
        command.push('\n');
        if !line.ends_with('\\') {
            commands.push(String::new());
        }
    }
    commands.pop();
    commands
}

/// A folder as the reader of the page has it: the module that was built, and the configuration.
fn folder(world: &World) -> std::path::PathBuf {
    let folder = world.chain.folder().join("readme");
    std::fs::create_dir_all(folder.join("target/wasm")).unwrap();
    std::fs::copy(
        &world.chain.tools.module,
        folder.join("target/wasm/sluice.wasm"),
    )
    .unwrap();
    std::fs::write(folder.join("config.yaml"), CONFIG).unwrap();
    folder
}

/// Runs them one after another, without a pause; what they said.
fn run_all(world: &World) -> String {
    let (folder, tools) = (folder(world), &world.chain.tools);
    let programs = [tools.sluice.parent().unwrap(), &tools.go];
    let path = std::env::var_os("PATH").unwrap();
    let path = programs
        .map(Into::into)
        .into_iter()
        .chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).unwrap();
    let mut said = String::new();
    for command in commands() {
        let digest = said.lines().find(|line| line.starts_with("sha256:"));
        let command = command
            .replace(MADE_UP, registry::ADDRESS)
            .replace("sha256:…", digest.unwrap_or_default());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &command])
            .current_dir(&folder)
            .env("PATH", &path)
            .env("KUBECONFIG", world.chain.folder().join("admin.kubeconfig"))
            .env_remove("SLUICE_DIR")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let both = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{command}\n{both}");
        said += &both;
    }
    said
}

/// Waits until the caller runs what the plugin wants. Agents may forward the older of two
/// configurations last, while they fetch the module (istio/istio#53865), which the page says; then
/// it is pushed again, as `status --watch` does.
async fn wait_for_convergence(world: &World, caller: &Proxy) {
    until("the caller to run the wanted revision", async || {
        let wanted = world.wanted_revision("shop").await;
        let found = revision(caller, "shop.sluice").await;
        if found == wanted {
            return Ok(());
        }
        world.sluice("refetch -n shop").await.good();
        Err(format!("{found} instead of {wanted}"))
    })
    .await;
}

pub async fn its_commands_as_printed_give_a_sticky_part_of_users(world: &mut World) {
    for (variant, host) in [("stable", 1), ("canary", 2)] {
        Upstream::start_at(([127, 0, 7, host], 8080).into(), variant).await;
    }
    // The service of the example.
    let shop = versions("web", "shop", "127.10.1.7", 7);
    world.chain.kubernetes.apply(&shop).await;
    let caller = Proxy::start(&world.chain, Role::Sidecar, "shop", 31).await;
    let said = run_all(world);
    assert!(said.contains("web everyone canary: 0 -> 5"), "{said}");
    wait_for_convergence(world, &caller).await;
    // Each user of two hundred gets the version of their bucket, and gets it again.
    assert_split(&caller, WEB_SHOP, 5).await;
    assert_split(&caller, WEB_SHOP, 5).await;
    let moved = (0..200)
        .filter(|user| variant(*user, 5) == "canary")
        .count();
    assert!(
        (3..20).contains(&moved),
        "{moved} of 200 users on the canary"
    );
    assert!(!said.contains("moves nobody"), "{said}");
}
