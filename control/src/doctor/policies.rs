//! Whether the admission policies are there that confine what RBAC cannot, where a Role of ours is
//! given out.

use super::codes::Code;
use super::finding::{Finding, Look, named};
use super::objects::{self, POLICY, POLICY_BINDING, ROLE};
use super::query::Ground;
use crate::cluster::plugins::Scope;

/// The policies that confine the Role `sluice-weights`, each with a binding of its name.
pub const POLICIES: [&str; 3] = ["sluice-weights-only", "sluice-history", "sluice-brakes"];

/// Looks whether the policies are there, where the Role is given out that they confine.
pub async fn look(ground: &Ground<'_>) -> Look {
    let mut look = Look::default();
    let role = "sluice-weights";
    let everywhere = Scope::Everywhere;
    let mut missing = Vec::new();
    let roles = match objects::of_name(ground.cluster, &ROLE, ground.query.scope, role).await {
        Ok(roles) => roles,
        Err(why) => {
            look.miss(format!("Roles {role}"), why);
            return look;
        }
    };
    if roles.is_empty() {
        return look;
    }
    for name in POLICIES {
        for kind in [&POLICY, &POLICY_BINDING] {
            match objects::of_name(ground.cluster, kind, &everywhere, name).await {
                Ok(found) if found.is_empty() => missing.push(format!("{} {name}", kind.kind)),
                Ok(_) => {}
                Err(why) => look.miss(format!("{} {name}", kind.kind), why),
            }
        }
    }
    if !missing.is_empty() {
        let places: Vec<String> = roles
            .iter()
            .map(|found| objects::title(&ROLE, &found.metadata))
            .collect();
        look.find(Finding::new(
            Code::PolicyMissing,
            named(&places),
            format!("without {}", named(&missing)),
            "the three policies and their bindings",
        ));
    } else if look.findings.is_empty() {
        look.praise("the policies that confine the Role sluice-weights are there");
    }
    look
}
