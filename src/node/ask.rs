use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::wire::{Edns, Flags, MAX_MESSAGE, Message, Name, Question, RData, Rcode, RecordType, encode_query};

/// How long a server may take to name addresses.
const PATIENCE: Duration = Duration::from_secs(2);

/// The addresses of a name, both families, from the first server that knows any; `None` if none does.
pub(super) fn addresses_of(name: &Name, servers: &[SocketAddr]) -> Option<Vec<IpAddr>> {
    for server in servers {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            match ask(*server, name, kind, PATIENCE) {
                Ok(message) if message.flags.rcode() == Rcode::NOERROR => found.extend(addresses(&message)),
                Ok(message) => tracing::debug!("{server} says {} to {name} {kind}", message.flags.rcode()),
                Err(error) => tracing::warn!("cannot ask {server} for {name} {kind}: {error}"),
            }
        }
        if !found.is_empty() {
            return Some(found);
        }
    }
    None
}

fn addresses(message: &Message) -> impl Iterator<Item = IpAddr> {
    let address = |data: &RData| match data {
        RData::A(v4) => Some(IpAddr::from(*v4)),
        RData::Aaaa(v6) => Some(IpAddr::from(*v6)),
        _ => None,
    };
    message.records().answer.iter().filter_map(move |record| address(&record.data))
}

/// Asks one server one question over UDP, from a port of its own, on the thread that calls. What is no answer to the
/// question is passed over.
///
/// # Errors
/// No answer within `patience`, or an error of the network.
pub fn ask(server: SocketAddr, name: &Name, kind: RecordType, patience: Duration) -> io::Result<Message> {
    ask_over(&socket_to(server)?, name, kind, patience)
}

/// A socket for questions to one server.
///
/// # Errors
/// There is no way to the server.
pub(super) fn socket_to(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    Ok(socket)
}

/// As [`ask`], over a socket that knows its server.
pub(super) fn ask_over(socket: &UdpSocket, name: &Name, kind: RecordType, patience: Duration) -> io::Result<Message> {
    let end = Instant::now() + patience;
    let question = Question::new(*name, kind);
    let id = rand::random();
    let mut query = [0; 512];
    let length = encode_query(id, Flags(Flags::RD), &question, Some(&Edns::new(1232, false)), &mut query);
    socket.send(&query[..length])?;
    let mut reply = vec![0; MAX_MESSAGE];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut reply) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let message = Message::parse(&reply[..length]).ok();
        let fits = |message: &Message| message.id == id && message.question.as_ref() == Some(&question);
        if let Some(message) = message.filter(|message| message.flags.is_response() && fits(message)) {
            return Ok(message);
        }
    }
}
