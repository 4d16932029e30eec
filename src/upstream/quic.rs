//! DNS over QUIC (RFC 9250).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{
    ClientConfig, ConnectError, Connection, ConnectionError, Endpoint, IdleTimeout, ReadError, ReadExactError,
    TransportConfig, VarInt, WriteError, crypto::rustls::QuicClientConfig,
};

use super::{
    Protocol,
    error::local_address,
    tls_error::reason,
    trunk::{Carrier, Driver, Trouble},
    witness::Witness,
};
use crate::wire::{frame_length, framed_length};

/// What a server may keep the connection open for beyond our own patience.
const MARGIN: Duration = Duration::from_secs(5);

/// Where questions are put.
pub(super) struct Quic {
    pub(super) remote: SocketAddr,
    pub(super) source: Option<IpAddr>,
    /// An error if TLS cannot be had as QUIC needs it.
    pub(super) config: Result<ClientConfig, String>,
    pub(super) witness: Witness,
    /// Whom the certificate must name.
    pub(super) name: String,
}

/// What each connection is begun with. `expire` is how long one may rest.
pub(super) fn configuration(tls: rustls::ClientConfig, expire: Duration) -> Result<ClientConfig, String> {
    let tls = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut transport = TransportConfig::default();
    // A server opens no streams (RFC 9250 section 4.2).
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0)).max_concurrent_uni_streams(VarInt::from_u32(0));
    transport.max_idle_timeout(IdleTimeout::try_from(expire.saturating_add(MARGIN)).ok());
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

impl Carrier for Quic {
    const PROTOCOL: Protocol = Protocol::Quic;
    type Line = Connection;

    async fn connect(&self) -> io::Result<(Self::Line, Driver)> {
        let endpoint = Endpoint::client(local_address(self.remote, self.source))?;
        let config = self.config.clone().map_err(io::Error::other)?;
        let connecting = endpoint.connect_with(config, self.remote, &self.name).map_err(|error| {
            let kind = match error {
                ConnectError::InvalidServerName(_) => io::ErrorKind::InvalidInput,
                _ => io::ErrorKind::Other,
            };
            io::Error::new(kind, error)
        })?;
        let line = connecting.await.map_err(|error| match self.witness.take_refusal() {
            Some(refusal) => io::Error::new(io::ErrorKind::InvalidData, reason(&refusal)),
            None => io_error(error),
        })?;
        let open = line.clone();
        let driver = async move {
            let error = open.closed().await;
            tracing::debug!(target: "plugin/forward", "connection ended: {error}");
        };
        Ok((line, Box::pin(driver)))
    }

    async fn exchange(&self, line: Self::Line, query: &[u8]) -> Result<Vec<u8>, Trouble> {
        let (mut to, mut from) = line.open_bi().await.map_err(|error| Trouble::Connection(io_error(error)))?;
        to.write_all(&[&frame_length(query), query].concat()).await.map_err(unwritten)?;
        // RFC 9250 section 4.2: the end of the stream says that this was all. It cannot fail: nobody else ends it.
        _ = to.finish();
        let mut length = [0; 2];
        from.read_exact(&mut length).await.map_err(unread)?;
        let mut message = vec![0; framed_length(length)];
        from.read_exact(&mut message).await.map_err(unread)?;
        Ok(message)
    }
}

fn unwritten(error: WriteError) -> Trouble {
    match error {
        WriteError::ConnectionLost(error) => Trouble::Connection(io_error(error)),
        WriteError::Stopped(code) => Trouble::Query(cancelled(code)),
        error => Trouble::Query(io::Error::other(error)),
    }
}

fn unread(error: ReadExactError) -> Trouble {
    match error {
        ReadExactError::FinishedEarly(_) => Trouble::Query(io::ErrorKind::UnexpectedEof.into()),
        ReadExactError::ReadError(ReadError::ConnectionLost(error)) => Trouble::Connection(io_error(error)),
        ReadExactError::ReadError(ReadError::Reset(code)) => Trouble::Query(cancelled(code)),
        ReadExactError::ReadError(error) => Trouble::Query(io::Error::other(error)),
    }
}

fn cancelled(code: VarInt) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, format!("stream canceled by remote with error code {code}"))
}

fn io_error(error: ConnectionError) -> io::Error {
    match error {
        ConnectionError::TimedOut => io::ErrorKind::TimedOut.into(),
        ConnectionError::Reset => io::ErrorKind::ConnectionReset.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, format!("quic: {error}")),
    }
}
