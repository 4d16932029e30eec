use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::{HandshakeKind, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Barrier, mpsc},
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    certificates::{Authority, Certified},
    upstream::replies,
};

/// How many queries `batch.` names wait for each other on one connection.
pub(crate) const BATCH: usize = 100;

/// What a server speaks; as the scheme of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    Tls,
    Https,
    Quic,
}

pub(crate) const ALL: [Speech; 3] = [Speech::Tls, Speech::Https, Speech::Quic];

impl Speech {
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }

    /// As the label `proto` of metrics has it.
    pub(crate) const fn proto(self) -> &'static str {
        match self {
            Self::Tls => "tcp-tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }

    const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Tls => b"dot",
            Self::Https => b"h2",
            Self::Quic => b"doq",
        }
    }
}

/// A name server over TLS, HTTPS or QUIC that does as the first label of a question says: as `upstream::Upstream`
/// does, and beyond it
///
/// `batch.` is answered when [`BATCH`] of them wait on one connection; `late.` after 250 ms; `close.` ends the
/// connection; `close-once.` does so once; `status.` gives the HTTP status 500, `type.` another content type, `big.` a
/// body that is longer than a message can be; `reset.` resets the QUIC stream.
pub(crate) struct Encrypted {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

/// What a server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    resumed: AtomicUsize,
    queries: AtomicUsize,
    closed: AtomicBool,
    requests: Mutex<Vec<String>>,
}

impl Seen {
    /// Connections whose handshake was complete.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// Connections that took an earlier session up again.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.load(SeqCst)
    }

    pub(crate) fn queries(&self) -> usize {
        self.queries.load(SeqCst)
    }

    /// Method, host and path of all HTTP requests.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Encrypted {
    /// Starts a server on loopback. It ends with the test process. `clients` signs the certificates of those who may
    /// ask, if not everybody may.
    pub(crate) fn start(speech: Speech, certified: &Certified, clients: Option<&Authority>) -> Self {
        Self::start_on(0, speech, certified, clients)
    }

    pub(crate) fn start_on(port: u16, speech: Speech, certified: &Certified, clients: Option<&Authority>) -> Self {
        let socket = Socket::bind(speech, port);
        let address = socket.address();
        let config = configuration(speech, certified, clients);
        let seen = Arc::new(Seen::default());
        let server = Arc::clone(&seen);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                match socket {
                    Socket::Datagrams(socket) => {
                        let quic = QuicServerConfig::try_from(config).expect("a configuration");
                        let config = Some(quinn::ServerConfig::with_crypto(Arc::new(quic)));
                        let (limits, runtime) = (quinn::EndpointConfig::default(), Arc::new(quinn::TokioRuntime));
                        let endpoint = quinn::Endpoint::new(limits, config, socket, runtime).expect("an endpoint");
                        serve_quic(endpoint, server).await;
                    }
                    Socket::Stream(listener) => {
                        listener.set_nonblocking(true).expect("a socket");
                        let listener = TcpListener::from_std(listener).expect("a socket");
                        serve_tcp(listener, TlsAcceptor::from(Arc::new(config)), speech, server).await;
                    }
                }
            });
        });
        Self { address, seen }
    }

    /// As an upstream of a Corefile.
    pub(crate) fn target(&self, speech: Speech) -> String {
        format!("{}://{}", speech.scheme(), self.address)
    }
}

/// What a server listens on.
enum Socket {
    Datagrams(std::net::UdpSocket),
    Stream(std::net::TcpListener),
}

impl Socket {
    fn bind(speech: Speech, port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        match speech {
            Speech::Quic => Self::Datagrams(std::net::UdpSocket::bind(address).expect("a socket")),
            Speech::Tls | Speech::Https => Self::Stream(std::net::TcpListener::bind(address).expect("a socket")),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Datagrams(socket) => socket.local_addr().expect("an address"),
            Self::Stream(listener) => listener.local_addr().expect("an address"),
        }
    }
}

fn configuration(speech: Speech, certified: &Certified, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let versions: &[_] = if speech == Speech::Quic { &[&rustls::version::TLS13] } else { rustls::ALL_VERSIONS };
    let builder = builder.with_protocol_versions(versions).expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(clients.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().expect("a verifier");
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(certified.chain(), certified.key()).expect("a certificate");
    config.alpn_protocols = vec![speech.alpn().to_vec()];
    config
}

/// What becomes of a query.
enum Deed {
    Reply(Vec<u8>),
    Nothing,
    Close,
}

/// Does what the first label says.
async fn deed(query: &[u8], batch: &Barrier, seen: &Seen) -> Deed {
    seen.queries.fetch_add(1, SeqCst);
    match first_label(query).as_str() {
        "batch" => _ = batch.wait().await,
        "late" => sleep(Duration::from_millis(250)).await,
        "close" => return Deed::Close,
        "close-once" if !seen.closed.swap(true, SeqCst) => return Deed::Close,
        _ => {}
    }
    // Of several messages the first: a stream has room for one.
    replies(query, true).into_iter().next().map_or(Deed::Nothing, Deed::Reply)
}

fn first_label(query: &[u8]) -> String {
    let length = usize::from(query[12]);
    String::from_utf8_lossy(&query[13..13 + length]).to_ascii_lowercase()
}

async fn serve_tcp(listener: TcpListener, acceptor: TlsAcceptor, speech: Speech, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            seen.connections.fetch_add(1, SeqCst);
            if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                seen.resumed.fetch_add(1, SeqCst);
            }
            if speech == Speech::Https { serve_https(stream, seen).await } else { serve_tls(stream, seen).await }
        });
    }
}

