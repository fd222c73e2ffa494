//! The documents of an import by what they are called, so that each that is referred to is found
//! without a look at all the others.
//!
//! What a reference means (whose namespace, which kinds) is its reader's. Called by the readers of
//! Canaries and of Argo's Rollouts.

use std::collections::BTreeMap;

use crate::model::input::Input;

/// Group and kind of Istio's VirtualService.
pub(super) const VIRTUAL_SERVICE: Sort<'static> = ("networking.istio.io", "VirtualService");

/// Group and kind of Istio's DestinationRule.
pub(super) const DESTINATION_RULE: Sort<'static> = ("networking.istio.io", "DestinationRule");

/// Group and kind of a Deployment.
pub(super) const DEPLOYMENT: Sort<'static> = ("apps", "Deployment");

/// A group and a kind.
pub(super) type Sort<'s> = (&'s str, &'s str);

/// Every document, found by its name.
#[derive(Debug)]
pub(super) struct Documents<'i> {
    inputs: &'i [Input],
    named: BTreeMap<(Sort<'i>, &'i str), Named<'i>>,
}

/// Those of one kind and name, as places among the inputs; of several the first.
#[derive(Debug)]
struct Named<'i> {
    first: usize,
    by_namespace: BTreeMap<Option<&'i str>, usize>,
}

impl<'i> Documents<'i> {
    /// Those of all inputs; one without `apiVersion`, kind or name is nobody's.
    pub(super) fn of(inputs: &'i [Input]) -> Self {
        let mut named: BTreeMap<_, Named<'i>> = BTreeMap::new();
        for (index, input) in inputs.iter().enumerate() {
            let (Some(group), Some(kind)) = (input.group(), input.kind()) else {
                continue;
            };
            let Some(name) = input.name() else { continue };
            let of_name = named.entry(((group, kind), name)).or_insert_with(|| Named {
                first: index,
                by_namespace: BTreeMap::new(),
            });
            of_name
                .by_namespace
                .entry(input.namespace())
                .or_insert(index);
        }
        Self { inputs, named }
    }

    /// The one of a name in a namespace, or, since a file may leave that to `kubectl -n`, the one
    /// without; in no namespace the first. First its place among the inputs.
    pub(super) fn find(
        &self,
        sort: Sort<'_>,
        name: &str,
        namespace: Option<&str>,
    ) -> Option<(usize, &'i Input)> {
        let of_name = self.named.get(&(sort, name))?;
        let places = &of_name.by_namespace;
        let index = match namespace {
            None => of_name.first,
            Some(_) => *places.get(&namespace).or_else(|| places.get(&None))?,
        };
        Some((index, self.inputs.get(index)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_is_found_by_group_kind_name_and_namespace() {
        let input = |group: &str, name: &str, namespace: Option<&str>| Input {
            source: "f".to_owned(),
            value: json!({
                "apiVersion": format!("{group}/v1"), "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace},
            }),
        };
        let inputs = [
            input("example.com", "web", Some("a")),
            input("apps", "web", None),
            input("apps", "web", Some("a")),
            input("apps", "web", Some("a")),
            input("apps", "api", Some("b")),
        ];
        let documents = Documents::of(&inputs);
        let cases = [
            (
                "its own namespace goes before none",
                "web",
                Some("a"),
                Some(2),
            ),
            ("none stands for any", "web", Some("c"), Some(1)),
            (
                "asked without one, the first is taken",
                "web",
                None,
                Some(1),
            ),
            ("another namespace's is not", "api", Some("a"), None),
            ("asked without one, any is", "api", None, Some(4)),
            ("another name is not", "job", None, None),
        ];
        for (label, name, namespace, expected) in cases {
            let found = documents.find(DEPLOYMENT, name, namespace);
            assert_eq!(found.map(|(index, _)| index), expected, "{label}");
        }
    }
}
