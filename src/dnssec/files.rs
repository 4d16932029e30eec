use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{SigningKey, key::Secret};
use crate::{
    wire::{Name, RData, RecordType},
    zone::text,
};

/// Why a pair of files is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct KeyFileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a key from the two files that `dnssec-keygen` writes: `base.key` and `base.private`. The name of either is taken for
/// that of both. Blocks.
///
/// # Errors
/// What is wrong with which of them.
pub fn read_key(base: &Path) -> Result<SigningKey, KeyFileError> {
    let text = base.to_string_lossy();
    let base = text.strip_suffix(".key").or_else(|| text.strip_suffix(".private")).unwrap_or(&text);
    let [public, private] = [".key", ".private"].map(|end| PathBuf::from(format!("{base}{end}")));
    let wrong = |file: &PathBuf| {
        let file = file.clone();
        move |reason: String| KeyFileError { file, reason }
    };
    let read = |file: &PathBuf| std::fs::read_to_string(file).map_err(|error| wrong(file)(error.to_string()));
    let (owner, ttl, data) = public_key(&read(&public)?).map_err(wrong(&public))?;
    let secret = private_key(&read(&private)?).map_err(wrong(&private))?;
    SigningKey::new(owner, ttl, &data, &secret).map_err(wrong(&private))
}

/// The one DNSKEY record of a text: owner, TTL and data.
pub(super) fn public_key(text: &str) -> Result<(Name, u32, Vec<u8>), String> {
    let record = text::record(text).map_err(|fault| format!("line {}: {}", fault.line, fault.message))?;
    let record = record.ok_or("no DNSKEY record")?;
    match record.data {
        RData::Other(RecordType::DNSKEY, data) => Ok((record.owner.resolve(&Name::root()), record.ttl, data.to_vec())),
        other => Err(format!("a record of type {} in the place of DNSKEY", other.record_type())),
    }
}

/// Reads the `Field: value` lines of a private key.
pub(super) fn private_key(text: &str) -> Result<Secret, String> {
    let fields: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim())).collect();
    let field = |name: &str| fields.get(name).copied().ok_or_else(|| format!("no `{name}`"));
    let octets = |name: &str| {
        let decoded = STANDARD.decode(field(name)?);
        decoded.map_err(|_| format!("`{name}` is not base64"))
    };
    let version = field("Private-key-format")?;
    if !version.starts_with("v1.") {
        return Err(format!("format `{version}` of private keys is not known"));
    }
    let algorithm = field("Algorithm")?;
    let number = algorithm.split_whitespace().next().and_then(|number| number.parse::<u8>().ok());
    let algorithm = number.ok_or_else(|| format!("`{algorithm}` is no algorithm"))?;
    Ok(match algorithm {
        8 | 10 => {
            let parts = ["PrivateExponent", "Prime1", "Prime2", "Exponent1", "Exponent2", "Coefficient"];
            let [d, p, q, dp, dq, inverse] = parts.map(octets);
            Secret { algorithm, parts: vec![d?, p?, q?, dp?, dq?, inverse?] }
        }
        _ => Secret { algorithm, parts: vec![octets("PrivateKey").unwrap_or_default()] },
    })
}
