//! Kept connections. Each lives in a task on one runtime and is talked to through a channel, so that whatever
//! runtime polls a query can use it.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use super::{
    Answer, Ask, AskError, Connecting, Protocol,
    error::local_address,
    matching::{answer_to, encoded},
};
use crate::{
    metrics::Counter,
    wire::{Packet, frame_length, message_id, take_frame},
};

/// Connections to one upstream before queries share one. An upstream may answer strictly in turn, as CoreDNS does;
/// then a query on a shared connection waits for those before it.
const MOST_CONNECTIONS: usize = 16;
/// How long setting up a connection or writing to it may take.
const SLOW: Duration = Duration::from_secs(2);
/// How long what is under way may take once nobody can ask any more.
const DRAIN: Duration = Duration::from_secs(5);

/// The connections to one upstream.
pub(super) struct Pool {
    remote: SocketAddr,
    connecting: Connecting,
    runtime: Handle,
    ignored: Counter,
    connections: Mutex<Vec<Arc<Connection>>>,
}

/// The near end of a connection.
struct Connection {
    orders: mpsc::UnboundedSender<Order>,
    born: Instant,
    under_way: AtomicUsize,
}

/// A query for a connection.
struct Order {
    ask: Arc<Ask>,
    reply: oneshot::Sender<Result<Packet, AskError>>,
}

/// A query under way. Unless it is answered, its connection gets no further one.
struct UnderWay<'a> {
    pool: &'a Pool,
    connection: Arc<Connection>,
    answered: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.connection.under_way.fetch_sub(1, Relaxed);
        if !self.answered || self.pool.is_surplus() {
            self.pool.forget(&self.connection);
        }
    }
}

impl Pool {
    pub(super) const fn new(remote: SocketAddr, connecting: Connecting, runtime: Handle, ignored: Counter) -> Self {
        Self { remote, connecting, runtime, ignored, connections: Mutex::new(Vec::new()) }
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks over a kept connection, or over a new one if there is none or it has died meanwhile.
    pub(super) async fn exchange(&self, ask: &Arc<Ask>) -> Result<Answer, AskError> {
        if let Some(connection) = self.kept(Instant::now())
            && let Ok(packet) = self.over(connection, ask).await
        {
            return Ok(Answer { packet, kept: true });
        }
        let packet = self.over(self.open(), ask).await?;
        Ok(Answer { packet, kept: false })
    }

    async fn over(&self, connection: Arc<Connection>, ask: &Arc<Ask>) -> Result<Packet, AskError> {
        let mut under_way = UnderWay { pool: self, connection, answered: false };
        let (reply, answer) = oneshot::channel();
        let closed = || self.read_error(io::ErrorKind::UnexpectedEof.into());
        under_way.connection.orders.send(Order { ask: Arc::clone(ask), reply }).map_err(|_| closed())?;
        let packet = answer.await.map_err(|_| closed())??;
        under_way.answered = true;
        Ok(packet)
    }

    const fn read_error(&self, error: io::Error) -> AskError {
        AskError::Read { protocol: Protocol::Tcp, local: None, remote: self.remote, error }
    }

    /// A connection for one more query: one that waits, the last used first so that others may end. If all are busy
    /// and there are many, the least busy one.
    fn kept(&self, now: Instant) -> Option<Arc<Connection>> {
        let mut connections = self.connections();
        let max_age = self.connecting.max_age;
        connections.retain(|connection| {
            let old = !max_age.is_zero() && now.saturating_duration_since(connection.born) >= max_age;
            !old && !connection.orders.is_closed()
        });
        let busy = |connection: &Arc<Connection>| connection.under_way.load(Relaxed);
        let loads: Vec<usize> = connections.iter().map(busy).collect();
        let chosen = choose(&loads)?;
        let connection = Arc::clone(&connections[chosen]);
        connection.under_way.fetch_add(1, Relaxed);
        Some(connection)
    }

    /// A new connection with one query under way. Its task connects first; orders wait for it.
    fn open(&self) -> Arc<Connection> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let connection = Arc::new(Connection { orders, born: Instant::now(), under_way: AtomicUsize::new(1) });
        self.connections().push(Arc::clone(&connection));
        let (remote, connecting, ignored) = (self.remote, self.connecting.clone(), self.ignored.clone());
        self.runtime.spawn(async move {
            let mut inbox = inbox;
            match timeout(SLOW, connect(remote, &connecting)).await {
                Ok(Ok(stream)) => Life::new(remote, connecting.expire, ignored).run(stream, inbox).await,
                Ok(Err(error)) => refuse(&mut inbox, &|| dial_error(remote, &error)),
                Err(_) => refuse(&mut inbox, &|| timed_out(remote)),
            }
        });
        connection
    }

