//! The least that a filter can do: get the cookie, set the header. What `make bench` compares the
//! real one with.
#![cfg(all(target_arch = "wasm32", target_os = "wasi"))]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MapType};

mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(super::Root));
    }}
}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Http;

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _number: usize, _is_end: bool) -> Action {
        let cookie = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, "cookie")
            .ok()
            .flatten();
        let variant = if cookie.is_some_and(|cookie| cookie.len() % 2 == 0) {
            "canary"
        } else {
            "stable"
        };
        let _ = hostcalls::set_map_value_bytes(
            MapType::HttpRequestHeaders,
            "x-sluice-web",
            Some(variant.as_bytes()),
        );
        Action::Continue
    }
}
