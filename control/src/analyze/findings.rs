//! What an analysis finds, and what every part of it looks at: plugins with their plans, and the
//! resources of one kind.

use sluice_core::plan::Plan;

use crate::model::input::Input;
use crate::model::plugin::Plugin;
use crate::model::resources::plugin::PluginSpec;
use crate::model::resources::{Resource, Spec};

/// How many problems, and how many warnings, are kept. Chosen: more than anybody mends at once.
const MAX_FINDINGS: usize = 1_000;

/// What is wrong; each line begins with the resource it is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What cannot work.
    pub problems: Vec<String>,
    /// What is likely a mistake.
    pub warnings: Vec<String>,
    /// How many more problems and warnings there are.
    unkept: [usize; 2],
}

impl Findings {
    pub(super) fn problem(&mut self, title: &str, text: impl std::fmt::Display) {
        let [unkept, _] = &mut self.unkept;
        keep(&mut self.problems, unkept, title, text);
    }

    pub(super) fn warning(&mut self, title: &str, text: impl std::fmt::Display) {
        let [_, unkept] = &mut self.unkept;
        keep(&mut self.warnings, unkept, title, text);
    }

    /// The same, with a last line that says how many more there are.
    pub(super) fn counted(mut self) -> Self {
        let [problems, warnings] = std::mem::take(&mut self.unkept);
        let more = |number: usize, what| {
            (number > 0).then(|| format!("and {number} more {what} that are not listed"))
        };
        self.problems.extend(more(problems, "problems"));
        self.warnings.extend(more(warnings, "warnings"));
        self
    }
}

fn keep(kept: &mut Vec<String>, unkept: &mut usize, title: &str, text: impl std::fmt::Display) {
    if kept.len() < MAX_FINDINGS {
        kept.push(format!("{title}: {text}"));
    } else {
        *unkept += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_findings_the_first_are_kept_and_the_others_counted() {
        let mut findings = Findings::default();
        for number in 0..5_000 {
            findings.problem("web", number);
        }
        findings.warning("web", "one");
        let counted = findings.counted();
        assert_eq!(counted.problems.len(), MAX_FINDINGS + 1);
        assert_eq!(counted.problems[MAX_FINDINGS - 1], "web: 999");
        let last = counted.problems.last().unwrap();
        assert_eq!(last, "and 4000 more problems that are not listed");
        assert_eq!(counted.warnings, ["web: one"]);
    }
}
