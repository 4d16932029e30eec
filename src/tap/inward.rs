use std::{
    fs, io,
    os::unix::{fs::FileTypeExt as _, net::UnixStream as StdUnixStream},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
    task::JoinHandle,
    time::sleep,
};

use super::{Counts, Line, Place, Queue, Way, frames::Frames, outward::write};
use crate::metrics::Counter;

/// How many collectors may be connected at once.
const MOST: usize = 16;
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
}

/// Listens for collectors.
pub(super) fn listen(way: &Way, collectors: Collectors, counts: Counts) -> io::Result<JoinHandle<()>> {
    let door = match &way.place {
        Place::Unix(path) => Door::Unix(bind(path)?),
        Place::Tcp(address) => {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Door::Tcp(TcpListener::from_std(listener)?)
        }
    };
    let (place, queue) = (way.place.to_string(), way.queue);
    Ok(tokio::spawn(async move {
        loop {
            let line: Box<dyn Line> = match door.next().await {
                Ok(line) => line,
                Err(error) => {
                    tracing::warn!(target: "plugin/dnstap", "{place}: {error}");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (collectors, counts, place) = (collectors.clone(), counts.clone(), place.clone());
            tokio::spawn(async move {
                if let Err(error) = serve(line, &collectors, queue, &counts).await {
                    tracing::info!(target: "plugin/dnstap", "A collector at {place} is gone: {error}");
                }
            });
        }
    }))
}

async fn serve(line: Box<dyn Line>, collectors: &Collectors, queue: usize, counts: &Counts) -> io::Result<()> {
    let frames = Frames::begin(line).await?;
    let too_many = || io::Error::other("too many collectors");
    let mut messages = collectors.join(queue).ok_or_else(too_many)?;
    write(frames, &mut messages, counts).await
}

impl Door {
    async fn next(&self) -> io::Result<Box<dyn Line>> {
        Ok(match self {
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
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
