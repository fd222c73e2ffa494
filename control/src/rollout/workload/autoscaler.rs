//! The HorizontalPodAutoscaler of the copy: one of ours, as long as there is one of the Deployment.
//! Pure.

use serde_json::{Value, json};

use super::seen::AutoscalerWork;
use crate::model::workload::ROLLOUT_LABEL;

/// The group and version of what is read and written.
pub const API_VERSION: &str = "autoscaling/v2";

/// Its kind.
pub const KIND: &str = "HorizontalPodAutoscaler";

/// What is seen of a namespace's autoscalers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Autoscalers {
    /// Whether one scales the Deployment.
    pub is_autoscaled: bool,
    /// The spec that the copy's is to have; `None` where it is to have none of ours.
    pub wanted: Option<Value>,
    /// What is to be done about the copy's.
    pub work: Option<AutoscalerWork>,
}

/// An autoscaler as far as it matters.
struct Scaler<'s> {
    name: &'s str,
    /// The Rollout that it is of.
    rollout: Option<&'s str>,
    target: &'s str,
    spec: &'s Value,
}

impl<'s> Scaler<'s> {
    /// `None` of one that scales no Deployment.
    fn of(object: &'s Value) -> Option<Self> {
        let spec = object.get("spec")?;
        let target = spec.get("scaleTargetRef")?;
        let text = |field: &str| target.get(field).and_then(Value::as_str);
        let is_deployment = text("kind") == Some("Deployment");
        let labels = object.pointer("/metadata/labels");
        let scaler = Self {
            name: object.pointer("/metadata/name")?.as_str()?,
            rollout: labels.and_then(|labels| labels.get(ROLLOUT_LABEL)?.as_str()),
            target: text("name")?,
            spec,
        };
        is_deployment.then_some(scaler)
    }
}

/// What is to be done about the autoscaler of a Rollout's copy, which has the copy's name.
pub fn autoscalers(
    all: &[Value],
    [deployment, copy]: [&str; 2],
    rollout: &str,
    is_copied: bool,
) -> Autoscalers {
    let scalers = || all.iter().filter_map(Scaler::of);
    let of_deployment = scalers()
        .filter(|scaler| scaler.target == deployment && scaler.rollout.is_none())
        .min_by_key(|scaler| scaler.name);
    let own = scalers().find(|scaler| scaler.name == copy && scaler.rollout == Some(rollout));
    let others = all.iter().any(|object| {
        let is_named = object.pointer("/metadata/name").and_then(Value::as_str) == Some(copy);
        is_named && own.is_none()
    });
    // Two of one target fight each other: whoever has one for the copy knows what they want.
    let is_others = others || scalers().any(|one| one.target == copy && one.rollout.is_none());
    let wanted = of_deployment
        .as_ref()
        .filter(|_| is_copied && !is_others)
        .map(|scaler| {
            let mut spec = scaler.spec.clone();
            spec["scaleTargetRef"]["name"] = json!(copy);
            spec
        });
    let work = match (&wanted, &own) {
        (Some(wanted), Some(own)) if own.spec == wanted => None,
        (Some(_), _) => Some(AutoscalerWork::Apply),
        (None, Some(_)) => Some(AutoscalerWork::Delete),
        (None, None) => None,
    };
    Autoscalers {
        is_autoscaled: of_deployment.is_some(),
        wanted,
        work,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler(name: &str, target: &str, rollout: Option<&str>, most: u32) -> Value {
        let labels = rollout.map_or_else(|| json!({}), |rollout| json!({ROLLOUT_LABEL: rollout}));
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": target});
        json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": most},
        })
    }

    #[test]
    fn the_copy_has_an_autoscaler_as_the_deployment_has_one() {
        let git = || scaler("web", "web", None, 9);
        let own = |most| scaler("web-stable", "web-stable", Some("web"), most);
        let other = |name, target| scaler(name, target, None, 9);
        let statefulset = || {
            let mut scaler = other("web", "web");
            scaler["spec"]["scaleTargetRef"]["kind"] = json!("StatefulSet");
            scaler
        };
        let (apply, delete) = (Some(AutoscalerWork::Apply), Some(AutoscalerWork::Delete));
        let cases = [
            ("there is none", vec![], true, None),
            ("one in Git", vec![git()], true, apply),
            ("the copy is not made yet", vec![git()], false, None),
            ("as it is to be", vec![own(9), git()], true, None),
            ("Git's is another now", vec![own(5), git()], true, apply),
            ("Git's is gone", vec![own(9)], true, delete),
            (
                "one of its name is not ours",
                vec![git(), other("web-stable", "api")],
                true,
                None,
            ),
            (
                "somebody scales the copy",
                vec![git(), other("mine", "web-stable")],
                true,
                None,
            ),
            (
                "somebody does so too",
                vec![git(), own(9), other("mine", "web-stable")],
                true,
                delete,
            ),
            ("another kind of that name", vec![statefulset()], true, None),
        ];
        for (label, all, is_copied, expected) in cases {
            let seen = autoscalers(&all, ["web", "web-stable"], "web", is_copied);
            assert_eq!(seen.work, expected, "{label}");
        }
        let seen = autoscalers(&[git()], ["web", "web-stable"], "web", true);
        assert!(seen.is_autoscaled);
        assert_eq!(seen.wanted.unwrap(), own(9)["spec"]);
    }
}
