use std::{io, net::IpAddr};

use futures::{TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use rtnetlink::{
    Error, Handle, LinkBridge, LinkDummy, LinkUnspec, MulticastGroup, new_multicast_connection,
    packet_core::NetlinkMessage,
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol},
        link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    },
    sys::SocketAddr,
};

use super::plan::{Address, Host, Kind, Link};

/// The mark of a device, as `ip link` shows it.
const ALIAS: &str = "seamark node cache";
/// The mark of an address (IFA_PROTO, Linux 5.18): a number of our own, as `ip -d address` shows it.
const PROTOCOL: u8 = 0x53;

/// What the kernel tells about devices and addresses.
pub type Events = UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

/// Devices and addresses through netlink.
pub(super) struct Netlink(Handle);

impl Netlink {
    pub(super) fn open() -> io::Result<(Self, Events)> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, events) = new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        Ok((Self(handle), events))
    }

    /// What is there.
    pub(super) async fn host(&self) -> io::Result<Host> {
        let links: Vec<LinkMessage> = self.0.link().get().execute().try_collect().await.map_err(io_error)?;
        let addresses: Vec<AddressMessage> = self.0.address().get().execute().try_collect().await.map_err(io_error)?;
        let controllers: Vec<u32> = links.iter().filter_map(controller).collect();
        Ok(Host {
            links: links.iter().map(|message| link(message, &controllers)).collect(),
            addresses: addresses.iter().filter_map(address).collect(),
        })
    }

    /// Makes a device, up and with our mark. A link-local address of its own is not wanted.
    pub(super) async fn add_device(&self, name: &str, kind: Kind) -> io::Result<()> {
        // Down at first: a device that is up already has its link-local address.
        let message = match kind {
            Kind::Dummy => LinkDummy::new(name).down().build(),
            _ => LinkBridge::new(name).down().build(),
        };
        self.0.link().add(message).execute().await.map_err(io_error)?;
        let silent = vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)])];
        let silent =
            LinkUnspec::new_with_name(name).append_extra_attribute(LinkAttribute::AfSpecUnspec(silent)).build();
        // Without IPv6 there is nothing to be silent about.
        _ = self.0.link().set(silent).execute().await;
        let up = LinkUnspec::new_with_name(name).alias(ALIAS).up().build();
        self.0.link().set(up).execute().await.map_err(io_error)
    }

    pub(super) async fn remove_device(&self, index: u32) -> io::Result<()> {
        done(self.0.link().del(index).execute().await, libc::ENODEV)
    }

    /// Adds an address for itself alone, valid at once (`nodad`), with our mark.
    pub(super) async fn add_address(&self, index: u32, ip: IpAddr) -> io::Result<()> {
        let mut request = self.0.address().add(index, ip, if ip.is_ipv6() { 128 } else { 32 });
        let message = request.message_mut();
        if ip.is_ipv6() {
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
        done(request.execute().await, libc::EEXIST)
    }

    pub(super) async fn remove_address(&self, index: u32, ip: IpAddr) -> io::Result<()> {
        let message = self.0.address().add(index, ip, if ip.is_ipv6() { 128 } else { 32 }).message_mut().clone();
        done(self.0.address().del(message).execute().await, libc::EADDRNOTAVAIL)
    }
}

/// An error that says that it is done already is none.
fn done(outcome: Result<(), Error>, already: i32) -> io::Result<()> {
    match outcome.map_err(io_error) {
        Err(error) if error.raw_os_error() == Some(already) => Ok(()),
        outcome => outcome,
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

fn controller(message: &LinkMessage) -> Option<u32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Controller(index) => Some(*index),
        _ => None,
    })
}

fn link(message: &LinkMessage, controllers: &[u32]) -> Link {
    let mut name = String::new();
    let mut kind = if message.header.flags.contains(LinkFlags::Loopback) { Kind::Loopback } else { Kind::Other };
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name.clone_from(text),
            LinkAttribute::IfAlias(text) => ours = text == ALIAS,
            LinkAttribute::LinkInfo(infos) if infos.contains(&LinkInfo::Kind(InfoKind::Dummy)) => kind = Kind::Dummy,
            LinkAttribute::LinkInfo(infos) if infos.contains(&LinkInfo::Kind(InfoKind::Bridge)) => kind = Kind::Bridge,
            _ => {}
        }
    }
    let index = message.header.index;
    Link { index, name, kind, has_ports: controllers.contains(&index), ours }
}

fn address(message: &AddressMessage) -> Option<Address> {
    let mut ip = None;
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            // IFA_LOCAL is the host's own end; IPv6 has IFA_ADDRESS alone.
            AddressAttribute::Local(local) => ip = Some(*local),
            AddressAttribute::Address(address) => _ = ip.get_or_insert(*address),
            AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
            _ => {}
        }
    }
    Some(Address { index: message.header.index, ip: ip?, ours })
}
