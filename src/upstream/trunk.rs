//! One connection that carries many queries, each as a stream of its own: HTTP/2 and QUIC.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Answer, Ask, AskError, Connecting, Patience, Protocol,
    error::duplicate,
    matching::{answer_to, encoded},
    pulse::{Busy, Pulse},
};
use crate::{metrics::Counter, wire::Packet};

/// How long setting up a connection may take, whoever waits for it.
const SET_UP: Duration = Duration::from_secs(5);
/// The least that a connection waits for the next query.
const LEAST_REST: Duration = Duration::from_millis(10);
/// How long a connection may take to take its leave.
const GOOD_BYE: Duration = Duration::from_secs(1);
/// RFC 8484 section 4.1, RFC 9250 section 4.2.1: the stream tells queries apart.
const ID: u16 = 0;

/// What a connection is made of.
pub(super) trait Carrier: Send + Sync + 'static {
    /// What it is called.
    const PROTOCOL: Protocol;
    /// The near end of a connection; clones share it.
    type Line: Clone + Send + Sync + 'static;

    /// Sets a connection up: its near end, and what runs as long as it lives.
    fn connect(&self) -> impl Future<Output = io::Result<(Self::Line, Driver)>> + Send;

    /// Sends one query and gives what comes back.
    fn exchange(&self, line: Self::Line, query: &[u8]) -> impl Future<Output = Result<Vec<u8>, Trouble>> + Send;
}

/// Runs a connection, and ends with it.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why there was no answer.
pub(super) enum Trouble {
    /// This query has failed.
    Query(io::Error),
    /// The connection has.
    Connection(io::Error),
}

/// The connection to one upstream. It lives in a task on one runtime; whatever runtime polls a query can use it.
pub(super) struct Trunk<C: Carrier> {
    carrier: Arc<C>,
    remote: SocketAddr,
    connecting: Connecting,
    runtime: Handle,
    ignored: Counter,
    current: Mutex<Option<Arc<Connection<C::Line>>>>,
}

struct Connection<L> {
    state: watch::Receiver<State<L>>,
    pulse: Arc<Pulse>,
}

enum State<L> {
    SettingUp,
    Open(L),
    Over(Option<io::Error>),
}

impl<L: Clone> Connection<L> {
    fn is_open(&self) -> bool {
        matches!(*self.state.borrow(), State::Open(_))
    }

    fn is_over(&self) -> bool {
        matches!(*self.state.borrow(), State::Over(_))
    }

