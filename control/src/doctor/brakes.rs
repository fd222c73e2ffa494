//! The Services that the proxies of our plugins ask for brakes: whether they are there, with the port
//! that a plugin names.

use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

use super::codes::Code;
use super::finding::{Finding, Look};
use super::objects::{self, SERVICE};
use super::query::Ground;
use crate::cluster::custom;
use crate::cluster::plugins::LivePlugin;

/// The port of brakes where a plugin names none, as the filter has it.
const BRAKE_PORT: f64 = 8085.0;

/// Whether the Service is there that a plugin's proxies ask.
pub async fn service(ground: &Ground<'_>, live: &LivePlugin) -> Look {
    let mut look = Look::default();
    let Some((name, namespace, port)) = brake(live) else {
        return look;
    };
    let place = format!("Service {namespace}/{name}");
    match custom::get(ground.cluster, &SERVICE, &namespace, &name).await {
        Ok(found) => {
            let found = found.map(|object| vec![object]).unwrap_or_default();
            let found: Vec<Service> = objects::typed(found);
            look.join(judge_service(
                &place,
                found.first(),
                port,
                &live.plugin.source,
            ));
        }
        Err(error) => look.miss(place, crate::cluster::words(&error)),
    }
    look
}

/// The Service of a plugin's brake: name, namespace, port. `None` where it is a host of its own.
fn brake(live: &LivePlugin) -> Option<(String, String, f64)> {
    let brake = live.plugin.config.get("brake")?;
    let host = brake.get("service").and_then(Value::as_str)?;
    let port = brake.get("port").and_then(Value::as_f64);
    let inner = host
        .strip_suffix(".svc.cluster.local")
        .or_else(|| host.strip_suffix(".svc"));
    let (name, namespace) = inner.unwrap_or(host).split_once('.')?;
    let is_service = !namespace.contains('.') && !name.is_empty();
    is_service.then(|| {
        (
            name.to_owned(),
            namespace.to_owned(),
            port.unwrap_or(BRAKE_PORT),
        )
    })
}

fn judge_service(place: &str, found: Option<&Service>, port: f64, plugin: &str) -> Look {
    let mut look = Look::default();
    let ports = found.map(|service| {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
        let ports = ports.into_iter().flatten();
        ports.map(|port| port.port).collect::<Vec<i32>>()
    });
    let accepted = format!("a Service with the port {port}, which {plugin} names");
    match ports {
        None => look.find(Finding::new(
            Code::BrakeServiceMissing,
            place,
            "not there",
            accepted,
        )),
        Some(ports) if !ports.iter().any(|own| f64::from(*own) == port) => {
            let found = format!("its ports are {ports:?}");
            look.find(Finding::new(
                Code::BrakeServiceMissing,
                place,
                found,
                accepted,
            ));
        }
        Some(_) => look.praise(format!("{place} is there for brakes")),
    }
    look
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::plugin::Kind;

    fn codes(look: &Look) -> Vec<&'static str> {
        let findings = look.findings.iter();
        findings.map(|found| found.code.as_str()).collect()
    }

    #[test]
    fn the_service_that_proxies_ask_must_have_their_port() {
        let live = |brake: Value| {
            let object = json!({
                "metadata": {"name": "s", "namespace": "a"},
                "spec": {"pluginConfig": {"splits": {}, "brake": brake}},
            });
            LivePlugin::of(serde_json::from_value(object).unwrap(), Kind::WasmPlugin).unwrap()
        };
        let named = |service: &str| brake(&live(json!({"service": service})));
        let expected = ("c".to_owned(), "sluice".to_owned(), BRAKE_PORT);
        for host in ["c.sluice", "c.sluice.svc", "c.sluice.svc.cluster.local"] {
            assert_eq!(named(host), Some(expected.clone()), "{host}");
        }
        for host in ["brakes.example.com", "c", ""] {
            assert_eq!(named(host), None, "{host}");
        }
        let service = json!({"metadata": {"name": "c"}, "spec": {"ports": [{"port": 8085}]}});
        let service: Service = serde_json::from_value(service).unwrap();
        let judged = |found, port| codes(&judge_service("Service sluice/c", found, port, "p"));
        assert_eq!(judged(Some(&service), 8085.0), [""; 0]);
        assert_eq!(judged(Some(&service), 8086.0), ["brake-service-missing"]);
        assert_eq!(judged(None, 8085.0), ["brake-service-missing"]);
    }
}
