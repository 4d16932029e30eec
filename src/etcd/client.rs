use std::{io, net::IpAddr, time::Duration};

use tokio::time::timeout;

use super::{
    Endpoint, Source,
    message::{self, Page, Watched},
    mirror::Span,
};
use crate::{
    protobuf::{Malformed, Message},
    rpc::{Call, CallError, Driver, Line},
    upstream,
};

/// How long a connection may take to come about, and a call to be answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// Values of one page of a list.
const PAGE: u64 = 250;
/// The longest message that is taken, octets: a page of values that just fit DNS messages.
const MOST: usize = 20 << 20;

/// Why etcd is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum EtcdError {
    /// There is no way to it.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// It refuses, or the connection fails.
    #[error("{doing}: {error}")]
    Call {
        /// What it was asked to do.
        doing: &'static str,
        /// Why it does not.
        error: CallError,
    },
    /// What it says is not understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It does not answer.
    #[error("{0}: no answer in time")]
    Late(&'static str),
    /// It has ended a watch.
    #[error("watch: {0}")]
    Ended(String),
    /// The connection is gone.
    #[error("the connection is lost: {0}")]
    Lost(io::Error),
    /// It has ended the connection.
    #[error("the connection has ended")]
    Gone,
    /// It holds more than can be kept.
    #[error("there are more than {0} records")]
    TooMany(usize),
}

impl EtcdError {
    /// Whether this is forbidden.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self, Self::Call { error, .. } if error.code() == Some(CallError::PERMISSION_DENIED))
    }
}

/// A connection to one member.
pub(super) struct Client {
    line: Line,
    /// Asks for a new token when the old one has ended.
    credentials: Option<(String, String)>,
}

impl Client {
    /// Connects, and says who we are. What comes beside the client must run as long as it is to live.
    pub(super) async fn connect(endpoint: &Endpoint, source: &Source) -> Result<(Self, Driver), EtcdError> {
        let connecting = timeout(PATIENCE, connect(endpoint, source)).await;
        let (line, driver) = connecting.map_err(|_| EtcdError::Late("connect"))?.map_err(EtcdError::Connect)?;
        Ok((Self { line, credentials: source.credentials.clone() }, driver))
    }

    /// Shows user and password, if there are some. The connection must be run meanwhile.
    pub(super) async fn authenticate(&mut self) -> Result<(), EtcdError> {
        let Some((user, password)) = &self.credentials else { return Ok(()) };
        let request = message::authenticate(user, password);
        match ask(&self.line, "authenticate", "/etcdserverpb.Auth/Authenticate", &request).await {
            Ok(reply) => {
                let token = message::token(&reply)?;
                let with = self.line.with(&[("token", &token)]);
                self.line = with.map_err(|error| EtcdError::Call { doing: "authenticate", error })?;
                Ok(())
            }
            // It lets everybody in, as Go's client has it.
            Err(EtcdError::Call {
                error: CallError::Status { code: CallError::FAILED_PRECONDITION, text }, ..
            }) if text.contains("not enabled") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A page of a span as of a revision, 0 = now.
    pub(super) async fn page(&self, first: &[u8], span: &Span, revision: i64) -> Result<Page, EtcdError> {
        let request = message::range(first, span, revision, PAGE);
        Ok(message::page(&ask(&self.line, "read", "/etcdserverpb.KV/Range", &request).await?)?)
    }

    /// Begins to watch spans from a revision on. There is one at least.
    pub(super) async fn watch(&self, spans: &[Span], revision: i64) -> Result<Watch, EtcdError> {
        let failed = |error| EtcdError::Call { doing: "watch", error };
        let mut requests = spans.iter().map(|span| message::watch(span, revision));
        let first = requests.next().unwrap_or_default();
        // A member that has lost the others ends the watch.
        let line = self.line.with(&[("hasleader", "true")]).map_err(failed)?;
        let mut call = line.begin("/etcdserverpb.Watch/Watch", &first, MOST).await.map_err(failed)?;
        requests.try_for_each(|request| call.send(&request)).map_err(failed)?;
        Ok(Watch(call))
    }

    /// The seconds that a lease has left, if it is there.
    pub(super) async fn seconds_left(&self, lease: i64) -> Result<Option<u32>, EtcdError> {
        let path = "/etcdserverpb.Lease/LeaseTimeToLive";
        Ok(message::seconds_left(&ask(&self.line, "read a lease", path, &message::time_to_live(lease)).await?)?)
    }
}

/// Changes as they come.
pub(super) struct Watch(Call);

impl Watch {
    /// What comes next. May be given up and called again.
    pub(super) async fn next(&mut self) -> Result<Watched, EtcdError> {
        let failed = |error| EtcdError::Call { doing: "watch", error };
        match self.0.next().await.map_err(failed)? {
            Some(reply) => Ok(message::watched(&reply)?),
            None => Err(EtcdError::Ended("the call has ended".to_owned())),
        }
    }

    /// Asks how far the watch is, upon which something comes.
    pub(super) fn ask_progress(&mut self) -> Result<(), EtcdError> {
        self.0.send(&message::progress()).map_err(|error| EtcdError::Call { doing: "watch", error })
    }
}

async fn ask(line: &Line, doing: &'static str, path: &str, request: &Message) -> Result<bytes::Bytes, EtcdError> {
    match timeout(PATIENCE, line.ask(path, request, MOST)).await {
        Ok(reply) => reply.map_err(|error| EtcdError::Call { doing, error }),
        Err(_) => Err(EtcdError::Late(doing)),
    }
}

async fn connect(endpoint: &Endpoint, source: &Source) -> io::Result<(Line, Driver)> {
    let Endpoint { host, port, is_encrypted, .. } = endpoint;
    let tls = source.tls.as_deref().filter(|_| is_encrypted.unwrap_or(true));
    let name = upstream::ServerName::try_from(host.clone()).map_err(io::Error::other);
    let tls = tls.map(|tls| name.map(|name| (tls, name))).transpose()?;
    let addresses: Vec<_> = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, *port).into()],
        Err(_) => tokio::net::lookup_host((host.as_str(), *port)).await?.collect(),
    };
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    // An address that is silent must leave time for the others.
    let patience = PATIENCE / (addresses.len() as u32 + 1);
    for address in addresses {
        let connecting = timeout(patience, upstream::connect(address, tls.clone())).await;
        match connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Line::open(stream, tls.is_some(), &endpoint.authority()).await,
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
