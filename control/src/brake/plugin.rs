//! Which plugin a proxy means by the name that Envoy has for its configuration.

use std::fmt;

/// A plugin by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl PluginName {
    /// What Istio calls `NAMESPACE.NAME`, from 1.30 on with `~` and where it comes from behind it. A
    /// namespace has no dots.
    pub fn of_envoy(text: &str) -> Option<Self> {
        let named = text.split_once('~').map_or(text, |(named, _)| named);
        let (namespace, name) = named.split_once('.')?;
        let is_there = !(namespace.is_empty() || name.is_empty());
        is_there.then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istios_names_are_understood() {
        let cases = [
            ("shop.sluice", Some("shop/sluice")),
            (
                "shop.sluice~istio-translated-wasmplugin",
                Some("shop/sluice"),
            ),
            ("shop.sluice.v2~x", Some("shop/sluice.v2")),
            ("sluice", None),
            (".sluice", None),
            ("shop.", None),
            ("~shop.sluice", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let name = PluginName::of_envoy(text).map(|name| name.to_string());
            assert_eq!(name.as_deref(), expected, "{text}");
        }
    }
}
