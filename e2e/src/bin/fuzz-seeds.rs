//! Writes the case files as seeds for `make fuzz`: configurations as JSON, requests as the target
//! `decide` takes them.

#![allow(clippy::unwrap_used, reason = "a tool of the checkout fails loudly")]

use std::path::Path;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filter/core/fuzz/corpus");
    let write = |target: &str, name: String, bytes: &[u8]| {
        std::fs::create_dir_all(corpus.join(target)).unwrap();
        std::fs::write(corpus.join(target).join(name), bytes).unwrap();
    };
    for case in sluice_e2e::cases::all() {
        write(
            "config",
            case.name.clone(),
            case.config.to_string().as_bytes(),
        );
        for (place, request) in case.requests.iter().enumerate() {
            let cookie = request.headers.get("cookie").map_or("", String::as_str);
            let bytes = [request.host.as_str(), &request.path, cookie, "canary"].join("\0");
            write("decide", format!("{}-{place}", case.name), bytes.as_bytes());
            write(
                "values",
                format!("{}-{place}", case.name),
                cookie.as_bytes(),
            );
        }
    }
}
