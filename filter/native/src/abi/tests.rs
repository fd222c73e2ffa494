//! Hooks as Envoy calls them, with an Envoy in memory.

use super::Buffer;
use super::fake::{FakeConfig, FakeStream};
use super::hooks::{
    envoy_dynamic_module_on_http_filter_config_destroy as config_destroy,
    envoy_dynamic_module_on_http_filter_config_new as config_new,
    envoy_dynamic_module_on_http_filter_config_scheduled as config_scheduled,
    envoy_dynamic_module_on_http_filter_destroy as filter_destroy,
    envoy_dynamic_module_on_http_filter_new as filter_new,
    envoy_dynamic_module_on_http_filter_request_headers as request_headers,
    envoy_dynamic_module_on_http_filter_response_headers as response_headers,
    envoy_dynamic_module_on_program_init as program_init,
};
use super::panics::guarded;

/// Half of all users, by header x-user.
const HALF: &[u8] = br#"{
    "splits": {"web": {"identity": [{"header": "x-user"}]}},
    "weights": {"web": {"everyone": {"canary": 50}}}
}"#;

fn new(config: &FakeConfig, name: &str, received: &[u8]) -> *const std::ffi::c_void {
    let (name, received) = (Buffer::of(name.as_bytes()), Buffer::of(received));
    config_new(config.raw(), name, received)
}

fn stream_of(user: &str) -> FakeStream {
    let stream = FakeStream::default();
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let headers = [
        header(":authority", "shop"),
        header("x-user", user),
        header("x-sluice-web", "a client's own"),
    ];
    stream.headers.borrow_mut()[0] = headers.to_vec();
    stream
}

/// What a request's upstream sees of the split.
fn decided(own: *const std::ffi::c_void, stream: &FakeStream) -> Option<String> {
    let filter = filter_new(own, stream.raw());
    assert_eq!(request_headers(stream.raw(), filter, true), 0);
    assert_eq!(response_headers(stream.raw(), filter, true), 0);
    filter_destroy(filter);
    let value = stream.request_header("x-sluice-web")?;
    Some(String::from_utf8(value).unwrap())
}

/// How often so many decisions were added to a series.
fn decisions_written(config: &FakeConfig, number: u64) -> usize {
    let end = format!("= {number}");
    let written = config.written.borrow();
    let is_it = |line: &&String| line.contains("decisions") && line.ends_with(&end);
    written.iter().filter(is_it).count()
}

#[test]
fn a_request_gets_its_users_variant_and_is_routed_again() {
    let config = FakeConfig::default();
    let own = new(&config, "hooks.one", HALF);
    let mut seen = Vec::new();
    for user in ["alice", "bob", "carol", "dave", "erin", "frank"] {
        let stream = stream_of(user);
        let variant = decided(own, &stream).unwrap();
        assert_eq!(*stream.routed.borrow(), 1);
        assert_eq!(decided(own, &stream_of(user)).unwrap(), variant, "{user}");
        seen.push(variant);
    }
    assert!(seen.contains(&"canary".to_owned()) && seen.contains(&"stable".to_owned()));
    config_scheduled(config.raw(), own, 0);
    let written = config.written.borrow();
    let decisions = written.iter().filter(|line| line.contains("decisions"));
    let numbers = decisions.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>());
    assert_eq!(numbers.map(Result::unwrap).sum::<u64>(), 12);
    drop(written);
    config_destroy(own);
}

