//! Istio's standard metrics as the source of responses and times, checked: of which service, and
//! what tells the variants apart there.

use sluice_core::problem::{Accepted, Problem};

use crate::rollout::resource::{self, IstioLabel};

/// The longest name of a service or namespace (RFC 1123), and of a label's value that is read.
const LONGEST_NAME: usize = 253;

/// Istio's metrics of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Istio {
    /// The service's name.
    pub service: String,
    /// Its namespace; `None`: the Rollout's.
    pub namespace: Option<String>,
    /// The label that tells variants apart.
    pub label: IstioLabel,
    /// Its value for the challenger; `None`: the variant's name.
    pub challenger: Option<String>,
    /// Its value for the fallback; `None`: the variant's name.
    pub fallback: Option<String>,
}

/// What stands at `path`, with every mistake in it.
pub(super) fn checked(
    path: &str,
    written: &resource::IstioMetrics,
    problems: &mut Vec<Problem>,
) -> Istio {
    let mut report = |field: &str, found: &str, accepted: &str| {
        let path = format!("{path}.{field}");
        let found = found.chars().take(LONGEST_NAME).collect::<String>();
        problems.push(Problem::new(
            path,
            format!("{found:?}"),
            Accepted::value(accepted.to_owned()),
        ));
    };
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        let is_plain = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        is_plain && !name.is_empty() && name.len() <= LONGEST_NAME
    };
    let (service, namespace) = match written.service.split_once('.') {
        Some((service, namespace)) => (service, Some(namespace)),
        None => (&*written.service, None),
    };
    if !is_name(service) || !namespace.is_none_or(is_name) {
        let accepted = "a service as NAME or NAME.NAMESPACE, such as web.shop";
        report("service", &written.service, accepted);
    }
    let values = [
        ("challenger", &written.challenger),
        ("fallback", &written.fallback),
    ];
    for (field, value) in values {
        let value = value.as_deref().unwrap_or("-");
        if value.is_empty() || value.len() > LONGEST_NAME {
            let accepted = format!("a label's value of 1 to {LONGEST_NAME} bytes");
            report(field, value, &accepted);
        }
    }
    if written.challenger.is_some() && written.challenger == written.fallback {
        let value = written.fallback.as_deref().unwrap_or_default();
        report("fallback", value, "another value than the challenger's");
    }
    Istio {
        service: service.to_owned(),
        namespace: namespace.map(str::to_owned),
        label: written.label,
        challenger: written.challenger.clone(),
        fallback: written.fallback.clone(),
    }
}
