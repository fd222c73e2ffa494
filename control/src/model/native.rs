//! The native module as Envoy takes it: its filter, and the filter before it that hands it what
//! Envoy tells a WebAssembly module by itself.
//!
//! Pure JSON of Envoy's v3 API; where it stands (a file of `sluice dev`, an EnvoyFilter) is the
//! caller's. A native module cannot read nested metadata, so claims reach it as filter state, which
//! a `set_filter_state` filter fills before it; so does the name of the virtual host.

pub mod annotations;
pub mod envoy_filter;
pub mod refusal;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_core::definition::Definition;
use sluice_core::hosts::{Hosts, MatchHost};
use sluice_core::identity::Source;
use sluice_core::matching::Subject;
use sluice_core::plan::Plan;

/// How the type of a message begins in Envoy's JSON.
const TYPE: &str = "type.googleapis.com/";

/// The filter of a dynamic module.
const MODULE: &str = "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// The filter that writes filter state.
const STATE: &str = "envoy.extensions.filters.http.set_filter_state.v3.Config";

/// A filter that does nothing, without fields of its own.
const NOTHING: &str = "envoy.extensions.filters.http.set_metadata.v3.Config";

/// What Envoy's metrics of the module begin with. Chosen: `wasm`, since Istio's list of kept metrics
/// has that prefix.
pub const METRICS_NAMESPACE: &str = "wasmsluice";

/// What the names of the module's metrics begin with in Prometheus' format, unless Envoy strips it
/// ([`STRIPS_PREFIX`]).
pub const METRICS_PREFIX: &str = "envoy_wasmsluice_";

/// Envoy's runtime guard that leaves [`METRICS_PREFIX`] out.
pub const STRIPS_PREFIX: &str =
    "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix";

/// Where Istio's JWT filter leaves the verified claims, in CEL.
const CLAIMS: &str = "metadata.filter_metadata['envoy.filters.http.jwt_authn']['payload']";

/// The native module's filter: `module` is where Envoy finds the library (`{"local": {"filename":
/// …}}`), `filter_name` the plugin with what else identifies the proxy (`shop.sluice~sidecar`), and
/// `configuration` the plugin configuration, the same JSON as the WebAssembly module gets.
///
/// ```
/// use serde_json::json;
/// let module = json!({"local": {"filename": "/opt/libsluice-0.1.0.so"}});
/// let filter = sluice::model::native::module_filter(module, "shop.web~sidecar", "{}");
/// assert_eq!(filter["filter_config"]["value"], "{}");
/// ```
pub fn module_filter(module: Value, filter_name: &str, configuration: &str) -> Value {
    json!({
        "@type": format!("{TYPE}{MODULE}"),
        "dynamic_module_config": {
            "module": module,
            // Its threads run on, so it must stay where it is.
            "do_not_close": true,
            "metrics_namespace": METRICS_NAMESPACE,
        },
        "filter_name": filter_name,
        "filter_config": {"@type": format!("{TYPE}google.protobuf.StringValue"), "value": configuration},
    })
}

/// The filter that comes before it and hands it the claims that some split names
/// (`sluice.claim.NAME`) and, where a split names services, the virtual host
/// (`sluice.virtual_host`). `None` where no split needs either, since it costs each request
/// something.
///
/// A claim is handed on where it is a string, as the WebAssembly module reads it; a number, a list
/// or a map is as if there were none.
pub fn state_filter(plan: &Plan) -> Option<Value> {
    let definitions = || plan.splits().iter().map(|split| &*split.definition);
    let claims: BTreeSet<&str> = definitions().flat_map(claims).collect();
    let mut values: Vec<Value> = claims
        .iter()
        .map(|name| state(&format!("sluice.claim.{name}"), &claim(name)))
        .collect();
    if definitions().any(names_services) {
        values.push(state("sluice.virtual_host", "%CEL(xds.virtual_host_name)%"));
    }
    let filter = json!({"@type": format!("{TYPE}{STATE}"), "on_request_headers": values});
    (!values.is_empty()).then_some(filter)
}

/// A filter that does nothing: what Envoy runs until it has the wanted one, or in place of a
/// library that it cannot load.
pub fn no_filter() -> Value {
    json!({"@type": format!("{TYPE}{NOTHING}")})
}

