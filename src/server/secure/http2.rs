//! Requests over HTTP/2: DNS over HTTPS, and gRPC.

use std::{future::poll_fn, io};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    server::{Builder, SendResponse},
};
use http::{Method, Request, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Load,
    body::Body,
    doh::{self, Wanted},
    grpc,
    visitor::Visitor,
};

/// Octets that may be on their way to us at once, over all streams of a connection.
const WINDOW: u32 = 256 << 10;
/// Longest head of a request, octets: a GET has the message in it.
const HEAD: u32 = 128 << 10;

/// Octets of a body that are taken although nobody wants them.
const UNWANTED: usize = 1 << 20;

/// What the requests of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    Doh,
    Grpc,
}

/// Serves a connection until it ends: streams at the same time, each answered when its answer is there.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut visitor: Visitor,
    speaker: Speaker,
) -> io::Result<()> {
    let patience = visitor.patience();
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(Load::now(&visitor.duty).streams)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(HEAD);
    let mut connection = timeout(patience.read, builder.handshake::<_, Bytes>(stream)).await?.map_err(io_error)?;
    let mut duty = visitor.duty.clone();
    let mut streams = JoinSet::new();
    let mut end = Instant::now() + patience.idle;
    let mut is_ending = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, mut respond))) => match visitor.begin() {
                    Some(place) => {
                        let visitor = visitor.clone();
                        streams.spawn(async move {
                            exchange(visitor, request, respond, speaker).await;
                            drop(place);
                        });
                    }
                    // RFC 9113 section 8.7: it can safely be asked somewhere else.
                    None => respond.send_reset(Reason::REFUSED_STREAM),
                },
                Some(Err(error)) => return Err(io_error(error)),
                None => break,
            },
            Some(_) = streams.join_next(), if !streams.is_empty() => {
                end = Instant::now() + if is_ending { patience.write } else { patience.idle };
            }
            () = sleep_until(end), if streams.is_empty() => {
                if is_ending {
                    break;
                }
                is_ending = true;
                end = Instant::now() + patience.write;
                connection.graceful_shutdown();
            }
            () = duty.ended(), if !is_ending => {
                is_ending = true;
                end = Instant::now() + patience.write;
                connection.graceful_shutdown();
            }
        }
    }
    Ok(())
}

async fn exchange(
    mut visitor: Visitor,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    speaker: Speaker,
) {
    let patience = visitor.patience();
    let (head, mut from) = request.into_parts();
    let result = match speaker {
        Speaker::Doh => {
            let message = match doh::read(&head) {
                Ok(Wanted::Message(message)) => Ok(message),
                Ok(Wanted::Body) => timeout(patience.read, whole(&mut from, 0)).await.unwrap_or(Err(LATE)),
                Err(status) => Err(status),
            };
            let is_head = head.method == Method::HEAD;
            let (head, body) = doh::reply(&mut visitor, message).await;
            let sending = async {
                let mut to = respond.send_response(head, is_head)?;
                if is_head { Ok(()) } else { send_all(&mut to, body, true).await }
            };
            timeout(patience.write, sending).await
        }
        Speaker::Grpc => {
            let call = match grpc::read(&head) {
                Ok(()) => timeout(patience.read, whole(&mut from, grpc::FRAME)).await.unwrap_or(Err(LATE)),
                Err(refusal) => return refuse_call(&mut respond, &refusal),
            };
            match grpc::reply(&mut visitor, call).await {
                Ok(body) => {
                    let sending = async {
                        let mut to = respond.send_response(grpc::head(), false)?;
                        send_all(&mut to, body, false).await?;
                        to.send_trailers(grpc::OK.trailers())
                    };
                    timeout(patience.write, sending).await
                }
                Err(refusal) => return refuse_call(&mut respond, &refusal),
            }
        }
    };
    if !matches!(result, Ok(Ok(()))) {
        respond.send_reset(Reason::CANCEL);
    }
    // A reply to a request that is still on its way would be lost if the stream were dropped now.
    _ = timeout(patience.read, pass_over(from)).await;
}

/// Takes what is left of a body that nobody wants, up to a limit.
async fn pass_over(mut from: RecvStream) {
    let mut left = UNWANTED;
    while let Some(Ok(part)) = from.data().await {
        _ = from.flow_control().release_capacity(part.len());
        match left.checked_sub(part.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}

const LATE: StatusCode = StatusCode::REQUEST_TIMEOUT;

fn refuse_call(respond: &mut SendResponse<Bytes>, refusal: &grpc::Status) {
    // Nothing else is to come, so that the trailers stand in the head.
    _ = respond.send_response(refusal.alone(), true);
}

/// The whole body, with `frame` octets around its message.
async fn whole(from: &mut RecvStream, frame: usize) -> Result<Vec<u8>, StatusCode> {
    let mut body = Body::new(frame);
    while let Some(part) = from.data().await {
        let part = part.map_err(|_| StatusCode::BAD_REQUEST)?;
        body.add(&part)?;
        _ = from.flow_control().release_capacity(part.len());
    }
    Ok(body.whole())
}

/// Sends a body as the client takes it.
async fn send_all(to: &mut SendStream<Bytes>, mut body: Bytes, is_end: bool) -> Result<(), h2::Error> {
    while !body.is_empty() {
        to.reserve_capacity(body.len());
        let room = match poll_fn(|cx| to.poll_capacity(cx)).await {
            Some(room) => room?,
            None => return Err(Reason::CANCEL.into()),
        };
        let part = body.split_to(room.min(body.len()));
        to.send_data(part, is_end && body.is_empty())?;
    }
    Ok(())
}

fn io_error(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
    }
    io::Error::other(error)
}
