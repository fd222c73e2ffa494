use std::borrow::Cow;

use super::*;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn these(texts: &[&str]) -> Hosts {
    Hosts::These(
        texts
            .iter()
            .map(|text| MatchHost::parse(text).unwrap())
            .collect(),
    )
}

/// Splits with headers of their own; no host is every host.
fn index(splits: &[&[&str]]) -> (HostIndex, Vec<LeftOut>) {
    let headers: Vec<String> = (0..splits.len())
        .map(|place| format!("x-{place}"))
        .collect();
    let hosts: Vec<Hosts> = splits
        .iter()
        .map(|hosts| {
            if hosts.is_empty() {
                Hosts::Every
            } else {
                these(hosts)
            }
        })
        .collect();
    build(
        hosts
            .iter()
            .zip(&headers)
            .map(|(hosts, header)| (hosts, header.as_str(), false)),
    )
}

fn build<'a>(
    claims: impl Iterator<Item = (&'a Hosts, &'a str, bool)>,
) -> (HostIndex, Vec<LeftOut>) {
    let claims: Vec<_> = claims
        .map(|(hosts, header, is_broken)| Claim {
            hosts: Some(hosts),
            header,
            is_broken,
        })
        .collect();
    HostIndex::build(&claims)
}

fn numbers(splits: &[SplitIndex]) -> Vec<u16> {
    splits.iter().map(|split| split.number()).collect()
}

/// The splits that are decided for an authority, and those whose headers are removed.
fn found(index: &HostIndex, authority: &[u8]) -> (Vec<u16>, Vec<u16>) {
    let places = index.places(Some(authority), || None);
    (
        numbers(index.splits(places)),
        numbers(&index.left_out(places)),
    )
}

#[test]
fn exact_wildcard_and_hostless_splits_all_apply() {
    let (index, left_out) = index(&[
        &["shop.example.com"],
        &["*.example.com"],
        &[],
        &["*.shop.example.com"],
        &["[::1]"],
    ]);
    assert_eq!(left_out, []);
    let long = [&[b'a'; 300], b".example.com".as_slice()].concat();
    let cases: &[(&str, &[u8], &[u16])] = &[
        (
            "exact, its wildcard and the hostless",
            b"shop.example.com",
            &[0, 1, 2],
        ),
        (
            "port, case and trailing dot are dropped",
            b"SHOP.example.com.:8080",
            &[0, 1, 2],
        ),
        ("any depth", b"a.b.example.com", &[1, 2]),
        ("two wildcards", b"a.shop.example.com", &[1, 2, 3]),
        ("but not the name itself", b"example.com", &[2]),
        ("nor one that merely ends so", b"badexample.com", &[2]),
        ("an empty label is no name below", b".example.com", &[2]),
        ("IPv6", b"[::1]:8080", &[2, 4]),
        ("unclosed IPv6", b"[::1", &[2]),
        ("unknown", b"other.org", &[2]),
        ("too long for a name", &[b'a'; 300], &[2]),
        ("too long, but below a wildcard", &long, &[1, 2]),
        ("a bracket", b"[x].example.com", &[1, 2]),
        ("an open bracket", b"[x.example.com", &[1, 2]),
        (
            "a user and a password",
            b"user:pw@a.example.com:80",
            &[1, 2],
        ),
        ("two colons", b"a:b.example.com:80", &[1, 2]),
        ("nothing", b"", &[2]),
    ];
    for (label, host, expected) in cases {
        assert_eq!(found(&index, host).0, *expected, "{label}");
    }
    let places = index.places(None, || None);
    assert_eq!(numbers(index.splits(places)), [2], "no host at all");
}

#[test]
fn a_name_as_long_as_can_be_is_not_found_at_the_end_of_a_longer_host() {
    let name = [&"a.".repeat(126), "org"].concat();
    let (index, _) = index(&[&[name.as_str()]]);
    assert_eq!(found(&index, name.as_bytes()).0, [0]);
    assert_eq!(found(&index, format!("b.{name}").as_bytes()).0, [0; 0]);
}

#[test]
fn where_an_authority_may_be_read_otherwise_no_header_of_that_reading_survives() {
    let (index, _) = index(&[
        &["shop.example.com"],
        &["*.example.com"],
        &[],
        &["*.other.org"],
    ]);
    let cases: &[(&str, &[u8], (&[u16], &[u16]))] = &[
        ("no doubt", b"shop.example.com:80", (&[0, 1, 2], &[])),
        (
            "the first colon ends the host for a domain host:*",
            b"shop.example.com:x:80",
            (&[2], &[0, 1]),
        ),
        (
            "the whole is compared where ports count",
            b"shop.example.com:x.other.org",
            (&[0, 1, 2], &[3]),
        ),
        ("a port that is a host", b"x:a.other.org", (&[2], &[3])),
    ];
    for (label, authority, (decided, removed)) in cases {
        let expected = (decided.to_vec(), removed.to_vec());
        assert_eq!(found(&index, authority), expected, "{label}");
    }
}

