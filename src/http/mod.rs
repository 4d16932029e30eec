//! One small HTTP/1.1 listener that `health`, `ready` and `prometheus` share, and the way to post something to somebody.

mod post;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

pub use post::{Target, post};

/// Longest time for a request's header, and for an idle connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection without a reply for so long, though none is being made, ends.
const STALL: Duration = Duration::from_secs(30);
/// How many connections an address serves at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Connections that may wait for being accepted on a shared port.
const BACKLOG: u32 = 128;

/// Makes the reply to a GET of one path.
#[derive(Clone)]
pub enum Handler {
    /// At once.
    Now(Arc<dyn Fn() -> Reply + Send + Sync>),
    /// After a while; is given what stands behind the `?`.
    Later(Arc<dyn Fn(&str) -> Soon + Send + Sync>),
}

/// A reply that is on its way.
pub type Soon = Pin<Box<dyn Future<Output = Reply> + Send>>;

impl Handler {
    /// One that has its reply at once.
    pub fn now(make: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::Now(Arc::new(make))
    }

    /// One that takes its time. It is dropped when the connection ends.
    pub fn later<F: Future<Output = Reply> + Send + 'static>(make: impl Fn(&str) -> F + Send + Sync + 'static) -> Self {
        Self::Later(Arc::new(move |query| Box::pin(make(query))))
    }
}

/// What a handler says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// Media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A short text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: text.into().into_bytes() }
    }
}

/// A bound address with the paths that are served there. Paths can be changed while it runs; dropping it closes it.
pub struct Listener {
    address: SocketAddr,
    routes: Arc<RwLock<HashMap<String, Handler>>>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Binds an address and serves on it. Needs a tokio runtime. The port is shared with another process only if
    /// `overlap` is wanted on both sides.
    ///
    /// # Errors
    /// The address cannot be resolved or bound.
    pub async fn bind(address: &str, overlap: bool) -> io::Result<Self> {
        let listener =
            if overlap { shared(&with_host(address)).await? } else { TcpListener::bind(with_host(address)).await? };
        let address = listener.local_addr()?;
        let routes = Arc::<RwLock<HashMap<String, Handler>>>::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&routes)));
        Ok(Self { address, routes, task })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves these paths from now on, and no others.
    pub fn serve(&self, routes: HashMap<String, Handler>) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens with SO_REUSEPORT on the first of the host's addresses.
async fn shared(address: &str) -> io::Result<TcpListener> {
    let unknown = || io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    let place = tokio::net::lookup_host(address).await?.next().ok_or_else(unknown)?;
    let socket = if place.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(place)?;
    socket.listen(BACKLOG)
}

/// `:8080` means all addresses, as in Go.
pub fn with_host(address: &str) -> String {
    if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() }
}

async fn accept(listener: TcpListener, routes: Arc<RwLock<HashMap<String, Handler>>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others must get a chance to close theirs.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let routes = Arc::clone(&routes);
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &routes).await {
                tracing::debug!(%error, "HTTP connection ended early");
            }
            drop(place);
        });
    }
}

/// Serves a connection until it ends.
async fn converse(stream: TcpStream, routes: &RwLock<HashMap<String, Handler>>) -> io::Result<()> {
    let (replies, at_work) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let service = service_fn(|request| async {
        at_work.fetch_add(1, Ordering::Relaxed);
        let reply = reply_to(request, routes).await;
        at_work.fetch_sub(1, Ordering::Relaxed);
        replies.fetch_add(1, Ordering::Relaxed);
        reply
    });
    let mut builder = http1::Builder::new();
    // The header time-out also ends idle kept-alive connections.
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut known = 0;
    loop {
        tokio::select! {
            ended = &mut connection => return ended.map_err(io::Error::other),
            // Somebody who takes no replies would hold the connection for ever.
            () = tokio::time::sleep(STALL) => {
                let now = replies.load(Ordering::Relaxed);
                if now == known && at_work.load(Ordering::Relaxed) == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                known = now;
            }
        }
    }
}

async fn reply_to<B>(
    request: Request<B>,
    routes: &RwLock<HashMap<String, Handler>>,
) -> Result<Response<Full<Bytes>>, ::http::Error> {
    let handler = routes.read().unwrap_or_else(PoisonError::into_inner).get(request.uri().path()).cloned();
    let reply = match handler {
        None => Reply::text(404, "404 page not found\n"),
        Some(Handler::Now(make)) => make(),
        Some(Handler::Later(make)) => make(request.uri().query().unwrap_or_default()).await,
    };
    Response::builder()
        .status(reply.status)
        .header("content-type", reply.content_type)
        .body(Full::new(Bytes::from(reply.body)))
}

/// Asks one path and gives the status code: for a server that probes itself.
///
/// # Errors
/// No connection, no answer within `patience`, or something that is not HTTP.
pub async fn probe(address: SocketAddr, path: &str, patience: Duration) -> io::Result<u16> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::with_capacity(256);
        stream.take(4096).read_to_end(&mut reply).await?;
        let status = reply.split(|&octet| octet == b' ').nth(1).and_then(|code| std::str::from_utf8(code).ok());
        status.and_then(|code| code.parse().ok()).ok_or_else(|| io::Error::other("no HTTP status line"))
    };
    timeout(patience, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
