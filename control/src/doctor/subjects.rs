//! What is looked at, and how bad a finding is.

use serde::Serialize;

/// How bad a finding is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or the next abort would not.
    Broken,
    /// It works, and will not in a case that comes.
    Warning,
    /// Something that one should know.
    Note,
}

impl Severity {
    /// The word for people, such as `broken`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What is looked at; in this order it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// istiod and its settings, the mesh configuration.
    Istio,
    /// Our CustomResourceDefinitions.
    Definitions,
    /// What accounts may do, and the policies that confine them.
    Rights,
    /// Our plugins, and others on the same proxies.
    Plugins,
    /// The proxies that our plugins select.
    Proxies,
    /// What Prometheus has.
    Prometheus,
    /// Whether clocks agree.
    Clocks,
    /// Who may refuse a change of weights, and an abort.
    Webhooks,
    /// The controller, and where proxies ask for brakes.
    Controller,
    /// Which versions run together.
    Versions,
}

impl Subject {
    /// All of them, in their order.
    pub const ALL: [Self; 10] = [
        Self::Istio,
        Self::Definitions,
        Self::Rights,
        Self::Plugins,
        Self::Proxies,
        Self::Prometheus,
        Self::Clocks,
        Self::Webhooks,
        Self::Controller,
        Self::Versions,
    ];

    /// The word for people, such as `istio`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Istio => "istio",
            Self::Definitions => "definitions",
            Self::Rights => "rights",
            Self::Plugins => "plugins",
            Self::Proxies => "proxies",
            Self::Prometheus => "prometheus",
            Self::Clocks => "clocks",
            Self::Webhooks => "webhooks",
            Self::Controller => "controller",
            Self::Versions => "versions",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_told_in_their_order() {
        assert!(Subject::ALL.is_sorted());
        assert!(Severity::Broken < Severity::Warning && Severity::Warning < Severity::Note);
    }
}
