//! The filter in Envoy: which callbacks there are and which thread owns what.
//!
//! `root` takes configurations and flushes counters, `http` hosts one decision a request, `brake` asks
//! for brakes, `host` makes every host call. Built for wasm32-wasip1 only; one VM a worker, so nothing here is shared
//! between threads.
#![cfg(all(target_arch = "wasm32", target_os = "wasi"))]

mod brake;
mod host;
mod http;
mod root;
mod shared;

mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::new(crate::root::Root::default()));
    }}
}
