//! DNS over HTTPS, HTTP/3.

use bytes::{Buf as _, Bytes};
use h3::{
    error::Code,
    server::{RequestResolver, RequestStream, builder},
};
use http::{Method, StatusCode};
use quinn::{Connection, VarInt};
use tokio::{task::JoinSet, time::timeout};

use super::{
    body::Body,
    doh::{self, Wanted},
    quic::rested,
    visitor::Visitor,
};
use crate::server::duty::Duty;

/// Longest head of a request, octets: a GET has the message in it.
const HEAD: u64 = 128 << 10;
/// H3_NO_ERROR (RFC 9114 section 8.1).
const NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// Serves a connection until it ends.
pub(super) async fn serve(connection: Connection, mut visitor: Visitor, duty: &mut Duty) {
    let patience = visitor.patience();
    let carrier = h3_quinn::Connection::new(connection.clone());
    let mut limits = builder();
    limits.max_field_section_size(HEAD);
    let Ok(Ok(mut requests)) = timeout(patience.read, limits.build::<_, Bytes>(carrier)).await else { return };
    let mut streams = JoinSet::new();
    loop {
        let is_at_work = !streams.is_empty();
        tokio::select! {
            accepted = requests.accept() => {
                let Ok(Some(request)) = accepted else { break };
                // Without a place the stream is dropped, which resets it.
                let Some(place) = visitor.begin() else { continue };
                let visitor = visitor.clone();
                streams.spawn(async move {
                    exchange(visitor, request).await;
                    drop(place);
                });
            }
            Some(_) = streams.join_next(), if is_at_work => {}
            () = rested(is_at_work, patience.idle) => break,
            () = duty.ended() => break,
        }
    }
    _ = requests.shutdown(0).await;
    while streams.join_next().await.is_some() {}
    connection.close(NO_ERROR, b"");
}

type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

async fn exchange(mut visitor: Visitor, request: RequestResolver<h3_quinn::Connection, Bytes>) {
    let patience = visitor.patience();
    let Ok(Ok((request, mut stream))) = timeout(patience.read, request.resolve_request()).await else { return };
    let (head, ()) = request.into_parts();
    let message = match doh::read(&head) {
        Ok(Wanted::Message(message)) => Ok(message),
        Ok(Wanted::Body) => {
            timeout(patience.read, whole(&mut stream)).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
        }
        Err(status) => Err(status),
    };
    let is_head = head.method == Method::HEAD;
    let (head, body) = doh::reply(&mut visitor, message).await;
    let sending = async {
        stream.send_response(head).await?;
        if !is_head {
            stream.send_data(body).await?;
        }
        stream.finish().await
    };
    if !matches!(timeout(patience.write, sending).await, Ok(Ok(()))) {
        stream.stop_stream(Code::H3_REQUEST_CANCELLED);
    }
}

async fn whole(stream: &mut Stream) -> Result<Vec<u8>, StatusCode> {
    let mut body = Body::new(0);
    while let Some(mut part) = stream.recv_data().await.map_err(|_| StatusCode::BAD_REQUEST)? {
        while part.has_remaining() {
            let length = part.chunk().len();
            body.add(part.chunk())?;
            part.advance(length);
        }
    }
    Ok(body.whole())
}
