use sluice_core::allocation::Percent;

use super::*;
use crate::model::input;
use crate::model::weights::WeightKey;

fn imported(yaml: &str) -> Imported {
    Imported::of(&input::parse("f", yaml).unwrap())
}

#[test]
fn the_classic_email_rule_becomes_a_named_cookie() {
    let found = imported(
        "
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - match: [{headers: {cookie: {regex: '^(.*?;)?(email=[^;]*@some-company-name.com)(;.*)?$'}}}]
    route: [{destination: {host: web, subset: canary}}]
    timeout: 3s
  - route: [{destination: {host: web, subset: stable}, weight: 90}, {destination: {host: web, subset: canary}, weight: 10}]
",
    );
    let expected = json!({"splits": {"web": {
        "services": ["web.shop"], "variants": ["stable", "canary"],
        "rules": [{"name": "route-0", "match": [{"cookies": {"email": {"regex": r"[^@]+@some-company-name\.com"}}}]}],
    }}});
    assert_eq!(found.config(), expected);
    let weight = |audience: &str, percent| WeightShare {
        key: WeightKey::new("web", audience, "canary"),
        percent: Percent::new(percent).unwrap(),
    };
    assert_eq!(
        found.weights,
        [weight("everyone", 10.0), weight("route-0", 100.0)]
    );
    assert_eq!(
        found.notes,
        [
            r"VirtualService shop/web: spec.http[0].match[0]: the regex over the whole cookie header became the cookie email with regex '[^@]+@some-company-name\.com', which also finds it behind other cookies and does not take a dot for any character",
            "VirtualService shop/web: not carried over: spec.http[0]: timeout; keep them in the VirtualService, on every route",
            "VirtualService shop/web: its users are now drawn once and stay: splits.web.identity may name their cookie or header",
        ]
    );
}

#[test]
fn what_a_rule_cannot_say_is_listed() {
    let found = imported(
        "
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [shop.example.com]
  tcp: []
  http:
  - match: [{uri: {prefix: /v2}}, {headers: {x-beta: {}}}]
    route: [{destination: {host: web-v2}}]
  - route: [{destination: {host: web}}]
---
kind: Service
",
    );
    assert_eq!(
        found.splits["web"]["rules"],
        json!([{"name": "route-0", "match": [{"headers": {"x-beta": {"present": true}}}]}])
    );
    assert_eq!(
        found.notes[..4],
        [
            "VirtualService web: not carried over: spec.tcp; Sluice splits HTTP",
            "VirtualService web: spec.http[0].match[0].uri: rules look at who asks, not at this",
            "VirtualService web: not carried over: spec.http[0].match[0], as said above",
            "VirtualService web: its users are now drawn once and stay: splits.web.identity may name their cookie or header",
        ]
    );
    assert_eq!(
        found.notes[4],
        "f: not carried over: kind Service; accepted: VirtualService, Ingress, Flagger's Canary, Argo's Rollout"
    );
}

#[test]
fn nginx_canaries_keep_their_precedence() {
    let found = imported(
        "
kind: Ingress
metadata:
  name: shop-canary
  annotations:
    nginx.ingress.kubernetes.io/canary: 'true'
    nginx.ingress.kubernetes.io/canary-by-header: X-Canary
    nginx.ingress.kubernetes.io/canary-by-cookie: canary
    nginx.ingress.kubernetes.io/canary-weight: '5'
    nginx.ingress.kubernetes.io/canary-weight-total: '1000'
    nginx.ingress.kubernetes.io/rewrite-target: /
spec:
  rules: [{host: shop.example.com, http: {paths: [{path: /cart, pathType: Prefix}]}}]
",
    );
    let expected = json!({"splits": {"shop": {
        "hosts": ["shop.example.com"], "paths": [{"prefix": "/cart"}],
        "rules": [
            {"name": "header-always", "match": [{"headers": {"x-canary": {"exact": "always"}}}]},
            {"name": "header-never", "match": [{"headers": {"x-canary": {"exact": "never"}}}]},
            {"name": "cookie-always", "match": [{"cookies": {"canary": {"exact": "always"}}}]},
            {"name": "cookie-never", "match": [{"cookies": {"canary": {"exact": "never"}}}]},
        ],
    }}});
    assert_eq!(found.config(), expected);
    assert_eq!(
        found.weights.last().map(|weight| weight.percent),
        Percent::new(0.5)
    );
    assert_eq!(
        found.notes[0],
        "Ingress shop-canary: not carried over: annotation nginx.ingress.kubernetes.io/rewrite-target"
    );
}
