//! Databases of addresses in MaxMind's format, written as a test needs them
//! (maxmind.github.io/MaxMind-DB).

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv6Addr},
    path::Path,
};

/// A value of the data section.
#[derive(Clone)]
pub(crate) enum Value {
    Text(&'static str),
    Double(f64),
    Short(u16),
    Number(u32),
    Long(u64),
    Bool(bool),
    Map(Vec<(&'static str, Self)>),
    List(Vec<Self>),
}

/// A database: networks with what is known of them.
pub(crate) struct Database {
    kind: &'static str,
    networks: Vec<(Ipv6Addr, u8, Value)>,
}

impl Database {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, networks: Vec::new() }
    }

    /// Adds a network; IPv4 ones are below `::/96`, and below `::ffff:0:0/96` as in the real ones.
    pub(crate) fn with(mut self, network: &str, value: Value) -> Self {
        let (address, length) = network.split_once('/').expect("a network");
        let length: u8 = length.parse().expect("a length");
        match address.parse().expect("an address") {
            IpAddr::V4(address) => {
                let low = Ipv6Addr::from(u128::from(u32::from(address)));
                self.networks.push((low, length + 96, value.clone()));
                self.networks.push((address.to_ipv6_mapped(), length + 96, value));
            }
            IpAddr::V6(address) => self.networks.push((address, length, value)),
        }
        self
    }

    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, self.octets()).expect("a file");
    }

    fn octets(&self) -> Vec<u8> {
        // A node is two places: another node, or what is known, or nothing.
        let mut nodes = vec![[Place::Nothing; 2]];
        let mut data = Vec::new();
        for (address, length, value) in &self.networks {
            let bit = |depth: u8| (u128::from(*address) >> (127 - depth) & 1) as usize;
            let mut at = 0;
            for depth in 0..length - 1 {
                at = match nodes[at][bit(depth)] {
                    Place::Node(next) => next,
                    _ => {
                        nodes.push([Place::Nothing; 2]);
                        let next = nodes.len() - 1;
                        nodes[at][bit(depth)] = Place::Node(next);
                        next
                    }
                };
            }
            nodes[at][bit(length - 1)] = Place::Data(data.len());
            encode(value, &mut data);
        }
        let mut octets = Vec::new();
        for place in nodes.iter().flatten() {
            let record = match place {
                Place::Nothing => nodes.len(),
                Place::Node(number) => *number,
                // Behind the tree stand 16 zeros, which count.
                Place::Data(offset) => nodes.len() + 16 + offset,
            };
            octets.extend(&(record as u32).to_be_bytes()[1..]);
        }
        octets.extend([0; 16]);
        octets.extend(&data);
        octets.extend(b"\xAB\xCD\xEFMaxMind.com");
        let metadata = Value::Map(vec![
            ("binary_format_major_version", Value::Short(2)),
            ("binary_format_minor_version", Value::Short(0)),
            ("build_epoch", Value::Long(1_760_000_000)),
            ("database_type", Value::Text(self.kind)),
            ("description", Value::Map(vec![("en", Value::Text("a test"))])),
            ("ip_version", Value::Short(6)),
            ("languages", Value::List(vec![Value::Text("en")])),
            ("node_count", Value::Number(nodes.len() as u32)),
            ("record_size", Value::Short(24)),
        ]);
        encode(&metadata, &mut octets);
        octets
    }
}

#[derive(Clone, Copy)]
enum Place {
    Nothing,
    Node(usize),
    Data(usize),
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            head(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Double(number) => {
            head(3, 8, out);
            out.extend(number.to_be_bytes());
        }
        Value::Short(number) => {
            head(5, 2, out);
            out.extend(number.to_be_bytes());
        }
        Value::Long(number) => {
            head(9, 8, out);
            out.extend(number.to_be_bytes());
        }
        Value::Number(number) => {
            head(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        Value::Bool(is_true) => head(14, usize::from(*is_true), out),
        Value::Map(pairs) => {
            head(7, pairs.len(), out);
            for (key, value) in pairs {
                encode(&Value::Text(key), out);
                encode(value, out);
            }
        }
        Value::List(values) => {
            head(11, values.len(), out);
            values.iter().for_each(|value| encode(value, out));
        }
    }
}

/// The control octet: kind and size, which is 285 at most here; kinds from 8 on have an octet of their own.
fn head(kind: u8, size: usize, out: &mut Vec<u8>) {
    let short = if size < 29 { size as u8 } else { 29 };
    if kind < 8 {
        out.push(kind << 5 | short);
    } else {
        out.extend([short, kind - 7]);
    }
    if size >= 29 {
        out.push(u8::try_from(size - 29).expect("a short value"));
    }
}

/// Some places: loopback is in a city of Iceland, 192.0.2.0/24 somewhere in Japan.
pub(crate) fn places() -> Database {
    let names =
        |name| Value::Map(vec![("names", Value::Map(vec![("de", Value::Text("?")), ("en", Value::Text(name))]))]);
    let with = |value: Value, more: Vec<(&'static str, Value)>| match value {
        Value::Map(mut pairs) => {
            pairs.extend(more);
            Value::Map(pairs)
        }
        other => other,
    };
    let part = |code| Value::Map(vec![("iso_code", Value::Text(code))]);
    let city = Value::Map(vec![
        ("city", names("Akureyri")),
        ("continent", with(names("Europe"), vec![("code", Value::Text("EU"))])),
        (
            "country",
            with(names("Iceland"), vec![("iso_code", Value::Text("IS")), ("is_in_european_union", Value::Bool(true))]),
        ),
        (
            "location",
            Value::Map(vec![
                ("latitude", Value::Double(65.6835)),
                ("longitude", Value::Double(-18.0)),
                ("time_zone", Value::Text("Atlantic/Reykjavik")),
            ]),
        ),
        ("postal", Value::Map(vec![("code", Value::Text("600"))])),
        ("subdivisions", Value::List(vec![part("6"), part("AKU")])),
    ]);
    let country = Value::Map(vec![("country", part("JP"))]);
    Database::new("GeoLite2-City")
        .with("127.0.0.0/8", city.clone())
        .with("::1/128", city)
        .with("192.0.2.0/24", country.clone())
        .with("2001:db8::/32", country)
}

/// Some autonomous systems.
pub(crate) fn systems() -> Database {
    let system = |number, name| {
        let fields: BTreeMap<&'static str, Value> = [
            ("autonomous_system_number", Value::Number(number)),
            ("autonomous_system_organization", Value::Text(name)),
        ]
        .into();
        Value::Map(fields.into_iter().collect())
    };
    Database::new("GeoLite2-ASN")
        .with("127.0.0.0/8", system(64_500, "LOOPBACK-AS"))
        .with("192.0.2.0/24", system(4_200_000_000, "DOC"))
}
