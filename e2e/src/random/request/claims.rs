//! Verified claims of a random request: which there are, and the filter that leaves them where Istio's
//! does.

use serde_json::{Value, json};

/// The claims that configurations name.
pub const CLAIMS: [&str; 4] = ["sub", "tier", "https://a.org/id", "it's %)"];

/// A claim's value, of any kind that JSON has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A string.
    Text(&'static str),
    /// A number.
    Number(&'static str),
    /// True or false.
    Boolean(&'static str),
    /// A list of one string.
    List(&'static str),
    /// A map with one string.
    Map(&'static str),
}

/// A Lua filter that puts claims of any kind where Istio's JWT filter would put verified ones, from
/// the header that a request has for it.
pub fn claims_filter() -> Value {
    let names = CLAIMS.map(|name| format!("{name:?}")).join(", ");
    let code = format!(
        r#"
        local names = {{ {names} }}
        function envoy_on_request(handle)
          local claims = handle:headers():get("x-test-claims")
          if claims == nil then return end
          local payload = {{}}
          for place, kind, value in string.gmatch(claims, "(%d+)(%a)([^;]*);") do
            local claim = value
            if kind == "n" then claim = tonumber(value)
            elseif kind == "b" then claim = value == "true"
            elseif kind == "l" then claim = {{ value }}
            elseif kind == "m" then claim = {{ a = value }} end
            payload[names[tonumber(place) + 1]] = claim
          end
          handle:streamInfo():dynamicMetadata():set("envoy.filters.http.jwt_authn", "payload", payload)
          handle:headers():remove("x-test-claims")
        end"#
    );
    json!({
        "name": "claims",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": code}},
    })
}
