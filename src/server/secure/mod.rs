//! Encrypted listeners, in front of the same site as the plain ones.
//!
//! ```text
//!   tcp.rs accepts ──► mod.rs  handshake ──► tls://    ../tcp.rs  the same exchange as without TLS
//!                                            https://  http1.rs http2.rs ──► doh.rs   what is asked, what is replied
//!                                            grpc://   http2.rs ──► grpc.rs
//!   quic.rs accepts ──► handshake ─────────► quic://   doq.rs
//!                                            https3:// http3.rs ──► doh.rs
//!
//!   visitor.rs   a message in, an answer out: routed, walked and encoded as everywhere
//! ```

mod body;
mod doh;
mod doq;
mod grpc;
mod http1;
mod http2;
mod http3;
mod quic;
mod uncovered;
mod visitor;

use std::io;

pub(super) use quic::serve as serve_quic;
use tokio::{io::split, net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;

use self::{http2::Speaker, visitor::Visitor};
use super::{duty::Duty, limits, proxied::Client, site::Guise, tcp};
use crate::{
    chain::{StreamLimits, Transport},
    corefile::Scheme,
    tls::Speech,
};

/// Connections of a listener that holds no more, as CoreDNS has it.
const CONNECTIONS: u32 = 200;
/// Queries of one connection that are in work.
const STREAMS: u32 = 256;
/// Queries of all connections of a listener that are in work.
const WORKERS: u32 = 16_384;
/// The same for `quic`, as CoreDNS has it.
const QUIC_WORKERS: u32 = 1_024;

/// How much an encrypted listener carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    connections: usize,
    streams: u32,
    workers: usize,
}

impl Load {
    /// What the Corefile says of a listener; 0 is as much as the process can bear.
    fn of(scheme: Scheme, limits: StreamLimits) -> Self {
        let or_all = |number: u32, all: usize| if number == 0 { all } else { number as usize };
        let workers = if scheme == Scheme::Quic { QUIC_WORKERS } else { WORKERS };
        // `tls://` has no directive for it: the limit of all TCP connections holds.
        let connections = limits.connections.unwrap_or(if scheme == Scheme::Tls { 0 } else { CONNECTIONS });
        let streams = limits.streams.unwrap_or(if scheme == Scheme::Https { 250 } else { STREAMS });
        Self {
            connections: or_all(connections, limits::CONNECTIONS),
            streams: or_all(streams, limits::WAITING) as u32,
            workers: or_all(limits.workers.unwrap_or(workers), limits::WAITING),
        }
    }

    fn now(duty: &Duty) -> Self {
        Self::of(duty.scheme(), duty.guise().map(|guise| guise.limits).unwrap_or_default())
    }
}

/// Serves a TCP connection of an encrypted address until it ends.
pub(super) async fn serve(stream: TcpStream, client: Client, duty: &mut Duty) -> io::Result<()> {
    duty.refresh();
    let Some(_inside) = duty.door().enter(Load::now(duty).connections) else { return Ok(()) };
    stream.set_nodelay(true)?;
    let scheme = duty.scheme();
    let (speech, transport) = match scheme {
        Scheme::Https => (Speech::Https, Transport::Https),
        Scheme::Grpc => (Speech::Grpc, Transport::Grpc),
        _ => (Speech::Dot, Transport::Tcp),
    };
    let Some(Guise { credentials, .. }) = duty.guise() else { return Ok(()) };
    let config = credentials.current().config(speech).clone();
    let shaking = timeout(duty.patience().read, TlsAcceptor::from(config).accept(stream));
    let shaken = tokio::select! {
        shaken = shaking => shaken,
        () = duty.ended() => return Ok(()),
    };
    let Ok(Ok(stream)) = shaken else {
        duty.door().count_failed_handshake();
        return shaken?.map(drop);
    };
    if scheme == Scheme::Tls {
        let (reader, writer) = split(stream);
        return tcp::exchange(reader, writer, client, duty).await;
    }
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2") || scheme == Scheme::Grpc;
    let visitor = Visitor { duty: duty.clone(), client, transport };
    match (is_http2, scheme) {
        (true, Scheme::Grpc) => http2::serve(stream, visitor, Speaker::Grpc).await,
        (true, _) => http2::serve(stream, visitor, Speaker::Doh).await,
        (false, _) => http1::serve(stream, visitor).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listener_carries() {
        let limits = |connections, streams, workers| StreamLimits { connections, streams, workers };
        for (scheme, said, connections, streams, workers) in [
            (Scheme::Https, limits(None, None, None), 200, 250, 16_384),
            (Scheme::Https3, limits(None, None, None), 200, 256, 16_384),
            (Scheme::Grpc, limits(Some(7), Some(8), None), 7, 8, 16_384),
            (Scheme::Quic, limits(None, None, None), 200, 256, 1_024),
            (Scheme::Quic, limits(None, Some(1), Some(5)), 200, 1, 5),
            (Scheme::Https, limits(Some(0), Some(0), None), 4_096, 65_536, 16_384),
            (Scheme::Tls, limits(None, None, None), 4_096, 256, 16_384),
        ] {
            assert_eq!(Load::of(scheme, said), Load { connections, streams, workers }, "{scheme} {said:?}");
        }
    }
}
