//! The steps of a rule: load something of the packet into a register, compare it, do something.
//! Numbers as in Linux's `include/uapi/linux/netfilter/nf_tables.h`.

use std::net::{IpAddr, SocketAddr};

use super::attribute::Attributes;
use crate::node::rules::{End, Protocol};

/// The registers that are used, of 16 octets each.
const FIRST: u32 = 1;
const SECOND: u32 = 2;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;

const META_DREG: u16 = 1;
const META_KEY: u16 = 2;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;

const CMP_SREG: u16 = 1;
const CMP_OP: u16 = 2;
const CMP_DATA: u16 = 3;
const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;

const PAYLOAD_DREG: u16 = 1;
const PAYLOAD_BASE: u16 = 2;
const PAYLOAD_OFFSET: u16 = 3;
const PAYLOAD_LEN: u16 = 4;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

const IMMEDIATE_DREG: u16 = 1;
const IMMEDIATE_DATA: u16 = 2;

const BITWISE_SREG: u16 = 1;
const BITWISE_DREG: u16 = 2;
const BITWISE_LEN: u16 = 3;
const BITWISE_MASK: u16 = 4;
const BITWISE_XOR: u16 = 5;

const CT_DREG: u16 = 1;
const CT_KEY: u16 = 2;
const CT_DIRECTION: u16 = 3;
const CT_STATUS: u32 = 2;
const CT_PROTO_DST: u32 = 12;
const CT_DST_IP: u32 = 20;
const CT_DST_IP6: u32 = 22;
const ORIGINAL: u8 = 0;
/// IPS_DST_NAT of `nf_conntrack_common.h`, in the host's byte order as the kernel keeps it.
const DESTINATION_TRANSLATED: u32 = 1 << 5;

const NUMGEN_DREG: u16 = 1;
const NUMGEN_MODULUS: u16 = 2;
const NUMGEN_TYPE: u16 = 3;
const RANDOM: u32 = 1;

const NAT_TYPE: u16 = 1;
const NAT_FAMILY: u16 = 2;
const NAT_REG_ADDR_MIN: u16 = 3;
const NAT_REG_PROTO_MIN: u16 = 5;
const DNAT: u32 = 1;

/// NFPROTO_IPV4 and NFPROTO_IPV6.
const fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 2 } else { 10 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::new().text(EXPR_NAME, name).nested(EXPR_DATA, data)
}

fn value(bytes: &[u8]) -> Attributes {
    Attributes::new().bytes(DATA_VALUE, bytes)
}

fn meta(key: u32) -> Attributes {
    expression("meta", &Attributes::new().number(META_DREG, FIRST).number(META_KEY, key))
}

fn payload(base: u32, offset: u32, length: usize) -> Attributes {
    let data = Attributes::new().number(PAYLOAD_DREG, FIRST).number(PAYLOAD_BASE, base);
    expression("payload", &data.number(PAYLOAD_OFFSET, offset).number(PAYLOAD_LEN, length as u32))
}

fn compared(operator: u32, bytes: &[u8]) -> Attributes {
    let data = Attributes::new().number(CMP_SREG, FIRST).number(CMP_OP, operator);
    expression("cmp", &data.nested(CMP_DATA, &value(bytes)))
}

fn is(bytes: &[u8]) -> Attributes {
    compared(CMP_EQ, bytes)
}

/// The packet has this protocol, and this address and port at this end.
pub(super) fn matching(protocol: Protocol, end: End, address: IpAddr, port: u16) -> Vec<Attributes> {
    let octets = octets(address);
    // Source before destination, in both headers.
    let (v4, v6, transport) = if end == End::Source { (12, 8, 0) } else { (16, 24, 2) };
    let offset = if address.is_ipv4() { v4 } else { v6 };
    vec![
        meta(META_NFPROTO),
        is(&[family(address)]),
        payload(NETWORK_HEADER, offset, octets.len()),
        is(&octets),
        meta(META_L4PROTO),
        is(&[protocol as u8]),
        payload(TRANSPORT_HEADER, transport, 2),
        is(&port.to_be_bytes()),
    ]
}

/// Its connection is not tracked.
pub(super) fn notrack() -> Attributes {
    expression("notrack", &Attributes::new())
}

/// One of `count` packets, by chance.
pub(super) fn one_of(count: u32) -> Vec<Attributes> {
    if count < 2 {
        return Vec::new();
    }
    let data = Attributes::new().number(NUMGEN_DREG, FIRST).number(NUMGEN_MODULUS, count).number(NUMGEN_TYPE, RANDOM);
    vec![expression("numgen", &data), is(&0u32.to_ne_bytes())]
}

/// The packet goes there instead, and all further ones of its connection.
pub(super) fn redirect(to: SocketAddr) -> Vec<Attributes> {
    let load = |register, bytes: &[u8]| {
        let data = Attributes::new().number(IMMEDIATE_DREG, register);
        expression("immediate", &data.nested(IMMEDIATE_DATA, &value(bytes)))
    };
    let nat = Attributes::new().number(NAT_TYPE, DNAT).number(NAT_FAMILY, u32::from(family(to.ip())));
    let nat = nat.number(NAT_REG_ADDR_MIN, FIRST).number(NAT_REG_PROTO_MIN, SECOND);
    vec![load(FIRST, &octets(to.ip())), load(SECOND, &to.port().to_be_bytes()), expression("nat", &nat)]
}

/// The connection was meant for this address and port, and goes elsewhere.
pub(super) fn redirected_from(protocol: Protocol, address: IpAddr, port: u16) -> Vec<Attributes> {
    let ct = |key: u32| Attributes::new().number(CT_DREG, FIRST).number(CT_KEY, key);
    let original = |key: u32| expression("ct", &ct(key).bytes(CT_DIRECTION, &[ORIGINAL]));
    let mask = DESTINATION_TRANSLATED.to_ne_bytes();
    let bit = Attributes::new().number(BITWISE_SREG, FIRST).number(BITWISE_DREG, FIRST).number(BITWISE_LEN, 4);
    let bit = bit.nested(BITWISE_MASK, &value(&mask)).nested(BITWISE_XOR, &value(&[0; 4]));
    vec![
        meta(META_NFPROTO),
        is(&[family(address)]),
        meta(META_L4PROTO),
        is(&[protocol as u8]),
        expression("ct", &ct(CT_STATUS)),
        expression("bitwise", &bit),
        compared(CMP_NEQ, &[0; 4]),
        original(if address.is_ipv4() { CT_DST_IP } else { CT_DST_IP6 }),
        is(&octets(address)),
        original(CT_PROTO_DST),
        is(&port.to_be_bytes()),
    ]
}

/// The packet leaves with the host's own address, so that the answer comes back this way.
pub(super) fn masquerade() -> Attributes {
    expression("masq", &Attributes::new())
}
