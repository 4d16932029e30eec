//! Kept connections. Each lives in a task on one runtime and is talked to through a channel, so that whatever
//! runtime polls a query can use it.

use std::{
    cmp::Reverse,
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use super::{
    Answer, Ask, AskError, Connecting, Patience, Protocol,
    dial::{Dial, Stream},
    error::duplicate,
    matching::{answer_to, encoded},
    pulse::{Busy, Pulse},
    tls_error::explained,
};
use crate::{
    metrics::Counter,
    wire::{Packet, frame_length, message_id, take_frame},
};

/// Connections to one upstream; beyond them the least busy one is shared, whatever it does.
const MOST_CONNECTIONS: usize = 16;
/// How many queries share a plain connection before there are so many. An upstream may answer strictly in turn, as
/// CoreDNS does; then a query on a shared connection waits for those before it.
const SHARED_PLAIN: usize = 1;
/// So many plain connections are used in turn. The upstream may be a service, each connection of which ends at a pod of
/// its own: with one alone, one pod would get everything.
const IN_TURN: usize = 4;
/// How many queries each of them has carried before there is another: those who ask seldom keep one.
const WORTH_ANOTHER: usize = 32;
/// How many share an encrypted one: another handshake costs more than a wait.
const SHARED_TLS: usize = 100;
/// A shared connection that has been silent for this long while an answer was awaited gets no further query: perhaps
/// the upstream answers in turn, and works on something slow.
const STALLED: Duration = Duration::from_millis(100);
/// How long setting up a connection may take, whoever waits for it.
const SET_UP: Duration = Duration::from_secs(5);
/// How long writing to a connection may take.
const SLOW: Duration = Duration::from_secs(2);
/// The least that a connection waits for the next query: with `expire 0s` too, the one that opened it shall find it.
const LEAST_REST: Duration = Duration::from_millis(10);
/// How long what is under way may take once nobody can ask any more.
const DRAIN: Duration = Duration::from_secs(5);

/// The connections to one upstream.
pub(super) struct Pool {
    remote: SocketAddr,
    dial: Dial,
    connecting: Connecting,
    runtime: Handle,
    ignored: Counter,
    connections: Mutex<Vec<Arc<Connection>>>,
}

/// The near end of a connection.
struct Connection {
    orders: mpsc::UnboundedSender<Order>,
    pulse: Arc<Pulse>,
    /// Whether it is there: its task connects first.
    open: watch::Receiver<bool>,
}

/// A query for a connection.
struct Order {
    ask: Arc<Ask>,
    reply: oneshot::Sender<Result<Packet, AskError>>,
}

/// A query under way. Unless it is answered, its connection gets no further one before something comes: the upstream
/// may answer in turn, or be dead.
struct UnderWay<'a> {
    pool: &'a Pool,
    connection: Arc<Connection>,
    busy: Option<Busy>,
    answered: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.busy = None;
        if !self.answered {
            self.connection.pulse.doubt();
        }
        if self.pool.is_surplus() {
            self.pool.forget(&self.connection);
        }
    }
}