async fn serve_tls(stream: TlsStream<TcpStream>, seen: Arc<Seen>) {
    let (mut from, mut to) = tokio::io::split(stream);
    let batch = Arc::new(Barrier::new(BATCH));
    let (answers, mut outbox) = mpsc::unbounded_channel::<Deed>();
    let reading = async {
        while let Ok(length) = from.read_u16().await {
            let mut query = vec![0; usize::from(length)];
            if from.read_exact(&mut query).await.is_err() {
                return;
            }
            let (answers, batch, seen) = (answers.clone(), Arc::clone(&batch), Arc::clone(&seen));
            tokio::spawn(async move { answers.send(deed(&query, &batch, &seen).await) });
        }
    };
    let writing = async {
        while let Some(deed) = outbox.recv().await {
            match deed {
                Deed::Reply(reply) => {
                    let framed = [&(reply.len() as u16).to_be_bytes(), reply.as_slice()].concat();
                    if to.write_all(&framed).await.is_err() || to.flush().await.is_err() {
                        return;
                    }
                }
                Deed::Nothing => {}
                Deed::Close => return,
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

async fn serve_https(stream: TlsStream<TcpStream>, seen: Arc<Seen>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let batch = Arc::new(Barrier::new(BATCH));
    let (close, mut closing) = mpsc::unbounded_channel::<()>();
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            _ = closing.recv() => return,
        };
        let Some(Ok((request, mut respond))) = accepted else { return };
        let (batch, seen, close) = (Arc::clone(&batch), Arc::clone(&seen), close.clone());
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            seen.requests.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{} {}", head.method, head.uri));
            let query = if head.method == http::Method::GET {
                use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
                let message = head.uri.query().and_then(|query| query.strip_prefix("dns=")).unwrap_or_default();
                URL_SAFE_NO_PAD.decode(message).expect("base64url")
            } else {
                let mut query = Vec::new();
                while let Some(Ok(part)) = body.data().await {
                    query.extend_from_slice(&part);
                }
                query
            };
            let label = first_label(&query);
            let status = if label == "status" { 500 } else { 200 };
            let kind = if label == "type" { "text/html" } else { "application/dns-message" };
            let response = http::Response::builder().status(status).header("content-type", kind);
            let mut reply = match deed(&query, &batch, &seen).await {
                Deed::Reply(reply) => reply,
                Deed::Nothing => return sleep(Duration::from_secs(30)).await,
                Deed::Close => {
                    _ = close.send(());
                    return;
                }
            };
            if label == "big" {
                reply.resize(100_000, 0);
            }
            let Ok(mut body) = respond.send_response(response.body(()).expect("a response"), false) else { return };
            _ = body.send_data(Bytes::from(reply), true);
        });
    }
}

async fn serve_quic(endpoint: quinn::Endpoint, seen: Arc<Seen>) {
    while let Some(incoming) = endpoint.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let Ok(connection) = incoming.await else { return };
            seen.connections.fetch_add(1, SeqCst);
            let batch = Arc::new(Barrier::new(BATCH));
            while let Ok((to, from)) = connection.accept_bi().await {
                let (connection, batch, seen) = (connection.clone(), Arc::clone(&batch), Arc::clone(&seen));
                tokio::spawn(serve_stream(connection, to, from, batch, seen));
            }
        });
    }
}

async fn serve_stream(
    connection: quinn::Connection,
    mut to: quinn::SendStream,
    mut from: quinn::RecvStream,
    batch: Arc<Barrier>,
    seen: Arc<Seen>,
) {
    // All of it: the client must end the stream (RFC 9250 section 4.2).
    let Ok(framed) = from.read_to_end(70_000).await else { return };
    let query = &framed[2..];
    if first_label(query) == "reset" {
        _ = to.reset(quinn::VarInt::from_u32(1));
        return;
    }
    match deed(query, &batch, &seen).await {
        Deed::Reply(reply) => {
            let framed = [&(reply.len() as u16).to_be_bytes(), reply.as_slice()].concat();
            _ = to.write_all(&framed).await;
            _ = to.finish();
            _ = to.stopped().await;
        }
        Deed::Nothing => sleep(Duration::from_secs(30)).await,
        Deed::Close => connection.close(quinn::VarInt::from_u32(0), b""),
    }
}
