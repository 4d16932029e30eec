use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::wire::{Edns, Flags, MAX_MESSAGE, Message, Name, Question, RecordType, encode_query};

/// Asks one server one question over UDP, from a port of its own, on the thread that calls. What is no answer to the
/// question is passed over.
///
/// # Errors
/// No answer within `patience`, or an error of the network.
pub(super) fn ask(server: SocketAddr, name: &Name, kind: RecordType, patience: Duration) -> io::Result<Message> {
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
