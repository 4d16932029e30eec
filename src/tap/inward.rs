use std::{
    fs, io,
    os::unix::{fs::FileTypeExt as _, net::UnixStream as StdUnixStream},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Counts, Line, Messages, Place, Queue, Way, frames::Frames, outward::write};
use crate::{
    metrics::Counter,
    tls::{Credentials, Look},
};

/// How many collectors may be connected at once.
const MOST: usize = 16;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// After an error of the socket that listens.
const PAUSE: Duration = Duration::from_millis(100);

/// Those who are connected, each with a queue of its own.
#[derive(Clone, Default)]
pub(super) struct Collectors(Arc<Mutex<Vec<Queue>>>);

impl Collectors {
    pub(super) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Hands a message to all.
    pub(super) fn send(&self, message: &Arc<[u8]>, dropped: &Counter) {
        self.all().retain(|queue| match queue.try_send(Arc::clone(message)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                dropped.inc();
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    fn join(&self, capacity: usize) -> Option<mpsc::Receiver<Arc<[u8]>>> {
        let mut all = self.all();
        all.retain(|queue| !queue.is_closed());
        if all.len() >= MOST {
            return None;
        }
        let (sender, messages) = mpsc::channel(capacity);
        all.push(sender);
        Some(messages)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Door {
    Unix(UnixListener),
    Tcp(TcpListener),
    Tls(TcpListener, Arc<Credentials>),
}

/// A collector that has come in.
enum Arrived {
    Open(Box<dyn Line>),
    /// Its handshake is still to come.
    Closed(TcpStream, Arc<Credentials>),
}

/// Listens for collectors.
pub(super) fn listen(
    way: &Way,
    collectors: Collectors,
    counts: Counts,
    end: &Arc<watch::Sender<bool>>,
) -> io::Result<JoinHandle<()>> {
    let tcp = |address: &str| {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let door = match (&way.place, &way.credentials) {
        (Place::Unix(path), _) => Door::Unix(bind(path)?),
        (Place::Tls(address), Some(files)) => {
            let credentials = Credentials::load(files.clone()).map_err(io::Error::other)?;
            Door::Tls(tcp(address)?, Arc::new(credentials))
        }
        (Place::Tcp(address) | Place::Tls(address), _) => Door::Tcp(tcp(address)?),
    };
    // Not the other end itself: it goes with the outlet.
    let ended = end.subscribe();
    let (place, queue) = (way.place.to_string(), way.queue);
    Ok(tokio::spawn(async move {
        loop {
            let arrived = match door.next().await {
                Ok(arrived) => arrived,
                Err(error) => {
                    tracing::warn!(target: "plugin/dnstap", "{place}: {error}");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (collectors, counts, place) = (collectors.clone(), counts.clone(), place.clone());
            let ended = ended.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(arrived, &collectors, queue, &counts, ended).await {
                    tracing::info!(target: "plugin/dnstap", "A collector at {place} is gone: {error}");
                }
            });
        }
    }))
}

async fn serve(
    arrived: Arrived,
    collectors: &Collectors,
    queue: usize,
    counts: &Counts,
    ended: watch::Receiver<bool>,
) -> io::Result<()> {
    let line = match arrived {
        Arrived::Open(line) => line,
        Arrived::Closed(stream, credentials) => shake(stream, &credentials).await?,
    };
    let frames = Frames::begin(line).await?;
    let too_many = || io::Error::other("too many collectors");
    let messages = collectors.join(queue).ok_or_else(too_many)?;
    write(frames, &mut Messages { messages, ended }, counts).await
}

/// The handshake, with the certificate that is there now.
async fn shake(stream: TcpStream, credentials: &Credentials) -> io::Result<Box<dyn Line>> {
    if let Look::Broken(error) = credentials.look() {
        tracing::error!(target: "plugin/dnstap", "{error}; the old certificate goes on");
    }
    let acceptor = TlsAcceptor::from(credentials.current().config_of_others());
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    Ok(Box::new(timeout(PATIENCE, acceptor.accept(stream)).await.map_err(late)??))
}

impl Door {
    async fn next(&self) -> io::Result<Arrived> {
        Ok(match self {
            Self::Unix(listener) => Arrived::Open(Box::new(listener.accept().await?.0)),
            Self::Tcp(listener) => Arrived::Open(Box::new(listener.accept().await?.0)),
            Self::Tls(listener, credentials) => Arrived::Closed(listener.accept().await?.0, Arc::clone(credentials)),
        })
    }
}

/// A socket file that an earlier process has left, and at which nobody listens, gives way.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|known| known.file_type().is_socket());
    if is_socket && StdUnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}
