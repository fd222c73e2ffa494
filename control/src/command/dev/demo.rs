//! What `--demo` brings: a plugin.yaml where there is none, and one small server a variant, which
//! may fail (`--fail`).

use std::convert::Infallible;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
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
        guard: {failures: 50, responses: 20, within: 10s}
    cookie:
      name: sluice
      secure: false
    responseMetrics: true
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

/// How many of a variant's answers fail, as `--fail` says it.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    variant: String,
    /// 0 to 100.
    percent: u64,
}

impl FromStr for Failing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = "write VARIANT=PERCENT, a whole number from 0 to 100, such as canary=30";
        let (variant, percent) = text.split_once('=').ok_or(accepted)?;
        let percent = percent.parse().ok().filter(|percent| *percent <= 100);
        Ok(Self {
            variant: variant.to_owned(),
            percent: percent.ok_or(accepted)?,
        })
    }
}

/// Starts one server a variant of every split, on free ports of 127.0.0.1. They end with this
/// process.
///
/// # Errors
/// When no port is free, or a variant that is to fail is none of a split's.
pub(super) async fn start(plan: &Plan, failing: &[Failing]) -> anyhow::Result<Vec<Upstream>> {
    let variants = || {
        plan.splits()
            .iter()
            .flat_map(|split| split.definition.variants.iter())
    };
    for Failing { variant, .. } in failing {
        if !variants().any(|own| **own == **variant) {
            let known: Vec<&str> = variants().map(AsRef::as_ref).collect();
            bail!(
                "--fail {variant}: no split has such a variant; accepted: one of {}",
                known.join(", ")
            );
        }
    }
    let mut upstreams = Vec::new();
    for split in plan.splits() {
        for (variant, colour) in split.definition.variants.iter().zip(COLOURS) {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            let page = page(&split.definition.name, variant, colour);
            let failing = failing
                .iter()
                .rfind(|failing| *failing.variant == **variant);
            let server = Server {
                variant: variant.to_string(),
                page,
                failing: failing.map_or(0, |failing| failing.percent),
                answered: Arc::default(),
            };
            tokio::spawn(serve(listener, server));
            upstreams.push(Upstream {
                serves: Some((split.definition.name.to_string(), variant.to_string())),
                address,
            });
        }
    }
    Ok(upstreams)
}

#[derive(Clone)]
struct Server {
    variant: String,
    page: Bytes,
    /// How many of a hundred answers fail.
    failing: u64,
    answered: Arc<AtomicU64>,
}

impl Server {
    fn answer(&self) -> Response<Full<Bytes>> {
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        // Evenly: of 30 % the fourth, the seventh, the tenth of each ten.
        let is_failing = (number + 1) * self.failing / 100 > number * self.failing / 100;
        let (status, page) = match is_failing {
            true => (
                StatusCode::INTERNAL_SERVER_ERROR,
                Bytes::from_static(b"failed, as --fail says\n"),
            ),
            false => (StatusCode::OK, self.page.clone()),
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "text/html; charset=utf-8")
            .header("x-variant", &self.variant)
            .body(Full::new(page));
        response.unwrap_or_default()
    }
}

async fn serve(listener: TcpListener, server: Server) {
    while let Ok((stream, _)) = listener.accept().await {
        let server = server.clone();
        let answer = service_fn(move |_: Request<Incoming>| {
            let response = server.answer();
            async { Ok::<_, Infallible>(response) }
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
