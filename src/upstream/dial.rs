//! The way to a stream: TCP, and TLS upon it if the upstream is encrypted.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Tls, error::local_address, tls_error::explained};

/// What goes over a connection is the same for both.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How to get a stream to an upstream.
#[derive(Clone)]
pub(super) enum Dial {
    Plain,
    Tls(Handshake),
}

/// What a TLS connection is begun with.
#[derive(Clone)]
pub(super) struct Handshake {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Dial {
    pub(super) async fn stream(&self, remote: SocketAddr, source: Option<IpAddr>) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Plain => Box::new(tcp(remote, source).await?),
            Self::Tls(handshake) => Box::new(handshake.stream(remote, source).await?),
        })
    }
}

impl Handshake {
    pub(super) async fn stream(&self, remote: SocketAddr, source: Option<IpAddr>) -> io::Result<TlsStream<TcpStream>> {
        let plain = tcp(remote, source).await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(self.name.clone(), plain).await.map_err(explained)
    }
}

/// A stream to somebody who is no upstream of DNS, over TLS as for HTTPS if it is given.
///
/// # Errors
/// There is no way there, or the other end is not who it must be.
pub async fn connect(remote: SocketAddr, tls: Option<(&Tls, ServerName<'static>)>) -> io::Result<Box<dyn Stream>> {
    let dial = tls.map_or(Dial::Plain, |(tls, name)| Dial::Tls(tls.https(name)));
    dial.stream(remote, None).await
}

async fn tcp(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match remote {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if source.is_some() {
        socket.bind(local_address(remote, source))?;
    }
    let stream = socket.connect(remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
