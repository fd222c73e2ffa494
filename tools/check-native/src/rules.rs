//! What a library may need and give so that every Envoy from 1.39 on loads it, on every system
//! whose C library is not older than that of Envoy's own builds: pure.

use std::collections::BTreeSet;

use crate::library::{Glibc, Library, glibc};

/// The oldest glibc that the library is for; Envoy's own release binaries need 2.30 (Envoy 1.40).
/// Chosen: 2.17 is what Rust itself supports for Linux.
const GLIBC: Glibc = Glibc(2, 17);

/// The parts of glibc. An Envoy has no other library to offer: its own C++ library is linked into
/// it, and images of proxies need not have libgcc.
const LIBRARIES: [&str; 7] = [
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// What the names of a module's hooks begin with.
const HOOK: &str = "envoy_dynamic_module_on_";

/// The hooks without which Envoy 1.39 refuses a module for HTTP filters.
const HOOKS: [&str; 21] = [
    "program_init",
    "http_filter_config_new",
    "http_filter_config_destroy",
    "http_filter_new",
    "http_filter_request_headers",
    "http_filter_request_body",
    "http_filter_request_trailers",
    "http_filter_response_headers",
    "http_filter_response_body",
    "http_filter_response_trailers",
    "http_filter_stream_complete",
    "http_filter_destroy",
    "http_filter_scheduled",
    "http_filter_http_callout_done",
    "http_filter_http_stream_headers",
    "http_filter_http_stream_data",
    "http_filter_http_stream_trailers",
    "http_filter_http_stream_complete",
    "http_filter_http_stream_reset",
    "http_filter_downstream_above_write_buffer_high_watermark",
    "http_filter_downstream_below_write_buffer_low_watermark",
];

/// What is wrong with a library, in sentences; `callbacks` are Envoy's, without their prefix.
pub(crate) fn problems(library: &Library, callbacks: &BTreeSet<&str>) -> Vec<String> {
    let mut problems = Vec::new();
    for name in &library.needed {
        if !LIBRARIES.contains(&name.as_str()) {
            problems.push(format!("it needs {name}; accepted: parts of glibc"));
        }
    }
    for name in &library.versions {
        if glibc(name).is_none_or(|version| version > GLIBC) {
            problems.push(format!("it needs {name}; accepted: at most {GLIBC}"));
        }
    }
    for name in library.callbacks() {
        if !callbacks.contains(name) {
            problems.push(format!("it calls {name}, which Envoy 1.39 does not export"));
        }
    }
    for name in library.strangers() {
        problems.push(format!("it needs {name}, which nothing that is known has"));
    }
    for name in &library.exports {
        if !name.starts_with(HOOK) {
            problems.push(format!("it exports {name}; accepted: hooks of Envoy's"));
        }
    }
    for hook in HOOKS {
        if !library.exports.contains(&format!("{HOOK}{hook}")) {
            problems.push(format!("it has no hook {hook}, which Envoy demands"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> Library {
        let text = |name: &str| name.to_owned();
        Library {
            machine: "x86_64",
            needed: ["libc.so.6", "ld-linux-x86-64.so.2"].map(text).into(),
            versions: ["GLIBC_2.2.5", "GLIBC_2.17"].map(text).into(),
            exports: HOOKS.map(|hook| format!("{HOOK}{hook}")).into(),
            undefined: ["envoy_dynamic_module_callback_log".to_owned()].into(),
        }
    }

    fn found(library: &Library) -> Vec<String> {
        problems(library, &BTreeSet::from(["log"]))
    }

    #[test]
    fn a_library_for_every_envoy_is_accepted() {
        assert_eq!(found(&library()), Vec::<String>::new());
        assert_eq!(library().newest_glibc(), Some(GLIBC));
    }

    #[test]
    fn what_some_system_does_not_have_is_refused() {
        let add = |of: fn(&mut Library) -> &mut BTreeSet<String>, name: &str| {
            let mut library = library();
            of(&mut library).insert(name.to_owned());
            found(&library)
        };
        let cases = [
            (
                add(|library| &mut library.needed, "libgcc_s.so.1"),
                "it needs libgcc_s.so.1; accepted: parts of glibc",
            ),
            (
                add(|library| &mut library.versions, "GLIBC_2.18"),
                "it needs GLIBC_2.18; accepted: at most GLIBC_2.17",
            ),
            (
                add(|library| &mut library.versions, "GLIBC_3.0"),
                "it needs GLIBC_3.0; accepted: at most GLIBC_2.17",
            ),
            (
                add(|library| &mut library.versions, "GCC_3.0"),
                "it needs GCC_3.0; accepted: at most GLIBC_2.17",
            ),
            (
                add(
                    |library| &mut library.undefined,
                    "envoy_dynamic_module_callback_log_v2",
                ),
                "it calls log_v2, which Envoy 1.39 does not export",
            ),
            (
                add(|library| &mut library.undefined, "_Unwind_Resume"),
                "it needs _Unwind_Resume, which nothing that is known has",
            ),
            (
                add(|library| &mut library.exports, "rust_eh_personality"),
                "it exports rust_eh_personality; accepted: hooks of Envoy's",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found, [expected]);
        }
    }

    #[test]
    fn a_hook_that_is_missing_is_named() {
        let mut library = library();
        let name = format!("{HOOK}http_filter_scheduled");
        library.exports.remove(&name);
        assert_eq!(
            found(&library),
            ["it has no hook http_filter_scheduled, which Envoy demands"]
        );
    }
}
