//! What is left of a request's body when the answer is ready.
//!
//! A request that is refused for its token or its path is answered without a look at its body. A
//! connection that is closed with that body under way loses the answer, too: the caller sees a
//! connection that broke, and never why. So the rest is read and thrown away, within bounds; where
//! there is more, the answer says that the connection will be closed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

/// The most that is thrown away, in bytes: the largest body that any route takes but the one that
/// restores backups of secrets.
const BYTES_MAX: usize = 8 << 20;

/// How long the rest of a body may take. An honest caller has sent it already.
const TIME_MAX: Duration = Duration::from_secs(2);

/// A body that is given away and can still be read to its end.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

/// Answers, and sees to it that nothing of the request is under way any more.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = Shared(Arc::new(Mutex::new(body)));
    let mut response = next.run(Request::from_parts(parts, Body::new(body.clone()))).await;
    if !body.is_end_stream() && !timeout(TIME_MAX, discard(body)).await.unwrap_or(false) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads to the end; tells whether that was reached.
async fn discard(mut body: Shared) -> bool {
    let mut left = BYTES_MAX;
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let length = match frame {
            None => return true,
            Some(Err(_cut)) => return false,
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
        };
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
}
