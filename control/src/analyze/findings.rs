//! What an analysis finds, and what every part of it looks at: plugins with their plans, and the
//! resources of one kind.

use sluice_core::plan::Plan;

use crate::model::input::Input;
use crate::model::plugin::Plugin;
use crate::model::resources::plugin::PluginSpec;
use crate::model::resources::{Resource, Spec};

/// What is wrong; each line begins with the resource it is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What cannot work.
    pub problems: Vec<String>,
    /// What is likely a mistake.
    pub warnings: Vec<String>,
}

impl Findings {
    pub(super) fn problem(&mut self, title: &str, text: impl std::fmt::Display) {
        self.problems.push(format!("{title}: {text}"));
    }

    pub(super) fn warning(&mut self, title: &str, text: impl std::fmt::Display) {
        self.warnings.push(format!("{title}: {text}"));
    }
}

/// A plugin with its plan and the resource that it came from.
pub(super) struct Planned<'d> {
    pub(super) title: String,
    pub(super) plugin: &'d Plugin,
    /// None for a bare configuration, and where a field has another type.
    pub(super) spec: Option<PluginSpec>,
    pub(super) plan: Plan,
}

/// The resources of one kind; says of the others which field has another type.
pub(super) fn resources<S: Spec>(documents: &[Input], findings: &mut Findings) -> Vec<Resource<S>> {
    let of_kind = documents.iter().filter(|input| is_one::<S>(input));
    let read = |input: &Input| {
        Resource::read(&input.value)
            .inspect_err(|error| {
                let namespace = input.namespace().unwrap_or("default");
                let name = input.name().unwrap_or("?");
                findings.problem(&format!("{} {namespace}/{name}", S::KIND), error);
            })
            .ok()
    };
    of_kind.filter_map(read).collect()
}

/// Istio and the Gateway API both have a kind Gateway, so the group counts where it is said.
fn is_one<S: Spec>(input: &Input) -> bool {
    let (group, _) = S::API_VERSION.split_once('/').unwrap_or_default();
    input.kind() == Some(S::KIND) && input.group().is_none_or(|theirs| theirs == group)
}
