use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{
    attribute::{Attributes, find},
    socket::Conversation,
    transaction::{REQUEST, head},
};

/// NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET: one connection.
const GET_CONNECTION: u16 = 1 << 8 | 1;

/// CTA_TUPLE_*: the packets that go, and those that come back.
const GOING: u16 = 1;
const COMING: u16 = 2;
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;
const UDP: u8 = 17;

/// Of a family: its number, and the kinds of its source and destination.
struct Family {
    number: u8,
    source: u16,
    destination: u16,
}

const V4: Family = Family { number: 2, source: 1, destination: 2 };
const V6: Family = Family { number: 10, source: 3, destination: 4 };

/// The kernel's tracking of connections.
pub(in crate::node) struct Tracking(Conversation);

impl Tracking {
    /// # Errors
    /// There is no netlink.
    pub(in crate::node) fn open() -> io::Result<Self> {
        Conversation::open().map(Self)
    }

    /// Where the packets of a UDP socket have gone that was connected to `server`, whatever has translated the address
    /// on the way. `None` if they are not tracked.
    ///
    /// # Errors
    /// The kernel cannot say: it lacks nf_conntrack_netlink, or the process lacks the right.
    pub(in crate::node) fn destination(&self, local: SocketAddr, server: SocketAddr) -> io::Result<Option<SocketAddr>> {
        let (family, question) = question(local, server);
        let question = head(GET_CONNECTION, REQUEST, 0, family.number, 0, &question);
        let Some(connection) = self.0.one(&question)? else { return Ok(None) };
        come_from(&connection, &family).map(Some).ok_or_else(|| io::Error::other("a connection without addresses"))
    }
}

/// The way there, as the sender sees it.
fn question(local: SocketAddr, server: SocketAddr) -> (Family, Attributes) {
    let family = if server.is_ipv4() { V4 } else { V6 };
    let addresses =
        Attributes::new().bytes(family.source, &octets(local.ip())).bytes(family.destination, &octets(server.ip()));
    let protocol = Attributes::new()
        .bytes(PROTOCOL_NUMBER, &[UDP])
        .bytes(SOURCE_PORT, &local.port().to_be_bytes())
        .bytes(DESTINATION_PORT, &server.port().to_be_bytes());
    let way = Attributes::new().nested(ADDRESSES, &addresses).nested(PROTOCOL, &protocol);
    (family, Attributes::new().nested(GOING, &way))
}

/// Who sends the packets that come back.
fn come_from(connection: &[u8], family: &Family) -> Option<SocketAddr> {
    let way = find(connection, COMING)?;
    let ip = find(find(way, ADDRESSES)?, family.source)?;
    let ip = match family.number {
        2 => IpAddr::from(<[u8; 4]>::try_from(ip).ok().map(Ipv4Addr::from)?),
        _ => IpAddr::from(<[u8; 16]>::try_from(ip).ok().map(Ipv6Addr::from)?),
    };
    let port = find(find(way, PROTOCOL)?, SOURCE_PORT)?;
    Some(SocketAddr::new(ip, u16::from_be_bytes(port.try_into().ok()?)))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_endpoint() {
        for (local, server, endpoint) in [
            ("10.244.1.1:40000", "10.96.0.11:53", "10.244.9.9:5353"),
            ("[fd00::1]:40000", "[fd00:96::b]:53", "[fd00:9::9]:53"),
        ] {
            let [local, server, endpoint] = [local, server, endpoint].map(|text| text.parse().unwrap());
            let (family, going) = question(local, server);
            // The way back is written as a way there would be, from the endpoint.
            let (_, back) = question(endpoint, local);
            let back = find(back.as_bytes(), GOING).unwrap().to_vec();
            let connection = [going.as_bytes(), Attributes::new().bytes(COMING, &back).as_bytes()].concat();
            assert_eq!(come_from(&connection, &family), Some(endpoint));
            assert_eq!(come_from(going.as_bytes(), &family), None, "only one direction");
        }
    }
}
