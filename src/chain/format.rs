use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use super::{Context, Labels, Sent};
use crate::wire::Flags;

const COMMON: &str = "{remote}:{port} - {>id} \"{type} {class} {name} {proto} {size} {>do} {>bufsize}\" {rcode} {>rflags} {rsize} {duration}";

/// A form of lines about queries (`log`, `dnstap`), cut into pieces once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Token),
    /// A label of the query (directive `metadata`).
    Label(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Type,
    Name,
    Class,
    Proto,
    Remote,
    Local,
    Port,
    Size,
    Rcode,
    ResponseSize,
    Duration,
    Flags,
    BufferSize,
    Do,
    Id,
    Opcode,
}

const TOKENS: [(&str, Token); 16] = [
    ("type", Token::Type),
    ("name", Token::Name),
    ("class", Token::Class),
    ("proto", Token::Proto),
    ("remote", Token::Remote),
    ("local", Token::Local),
    ("port", Token::Port),
    ("size", Token::Size),
    ("rcode", Token::Rcode),
    ("rsize", Token::ResponseSize),
    ("duration", Token::Duration),
    (">rflags", Token::Flags),
    (">bufsize", Token::BufferSize),
    (">do", Token::Do),
    (">id", Token::Id),
    (">opcode", Token::Opcode),
];

impl Format {
    /// CoreDNS's usual line.
    pub fn common() -> Self {
        Self::parse("{common}")
    }

    /// Cuts a text into pieces. Unknown words in braces stay as they are.
    pub fn parse(text: &str) -> Self {
        let text = text.replace("{combined}", &format!("{COMMON} \"{{>opcode}}\"")).replace("{common}", COMMON);
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some(open) = rest.find('{') {
            let Some(length) = rest[open..].find('}') else { break };
            let word = &rest[open + 1..open + length];
            let piece = match TOKENS.iter().find(|(name, _)| *name == word) {
                Some((_, token)) => Some(Piece::Value(*token)),
                None => word.strip_prefix('/').map(|label| Piece::Label(label.to_owned())),
            };
            let end = open + length + 1;
            match piece {
                Some(piece) => {
                    pieces.push(Piece::Text(rest[..open].to_owned()));
                    pieces.push(piece);
                }
                None => pieces.push(Piece::Text(rest[..end].to_owned())),
            }
            rest = &rest[end..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Self(pieces)
    }

    /// The line for one answer, or for a query that has none yet. A label that the query does not have is `-`, and so is
    /// what only answers have.
    pub fn render(&self, cx: &Context, sent: Option<&Sent<'_>>, labels: &Labels) -> String {
        let mut line = String::with_capacity(160);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Label(label) => line.push_str(labels.value(cx, label).as_deref().unwrap_or("-")),
                Piece::Value(token) => value(*token, cx, sent, &mut line),
            }
        }
        line
    }
}

fn value(token: Token, cx: &Context, sent: Option<&Sent<'_>>, line: &mut String) {
    let question = cx.question();
    _ = match token {
        Token::Type => write!(line, "{}", question.record_type),
        Token::Name => write!(line, "{}", question.name.to_lowercase()),
        Token::Class => write!(line, "{}", question.class),
        Token::Proto => write!(line, "{}", cx.transport.as_str()),
        Token::Remote => write!(line, "{}", host(cx.peer)),
        Token::Local => write!(line, "{}", host(cx.local)),
        Token::Port => write!(line, "{}", cx.peer.port()),
        Token::Size => write!(line, "{}", cx.query.size),
        Token::BufferSize => write!(line, "{}", cx.limit()),
        Token::Do => write!(line, "{}", cx.query.dnssec_ok()),
        Token::Id => write!(line, "{}", cx.query.id),
        Token::Opcode => write!(line, "{}", cx.query.flags.opcode().0),
        Token::Rcode | Token::ResponseSize | Token::Duration | Token::Flags => match (sent, token) {
            (None, _) => write!(line, "-"),
            (Some(sent), Token::Rcode) => write!(line, "{}", sent.response.rcode),
            (Some(sent), Token::ResponseSize) => write!(line, "{}", sent.size),
            (Some(sent), Token::Duration) => write!(line, "{:.9}s", (sent.now - cx.start).as_secs_f64()),
            (Some(sent), _) => write!(line, "{}", flags(sent.flags)),
        },
    };
}

/// The address without its port; IPv6 in brackets, IPv4 as IPv4 also on a socket for both families.
fn host(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn flags(flags: Flags) -> String {
    let names = [
        (Flags::QR, "qr"),
        (Flags::AA, "aa"),
        (Flags::TC, "tc"),
        (Flags::RD, "rd"),
        (Flags::RA, "ra"),
        (0x40, "z"),
        (Flags::AD, "ad"),
        (Flags::CD, "cd"),
    ];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| flags.0 & bit != 0).map(|(_, name)| *name).collect();
    set.join(",")
}
