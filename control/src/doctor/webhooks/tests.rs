//! Webhooks of every kind, and what becomes of a try.

use kube::api::DynamicObject;

use super::*;

fn plugin(labels: Value, config: Value) -> LivePlugin {
    let object = json!({
        "metadata": {"name": "sluice", "namespace": "a", "labels": labels},
        "spec": {"pluginConfig": config},
    });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    LivePlugin::of(object, Kind::WasmPlugin).unwrap()
}

fn webhooks(change: impl FnOnce(&mut Value)) -> Vec<Webhook> {
    let mut webhook = json!({
        "name": "rev.validation.istio.io", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": "istiod", "namespace": "istio-system"}},
        "rules": [{
            "operations": ["CREATE", "UPDATE"], "apiGroups": ["extensions.istio.io"],
            "apiVersions": ["*"], "resources": ["*"],
        }],
    });
    change(&mut webhook);
    let configuration = json!({"metadata": {"name": "istio-validator"}, "webhooks": [webhook]});
    validating(serde_json::from_value(configuration).unwrap())
}

#[test]
fn a_webhook_that_would_refuse_an_abort_is_named() {
    let (none, guards): (&[&str], &[&str]) = (&[], &["webhook-guards-aborts"]);
    let selector = |values: Value| json!({"matchExpressions": values});
    let of_rev = selector(json!([{"key": "rev", "operator": "In", "values": ["x"]}]));
    let of_none = selector(json!([{"key": "rev", "operator": "DoesNotExist"}]));
    let rows: [(&str, Vec<Webhook>, &[&str]); 9] = [
        ("as istiod has it", webhooks(|_| {}), guards),
        (
            "ignored",
            webhooks(|w| w["failurePolicy"] = json!("Ignore")),
            none,
        ),
        (
            "of other kinds",
            webhooks(|w| w["rules"][0]["resources"] = json!(["pods"])),
            none,
        ),
        (
            "of ours",
            webhooks(|w| w["rules"][0]["resources"] = json!(["wasmplugins"])),
            guards,
        ),
        (
            "of others' creation",
            webhooks(|w| w["rules"][0]["operations"] = json!(["CREATE"])),
            none,
        ),
        (
            "of another group",
            webhooks(|w| w["rules"][0]["apiGroups"] = json!(["apps"])),
            none,
        ),
        (
            "of another revision",
            webhooks(|w| w["objectSelector"] = of_rev.clone()),
            none,
        ),
        (
            "of no revision",
            webhooks(|w| w["objectSelector"] = of_none),
            guards,
        ),
        (
            "of other namespaces",
            webhooks(|w| w["namespaceSelector"] = of_rev.clone()),
            none,
        ),
    ];
    let live = [plugin(json!({}), json!({"splits": {}}))];
    let namespaces = BTreeMap::from([("a".to_owned(), Labels::new())]);
    for (label, webhooks, expected) in rows {
        let look = judge(&webhooks, &live, &namespaces);
        let codes: Vec<&str> = look
            .findings
            .iter()
            .map(|found| found.code.as_str())
            .collect();
        assert_eq!(codes, expected, "{label}");
    }
    let live = [plugin(
        json!({}),
        json!({"splits": {}, "brake": {"service": "a.b"}}),
    )];
    let look = judge(&webhooks(|_| {}), &live, &namespaces);
    assert_eq!(look.findings, []);
    assert_eq!(
        look.good,
        ["1 plugin behind rev.validation.istio.io with a brake"]
    );
}

#[test]
fn what_became_of_a_try_is_told() {
    let words = |message: &str| (String::new(), message.to_owned());
    let no_webhook = || {
        let (doing, message) = words("failed calling webhook");
        ClusterError::NoWebhook { doing, message }
    };
    let refused = || {
        let (doing, message) = words("denied");
        ClusterError::Refused { doing, message }
    };
    let forbidden = || {
        let (doing, message) = words("no");
        ClusterError::Forbidden { doing, message }
    };
    let unauthorized = || ClusterError::Unauthorized {
        doing: String::new(),
        url: String::new(),
    };
    let rows: [(&str, Result<(), ClusterError>, u64, &[&str]); 6] = [
        ("taken", Ok(()), 100, &[]),
        ("slow", Ok(()), 1_001, &["admission-slow"]),
        (
            "no webhook",
            Err(no_webhook()),
            10,
            &["webhook-refuses-now"],
        ),
        ("refused", Err(refused()), 10, &["change-refused"]),
        ("forbidden", Err(forbidden()), 10, &[]),
        ("else", Err(unauthorized()), 10, &["not-looked-at"]),
    ];
    for (label, answer, milliseconds, expected) in rows {
        let look = judge_try(
            "WasmPlugin a/s",
            answer,
            Duration::from_millis(milliseconds),
        );
        let codes: Vec<&str> = look
            .findings
            .iter()
            .map(|found| found.code.as_str())
            .collect();
        assert_eq!(codes, expected, "{label}");
    }
}