impl Pool {
    pub(super) const fn new(
        remote: SocketAddr,
        dial: Dial,
        connecting: Connecting,
        runtime: Handle,
        ignored: Counter,
    ) -> Self {
        Self { remote, dial, connecting, runtime, ignored, connections: Mutex::new(Vec::new()) }
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks over a kept connection, or over a new one if there is none or it has died meanwhile.
    pub(super) async fn exchange(&self, ask: &Arc<Ask>, patience: Patience) -> Result<Answer, AskError> {
        let asked = async {
            if let Some((connection, busy)) = self.kept() {
                let kept = *connection.open.borrow();
                match self.over(connection, busy, ask, patience).await {
                    Ok(packet) => return Ok(Answer { packet, kept }),
                    Err(error) if error.is_timeout() || !kept => return Err(error),
                    Err(_) => {}
                }
            }
            let (connection, busy) = self.open();
            let packet = self.over(connection, busy, ask, patience).await?;
            Ok(Answer { packet, kept: false })
        };
        timeout(patience.whole, asked).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    async fn over(
        &self,
        connection: Arc<Connection>,
        busy: Busy,
        ask: &Arc<Ask>,
        patience: Patience,
    ) -> Result<Packet, AskError> {
        let mut under_way = UnderWay { pool: self, connection, busy: Some(busy), answered: false };
        let (reply, answer) = oneshot::channel();
        let closed = || self.read_error(io::ErrorKind::UnexpectedEof.into());
        let connection = &under_way.connection;
        connection.orders.send(Order { ask: Arc::clone(ask), reply }).map_err(|_| closed())?;
        if !*connection.open.borrow() {
            let mut open = connection.open.clone();
            // If there will be no connection, the reply says why.
            if timeout(patience.connect, open.wait_for(|open| *open)).await.is_err() {
                return Err(self.dial_error(io::ErrorKind::TimedOut.into()));
            }
        }
        let answer = timeout(patience.answer, answer).await.map_err(|_| self.timed_out())?;
        let packet = answer.map_err(|_| closed())??;
        under_way.answered = true;
        Ok(packet)
    }

    const fn protocol(&self) -> Protocol {
        match self.dial {
            Dial::Plain => Protocol::Tcp,
            Dial::Tls(_) => Protocol::Tls,
        }
    }

    const fn read_error(&self, error: io::Error) -> AskError {
        AskError::Read { protocol: self.protocol(), local: None, remote: self.remote, error }
    }

    const fn dial_error(&self, error: io::Error) -> AskError {
        AskError::Dial { protocol: self.protocol(), remote: self.remote, error }
    }

    const fn timed_out(&self) -> AskError {
        AskError::Timeout { protocol: self.protocol(), local: None, remote: self.remote }
    }

    /// A connection for one more query.
    fn kept(&self) -> Option<(Arc<Connection>, Busy)> {
        let mut connections = self.connections();
        let max_age = self.connecting.max_age;
        connections.retain(|connection| {
            let old = !max_age.is_zero() && connection.pulse.age() >= max_age;
            !old && !connection.orders.is_closed()
        });
        if connections.len() >= MOST_CONNECTIONS {
            connections.retain(|connection| !connection.pulse.is_doubted());
        }
        let loads: Vec<Load> = connections.iter().map(|connection| connection.load()).collect();
        let (shared, in_turn) = match (&self.dial, self.connecting.max_idle) {
            (Dial::Plain, 0) => (SHARED_PLAIN, IN_TURN),
            (Dial::Plain, most) => (SHARED_PLAIN, IN_TURN.min(most)),
            (Dial::Tls(_), _) => (SHARED_TLS, 0),
        };
        let connection = Arc::clone(&connections[choose(&loads, shared, in_turn)?]);
        let busy = connection.pulse.enter();
        Some((connection, busy))
    }

    /// A new connection with one query under way. Its task connects first; orders wait for it.
    fn open(&self) -> (Arc<Connection>, Busy) {
        let (orders, mut inbox) = mpsc::unbounded_channel();
        let (opened, open) = watch::channel(false);
        let connection = Arc::new(Connection { orders, pulse: Arc::new(Pulse::new()), open });
        let busy = connection.pulse.enter();
        self.connections().push(Arc::clone(&connection));
        let (remote, protocol, dial, connecting) =
            (self.remote, self.protocol(), self.dial.clone(), self.connecting.clone());
        let (ignored, pulse) = (self.ignored.clone(), Arc::clone(&connection.pulse));
        self.runtime.spawn(async move {
            let dialled = timeout(SET_UP, dial.stream(remote, connecting.source)).await;
            match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    opened.send_replace(true);
                    Life::new(remote, protocol, connecting.expire, pulse, ignored).run(stream, inbox).await;
                }
                Err(error) => {
                    let error = || AskError::Dial { protocol, remote, error: duplicate(&error) };
                    refuse(&mut inbox, &error);
                }
            }
        });
        (connection, busy)
    }

