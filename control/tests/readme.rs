//! The README's configurations and its Rollout are good, and its full one names every default as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use sluice::rollout::definition::Definition;
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};

const README: &str = include_str!("../../README.md");
const WINDOWS: &str = include_str!("../../docs/windows-gates-messages.md");

#[test]
fn the_rollout_on_the_page_of_windows_gates_and_messages_is_good() {
    let block = WINDOWS.split("```yaml\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let inputs = sluice::model::input::parse("page", block).unwrap();
    let mut spec = inputs[0].value.clone();
    spec["split"] = "web".into();
    spec["preset"] = "progressive".into();
    let definition = Definition::read("spec", &spec).unwrap();
    assert_eq!((definition.gates.len(), definition.receivers.len()), (1, 3));
}

#[test]
fn every_configuration_in_the_readme_is_good() {
    let blocks: Vec<&str> = README
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 3);
    let (rollouts, configurations): (Vec<&str>, Vec<&str>) = blocks
        .into_iter()
        .partition(|block| block.contains("kind: Rollout"));
    for block in rollouts {
        let inputs = sluice::model::input::parse("README.md", block).unwrap();
        let rollouts = sluice::rollout::manifest::rollouts(&inputs).unwrap();
        assert_eq!(rollouts.len(), 1, "{block}");
    }
    for block in configurations {
        let inputs = sluice::model::input::parse("README.md", block).unwrap();
        let document = Document::from_value(inputs[0].value.clone()).unwrap();
        let plan = Plan::build(&document, &Node::default(), None);
        assert_eq!(plan.problems(), [], "{block}");
    }
}