    /// Whether more connections wait than may.
    fn is_surplus(&self) -> bool {
        let most = self.connecting.max_idle;
        most > 0 && self.connections().iter().filter(|other| other.under_way.load(Relaxed) == 0).count() > most
    }

    fn forget(&self, connection: &Arc<Connection>) {
        self.connections().retain(|other| !Arc::ptr_eq(other, connection));
    }
}

/// Which of these connections takes one more query, by how many each has under way. `None` = open another.
fn choose(loads: &[usize]) -> Option<usize> {
    if let Some(waiting) = loads.iter().rposition(|&load| load == 0) {
        return Some(waiting);
    }
    if loads.len() < MOST_CONNECTIONS {
        return None;
    }
    loads.iter().enumerate().min_by_key(|(_, load)| **load).map(|(index, _)| index)
}

async fn connect(remote: SocketAddr, connecting: &Connecting) -> io::Result<TcpStream> {
    let socket = match remote {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if connecting.source.is_some() {
        socket.bind(local_address(remote, connecting.source))?;
    }
    let stream = socket.connect(remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Tells everybody who waits, or comes later, that there is no connection.
fn refuse(inbox: &mut mpsc::UnboundedReceiver<Order>, error: &dyn Fn() -> AskError) {
    inbox.close();
    while let Ok(order) = inbox.try_recv() {
        _ = order.reply.send(Err(error()));
    }
}

fn dial_error(remote: SocketAddr, error: &io::Error) -> AskError {
    let error = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
    AskError::Dial { protocol: Protocol::Tcp, remote, error }
}

const fn timed_out(remote: SocketAddr) -> AskError {
    AskError::Timeout { protocol: Protocol::Tcp, local: None, remote }
}

/// The far end of a connection: writes orders as they come, gives out answers in whatever order they come
/// (RFC 7766 section 7), and ends when nothing has been asked for a while.
struct Life {
    remote: SocketAddr,
    expire: Duration,
    ignored: Counter,
    waiting: HashMap<u16, Order>,
    received: Vec<u8>,
}

impl Life {
    fn new(remote: SocketAddr, expire: Duration, ignored: Counter) -> Self {
        Self { remote, expire, ignored, waiting: HashMap::new(), received: Vec::new() }
    }

    async fn run(mut self, mut stream: impl AsyncRead + AsyncWrite + Unpin, mut inbox: mpsc::UnboundedReceiver<Order>) {
        let mut asked = true;
        let ended = loop {
            let idle = self.waiting.is_empty();
            let patience = if asked && idle { self.expire } else { DRAIN };
            tokio::select! {
                order = inbox.recv(), if asked => match order {
                    Some(order) => {
                        if let Err(error) = self.write(&mut stream, order).await {
                            break Some(error);
                        }
                    }
                    None if idle => break None,
                    None => asked = false,
                },
                read = stream.read_buf(&mut self.received) => match read {
                    Ok(0) => break Some(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => self.take_answers(),
                    Err(error) => break Some(error),
                },
                () = sleep(patience), if idle || !asked => break None,
            }
            if !asked && self.waiting.is_empty() {
                break None;
            }
        };
        let kind = ended.map_or(io::ErrorKind::UnexpectedEof, |error| error.kind());
        let local = None;
        let error = || AskError::Read { protocol: Protocol::Tcp, local, remote: self.remote, error: kind.into() };
        refuse(&mut inbox, &error);
        for (_, order) in self.waiting.drain() {
            _ = order.reply.send(Err(error()));
        }
    }

    async fn write(&mut self, stream: &mut (impl AsyncWrite + Unpin), order: Order) -> io::Result<()> {
        self.waiting.retain(|_, order| !order.reply.is_closed());
        let mut id = rand::random();
        while self.waiting.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        let query = encoded(&order.ask, id);
        // Length and message in one write, so that they leave in one segment (RFC 7766 section 8).
        let framed = [&frame_length(&query), query.as_slice()].concat();
        self.waiting.insert(id, order);
        timeout(SLOW, stream.write_all(&framed)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn take_answers(&mut self) {
        while let Some(message) = take_frame(&mut self.received) {
            let id = message_id(&message).unwrap_or_default();
            match self.waiting.get(&id).and_then(|order| answer_to(&order.ask, id, &message)) {
                Some(packet) => {
                    if let Some(order) = self.waiting.remove(&id) {
                        _ = order.reply.send(Ok(packet));
                    }
                }
                None => self.ignored.inc(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_connection_goes_before_a_new_one_and_a_new_one_before_a_shared_one() {
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[0, 0, 1]), Some(1));
        assert_eq!(choose(&[1, 1]), None);
        let mut busy = vec![3; MOST_CONNECTIONS];
        busy[5] = 2;
        assert_eq!(choose(&busy), Some(5));
    }
}