    /// Whether more connections wait than may.
    fn is_surplus(&self) -> bool {
        let most = self.connecting.max_idle;
        most > 0 && self.connections().iter().filter(|other| other.pulse.under_way() == 0).count() > most
    }

    fn forget(&self, connection: &Arc<Connection>) {
        self.connections().retain(|other| !Arc::ptr_eq(other, connection));
    }
}

/// What a connection has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    under_way: usize,
    stalled: bool,
    /// How long it has waited for a query, or for an answer.
    rest: Duration,
    carried: usize,
}

impl Connection {
    fn load(&self) -> Load {
        let under_way = self.pulse.under_way();
        let is_late = || under_way > 0 && *self.open.borrow() && self.pulse.silence() >= STALLED;
        let stalled = self.pulse.is_doubted() || is_late();
        Load { under_way, stalled, rest: self.pulse.silence(), carried: self.pulse.carried() }
    }
}

/// Which of these connections takes one more query: of the first `in_turn` the one that has waited for longest; else
/// another that waits, the last used first so that others may end; else the least busy of those that may be shared.
/// `None` = open another, unless there are too many.
fn choose(loads: &[Load], shared: usize, in_turn: usize) -> Option<usize> {
    let turn: Vec<_> = loads.iter().enumerate().filter(|(_, load)| !load.stalled).take(in_turn).collect();
    let waiting = turn.iter().filter(|(_, load)| load.under_way == 0);
    if let Some((next, _)) = waiting.max_by_key(|(_, load)| (load.rest, Reverse(load.carried))) {
        let worn = turn.len() < in_turn && turn.iter().all(|(_, load)| load.carried >= WORTH_ANOTHER);
        return (!worn).then_some(*next);
    }
    if let Some(waiting) = loads.iter().rposition(|load| load.under_way == 0 && !load.stalled) {
        return Some(waiting);
    }
    let least = |may: &dyn Fn(&Load) -> bool| {
        let candidates = loads.iter().enumerate().filter(|(_, load)| may(load));
        candidates.min_by_key(|(_, load)| load.under_way).map(|(index, _)| index)
    };
    let sharing = least(&|load| load.under_way < shared && !load.stalled);
    if sharing.is_some() || loads.len() < MOST_CONNECTIONS { sharing } else { least(&|_| true) }
}

/// Tells everybody who waits, or comes later, that there is no connection.
fn refuse(inbox: &mut mpsc::UnboundedReceiver<Order>, error: &dyn Fn() -> AskError) {
    inbox.close();
    while let Ok(order) = inbox.try_recv() {
        _ = order.reply.send(Err(error()));
    }
}

/// The far end of a connection: writes orders as they come, gives out answers in whatever order they come
/// (RFC 7766 section 7), and ends when nothing has been asked for a while.
struct Life {
    remote: SocketAddr,
    protocol: Protocol,
    expire: Duration,
    pulse: Arc<Pulse>,
    ignored: Counter,
    waiting: HashMap<u16, Order>,
    received: Vec<u8>,
}

impl Life {
    fn new(remote: SocketAddr, protocol: Protocol, expire: Duration, pulse: Arc<Pulse>, ignored: Counter) -> Self {
        Self { remote, protocol, expire, pulse, ignored, waiting: HashMap::new(), received: Vec::new() }
    }

