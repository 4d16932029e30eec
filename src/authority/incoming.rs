use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use crate::{
    wire::{Flags, Message, Name, Question, RData, Rcode, Record, RecordType, encode_query, frame_length, message_id},
    zone::{Zone, ZoneError, text::TextRecord},
};

/// How long a primary may take for the serial, for a connection, and for the next message of a transfer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most records that a zone may have; more take too much memory.
const MOST: usize = 5_000_000;

/// Why a zone could not be had from its primary.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// The network, or a connection that ends too early.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not say anything for too long.
    #[error("no answer in time")]
    Late,
    /// It refuses.
    #[error("it answers {0}")]
    Refused(Rcode),
    /// It sends what is no transfer.
    #[error("{0}")]
    Nonsense(&'static str),
    /// What it sends is no zone.
    #[error("{0}")]
    Zone(#[from] ZoneError),
}

/// Asks a primary for the serial of a zone.
///
/// # Errors
/// It does not say.
pub async fn serial(primary: SocketAddr, zone: &Name) -> Result<u32, IncomingError> {
    let any: IpAddr = if primary.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(primary).await?;
    let mut buffer = [0; 1232];
    let id = rand::random();
    let length = encode_query(id, Flags(0), &Question::new(*zone, RecordType::SOA), None, &mut buffer);
    socket.send(&buffer[..length]).await?;
    loop {
        let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.map_err(|_| IncomingError::Late)??;
        if message_id(&buffer[..length]) != Some(id) {
            continue;
        }
        let Ok(message) = Message::parse(&buffer[..length]) else { continue };
        if message.flags.rcode() != Rcode::NOERROR {
            return Err(IncomingError::Refused(message.flags.rcode()));
        }
        let soa = message.records().answer.iter().find_map(|record| match &record.data {
            RData::Soa(soa) => Some(soa.serial),
            _ => None,
        });
        return soa.ok_or(IncomingError::Nonsense("it does not know the zone"));
    }
}

/// Takes a whole zone from a primary (RFC 5936).
///
/// # Errors
/// What went wrong; nothing of what came is used then.
pub async fn transfer(primary: SocketAddr, zone: &Name) -> Result<Zone, IncomingError> {
    let late = |_| IncomingError::Late;
    let mut stream = timeout(PATIENCE, TcpStream::connect(primary)).await.map_err(late)??;
    let mut query = [0; 512];
    let id: u16 = rand::random();
    let length = encode_query(id, Flags(0), &Question::new(*zone, RecordType::AXFR), None, &mut query);
    stream.write_all(&[&frame_length(&query[..length])[..], &query[..length]].concat()).await?;
    let mut records = Vec::new();
    let mut bytes = Vec::new();
    loop {
        let length = timeout(PATIENCE, stream.read_u16()).await.map_err(late)??;
        bytes.resize(usize::from(length), 0);
        timeout(PATIENCE, stream.read_exact(&mut bytes)).await.map_err(late)??;
        let message = Message::parse(&bytes).map_err(|_| IncomingError::Nonsense("it sends what is no message"))?;
        if message.id != id || !message.flags.is_response() {
            return Err(IncomingError::Nonsense("it answers another question"));
        }
        if message.flags.rcode() != Rcode::NOERROR {
            return Err(IncomingError::Refused(message.flags.rcode()));
        }
        for record in message.into_records().answer {
            let is_soa = record.data.record_type() == RecordType::SOA;
            // RFC 5936 section 2.2: the SOA stands at the start and at the end.
            match (records.is_empty(), is_soa) {
                (true, false) => return Err(IncomingError::Nonsense("its answer does not begin with the SOA")),
                (false, true) => return Ok(Zone::of_records(*zone, records)?),
                _ => records.push(plain(record)),
            }
            if records.len() > MOST {
                return Err(IncomingError::Nonsense("the zone is too large"));
            }
        }
    }
}

fn plain(record: Record) -> TextRecord {
    let owner = record.owner.resolve(&Name::root());
    let (record_type, data) = (record.data.record_type(), record.data.to_wire());
    TextRecord { owner, class: record.class, ttl: record.ttl, record_type, data }
}
