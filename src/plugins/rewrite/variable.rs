use std::net::IpAddr;

use crate::{
    chain::{Context, Labels},
    wire::octets,
};

/// What an option of the query can say about the query itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    Name,
    Type,
    ClientAddress,
    ClientPort,
    Protocol,
    ServerAddress,
    ServerPort,
    /// What another plugin knows of the query: `kubernetes/client-namespace`.
    Label(String),
}

impl Variable {
    pub(super) const NAMES: [&'static str; 7] =
        ["qname", "qtype", "client_ip", "client_port", "protocol", "server_ip", "server_port"];

    /// Reads what stands between the braces.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "qname" => Self::Name,
            "qtype" => Self::Type,
            "client_ip" => Self::ClientAddress,
            "client_port" => Self::ClientPort,
            "protocol" => Self::Protocol,
            "server_ip" => Self::ServerAddress,
            "server_port" => Self::ServerPort,
            _ if text.contains('/') => Self::Label(text.to_owned()),
            _ => return None,
        })
    }

    /// The value for this query; `None` if there is no such label.
    pub(super) fn value(&self, cx: &Context, labels: &Labels) -> Option<Vec<u8>> {
        Some(match self {
            Self::Name => cx.question().name.to_string().into_bytes(),
            Self::Type => octets(cx.question().record_type.0).into(),
            Self::ClientAddress => address(cx.peer.ip()),
            Self::ClientPort => octets(cx.peer.port()).into(),
            Self::Protocol => cx.transport.as_str().into(),
            Self::ServerAddress => address(cx.local.ip()),
            Self::ServerPort => octets(cx.local.port()).into(),
            Self::Label(name) => labels.value(cx, name)?.into_bytes(),
        })
    }
}

fn address(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().into(),
        IpAddr::V6(v6) => v6.octets().into(),
    }
}