#[test]
fn an_unreadable_configuration_passes_everything_or_leaves_the_last_good_one() {
    let (first, second, third) = <(FakeConfig, FakeConfig, FakeConfig)>::default();
    let bad = new(&first, "hooks.two", b"{");
    assert!(!bad.is_null());
    let untouched = decided(bad, &stream_of("alice"));
    assert_eq!(untouched.as_deref(), Some("a client's own"));
    let good = new(&second, "hooks.two", HALF);
    let variant = decided(good, &stream_of("alice"));
    config_destroy(bad);
    let worse = new(&third, "hooks.two", br#"{"version": 2}"#);
    config_destroy(good);
    assert_eq!(decided(worse, &stream_of("alice")), variant);
    config_destroy(worse);
}

#[test]
fn a_response_without_a_request_is_let_through() {
    let config = FakeConfig::default();
    let own = new(&config, "hooks.three", HALF);
    let stream = FakeStream::default();
    let headers = vec![(":status".to_owned(), b"503".to_vec())];
    stream.headers.borrow_mut()[1] = headers.clone();
    let filter = filter_new(own, stream.raw());
    assert_eq!(response_headers(stream.raw(), filter, false), 0);
    filter_destroy(filter);
    assert_eq!(stream.headers.borrow()[1], headers);
    config_destroy(own);
}

#[test]
fn what_a_configuration_counted_last_is_added_by_the_next_one() {
    let (first, second) = <(FakeConfig, FakeConfig)>::default();
    let one = new(&first, "hooks.four", HALF);
    decided(one, &stream_of("alice")).unwrap();
    config_scheduled(first.raw(), one, 0);
    decided(one, &stream_of("alice")).unwrap();
    let changed = String::from_utf8_lossy(HALF).replace("50", "51");
    let two = new(&second, "hooks.four", changed.as_bytes());
    assert_eq!(decisions_written(&second, 0), 1);
    config_destroy(one);
    config_scheduled(second.raw(), two, 0);
    assert_eq!(decisions_written(&second, 1), 1);
    config_destroy(two);
}

#[test]
fn what_a_former_configuration_counts_is_added_in_the_newest() {
    let (first, second) = <(FakeConfig, FakeConfig)>::default();
    let one = new(&first, "hooks.six", HALF);
    let changed = String::from_utf8_lossy(HALF).replace("50", "51");
    let two = new(&second, "hooks.six", changed.as_bytes());
    decided(one, &stream_of("alice")).unwrap();
    config_scheduled(first.raw(), one, 0);
    config_scheduled(second.raw(), two, 0);
    assert_eq!(decisions_written(&first, 1), 0);
    assert_eq!(decisions_written(&second, 1), 1);
    config_destroy(one);
    config_destroy(two);
}

#[test]
fn listeners_with_the_same_configuration_count_once() {
    let (first, second) = <(FakeConfig, FakeConfig)>::default();
    let one = new(&first, "hooks.five", HALF);
    let two = new(&second, "hooks.five", HALF);
    decided(one, &stream_of("alice")).unwrap();
    decided(two, &stream_of("alice")).unwrap();
    config_scheduled(first.raw(), one, 0);
    config_scheduled(second.raw(), two, 0);
    assert_eq!(decisions_written(&first, 2), 1);
    assert_eq!(decisions_written(&second, 2), 0);
    config_destroy(one);
    decided(two, &stream_of("alice")).unwrap();
    config_scheduled(second.raw(), two, 0);
    assert_eq!(decisions_written(&second, 1), 1);
    config_destroy(two);
}

/// Envoy forgets a counter with the last configuration that used it.
#[test]
fn every_listener_uses_each_counter() {
    let (first, second) = <(FakeConfig, FakeConfig)>::default();
    let one = new(&first, "hooks.seven", HALF);
    let two = new(&second, "hooks.seven", HALF);
    decided(one, &stream_of("alice")).unwrap();
    config_scheduled(first.raw(), one, 0);
    config_scheduled(second.raw(), two, 0);
    assert_eq!(decisions_written(&second, 0), 1);
    config_scheduled(second.raw(), two, 0);
    assert_eq!(decisions_written(&second, 0), 1, "once");
    config_destroy(one);
    config_destroy(two);
}

#[test]
fn what_was_counted_is_handed_over_when_another_configuration_comes_before_a_tick() {
    let (first, second) = <(FakeConfig, FakeConfig)>::default();
    let one = new(&first, "hooks.eight", HALF);
    decided(one, &stream_of("alice")).unwrap();
    let changed = String::from_utf8_lossy(HALF).replace("50", "51");
    let two = new(&second, "hooks.eight", changed.as_bytes());
    assert_eq!(decisions_written(&second, 1), 1);
    config_destroy(one);
    config_destroy(two);
}

/// As where a listener goes and comes back while the last stream of the old one ends.
#[test]
fn a_configuration_that_comes_again_is_served_and_counted() {
    let (first, second) = <(FakeConfig, FakeConfig)>::default();
    let one = new(&first, "hooks.nine", HALF);
    config_destroy(one);
    let two = new(&second, "hooks.nine", HALF);
    decided(two, &stream_of("alice")).unwrap();
    config_scheduled(second.raw(), two, 0);
    assert_eq!(decisions_written(&second, 1), 1);
    config_destroy(two);
}

#[test]
fn a_panic_ends_in_its_hook() {
    let version = program_init();
    // SAFETY: a text that ends in NUL.
    let version = unsafe { std::ffi::CStr::from_ptr(version) };
    assert_eq!(version, c"v0.1.0");
    for _ in 0..20 {
        assert_eq!(guarded(7, || panic!("a test")), 7);
    }
}