    /// Its near end, as soon as it is there.
    async fn line(&self) -> io::Result<L> {
        let mut state = self.state.clone();
        let state = state.wait_for(|state| !matches!(state, State::SettingUp)).await;
        match state.as_deref() {
            Ok(State::Open(line)) => Ok(line.clone()),
            Ok(State::Over(Some(error))) => Err(duplicate(error)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// What became of a query on a connection.
enum Failed {
    /// The connection is of no use; another one may be.
    Connection(AskError),
    Query(AskError),
}

impl<C: Carrier> Trunk<C> {
    pub(super) fn new(
        carrier: C,
        remote: SocketAddr,
        connecting: Connecting,
        runtime: Handle,
        ignored: Counter,
    ) -> Self {
        Self { carrier: Arc::new(carrier), remote, connecting, runtime, ignored, current: Mutex::new(None) }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<Connection<C::Line>>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks over the kept connection, or over a new one if there is none or it has died meanwhile.
    pub(super) async fn exchange(&self, ask: &Arc<Ask>, patience: Patience) -> Result<Answer, AskError> {
        let asked = async {
            let (connection, busy, kept) = self.connection();
            match self.over(&connection, busy, ask, patience).await {
                Ok(packet) => return Ok(Answer { packet, kept }),
                Err(Failed::Connection(_)) if kept => self.forget(&connection),
                Err(Failed::Connection(error)) => {
                    self.forget(&connection);
                    return Err(error);
                }
                Err(Failed::Query(error)) => return Err(error),
            }
            let (connection, busy, kept) = self.connection();
            match self.over(&connection, busy, ask, patience).await {
                Ok(packet) => Ok(Answer { packet, kept }),
                Err(Failed::Connection(error)) => {
                    self.forget(&connection);
                    Err(error)
                }
                Err(Failed::Query(error)) => Err(error),
            }
        };
        timeout(patience.whole, asked).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// The connection for one more query, and whether it was there before.
    fn connection(&self) -> (Arc<Connection<C::Line>>, Busy, bool) {
        let mut current = self.current();
        let max_age = self.connecting.max_age;
        let usable = |connection: &&Arc<Connection<C::Line>>| {
            !connection.is_over() && (max_age.is_zero() || connection.pulse.age() < max_age)
        };
        if let Some(connection) = current.as_ref().filter(usable) {
            return (Arc::clone(connection), connection.pulse.enter(), connection.is_open());
        }
        let pulse = Arc::new(Pulse::new());
        let busy = pulse.enter();
        let (sender, state) = watch::channel(State::SettingUp);
        self.runtime.spawn(live(Arc::clone(&self.carrier), Arc::clone(&pulse), self.connecting.expire, sender));
        let connection = Arc::new(Connection { state, pulse });
        *current = Some(Arc::clone(&connection));
        (connection, busy, false)
    }

    /// From now on others are asked over another connection; what is under way may end.
    fn forget(&self, connection: &Arc<Connection<C::Line>>) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|known| Arc::ptr_eq(known, connection)) {
            *current = None;
        }
    }

    async fn over(
        &self,
        connection: &Arc<Connection<C::Line>>,
        _busy: Busy,
        ask: &Arc<Ask>,
        patience: Patience,
    ) -> Result<Packet, Failed> {
        let (protocol, remote) = (C::PROTOCOL, self.remote);
        let dialled = |error| Failed::Connection(AskError::Dial { protocol, remote, error });
        let read = |error| AskError::Read { protocol, local: None, remote, error };
        let line = match timeout(patience.connect, connection.line()).await {
            Ok(line) => line.map_err(dialled)?,
            // Setting up goes on: others may have more time.
            Err(_) => {
                let error = io::ErrorKind::TimedOut.into();
                return Err(Failed::Query(AskError::Dial { protocol, remote, error }));
            }
        };
        match timeout(patience.answer, self.carrier.exchange(line, &encoded(ask, ID))).await {
            Ok(Ok(bytes)) => {
                connection.pulse.beat();
                answer_to(ask, ID, &bytes).ok_or_else(|| {
                    self.ignored.inc();
                    Failed::Query(read(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the reply is no answer to the query",
                    )))
                })
            }
            Ok(Err(Trouble::Query(error))) => {
                connection.pulse.beat();
                Err(Failed::Query(read(error)))
            }
            Ok(Err(Trouble::Connection(error))) => Err(Failed::Connection(read(error))),
            Err(_) => {
                // One slow name is no reason to leave the others' connection, silence is.
                if connection.pulse.silence() >= patience.answer {
                    self.forget(connection);
                }
                Err(Failed::Query(self.timed_out()))
            }
        }
    }

    const fn timed_out(&self) -> AskError {
        AskError::Timeout { protocol: C::PROTOCOL, local: None, remote: self.remote }
    }
}

/// The life of a connection: sets it up, runs it, ends it when nothing has been asked for a while.
async fn live<C: Carrier>(carrier: Arc<C>, pulse: Arc<Pulse>, expire: Duration, state: watch::Sender<State<C::Line>>) {
    let connected = timeout(SET_UP, carrier.connect()).await;
    let end = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok((line, mut driver)) => {
            state.send_replace(State::Open(line));
            tokio::select! {
                () = &mut driver => {}
                () = rest(&pulse, expire.max(LEAST_REST)) => {
                    // Lets go of the near end, upon which the connection says good-bye.
                    state.send_replace(State::Over(None));
                    _ = timeout(GOOD_BYE, driver).await;
                }
            }
            None
        }
        Err(error) => Some(error),
    };
    state.send_replace(State::Over(end));
}

/// Waits until nothing has been asked for this long.
async fn rest(pulse: &Pulse, expire: Duration) {
    loop {
        let quiet = if pulse.under_way() == 0 { pulse.silence() } else { Duration::ZERO };
        let Some(left) = expire.checked_sub(quiet).filter(|left| !left.is_zero()) else { return };
        sleep(left).await;
    }
}
