//! DNS in calls of gRPC: `coredns.dns.DnsService/Query` takes and gives `DnsPacket { bytes msg = 1; }`.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use super::{
    Protocol,
    dial::Dial,
    trunk::{Carrier, Driver, Trouble},
};
use crate::{
    protobuf::{Fields, Message},
    rpc::{CallError, Line},
    wire::MAX_MESSAGE,
};

const QUERY: &str = "/coredns.dns.DnsService/Query";
/// Octets around a DNS message: the field and its length.
const AROUND: usize = 4;

/// Where questions are put.
pub(super) struct Grpc {
    pub(super) remote: SocketAddr,
    pub(super) source: Option<IpAddr>,
    pub(super) dial: Dial,
    /// Host and port.
    pub(super) authority: String,
}

impl Carrier for Grpc {
    const PROTOCOL: Protocol = Protocol::Grpc;
    type Line = Line;

    async fn connect(&self) -> io::Result<(Self::Line, Driver)> {
        let stream = self.dial.stream(self.remote, self.source).await?;
        let (line, driver) = Line::open(stream, matches!(self.dial, Dial::Tls(_)), &self.authority).await?;
        let driver = async move {
            if let Err(error) = driver.await {
                tracing::debug!(target: "plugin/grpc", "connection ended: {error}");
            }
        };
        Ok((line, Box::pin(driver)))
    }

    async fn exchange(&self, line: Self::Line, query: &[u8]) -> Result<Vec<u8>, Trouble> {
        let packet = Message::default().octets(1, query);
        let reply = line.ask(QUERY, &packet, MAX_MESSAGE + AROUND).await.map_err(trouble)?;
        let mut message = &[][..];
        for field in Fields::of(&reply) {
            match field {
                // Of several the last counts (protobuf's encoding).
                Ok((1, value)) => message = value.octets(),
                Ok(_) => {}
                Err(error) => return Err(Trouble::Query(io::Error::new(io::ErrorKind::InvalidData, error))),
            }
        }
        Ok(message.to_vec())
    }
}

/// A status concerns one query. `NOT_FOUND` is how some say NXDOMAIN.
fn trouble(error: CallError) -> Trouble {
    match error {
        CallError::Connection(error) => Trouble::Connection(error),
        CallError::Call(error) => Trouble::Query(error),
        CallError::Status { code: CallError::NOT_FOUND, text } => {
            Trouble::Query(io::Error::new(io::ErrorKind::NotFound, text))
        }
        status @ CallError::Status { .. } => Trouble::Query(io::Error::other(format!("grpc: {status}"))),
    }
}
