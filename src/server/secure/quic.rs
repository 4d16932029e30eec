//! Connections of QUIC: accepted, bounded, and handed to those who speak over them.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use quinn::{
    Connecting, Endpoint, EndpointConfig, IdleTimeout, Incoming, Runtime as _, ServerConfig, TokioRuntime,
    TransportConfig, VarInt, crypto::rustls::QuicServerConfig,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Load, doq, http3, uncovered::Uncovered, visitor::Visitor};
use crate::{
    chain::Transport,
    corefile::Scheme,
    server::{door::Inside, duty::Duty, proxied::Client, site::Guise},
    tls::Speech,
    wire::MAX_MESSAGE,
};

/// No error: of DNS over QUIC (RFC 9250 section 4.3).
pub(super) const NO_ERROR: VarInt = VarInt::from_u32(0);
/// Streams of HTTP/3 that go one way: control and the two of header compression, with some to spare.
const ONE_WAY: u32 = 8;
/// Octets of all streams of a connection that may be on their way.
const WINDOW: u32 = 512 << 10;
/// How long the last packets may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Accepts connections until the address is given up.
pub(crate) async fn serve(socket: UdpSocket, mut duty: Duty) -> io::Result<()> {
    let mut terms = Terms::default();
    let Some(config) = terms.config(&duty) else { return Ok(()) };
    let socket = TokioRuntime.wrap_udp_socket(socket)?;
    let socket = Arc::new(Uncovered::new(socket, &duty)?);
    let config = Some(ServerConfig::clone(&config));
    let endpoint = Endpoint::new_with_abstract_socket(LIMITS.clone(), config, socket, Arc::new(TokioRuntime))?;
    let local = endpoint.local_addr()?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                duty.refresh();
                let client = client(&incoming, local, &duty);
                if let Some((connecting, inside)) = admit(incoming, &duty, &mut terms) {
                    connections.spawn(connection(connecting, client, duty.clone(), inside));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = duty.ended() => break,
        }
    }
    endpoint.set_server_config(None);
    while connections.join_next().await.is_some() {}
    _ = timeout(FAREWELL, endpoint.wait_idle()).await;
    Ok(())
}

/// All workers have the key that marks packets which end a connection nobody here knows any more (RFC 9000 section
/// 10.3): a client whose address has changed comes to another worker, and is told at once to begin anew.
static LIMITS: LazyLock<EndpointConfig> = LazyLock::new(EndpointConfig::default);

fn admit(incoming: Incoming, duty: &Duty, terms: &mut Terms) -> Option<(Connecting, Inside)> {
    let load = Load::now(duty);
    // A listener that fills up lets in those first who have shown that their address is theirs (RFC 9000 section 8.1).
    if duty.door().connections() * 2 >= load.connections && incoming.may_retry() && !incoming.remote_address_validated()
    {
        _ = incoming.retry();
        return None;
    }
    let Some(inside) = duty.door().enter(load.connections) else {
        incoming.refuse();
        return None;
    };
    let config = terms.config(duty)?;
    let connecting = incoming.accept_with(config).ok()?;
    Some((connecting, inside))
}

/// Who connects, or for whom.
fn client(incoming: &Incoming, local: SocketAddr, duty: &Duty) -> Client {
    let asked = incoming.local_ip().map_or(local, |ip| SocketAddr::new(ip, local.port()));
    let ends = [incoming.remote_address(), asked];
    let proxied = duty.proxied();
    proxied
        .map_or_else(|| Client::itself(ends), |proxied| proxied.beginner(ends, duty.door().sessions(), Instant::now()))
}

async fn connection(connecting: Connecting, client: Client, mut duty: Duty, inside: Inside) {
    let Ok(Ok(connection)) = timeout(duty.patience().read, connecting).await else {
        return duty.door().count_failed_handshake();
    };
    let transport = if duty.scheme() == Scheme::Https3 { Transport::Https3 } else { Transport::Quic };
    let visitor = Visitor { duty: duty.clone(), client, transport };
    if duty.scheme() == Scheme::Https3 {
        http3::serve(connection, visitor, &mut duty).await;
    } else {
        doq::serve(connection, visitor, &mut duty).await;
    }
    drop(inside);
}

/// Waits until nothing has been in work for so long; for ever while something is.
pub(super) async fn rested(is_at_work: bool, idle: Duration) {
    if is_at_work {
        std::future::pending::<()>().await;
    }
    sleep(idle).await;
}

/// What connections are begun with, made anew when certificate or limits have changed.
#[derive(Default)]
struct Terms {
    made_for: Option<(u64, u32, Duration)>,
    config: Option<Arc<ServerConfig>>,
}

impl Terms {
    fn config(&mut self, duty: &Duty) -> Option<Arc<ServerConfig>> {
        let Guise { credentials, .. } = duty.guise()?;
        let identity = credentials.current();
        let (streams, idle) = (Load::now(duty).streams, duty.patience().idle);
        let wanted = Some((identity.number(), streams, idle));
        if self.made_for != wanted {
            let speech = if duty.scheme() == Scheme::Https3 { Speech::Https3 } else { Speech::Doq };
            let tls = QuicServerConfig::try_from(Arc::clone(identity.config(speech)));
            let tls = tls.inspect_err(|error| tracing::error!("{}: {error}", duty.address().label())).ok()?;
            let mut config = ServerConfig::with_crypto(Arc::new(tls));
            config.transport_config(Arc::new(transport(speech, streams, idle)));
            self.config = Some(Arc::new(config));
            self.made_for = wanted;
        }
        self.config.clone()
    }
}

fn transport(speech: Speech, streams: u32, idle: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let one_way = if speech == Speech::Https3 { ONE_WAY } else { 0 };
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(one_way))
        .stream_receive_window(VarInt::from_u32(MAX_MESSAGE as u32 + 2))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IdleTimeout::try_from(idle).ok());
    transport
}
