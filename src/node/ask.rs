use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

use crate::wire::{Edns, Flags, MAX_MESSAGE, Message, Name, Question, RecordType, encode_query};

/// Asks one server one question over UDP. What is no answer to it is passed over.
///
/// # Errors
/// No answer in time, or an error of the network.
pub(super) async fn ask(server: SocketAddr, name: &Name, kind: RecordType, patience: Duration) -> io::Result<Message> {
    let any = if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let question = Question::new(*name, kind);
    let id = rand::random();
    let mut query = vec![0; 512];
    let length = encode_query(id, Flags(Flags::RD), &question, Some(&Edns::new(1232, false)), &mut query);
    socket.send(&query[..length]).await?;
    let answer = async {
        let mut reply = vec![0; MAX_MESSAGE];
        loop {
            let length = socket.recv(&mut reply).await?;
            let message = Message::parse(&reply[..length]).ok();
            let fits = |message: &Message| message.id == id && message.question.as_ref() == Some(&question);
            if let Some(message) = message.filter(|message| message.flags.is_response() && fits(message)) {
                return Ok(message);
            }
        }
    };
    timeout(patience, answer).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