/// The `config_discovery` of the module's filter or of the one before it: Envoy gets it from
/// `source`, and passes traffic untouched while there is none.
pub fn discovery(source: Value) -> Value {
    let type_urls = [MODULE, STATE, NOTHING].map(|kind| format!("{TYPE}{kind}"));
    json!({"config_source": source, "type_urls": type_urls, "default_config": no_filter()})
}

/// One value of filter state that is there whatever the request; empty where Envoy has none.
fn state(key: &str, format: &str) -> Value {
    json!({
        "object_key": key,
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": format}, "omit_empty_values": true},
    })
}

/// Envoy's format of a claim.
fn claim(name: &str) -> String {
    let claim = format!("{CLAIMS}['{}']", escaped(name));
    format!("%CEL(type({claim}) == string ? {claim} : '')%")
}

/// A text inside a string of CEL, whatever it holds; also such that no format string ends in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' | '/' => escaped.push(character),
            other => escaped += &format!("\\U{:08x}", u32::from(other)),
        }
    }
    escaped
}

/// The claims that a split names.
fn claims(definition: &Definition) -> impl Iterator<Item = &str> {
    let identities = definition
        .identity
        .iter()
        .filter_map(|source| match source {
            Source::Claim(name) => Some(&**name),
            _ => None,
        });
    let alternatives = definition.rules.iter().flat_map(|rule| &rule.alternatives);
    let conditions = alternatives.flatten();
    let matched = conditions.filter_map(|condition| match &condition.subject {
        Subject::Claim(name) => Some(&**name),
        _ => None,
    });
    identities.chain(matched)
}

fn names_services(definition: &Definition) -> bool {
    let Hosts::These(hosts) = &definition.hosts else {
        return false;
    };
    hosts
        .iter()
        .any(|host| matches!(host, MatchHost::Service(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::config::Document;
    use sluice_core::plan::Node;

    /// What is written to filter state for these splits: key and format.
    fn states(splits: Value) -> Vec<(String, String)> {
        let document = Document::from_value(json!({ "splits": splits })).unwrap();
        let plan = Plan::build(&document, &Node::default(), None);
        let filter = state_filter(&plan).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let states = filter["on_request_headers"].as_array().cloned();
        let states = states.unwrap_or_default();
        let format =
            |state: &Value| text(&state["format_string"]["text_format_source"]["inline_string"]);
        let pair = |state: &Value| (text(&state["object_key"]), format(state));
        states.iter().map(pair).collect()
    }

    #[test]
    fn each_claim_is_handed_on_once_and_the_virtual_host_where_services_are_named() {
        let web = json!({
            "services": ["web.shop"],
            "identity": [{"claim": "sub"}, {"cookie": "uid"}],
            "rules": [{"name": "gold", "match": [{"claims": {"tier": {"exact": "gold"}}}, {"claims": {"sub": {"exact": "a"}}}]}],
        });
        let names: Vec<String> =
            states(json!({"web": web, "api": {"identity": [{"claim": "sub"}]}}))
                .into_iter()
                .map(|(key, _)| key)
                .collect();
        let expected = [
            "sluice.claim.sub",
            "sluice.claim.tier",
            "sluice.virtual_host",
        ];
        assert_eq!(names, expected);
        let plain = json!({"web": {"hosts": ["a.org"], "identity": [{"header": "x-id"}]}});
        assert_eq!(states(plain), []);
    }

    #[test]
    fn no_name_of_a_claim_ends_the_string_or_the_format_that_it_stands_in() {
        let names = ["sub", "https://a.org/role", "a'b", "%)%", "é\\"];
        let expected = [
            "sub",
            "https\\U0000003a//a.org/role",
            "a\\U00000027b",
            "\\U00000025\\U00000029\\U00000025",
            "\\U000000e9\\U0000005c",
        ];
        for (name, expected) in names.into_iter().zip(expected) {
            let split = json!({"web": {"identity": [{ "claim": name }]}});
            let claim = format!("{CLAIMS}['{expected}']");
            let format = format!("%CEL(type({claim}) == string ? {claim} : '')%");
            assert_eq!(states(split), [(format!("sluice.claim.{name}"), format)]);
        }
    }
}
