//! What both listeners answer: a text, or JSON.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// A text; it may be empty.
pub(super) fn said(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

/// JSON, with status 200.
pub(super) fn json(json: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = said(StatusCode::OK, json);
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
