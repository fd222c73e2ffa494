//! The configurations that are measured, all with the same rule on the same cookies.

use serde_json::{Value, json};

/// `number` splits on as many hosts, ten distinct expressions, weights that make 50 % of staff
/// sticky.
pub(crate) fn config(number: usize) -> Value {
    let names: Vec<String> = (0..number)
        .map(|place| {
            if place == 0 {
                "web".to_owned()
            } else {
                format!("s{place}")
            }
        })
        .collect();
    let split = |place: usize| {
        let domain = if place.is_multiple_of(10) {
            "some-company-name".to_owned()
        } else {
            format!("some-company-name{}", place % 10)
        };
        json!({
            "hosts": [format!("host{place}.example.com")],
            "header": "x-sluice-web",
            "rules": [{"name": "staff", "match": [{"cookies": {"email": {"regex": format!(r"[^@]+@{domain}\.com")}}}]}],
        })
    };
    let weights = || json!({"staff": {"canary": 50}, "everyone": {"canary": 5}});
    json!({
        "splits": names.iter().enumerate().map(|(place, name)| (name.clone(), split(place))).collect::<serde_json::Map<_, _>>(),
        "weights": names.iter().map(|name| (name.clone(), weights())).collect::<serde_json::Map<_, _>>(),
        "cookie": {"name": "visitor", "secure": false},
    })
}

/// One split for every host, as the baseline filter, Lua and the native route are.
pub(crate) fn hostless() -> Value {
    let mut config = config(1);
    config["splits"]["web"]
        .as_object_mut()
        .unwrap()
        .remove("hosts");
    config
}
