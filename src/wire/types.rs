use std::fmt;

macro_rules! code {
    ($(#[$doc:meta])* $kind:ident, $unknown:literal, $( $name:ident = $value:literal, $text:literal );* $(;)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $kind(pub u16);

        #[allow(missing_docs, reason = "the field's own mnemonics")]
        impl $kind {
            $( pub const $name: Self = Self($value); )*

            /// The value with this mnemonic, in capitals as the IANA registry has it.
            pub fn from_mnemonic(text: &str) -> Option<Self> {
                match text {
                    $( $text => Some(Self($value)), )*
                    _ => text.strip_prefix($unknown)?.parse().ok().map(Self),
                }
            }

            /// The mnemonic, if the value has one here.
            pub const fn mnemonic(self) -> Option<&'static str> {
                match self.0 {
                    $( $value => Some($text), )*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.mnemonic() {
                    Some(text) => f.write_str(text),
                    None => write!(f, concat!($unknown, "{}"), self.0),
                }
            }
        }

        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

code! {
    /// TYPE of a record or question (IANA "Resource Record (RR) TYPEs"); `TYPE123` when it has no name (RFC 3597).
    RecordType, "TYPE",
    A = 1, "A"; NS = 2, "NS"; MD = 3, "MD"; MF = 4, "MF"; CNAME = 5, "CNAME"; SOA = 6, "SOA"; MB = 7, "MB";
    MG = 8, "MG"; MR = 9, "MR"; NULL = 10, "NULL"; PTR = 12, "PTR"; HINFO = 13, "HINFO"; MINFO = 14, "MINFO";
    MX = 15, "MX"; TXT = 16, "TXT"; RP = 17, "RP"; AFSDB = 18, "AFSDB"; X25 = 19, "X25"; ISDN = 20, "ISDN";
    RT = 21, "RT"; SIG = 24, "SIG"; KEY = 25, "KEY"; PX = 26, "PX"; GPOS = 27, "GPOS"; AAAA = 28, "AAAA";
    LOC = 29, "LOC"; SRV = 33, "SRV"; NAPTR = 35, "NAPTR"; KX = 36, "KX"; CERT = 37, "CERT"; DNAME = 39, "DNAME";
    OPT = 41, "OPT"; APL = 42, "APL"; DS = 43, "DS"; SSHFP = 44, "SSHFP"; IPSECKEY = 45, "IPSECKEY";
    RRSIG = 46, "RRSIG"; NSEC = 47, "NSEC"; DNSKEY = 48, "DNSKEY"; DHCID = 49, "DHCID"; NSEC3 = 50, "NSEC3";
    NSEC3PARAM = 51, "NSEC3PARAM"; TLSA = 52, "TLSA"; SMIMEA = 53, "SMIMEA"; HIP = 55, "HIP"; NINFO = 56, "NINFO";
    RKEY = 57, "RKEY"; TALINK = 58, "TALINK"; CDS = 59, "CDS"; CDNSKEY = 60, "CDNSKEY";
    OPENPGPKEY = 61, "OPENPGPKEY"; CSYNC = 62, "CSYNC"; ZONEMD = 63, "ZONEMD"; SVCB = 64, "SVCB";
    HTTPS = 65, "HTTPS"; SPF = 99, "SPF"; NID = 104, "NID"; L32 = 105, "L32"; L64 = 106, "L64"; LP = 107, "LP";
    EUI48 = 108, "EUI48"; EUI64 = 109, "EUI64"; TKEY = 249, "TKEY"; TSIG = 250, "TSIG"; IXFR = 251, "IXFR";
    AXFR = 252, "AXFR"; MAILB = 253, "MAILB"; MAILA = 254, "MAILA"; ANY = 255, "ANY"; URI = 256, "URI"; CAA = 257, "CAA";
    AVC = 258, "AVC"; TA = 32768, "TA"; DLV = 32769, "DLV";
}

code! {
    /// CLASS of a record or question; practically always `IN`.
    Class, "CLASS",
    IN = 1, "IN"; CH = 3, "CH"; HS = 4, "HS"; NONE = 254, "NONE"; ANY = 255, "ANY";
}

code! {
    /// Response code, the extended 12 bits included (RFC 6895 section 2.3).
    Rcode, "RCODE",
    NOERROR = 0, "NOERROR"; FORMERR = 1, "FORMERR"; SERVFAIL = 2, "SERVFAIL"; NXDOMAIN = 3, "NXDOMAIN";
    NOTIMP = 4, "NOTIMP"; REFUSED = 5, "REFUSED"; YXDOMAIN = 6, "YXDOMAIN"; YXRRSET = 7, "YXRRSET";
    NXRRSET = 8, "NXRRSET"; NOTAUTH = 9, "NOTAUTH"; NOTZONE = 10, "NOTZONE"; BADVERS = 16, "BADVERS";
}

code! {
    /// What kind of request a message is (four bits of the header).
    Opcode, "OPCODE",
    QUERY = 0, "QUERY"; IQUERY = 1, "IQUERY"; STATUS = 2, "STATUS"; NOTIFY = 4, "NOTIFY"; UPDATE = 5, "UPDATE";
}

/// Writes types as the bitmap of NSEC and its like (RFC 4034 section 4.1.2).
pub fn type_bitmap(types: &mut [RecordType], out: &mut Vec<u8>) {
    types.sort_unstable();
    for window in types.chunk_by(|one, other| one.0 >> 8 == other.0 >> 8) {
        let mut bitmap = [0u8; 32];
        window.iter().for_each(|kind| bitmap[usize::from(kind.0 & 0xFF) / 8] |= 0x80 >> (kind.0 & 7));
        let length = bitmap.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
        out.extend([(window[0].0 >> 8) as u8, length as u8]);
        out.extend_from_slice(&bitmap[..length]);
    }
}

/// Puts the names in data of the types of RFC 4034 section 6.2 into small letters, as amended by RFC 6840 section 5.1.
pub fn lower_names(record_type: RecordType, data: &mut [u8]) {
    use RecordType as T;
    // Octets in front of the names, and how many names there are.
    let (skip, names) = match record_type {
        T::NS | T::MD | T::MF | T::CNAME | T::MB | T::MG | T::MR | T::PTR | T::DNAME => (0, 1),
        T::SOA | T::MINFO | T::RP => (0, 2),
        T::MX | T::AFSDB | T::RT | T::KX => (2, 1),
        T::PX => (2, 2),
        T::SRV => (6, 1),
        T::NAPTR => (texts_end(data, 4, 3), 1),
        _ => return,
    };
    let mut at = skip;
    for _ in 0..names {
        while let Some(&length) = data.get(at) {
            let end = (at + 1 + usize::from(length)).min(data.len());
            data[at + 1..end].make_ascii_lowercase();
            at = end;
            if length == 0 {
                break;
            }
        }
    }
}

/// Where so many character strings end that begin at `at`.
fn texts_end(data: &[u8], mut at: usize, count: usize) -> usize {
    for _ in 0..count {
        at += 1 + data.get(at).map_or(0, |&length| usize::from(length));
    }
    at
}
