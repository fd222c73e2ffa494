//! The HTTP client behind a cluster's requests: kube's own, but for one setting and the bounds of
//! its [`super::answers`].
//!
//! kube's connector leaves Nagle's algorithm on: the first request behind a TLS handshake then
//! waits for the API server's delayed acknowledgement, 40 ms that an abort does not have (measured
//! 2026-11-20, `strace -r sluice abort`).

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

use super::answers::{Bounds, InTime};

/// A client for the configuration; through a proxy it is kube's with our bounds.
pub(super) fn client(config: Config) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        let client = ClientBuilder::try_from(config)?;
        return Ok(client.with_layer(&Bounds::default()).build());
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let auth = config.auth_layer()?;
    let mut for_tls = config.clone();
    if auth.is_some() {
        // The credential command has said a token, so it has no certificate: kube would run it again
        // to ask for one.
        for_tls.auth_info.exec = None;
        for_tls.auth_info.auth_provider = None;
    }
    let connector = for_tls.rustls_https_connector_with_connector(http)?;
    let mut connector = TimeoutConnector::new(connector);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client =
        hyper_util::client::legacy::Builder::new(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(Bounds::default())
        .layer(config.base_uri_layer())
        .layer(RetryLayer::new(InTime::new()))
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(Client::new(service, config.default_namespace))
}
