//! DNS over HTTPS, HTTP/1.1.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, timeout},
};

use super::{
    body::Body,
    doh::{self, Wanted},
    visitor::Visitor,
};

/// Longest head of a request, octets: a GET has the message in it.
const HEAD: usize = 128 << 10;

/// Serves a connection until it ends.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    visitor: Visitor,
) -> io::Result<()> {
    let patience = visitor.patience();
    let mut duty = visitor.duty.clone();
    let replies = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|request| {
        let (visitor, replies) = (visitor.clone(), Arc::clone(&replies));
        async move {
            let reply = reply(visitor, request).await;
            replies.fetch_add(1, Relaxed);
            Ok::<_, Infallible>(reply)
        }
    });
    let mut builder = http1::Builder::new();
    // The time for a head is also how long a connection may rest between two requests.
    builder.timer(TokioTimer::new()).header_read_timeout(patience.idle).max_buf_size(HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut is_ending = false;
    let mut known = 0;
    loop {
        tokio::select! {
            ended = &mut connection => return ended.map_err(io::Error::other),
            () = duty.ended(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            // Somebody who takes no replies would hold the connection for ever.
            () = sleep(patience.idle + patience.write + STALL) => {
                let now = replies.load(Relaxed);
                if now == known {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                known = now;
            }
        }
    }
}

/// What an upstream may take to answer.
const STALL: Duration = Duration::from_secs(10);

async fn reply(mut visitor: Visitor, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(_at_work) = visitor.begin() else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        visitor.door().count_reply(StatusCode::SERVICE_UNAVAILABLE.as_u16());
        return response;
    };
    let (head, body) = request.into_parts();
    let message = match doh::read(&head) {
        Ok(Wanted::Message(message)) => Ok(message),
        Ok(Wanted::Body) => {
            timeout(visitor.patience().read, whole(body)).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
        }
        Err(status) => Err(status),
    };
    let (head, body) = doh::reply(&mut visitor, message).await;
    head.map(|()| Full::new(body))
}

async fn whole(mut from: Incoming) -> Result<Vec<u8>, StatusCode> {
    let mut body = Body::new(0);
    while let Some(frame) = from.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        if let Some(part) = frame.data_ref() {
            body.add(part)?;
        }
    }
    Ok(body.whole())
}