#[test]
fn a_service_is_found_by_the_name_of_its_virtual_host() {
    let services = Hosts::These(
        super::super::service_names("web.shop", None)
            .unwrap()
            .into(),
    );
    let (wildcard, exact) = (these(&["*.example.com"]), these(&["web.team"]));
    let hosts = [&services, &wildcard, &Hosts::Every, &exact];
    let headers = ["x-web", "x-wild", "x-all", "x-team"];
    let claims = hosts.into_iter().zip(headers);
    let (index, _) = build(claims.map(|(hosts, header)| (hosts, header, false)));
    let web: &[u8] = b"web.shop.svc.corp.example:8080";
    type Numbers<'a> = (&'a [u16], &'a [u16]);
    let cases: &[(&str, &[u8], Option<&[u8]>, Numbers<'_>)] = &[
        ("a cluster IP", b"10.0.0.7:8080", Some(web), (&[0, 2], &[])),
        (
            "a pod of a headless service",
            b"web-0.web.shop",
            Some(web),
            (&[0, 2], &[]),
        ),
        (
            "a host of another's wildcard, sent to the service's address",
            b"a.example.com",
            Some(web),
            (&[0, 2], &[1]),
        ),
        (
            "another virtual host",
            b"10.0.0.8",
            Some(b"a.b.svc.c:80"),
            (&[2], &[]),
        ),
        (
            "not a service's",
            b"10.0.0.8",
            Some(b"allow_any"),
            (&[2], &[]),
        ),
        ("none", b"10.0.0.8", None, (&[2], &[])),
        (
            "a host that is named is no service",
            b"10.0.0.8",
            Some(b"web.team.svc.cluster.local:80"),
            (&[2], &[]),
        ),
    ];
    for (label, authority, virtual_host, (decided, removed)) in cases {
        let places = index.places(Some(authority), || virtual_host.map(Cow::Borrowed));
        assert_eq!(numbers(index.splits(places)), *decided, "{label}");
        assert_eq!(numbers(&index.left_out(places)), *removed, "{label}");
    }
    let of_name = index.places(Some(b"web.shop"), || panic!("a host call for nothing"));
    assert_eq!(numbers(index.splits(of_name)), [0, 2]);
}

#[test]
fn a_seventeenth_split_finds_no_place_and_its_header_is_removed() {
    let (index, left_out) = index(&[["a.org"].as_slice(); 17]);
    let sixteen: Vec<u16> = (0..16).collect();
    assert_eq!(found(&index, b"a.org"), (sixteen, vec![16]));
    assert_eq!(
        left_out,
        [LeftOut {
            host: Some(MatchHost::Exact("a.org".into())),
            split: SplitIndex::new(16),
            clashes_with: None
        }]
    );
}

#[test]
fn a_split_that_is_displaced_above_is_removed_below_too() {
    let mut splits = vec![["*.org"].as_slice(); 17];
    splits.push(&["a.org"]);
    let (index, left_out) = index(&splits);
    let sixteen: Vec<u16> = (0..16).collect();
    assert_eq!(found(&index, b"b.org"), (sixteen.clone(), vec![16]));
    assert_eq!(found(&index, b"a.org"), (sixteen, vec![17, 16]));
    let seen: Vec<_> = left_out.iter().map(|left| left.split.number()).collect();
    assert_eq!(seen, [16, 17], "each once");
}

#[test]
fn a_split_that_is_displaced_at_many_names_is_removed_once() {
    let (index, _) = index(&[["*.a", "*.a.a", "*.a.a.a", "b"].as_slice(); 18]);
    let removed = |host: &[u8]| found(&index, host).1;
    assert_eq!(removed(b"a.a.a.a"), [16, 17]);
    assert_eq!(removed(b"a.a.a.a:x.b:x.a.a:80"), [16, 17]);
    assert_eq!(removed(b"b:x.a.a"), [16, 17]);
}

#[test]
fn broken_splits_crowd_nobody_out_and_take_nobody_s_header() {
    let hosts = these(&["a.org"]);
    let headers: Vec<String> = (0..18).map(|place| format!("x-{place}")).collect();
    let claims = headers.iter().enumerate();
    let (index, left_out) =
        build(claims.map(|(place, header)| (&hosts, header.as_str(), place < 2)));
    assert_eq!(found(&index, b"a.org"), ((2..18).collect(), vec![0, 1]));
    assert_eq!(left_out.len(), 2);
    let (index, left_out) = build(
        [true, false, false]
            .into_iter()
            .map(|is_broken| (&hosts, "x-same", is_broken)),
    );
    assert_eq!(
        found(&index, b"a.org"),
        (vec![1], vec![]),
        "the first healthy one has it"
    );
    let clashes: Vec<_> = left_out.iter().map(|left| left.clashes_with).collect();
    assert_eq!(clashes, [Some(SplitIndex::new(1)); 2]);
}

#[test]
fn a_split_whose_hosts_are_none_applies_nowhere() {
    let nowhere = these(&[]);
    let claims = [(&nowhere, "x-same", true), (&Hosts::Every, "x-same", false)];
    let (index, left_out) = build(claims.into_iter());
    assert_eq!(
        (found(&index, b"a.org"), left_out),
        ((vec![1], vec![]), vec![])
    );
}

#[test]
fn a_thousand_splits_for_every_host_and_thousands_of_hosts_cost_little() {
    let named: Vec<String> = (0..8_000)
        .map(|number| format!("h{number}.example.com"))
        .collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let mut splits = vec![[].as_slice(); 999];
    splits.push(&named);
    let (index, left_out) = index(&splits);
    assert_eq!(left_out.len(), 984, "once a split, not once a host");
    let kept: usize = index
        .entries
        .iter()
        .map(|entry| entry.displaced.len())
        .sum();
    assert_eq!(kept, 983 + 8_000);
    let (decided, removed) = found(&index, b"h7.example.com");
    assert_eq!((decided.len(), removed.len()), (16, 984));
}
