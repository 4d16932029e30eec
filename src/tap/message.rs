use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::canonical;
use crate::protobuf::Message as Protobuf;

/// Whose message it is, and which way it goes (dnstap.proto, `Message.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of dnstap.proto")]
pub enum Kind {
    ClientQuery = 5,
    ClientResponse = 6,
    ForwarderQuery = 7,
    ForwarderResponse = 8,
}

/// Over what it went (dnstap.proto, `SocketProtocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of dnstap.proto")]
pub enum Family {
    Udp = 1,
    Tcp = 2,
    Dot = 3,
    Doh = 4,
    Doq = 7,
}

/// Who says it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// Name of the server.
    pub identity: &'a [u8],
    /// The program's version.
    pub version: &'a [u8],
    /// Whatever else; empty for nothing.
    pub extra: &'a [u8],
}

/// A message that went over the network.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Which.
    pub kind: Kind,
    /// Over what.
    pub family: Family,
    /// Who asked. The port may be 0: not known.
    pub asker: SocketAddr,
    /// Who was asked.
    pub asked: Option<SocketAddr>,
    /// When it was asked, since 1970.
    pub query_time: Duration,
    /// When it was answered.
    pub response_time: Option<Duration>,
    /// The query as it went over the network.
    pub query: Option<&'a [u8]>,
    /// The answer.
    pub response: Option<&'a [u8]>,
}

impl Message<'_> {
    /// As a `Dnstap` of dnstap.proto.
    pub fn encode(&self, origin: &Origin<'_>) -> Vec<u8> {
        let message = self.fields();
        let mut whole = Protobuf::with_room(message.wire().len() + 64 + origin.extra.len());
        for (number, text) in [(1, origin.identity), (2, origin.version), (3, origin.extra)] {
            if !text.is_empty() {
                whole.put_octets(number, text);
            }
        }
        whole.put_message(14, &message);
        // Dnstap.Type MESSAGE.
        whole.put_number(15, 1);
        whole.into_wire()
    }

    fn fields(&self) -> Protobuf {
        let octets = self.query.map_or(0, <[u8]>::len) + self.response.map_or(0, <[u8]>::len);
        let mut fields = Protobuf::with_room(80 + octets);
        let asker = canonical(self.asker);
        fields.put_number(1, self.kind as u64);
        fields.put_number(2, if asker.is_ipv4() { 1 } else { 2 });
        fields.put_number(3, self.family as u64);
        put_address(&mut fields, 4, asker.ip());
        let asked = self.asked.map(canonical);
        if let Some(asked) = asked {
            put_address(&mut fields, 5, asked.ip());
        }
        for (number, port) in [(6, asker.port()), (7, asked.map_or(0, |asked| asked.port()))] {
            if port > 0 {
                fields.put_number(number, port.into());
            }
        }
        put_time(&mut fields, [8, 9], self.query_time);
        if let Some(query) = self.query {
            fields.put_octets(10, query);
        }
        if let Some(time) = self.response_time {
            put_time(&mut fields, [12, 13], time);
        }
        if let Some(response) = self.response {
            fields.put_octets(14, response);
        }
        fields
    }
}

fn put_address(fields: &mut Protobuf, field: u64, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => fields.put_octets(field, &v4.octets()),
        IpAddr::V6(v6) => fields.put_octets(field, &v6.octets()),
    }
}

/// Seconds, and nanoseconds as four octets.
fn put_time(fields: &mut Protobuf, [seconds, nanoseconds]: [u64; 2], time: Duration) {
    fields.put_number(seconds, time.as_secs());
    fields.put_fixed(nanoseconds, time.subsec_nanos());
}
