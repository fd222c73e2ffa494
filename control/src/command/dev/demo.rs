//! What `--demo` brings: a plugin.yaml where there is none, and one small server a variant.

use std::convert::Infallible;
use std::path::Path;

use anyhow::Context as _;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sluice_core::plan::Plan;
use tokio::net::TcpListener;

use crate::files::replace;
use crate::local::Upstream;

const PLUGIN: &str = r"# Served over plain HTTP, where browsers refuse Secure cookies: hence `secure: false` and a plain cookie name.
# In a cluster, behind TLS, leave `cookie` out: the default is __Host-sluice, Secure.
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: sluice
spec:
  pluginConfig:
    splits:
      web:
        identity:
        - cookie: email
        rules:
        - name: staff
          match:
          - cookies: {email: {regex: '[^@]+@some-company-name\.com'}}
    cookie:
      name: sluice
      secure: false
";

/// Background colours by variant; green for the fallback, as the canary's yellow has it.
const COLOURS: [&str; 8] = [
    "#2e7d32", "#f9a825", "#1565c0", "#6a1b9a", "#c62828", "#00838f", "#4e342e", "#37474f",
];

/// Writes a plugin.yaml unless there is one; makes the directory.
pub(super) fn write_plugin(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("{}: cannot be made", directory.display()))?;
    let path = directory.join("plugin.yaml");
    if path.exists() {
        Ok(())
    } else {
        Ok(replace(&path, PLUGIN.as_bytes())?)
    }
}

/// Starts one server a variant of every split, on free ports of 127.0.0.1. They end with this
/// process.
pub(super) async fn start(plan: &Plan) -> anyhow::Result<Vec<Upstream>> {
    let mut upstreams = Vec::new();
    for split in plan.splits() {
        for (variant, colour) in split.definition.variants.iter().zip(COLOURS) {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            let page = page(&split.definition.name, variant, colour);
            tokio::spawn(serve(listener, variant.to_string(), page));
            upstreams.push(Upstream {
                serves: Some((split.definition.name.to_string(), variant.to_string())),
                address,
            });
        }
    }
    Ok(upstreams)
}

async fn serve(listener: TcpListener, variant: String, page: Bytes) {
    while let Ok((stream, _)) = listener.accept().await {
        let (variant, page) = (variant.clone(), page.clone());
        let answer = service_fn(move |_: Request<Incoming>| {
            let response = Response::builder()
                .header("content-type", "text/html; charset=utf-8")
                .header("x-variant", &variant)
                .body(Full::new(page.clone()));
            async { Ok::<_, Infallible>(response.unwrap_or_default()) }
        });
        tokio::spawn(async move {
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn page(split: &str, variant: &str, colour: &str) -> Bytes {
    let html = format!(
        "<!doctype html><title>{variant}</title>\
         <body style=\"background:{colour};color:#fff;font:600 12vmin system-ui;display:grid;place-content:center;height:95vh;text-align:center\">\
         {variant}<p style=\"font-size:3vmin;font-weight:400\">split {split}. Reload as often as you like; then <code>sluice set {split} …</code></p>\n"
    );
    Bytes::from(html)
}
