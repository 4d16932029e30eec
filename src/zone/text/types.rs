use crate::wire::RecordType;

/// A field of record data in presentation form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A domain name, relative ones below the origin.
    Name,
    /// A number of eight, sixteen, thirty-two bits.
    Byte,
    Short,
    Long,
    /// Seconds, or a time with units such as `1h30m`.
    Period,
    /// Addresses.
    Ip4,
    Ip6,
    /// One character string; one or more of them; one without its length octet.
    Text,
    Texts,
    Bare,
    /// All that is left, in hexadecimal or base64.
    Hex,
    Base64,
    /// Hexadecimal with its length in front, `-` if there is none (RFC 5155 section 3.3).
    Salt,
    /// base32hex with its length in front (RFC 5155 section 3.3).
    Hash,
    /// Types that exist, as a bitmap (RFC 4034 section 4.1.2).
    Types,
    /// A type's mnemonic.
    Type,
    /// Seconds since 1970, or `YYYYMMDDHHmmSS` (RFC 4034 section 3.2).
    Time,
    /// An algorithm of DNSSEC by number or mnemonic.
    Algorithm,
    /// A kind of certificate by number or mnemonic (RFC 4398 section 2.1).
    Certificate,
    /// The gateway of IPSECKEY, as the second octet of the data says (RFC 4025 section 2.5).
    Gateway,
    /// RFC 1876.
    Location,
    /// `key=value` pairs (RFC 9460 section 2.1).
    Parameters,
    /// `1:192.0.2.0/24 !2:2001:db8::/32` (RFC 3123).
    Prefixes,
    /// Hexadecimal digits in groups: octets between `-`, or pairs of octets between `:`.
    Groups(usize, u8),
}

use Field::{
    Algorithm, Bare, Base64, Byte, Certificate, Gateway, Groups, Hash, Hex, Ip4, Ip6, Location, Long, Name, Parameters,
    Period, Prefixes, Salt, Short, Text, Texts, Time, Type, Types,
};
use RecordType as T;

/// The data of each type that has a presentation form of its own; of all others only `\# length hex` is read.
const TYPES: &[(RecordType, &[Field])] = &[
    (T::A, &[Ip4]),
    (T::NS, &[Name]),
    (T::MD, &[Name]),
    (T::MF, &[Name]),
    (T::CNAME, &[Name]),
    (T::SOA, &[Name, Name, Long, Period, Period, Period, Period]),
    (T::MB, &[Name]),
    (T::MG, &[Name]),
    (T::MR, &[Name]),
    (T::PTR, &[Name]),
    (T::HINFO, &[Text, Text]),
    (T::MINFO, &[Name, Name]),
    (T::MX, &[Short, Name]),
    (T::TXT, &[Texts]),
    (T::RP, &[Name, Name]),
    (T::AFSDB, &[Short, Name]),
    (T::X25, &[Text]),
    (T::ISDN, &[Texts]),
    (T::RT, &[Short, Name]),
    (T::SIG, &[Type, Algorithm, Byte, Period, Time, Time, Short, Name, Base64]),
    (T::KEY, &[Short, Byte, Algorithm, Base64]),
    (T::PX, &[Short, Name, Name]),
    (T::GPOS, &[Text, Text, Text]),
    (T::AAAA, &[Ip6]),
    (T::LOC, &[Location]),
    (T::SRV, &[Short, Short, Short, Name]),
    (T::NAPTR, &[Short, Short, Text, Text, Text, Name]),
    (T::KX, &[Short, Name]),
    (T::CERT, &[Certificate, Short, Algorithm, Base64]),
    (T::DNAME, &[Name]),
    (T::APL, &[Prefixes]),
    (T::DS, &[Short, Algorithm, Byte, Hex]),
    (T::SSHFP, &[Byte, Byte, Hex]),
    (T::IPSECKEY, &[Byte, Byte, Byte, Gateway, Base64]),
    (T::RRSIG, &[Type, Algorithm, Byte, Period, Time, Time, Short, Name, Base64]),
    (T::NSEC, &[Name, Types]),
    (T::DNSKEY, &[Short, Byte, Algorithm, Base64]),
    (T::DHCID, &[Base64]),
    (T::NSEC3, &[Byte, Byte, Short, Salt, Hash, Types]),
    (T::NSEC3PARAM, &[Byte, Byte, Short, Salt]),
    (T::TLSA, &[Byte, Byte, Byte, Hex]),
    (T::SMIMEA, &[Byte, Byte, Byte, Hex]),
    (T::NINFO, &[Texts]),
    (T::RKEY, &[Short, Byte, Algorithm, Base64]),
    (T::TALINK, &[Name, Name]),
    (T::CDS, &[Short, Algorithm, Byte, Hex]),
    (T::CDNSKEY, &[Short, Byte, Algorithm, Base64]),
    (T::OPENPGPKEY, &[Base64]),
    (T::CSYNC, &[Long, Short, Types]),
    (T::ZONEMD, &[Long, Byte, Byte, Hex]),
    (T::SVCB, &[Short, Name, Parameters]),
    (T::HTTPS, &[Short, Name, Parameters]),
    (T::SPF, &[Texts]),
    (T::NID, &[Short, Groups(8, b':')]),
    (T::L32, &[Short, Ip4]),
    (T::L64, &[Short, Groups(8, b':')]),
    (T::LP, &[Short, Name]),
    (T::EUI48, &[Groups(6, b'-')]),
    (T::EUI64, &[Groups(8, b'-')]),
    (T::URI, &[Short, Short, Bare]),
    (T::CAA, &[Byte, Text, Bare]),
    (T::AVC, &[Texts]),
    (T::TA, &[Short, Algorithm, Byte, Hex]),
    (T::DLV, &[Short, Algorithm, Byte, Hex]),
];

/// The fields of a type's data; `None` if it has no presentation form here.
pub(super) fn fields(record_type: RecordType) -> Option<&'static [Field]> {
    TYPES.iter().find(|(known, _)| *known == record_type).map(|(_, fields)| *fields)
}

/// Mnemonics of DNSSEC's algorithms (IANA "DNS Security Algorithm Numbers").
pub(super) const ALGORITHMS: &[(&str, u16)] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Mnemonics of certificates (RFC 4398 section 2.1).
pub(super) const CERTIFICATES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];
