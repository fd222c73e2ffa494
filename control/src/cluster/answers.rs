//! How long, and how much, an API server may answer: one bound for a whole call, its retries and
//! the last byte of its answer included.
//!
//! A server that sends a byte now and then keeps every timeout of a connection from running out,
//! and one that never ends takes all memory. Here a call ends in both cases, and says what was
//! waited for. Called by [`super::connection`], for every request of every command.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::{Method, Request, Response};
use kube::client::Body;
use kube::client::retry::RetryPolicy;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tower::retry::Policy;
use tower::{BoxError, Layer, Service};

/// How many bytes an answer may have. Chosen: ten thousand pods, or a page of plugins of half a
/// megabyte each.
pub(super) const MAX_CLUSTER_ANSWER_BYTES: usize = 128 * 1024 * 1024;

/// How long a reading call may take in all. Chosen: as long as the API server itself lets most
/// requests take.
const MAX_READ_SECONDS: u64 = 60;

/// How long any other call may take in all. Chosen: as long as a webhook may take.
const MAX_WRITE_SECONDS: u64 = 30;

/// Why an answer was not waited for, or not read, any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// It took too long.
    #[error("no whole answer to {asked} within {seconds} s")]
    Late {
        /// The method and path.
        asked: String,
        /// How long was waited.
        seconds: u64,
    },
    /// It does not end.
    #[error("the answer to {asked} has more than {max_bytes} bytes; accepted: at most that")]
    TooLong {
        /// The method and path.
        asked: String,
        /// How many bytes are accepted.
        max_bytes: usize,
    },
    /// A list goes on and on.
    #[error("a list of {kind} {found}; accepted: at most {accepted}")]
    EndlessList {
        /// What is listed.
        kind: String,
        /// What was found.
        found: &'static str,
        /// What is accepted.
        accepted: String,
    },
}

/// Whether an error is that an answer was too long.
pub(super) fn is_too_long(error: &kube::Error) -> bool {
    matches!(of(error), Some(AnswerError::TooLong { .. }))
}

/// The error of an answer, where that is what an error is about.
pub(super) fn of(error: &kube::Error) -> Option<&AnswerError> {
    match error {
        kube::Error::Service(error) => {
            let inner = error.downcast_ref::<kube::Error>();
            inner.map_or_else(|| error.downcast_ref(), of)
        }
        _ => None,
    }
}

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    read_seconds: u64,
    write_seconds: u64,
    max_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            read_seconds: MAX_READ_SECONDS,
            write_seconds: MAX_WRITE_SECONDS,
            max_bytes: MAX_CLUSTER_ANSWER_BYTES,
        }
    }
}

impl<S> Layer<S> for Bounds {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        let bounds = *self;
        Bounded { inner, bounds }
    }
}

/// A client whose calls end.
pub(super) struct Bounded<S> {
    inner: S,
    bounds: Bounds,
}

/// When the call of a request ends; its retries look at it.
#[derive(Clone, Copy)]
struct Deadline(Instant);

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<Answer<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let seconds = match *request.method() {
            Method::GET => self.bounds.read_seconds,
            _ => self.bounds.write_seconds,
        };
        let max_bytes = self.bounds.max_bytes;
        let asked = format!("{} {}", request.method(), request.uri().path());
        let deadline = Instant::now() + Duration::from_secs(seconds);
        request.extensions_mut().insert(Deadline(deadline));
        let answer = timeout_at(deadline, self.inner.call(request));
        Box::pin(async move {
            let Ok(response) = answer.await else {
                return Err(AnswerError::Late { asked, seconds }.into());
            };
            Ok(response.map_err(Into::into)?.map(|body| Answer {
                body: Box::pin(body),
                deadline: Box::pin(sleep_until(deadline)),
                left: max_bytes,
                asked,
                seconds,
                max_bytes,
            }))
        })
    }
}

/// The body of an answer, to its last byte.
pub(super) struct Answer<B> {
    body: Pin<Box<B>>,
    deadline: Pin<Box<Sleep>>,
    left: usize,
    asked: String,
    seconds: u64,
    max_bytes: usize,
}

impl<B> HttpBody for Answer<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (asked, seconds) = (self.asked.clone(), self.seconds);
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(AnswerError::Late { asked, seconds }.into())));
        }
        let frame = match ready!(self.body.as_mut().poll_frame(context)) {
            Some(frame) => frame.map_err(Into::into)?,
            None => return Poll::Ready(None),
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(left) = self.left.checked_sub(length) else {
            let max_bytes = self.max_bytes;
            return Poll::Ready(Some(Err(AnswerError::TooLong { asked, max_bytes }.into())));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// kube's retries, but for those that would begin when the call has ended: the server's refusal
/// says more than that no answer came.
#[derive(Clone)]
pub(super) struct InTime(RetryPolicy);

impl InTime {
    pub(super) fn new() -> Self {
        Self(RetryPolicy::server_retry())
    }
}

impl<R> Policy<Request<Body>, Response<R>, BoxError> for InTime {
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response<R>, BoxError>,
    ) -> Option<Sleep> {
        let pause = self.0.retry(request, result)?;
        let Deadline(deadline) = request.extensions().get().copied()?;
        (pause.deadline() < deadline).then_some(pause)
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let policy: &mut dyn Policy<Request<Body>, Response<R>, BoxError, Future = Sleep> =
            &mut self.0;
        policy.clone_request(request)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, StreamBody};
    use tower::ServiceExt as _;

    use super::*;

    /// What a server sends that never stops, in pieces of a kilobyte.
    async fn endless(bounds: Bounds, pause: Duration) -> String {
        let server = tower::service_fn(move |_: Request<Body>| async move {
            let pieces = futures::stream::unfold((), move |()| async move {
                tokio::time::sleep(pause).await;
                let piece = Frame::data(Bytes::from(vec![b' '; 1024]));
                Some((Ok::<_, Infallible>(piece), ()))
            });
            Ok::<_, BoxError>(Response::new(StreamBody::new(pieces)))
        });
        let request = Request::get("/apis").body(Body::empty()).unwrap();
        let answer = bounds.layer(server).oneshot(request).await.unwrap();
        let error = answer.into_body().collect().await.map(drop).unwrap_err();
        error.to_string()
    }

    #[tokio::test]
    async fn an_answer_that_never_ends_is_not_read_to_its_end() {
        let bounds = Bounds {
            max_bytes: 10_000,
            ..Bounds::default()
        };
        assert_eq!(
            endless(bounds, Duration::ZERO).await,
            "the answer to GET /apis has more than 10000 bytes; accepted: at most that"
        );
        let bounds = Bounds {
            read_seconds: 0,
            ..Bounds::default()
        };
        assert_eq!(
            endless(bounds, Duration::from_millis(1)).await,
            "no whole answer to GET /apis within 0 s"
        );
    }

    #[tokio::test]
    async fn a_call_that_is_never_answered_ends() {
        let never = tower::service_fn(|_: Request<Body>| {
            futures::future::pending::<Result<Response<Body>, BoxError>>()
        });
        let bounds = Bounds {
            write_seconds: 0,
            ..Bounds::default()
        };
        let request = Request::patch("/apis/x").body(Body::empty()).unwrap();
        let answer = bounds.layer(never).oneshot(request).await.map(drop);
        assert_eq!(
            answer.unwrap_err().to_string(),
            "no whole answer to PATCH /apis/x within 0 s"
        );
    }
}
