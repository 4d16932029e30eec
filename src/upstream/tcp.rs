use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::{Ask, answer_to, any_like, encoded};
use crate::wire::{Packet, frame_length};

/// Connections to one upstream that wait for the next query.
pub(super) struct Pool {
    idle: Mutex<Vec<(TcpStream, Instant)>>,
    expire: Duration,
    longest: usize,
}

impl Pool {
    /// `expire` is how long a connection may wait, `longest` how many may; 0 = a hundred.
    pub(super) fn new(expire: Duration, longest: usize) -> Self {
        Self { idle: Mutex::default(), expire, longest: if longest == 0 { 100 } else { longest } }
    }

    fn take(&self) -> Option<TcpStream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < self.expire);
        idle.pop().map(|(stream, _)| stream)
    }

    fn keep(&self, stream: TcpStream) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.longest {
            idle.push((stream, Instant::now()));
        }
    }
}

/// Asks over a kept connection, or over a new one if there is none or it has died. Says whether it was kept.
pub(super) async fn exchange(
    address: SocketAddr,
    source: Option<IpAddr>,
    pool: &Pool,
    ask: &Ask,
) -> io::Result<(Packet, bool)> {
    if let Some(mut stream) = pool.take()
        && let Ok(packet) = over(&mut stream, ask).await
    {
        pool.keep(stream);
        return Ok((packet, true));
    }
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(any_like(address, source))?;
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let packet = over(&mut stream, ask).await?;
    pool.keep(stream);
    Ok((packet, false))
}

async fn over(stream: &mut TcpStream, ask: &Ask) -> io::Result<Packet> {
    let (id, query) = encoded(ask);
    let mut message = frame_length(&query).to_vec();
    message.extend_from_slice(&query);
    stream.write_all(&message).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    answer_to(ask, id, &answer).ok_or_else(|| io::Error::other("the answer is to another question"))
}
