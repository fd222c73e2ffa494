//! Whether a split asks for claims of a JWT: then it needs a gateway, and a phase behind the check
//! of the token.
//!
//! Called by the warnings, the analysis of plugins and the rendering.

use sluice_core::definition::Definition;
use sluice_core::identity::Source;
use sluice_core::matching::Subject;

/// Whether a rule or the identity of a split is about a claim.
pub fn asks_for_claims(definition: &Definition) -> bool {
    let mut conditions = definition
        .rules
        .iter()
        .flat_map(|rule| rule.alternatives.iter().flatten());
    conditions.any(|condition| matches!(condition.subject, Subject::Claim(_)))
        || definition
            .identity
            .iter()
            .any(|source| matches!(source, Source::Claim(_)))
}
