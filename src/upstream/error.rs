use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use nix::libc;

use super::Protocol;

/// Why an upstream gave no usable answer. The texts are like those of Go's net package: people have alerts on
/// `i/o timeout` and `connection refused`.
#[derive(Debug)]
pub enum AskError {
    /// No answer in time.
    Timeout {
        /// Over what it was asked.
        protocol: Protocol,
        /// From where, if that is known.
        local: Option<SocketAddr>,
        /// Who was asked.
        remote: SocketAddr,
    },
    /// There is no way to it.
    Dial {
        /// Over what it was asked.
        protocol: Protocol,
        /// Who was asked.
        remote: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// It is this server itself.
    Loop {
        /// Who was to be asked.
        remote: SocketAddr,
    },
    /// The way to it broke.
    Read {
        /// Over what it was asked.
        protocol: Protocol,
        /// From where, if that is known.
        local: Option<SocketAddr>,
        /// Who was asked.
        remote: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

impl AskError {
    /// Who was asked.
    pub const fn remote(&self) -> SocketAddr {
        match self {
            Self::Timeout { remote, .. }
            | Self::Dial { remote, .. }
            | Self::Read { remote, .. }
            | Self::Loop { remote } => *remote,
        }
    }

    /// Whether this system is short of something, descriptors or ports, so that it says nothing of the upstream.
    pub fn is_shortage(&self) -> bool {
        let Self::Dial { error, .. } = self else { return false };
        let shortages = [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM];
        error.raw_os_error().is_some_and(|code| shortages.contains(&code))
    }

    /// Whether the upstream is this server itself.
    pub const fn is_loop(&self) -> bool {
        matches!(self, Self::Loop { .. })
    }

    /// Whether nothing came at all, as opposed to an error from the network.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Dial { error, .. } => error.kind() == io::ErrorKind::TimedOut,
            Self::Read { .. } | Self::Loop { .. } => false,
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { protocol, local, remote } => {
                write!(f, "read {}: i/o timeout", Path(*protocol, *local, *remote))
            }
            Self::Dial { protocol, remote, error } => {
                write!(f, "dial {} {remote}: {}", protocol.network(), named("connect", error))
            }
            Self::Read { protocol, local, remote, error } => {
                write!(f, "read {}: {}", Path(*protocol, *local, *remote), named("read", error))
            }
            Self::Loop { remote } => write!(f, "upstream {remote} is this server itself"),
        }
    }
}

impl std::error::Error for AskError {}

/// `udp 10.0.0.5:40113->10.0.0.1:53`.
struct Path(Protocol, Option<SocketAddr>, SocketAddr);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(protocol, local, remote) = self;
        match local {
            Some(local) => write!(f, "{} {local}->{remote}", protocol.network()),
            None => write!(f, "{} {remote}", protocol.network()),
        }
    }
}

/// What the system says stands behind the name of the call that failed; what others say stands alone.
fn named(call: &str, error: &io::Error) -> String {
    match error.kind() {
        _ if error.get_ref().is_some() => error.to_string(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => format!("{call}: {}", cause(error)),
    }
}

/// The same error for somebody else who waits.
pub(super) fn duplicate(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None if error.get_ref().is_some() => io::Error::new(error.kind(), error.to_string()),
        None => error.kind().into(),
    }
}

fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => error.to_string(),
    }
}

/// Any address of the family of another, or the one that was chosen.
pub(super) fn local_address(remote: SocketAddr, source: Option<IpAddr>) -> SocketAddr {
    let any = match (source, remote) {
        (Some(source), _) => source,
        (None, SocketAddr::V4(_)) => IpAddr::from([0; 4]),
        (None, SocketAddr::V6(_)) => IpAddr::from([0; 16]),
    };
    SocketAddr::new(any, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_ours_is_not_the_upstreams_fault() {
        let remote = "10.0.0.1:53".parse().unwrap();
        let dial = |code| AskError::Dial { protocol: Protocol::Udp, remote, error: io::Error::from_raw_os_error(code) };
        assert!(dial(libc::EMFILE).is_shortage());
        assert!(dial(libc::EAGAIN).is_shortage(), "no port is left");
        assert!(!dial(libc::ENETUNREACH).is_shortage());
        assert!(!AskError::Timeout { protocol: Protocol::Udp, local: None, remote }.is_shortage());
    }

    #[test]
    fn errors_read_like_gos() {
        let (local, remote) = ("10.0.0.5:40113".parse().ok(), "10.0.0.1:53".parse().unwrap());
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, text) in [
            (
                AskError::Timeout { protocol: Protocol::Udp, local, remote },
                "read udp 10.0.0.5:40113->10.0.0.1:53: i/o timeout",
            ),
            (
                AskError::Read { protocol: Protocol::Udp, local, remote, error: refused() },
                "read udp 10.0.0.5:40113->10.0.0.1:53: read: connection refused",
            ),
            (
                AskError::Dial { protocol: Protocol::Tcp, remote, error: refused() },
                "dial tcp 10.0.0.1:53: connect: connection refused",
            ),
            (
                AskError::Dial { protocol: Protocol::Tls, remote, error: io::ErrorKind::TimedOut.into() },
                "dial tcp 10.0.0.1:53: i/o timeout",
            ),
            (
                AskError::Dial { protocol: Protocol::Tls, remote, error: io::Error::other("tls: bad") },
                "dial tcp 10.0.0.1:53: tls: bad",
            ),
            (
                AskError::Read { protocol: Protocol::Quic, local: None, remote, error: refused() },
                "read udp 10.0.0.1:53: read: connection refused",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
