use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, sync::broadcast, time::timeout};

use crate::{
    chain::{ZoneSet, ZoneSources},
    wire::{Flags, Name, Opcode, Question, Rcode, RecordType, encode_query, message_id},
};

/// How often a secondary is told.
const ATTEMPTS: u32 = 3;
/// How long it may take to answer the first time; twice that the second, and so on.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is told of changes of which zones.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) zones: ZoneSet,
    pub(super) to: Vec<SocketAddr>,
    pub(super) source: Option<IpAddr>,
}

/// Tells secondaries of the zones that are there now, and then of each one that changes (RFC 1996).
pub(super) async fn keep(round: Round, sources: ZoneSources, mut changes: broadcast::Receiver<Name>) {
    let mut open: HashSet<Name> = sources.zones().into_iter().collect();
    loop {
        // What has changed meanwhile is told once.
        while let Ok(zone) = changes.try_recv() {
            open.insert(zone);
        }
        for zone in open.drain().filter(|zone| round.zones.contains(zone)) {
            for to in &round.to {
                tokio::spawn(tell(zone, *to, round.source));
            }
        }
        match changes.recv().await {
            Ok(zone) => _ = open.insert(zone),
            // Too many at once: all are told again.
            Err(broadcast::error::RecvError::Lagged(_)) => open.extend(sources.zones()),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn tell(zone: Name, to: SocketAddr, source: Option<IpAddr>) {
    for attempt in 1..=ATTEMPTS {
        match timeout(PATIENCE * attempt, exchange(&zone, to, source)).await {
            Ok(Ok(Rcode::NOERROR)) => return,
            Ok(Ok(rcode)) => {
                return tracing::warn!("plugin/transfer: {to} answers {rcode} to the notify for zone {zone}");
            }
            Ok(Err(error)) if attempt == ATTEMPTS => {
                tracing::warn!("plugin/transfer: notify of {to} for zone {zone}: {error}")
            }
            Err(_) if attempt == ATTEMPTS => {
                tracing::warn!("plugin/transfer: {to} does not answer the notify for zone {zone}")
            }
            Ok(Err(_)) => tokio::time::sleep(PATIENCE * attempt).await,
            Err(_) => {}
        }
    }
}

async fn exchange(zone: &Name, to: SocketAddr, source: Option<IpAddr>) -> std::io::Result<Rcode> {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((source.unwrap_or(any), 0)).await?;
    socket.connect(to).await?;
    let (id, mut buffer) = (rand::random(), [0; 1232]);
    let flags = Flags(Opcode::NOTIFY.0 << 11 | Flags::AA);
    let length = encode_query(id, flags, &Question::new(*zone, RecordType::SOA), None, &mut buffer);
    socket.send(&buffer[..length]).await?;
    loop {
        let length = socket.recv(&mut buffer).await?;
        let reply = Flags::of_message(&buffer[..length]);
        if message_id(&buffer[..length]) == Some(id) && reply.is_response() && reply.opcode() == Opcode::NOTIFY {
            return Ok(reply.rcode());
        }
    }
}