    async fn run(mut self, mut stream: Box<dyn Stream>, mut inbox: mpsc::UnboundedReceiver<Order>) {
        let mut asked = true;
        let ended = loop {
            let idle = self.waiting.values().all(|order| order.reply.is_closed());
            let patience = if asked && idle { self.expire.max(LEAST_REST) } else { DRAIN };
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
                    Ok(_) => {
                        self.pulse.beat();
                        self.take_answers();
                    }
                    Err(error) => break Some(error),
                },
                () = sleep(patience), if idle || !asked => break None,
            }
            if !asked && self.waiting.is_empty() {
                break None;
            }
        };
        let ended = ended.map_or_else(|| io::ErrorKind::UnexpectedEof.into(), explained);
        let (protocol, remote) = (self.protocol, self.remote);
        let error = || AskError::Read { protocol, local: None, remote, error: duplicate(&ended) };
        refuse(&mut inbox, &error);
        for (_, order) in self.waiting.drain() {
            _ = order.reply.send(Err(error()));
        }
        // TLS says that the end is meant (RFC 8446 section 6.1).
        _ = timeout(SLOW, stream.shutdown()).await;
    }

    async fn write(&mut self, stream: &mut Box<dyn Stream>, order: Order) -> io::Result<()> {
        self.waiting.retain(|_, order| !order.reply.is_closed());
        let mut id = rand::random();
        while self.waiting.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        let query = encoded(&order.ask, id);
        // Length and message in one write, so that they leave in one segment (RFC 7766 section 8).
        let framed = [&frame_length(&query), query.as_slice()].concat();
        self.waiting.insert(id, order);
        let written = async {
            stream.write_all(&framed).await?;
            stream.flush().await
        };
        timeout(SLOW, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
    fn a_waiting_connection_goes_before_a_shared_one_and_that_before_a_new_one() {
        let brisk = |under_way| Load { under_way, stalled: false, rest: Duration::ZERO, carried: 1 };
        let stalled = |under_way| Load { stalled: true, ..brisk(under_way) };
        let mut many = [stalled(3); MOST_CONNECTIONS];
        many[5].under_way = 2;
        for (loads, shared, chosen) in [
            (&[][..], 1, None),
            (&[brisk(0), brisk(0), brisk(1)], 1, Some(1)),
            (&[brisk(1), brisk(1)], 1, None),
            (&[brisk(7), brisk(5)], 100, Some(1)),
            (&[brisk(7), stalled(5)], 100, Some(0)),
            (&[stalled(7), stalled(5)], 100, None),
            (&[brisk(100)], 100, None),
            (&[brisk(1), stalled(0)], 1, None),
            (&many, 1, Some(5)),
            (&many, 100, Some(5)),
        ] {
            assert_eq!(choose(loads, shared, 0), chosen, "{loads:?}, {shared} may share one");
        }
    }

    #[test]
    fn plain_connections_are_used_in_turn_once_they_are_worth_it() {
        let load = |under_way, rest, carried| {
            let rest = Duration::from_millis(rest);
            Load { under_way, stalled: false, rest, carried }
        };
        let stalled = |rest| Load { stalled: true, ..load(0, rest, 99) };
        for (loads, chosen) in [
            (&[load(0, 5000, 31)][..], Some(0)),
            (&[load(0, 0, 32)], None),
            (&[load(0, 9, 32), load(0, 3, 31)], Some(0)),
            (&[load(0, 9, 99), load(1, 3, 99)], None),
            (&[load(0, 1, 99), load(0, 4, 99), load(1, 9, 99), load(0, 2, 99)], Some(1)),
            (&[load(0, 1, 99), load(0, 1, 70), load(0, 1, 99), load(0, 1, 80)], Some(1)),
            (&[stalled(9), load(0, 1, 31), stalled(9), load(0, 2, 99), load(1, 9, 99)], Some(3)),
            // Those that are silent are replaced.
            (&[stalled(9), load(0, 1, 99), stalled(9), load(0, 2, 99), load(1, 9, 99)], None),
            // A fifth one, opened for a crowd, may end when the crowd has gone.
            (&[load(0, 1, 99), load(0, 2, 99), load(0, 3, 99), load(0, 4, 99), load(0, 9, 99)], Some(3)),
            (&[load(1, 1, 99), load(1, 1, 99), load(1, 1, 99), load(1, 1, 99), load(0, 1, 9)], Some(4)),
        ] {
            assert_eq!(choose(loads, SHARED_PLAIN, IN_TURN), chosen, "{loads:?}");
        }
    }
}
