//! Where a proxy asks for brakes: the cluster's name as istiod writes it.

use serde_json::Value;

use crate::config;
use crate::decode::Decode as _;
use crate::definition::is_name;
use crate::problem::{Accepted, Problem};

/// The longest host of a service that is asked for brakes; see docs/limits.md. What DNS has (RFC 1035).
pub const MAX_SERVICE_BYTES: usize = 253;

/// The port of `sluice`'s service, where the configuration names none.
const DEFAULT_PORT: u16 = 8085;

/// The service that a proxy asks for brakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The proxy's cluster for it.
    pub cluster: Box<str>,
    /// What a request to it says as its host.
    pub authority: Box<str>,
}

impl Service {
    /// Decodes what was received; with a problem nobody is asked.
    pub(super) fn decode(value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let config::Brake { service, port } = config::Brake::decode("brake", value, problems)?;
        let is_text = value.is_object() && value.get("service").is_none_or(Value::is_string);
        if is_text && !is_host(&service) {
            let accepted = Accepted::value("a service's name.namespace, or a whole host");
            problems.push(Problem::new(
                "brake.service",
                format!("{service:?}"),
                accepted,
            ));
        }
        let port = port.map_or(Some(DEFAULT_PORT), |port| {
            let whole = Some(port as u16).filter(|whole| *whole > 0 && f64::from(*whole) == port);
            if whole.is_none() {
                let accepted = Accepted::value("a port from 1 to 65535");
                problems.push(Problem::new("brake.port", port.to_string(), accepted));
            }
            whole
        })?;
        (problems.len() == before).then(|| Self::new(&service, port))
    }

    /// istiod names a cluster after direction, port, subset and host.
    fn new(service: &str, port: u16) -> Self {
        let domain = match service.split('.').count() {
            2 => ".svc.cluster.local",
            _ => "",
        };
        Self {
            cluster: format!("outbound|{port}||{service}{domain}").into(),
            authority: format!("{service}:{port}").into(),
        }
    }
}

fn is_host(service: &str) -> bool {
    service.len() <= MAX_SERVICE_BYTES && service.contains('.') && service.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn decoded(value: &Value) -> (Option<Service>, Vec<String>) {
        let mut problems = Vec::new();
        let service = Service::decode(value, &mut problems);
        (service, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_service_is_asked_at_the_cluster_that_istiod_makes_of_it() {
        let cases = [
            (
                json!({"service": "sluice.sluice-system"}),
                "outbound|8085||sluice.sluice-system.svc.cluster.local",
                "sluice.sluice-system:8085",
            ),
            (
                json!({"service": "sluice.sluice-system.svc.corp.example", "port": 80.0}),
                "outbound|80||sluice.sluice-system.svc.corp.example",
                "sluice.sluice-system.svc.corp.example:80",
            ),
        ];
        for (value, cluster, authority) in cases {
            let expected = Service {
                cluster: cluster.into(),
                authority: authority.into(),
            };
            assert_eq!(decoded(&value), (Some(expected), Vec::new()), "{value}");
        }
    }

    #[test]
    fn a_service_that_cannot_be_meant_is_a_problem_and_nobody_is_asked() {
        let service = "a service's name.namespace, or a whole host";
        let port = "a port from 1 to 65535";
        let cases = [
            (
                json!(true),
                vec!["brake: a boolean (true); accepted: a map".to_owned()],
            ),
            (
                json!({}),
                vec![format!("brake.service: \"\"; accepted: {service}")],
            ),
            (
                json!({"service": "sluice", "port": 0}),
                vec![
                    format!("brake.service: \"sluice\"; accepted: {service}"),
                    format!("brake.port: 0; accepted: {port}"),
                ],
            ),
            (
                json!({"service": "a..b", "port": 80.5}),
                vec![
                    format!("brake.service: \"a..b\"; accepted: {service}"),
                    format!("brake.port: 80.5; accepted: {port}"),
                ],
            ),
            (
                json!({"service": 5, "port": 65_536}),
                vec![
                    "brake.service: a number (5); accepted: a string; YAML reads unquoted true, \
                     false, on, off, yes, no and digits as something else: quote it"
                        .to_owned(),
                    format!("brake.port: 65536; accepted: {port}"),
                ],
            ),
            (
                json!({"service": "sluice.x", "key": 1}),
                vec!["brake.key: unknown field; accepted: service, port".to_owned()],
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(decoded(&value), (None, expected), "{value}");
        }
        let long = format!("a.{}", "b.".repeat(126) + "c");
        assert_eq!(
            decoded(&json!({"service": long})).0,
            None,
            "253 bytes and more"
        );
    }
}
