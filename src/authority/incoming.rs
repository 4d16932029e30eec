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
    tsig::{Conversation, Identity, now},
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
    /// It does not prove that it has the secret (RFC 8945 section 5.3.1).
    #[error("its signature is not right")]
    NotAuthentic,
    /// What it sends is no zone.
    #[error("{0}")]
    Zone(#[from] ZoneError),
}

/// What is signed of a question to a primary, and verified of its answer: nothing without an identity.
struct Signed(Option<Conversation>);

impl Signed {
    fn new(identity: Option<&Identity>) -> Self {
        Self(identity.map(Identity::begin))
    }

    fn sign(&mut self, message: &mut [u8], length: usize) -> usize {
        self.0.as_mut().map_or(length, |conversation| conversation.sign(message, length, now()))
    }

    /// Whether a message is verified, or only will be by a later one.
    fn accept(&mut self, message: &[u8]) -> Result<bool, IncomingError> {
        let Some(conversation) = &mut self.0 else { return Ok(true) };
        // Who refuses often has no key to sign it with; nothing of it is believed but that there is nothing.
        match (conversation.accept(message, now()), Flags::of_message(message).rcode()) {
            (Some(is_verified), _) => Ok(is_verified),
            (None, Rcode::NOERROR) => Err(IncomingError::NotAuthentic),
            (None, refusal) => Err(IncomingError::Refused(refusal)),
        }
    }
}

/// Asks a primary for the serial of a zone, under the name of a key if there is one.
///
/// # Errors
/// It does not say.
pub async fn serial(primary: SocketAddr, zone: &Name, identity: Option<&Identity>) -> Result<u32, IncomingError> {
    let any: IpAddr = if primary.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(primary).await?;
    let mut buffer = [0; 1232];
    let id = rand::random();
    let length = encode_query(id, Flags(0), &Question::new(*zone, RecordType::SOA), None, &mut buffer);
    let mut signed = Signed::new(identity);
    let length = signed.sign(&mut buffer, length);
    socket.send(&buffer[..length]).await?;
    loop {
        let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.map_err(|_| IncomingError::Late)??;
        if message_id(&buffer[..length]) != Some(id) {
            continue;
        }
        let Ok(message) = Message::parse(&buffer[..length]) else { continue };
        // Anybody can send a datagram: the right one may still come.
        match signed.accept(&buffer[..length]) {
            Ok(true) => {}
            Ok(false) | Err(IncomingError::NotAuthentic) => continue,
            Err(error) => return Err(error),
        }
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

/// Takes a whole zone from a primary (RFC 5936), under the name of a key if there is one.
///
/// # Errors
/// What went wrong; nothing of what came is used then.
pub async fn transfer(primary: SocketAddr, zone: &Name, identity: Option<&Identity>) -> Result<Zone, IncomingError> {
    let late = |_| IncomingError::Late;
    let mut stream = timeout(PATIENCE, TcpStream::connect(primary)).await.map_err(late)??;
    let mut query = [0; 1024];
    let id: u16 = rand::random();
    let length = encode_query(id, Flags(0), &Question::new(*zone, RecordType::AXFR), None, &mut query);
    let mut signed = Signed::new(identity);
    let length = signed.sign(&mut query, length);
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
        let is_verified = signed.accept(&bytes)?;
        if message.flags.rcode() != Rcode::NOERROR {
            return Err(IncomingError::Refused(message.flags.rcode()));
        }
        for record in message.into_records().answer {
            let is_soa = record.data.record_type() == RecordType::SOA;
            // RFC 5936 section 2.2: the SOA stands at the start and at the end.
            match (records.is_empty(), is_soa) {
                (true, false) => return Err(IncomingError::Nonsense("its answer does not begin with the SOA")),
                (false, true) if !is_verified => return Err(IncomingError::NotAuthentic),
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
