//! DNS over QUIC (RFC 9250): a stream for each query.

use std::time::Duration;

use futures::FutureExt as _;
use quinn::{Connection, ReadExactError, RecvStream, SendStream, VarInt};
use tokio::{task::JoinSet, time::timeout};

use super::{
    quic::{NO_ERROR, rested},
    visitor::{Said, Visitor},
};
use crate::{
    server::duty::Duty,
    wire::{Edns, MAX_MESSAGE, Query, frame_length, framed_length, message_id},
};

/// RFC 9250 section 4.3.
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const REQUEST_CANCELLED: VarInt = VarInt::from_u32(3);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// Serves a connection until it ends.
pub(super) async fn serve(connection: Connection, mut visitor: Visitor, duty: &mut Duty) {
    let mut streams = JoinSet::new();
    let idle = visitor.patience().idle;
    loop {
        let is_at_work = !streams.is_empty();
        tokio::select! {
            accepted = connection.accept_bi() => {
                let Ok((mut to, mut from)) = accepted else { return };
                match visitor.begin() {
                    Some(place) => {
                        let (connection, visitor) = (connection.clone(), visitor.clone());
                        streams.spawn(async move {
                            exchange(&connection, to, from, visitor).await;
                            drop(place);
                        });
                    }
                    None => {
                        count(&visitor, EXCESSIVE_LOAD);
                        _ = to.reset(EXCESSIVE_LOAD);
                        _ = from.stop(EXCESSIVE_LOAD);
                    }
                }
            }
            Some(_) = streams.join_next(), if is_at_work => {}
            () = rested(is_at_work, idle) => break,
            () = duty.ended() => break,
        }
    }
    while streams.join_next().await.is_some() {}
    connection.close(NO_ERROR, b"");
}

fn count(visitor: &Visitor, code: VarInt) {
    visitor.door().count_reply(code.into_inner() as u16);
}

/// What is wrong with what came on a stream.
enum Trouble {
    /// The client breaks the protocol: the whole connection ends (RFC 9250 section 4.3.3).
    Protocol,
    /// Only this query is lost.
    Lost,
}

async fn exchange(connection: &Connection, mut to: SendStream, mut from: RecvStream, mut visitor: Visitor) {
    let patience = visitor.patience();
    let message = match timeout(patience.read, read(&mut from)).await {
        Ok(Ok(message)) => message,
        Ok(Err(Trouble::Protocol)) => {
            count(&visitor, PROTOCOL_ERROR);
            return connection.close(PROTOCOL_ERROR, b"");
        }
        Ok(Err(Trouble::Lost)) => return,
        Err(_late) => {
            count(&visitor, REQUEST_CANCELLED);
            _ = from.stop(REQUEST_CANCELLED);
            _ = to.reset(REQUEST_CANCELLED);
            return;
        }
    };
    let sent = match visitor.ask(&message).await {
        Said::One(answer) => send(&mut to, &answer, patience.write).await,
        Said::Many(first, mut series) => {
            let mut sent = send(&mut to, &first, patience.write).await;
            let mut out = vec![0; MAX_MESSAGE];
            while sent {
                let Some(length) = series.write_next(&mut out) else { break };
                sent = send(&mut to, &out[..length], patience.write).await;
            }
            sent
        }
        Said::Nothing => false,
    };
    if !sent {
        count(&visitor, INTERNAL_ERROR);
        _ = to.reset(INTERNAL_ERROR);
        return;
    }
    count(&visitor, NO_ERROR);
    // RFC 9250 section 4.2: the end of the stream says that this was all.
    _ = to.finish();
    // What the client has not taken yet would be lost if the connection were closed now.
    _ = timeout(patience.write, to.stopped()).await;
}

/// One query. What the client may not do over QUIC ends the connection.
async fn read(from: &mut RecvStream) -> Result<Vec<u8>, Trouble> {
    let mut length = [0; 2];
    from.read_exact(&mut length).await.map_err(|error| trouble(&error))?;
    let mut message = vec![0; framed_length(length)];
    from.read_exact(&mut message).await.map_err(|error| trouble(&error))?;
    // Section 4.2: one query on each stream; 4.2.1: its id is 0; 5.5.2: time-outs are QUIC's own affair.
    let more = from.read(&mut [0]).now_or_never();
    let query = Query::parse(&message).ok();
    let is_wrong = matches!(more, Some(Ok(Some(_))))
        || message_id(&message) != Some(0)
        || query.is_some_and(|query| query.has_option(Edns::TCP_KEEPALIVE));
    if is_wrong { Err(Trouble::Protocol) } else { Ok(message) }
}

/// A stream that ends within a message breaks the protocol.
const fn trouble(error: &ReadExactError) -> Trouble {
    match error {
        ReadExactError::FinishedEarly(_) => Trouble::Protocol,
        ReadExactError::ReadError(_) => Trouble::Lost,
    }
}

async fn send(to: &mut SendStream, message: &[u8], patience: Duration) -> bool {
    let framed = [&frame_length(message), message].concat();
    matches!(timeout(patience, to.write_all(&framed)).await, Ok(Ok(())))
}
