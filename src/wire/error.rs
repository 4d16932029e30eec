/// Why bytes are not a DNS message. Each variant names the first thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends inside a field.
    #[error("message ends too early")]
    Short,
    /// A compression pointer points forward, at itself, or makes a name that is too long.
    #[error("bad compression pointer")]
    Pointer,
    /// A label has the reserved types 01 or 10 (RFC 1035 section 4.1.4).
    #[error("reserved label type")]
    Label,
    /// A name is longer than 255 octets.
    #[error("name too long")]
    NameTooLong,
    /// More than one question (RFC 9619).
    #[error("more than one question")]
    Questions,
    /// RDLENGTH does not agree with what the record holds.
    #[error("record data has the wrong length")]
    RData,
}
