use std::net::IpAddr;

use serde_json::Value;

use crate::wire::Name;

/// A value: one thing that is registered under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// Where it is.
    pub host: Host,
    /// TCP or UDP port; -1 = none, which SRV passes over.
    pub port: i64,
    /// Of SRV, and the preference of MX; 0 = the usual one.
    pub priority: i64,
    /// Of SRV; 0 = an equal share.
    pub weight: i64,
    /// Of TXT.
    pub text: Box<str>,
    /// Whether it takes mail.
    pub mail: bool,
    /// Seconds; 0 = not said.
    pub ttl: u32,
    /// How many labels of its own name are left out where that name is the target of another record.
    pub strip: i64,
    /// Services of one name are answered together if they are of the same group.
    pub group: Box<str>,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// Nowhere: it has a text.
    None,
    /// At this address.
    Address(IpAddr),
    /// Where this name is, which has been read once and can be read again.
    Name(Box<str>),
}

/// Why a value is no service.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ServiceError {
    /// It is no JSON, or no object.
    #[error("no JSON object: {0}")]
    Json(String),
    /// A field holds something else.
    #[error("`{0}` is not {1}")]
    Field(String, &'static str),
    /// The host is neither address nor name.
    #[error("host `{0}`: {1}")]
    Host(String, crate::wire::NameError),
    /// No message could hold it.
    #[error("longer than a DNS message")]
    TooLong,
}

impl Service {
    /// Reads a value. Fields that nobody knows are passed over, `null` is as if it were not there, and names of fields are
    /// blind to case, as in Go.
    ///
    /// # Errors
    /// It is no service.
    pub(super) fn read(value: &[u8]) -> Result<Self, ServiceError> {
        if value.len() > crate::wire::MAX_MESSAGE {
            return Err(ServiceError::TooLong);
        }
        let text = String::from_utf8_lossy(value);
        let value: Value = serde_json::from_str(&text).map_err(|error| ServiceError::Json(error.to_string()))?;
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Null => serde_json::Map::new(),
            _ => return Err(ServiceError::Json("another kind of value".to_owned())),
        };
        let mut service = Self {
            host: Host::None,
            port: 0,
            priority: 0,
            weight: 0,
            text: Box::default(),
            mail: false,
            ttl: 0,
            strip: 0,
            group: Box::default(),
        };
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            service.field(name, value).map_err(|error| match error {
                Ok(error) => error,
                Err(expected) => ServiceError::Field(name.clone(), expected),
            })?;
        }
        Ok(service)
    }

    fn field(&mut self, name: &str, value: &Value) -> Result<(), Result<ServiceError, &'static str>> {
        let text = || value.as_str().ok_or(Err("a text"));
        let number = || value.as_i64().ok_or(Err("a whole number"));
        match name.to_ascii_lowercase().as_str() {
            "host" => self.host = Host::read(text()?).map_err(Ok)?,
            "port" => self.port = number()?,
            "priority" => self.priority = number()?,
            "weight" => self.weight = number()?,
            "text" => self.text = text()?.into(),
            "mail" => self.mail = value.as_bool().ok_or(Err("`true` or `false`"))?,
            "ttl" => self.ttl = value.as_u64().and_then(|ttl| ttl.try_into().ok()).ok_or(Err("a TTL"))?,
            "targetstrip" => self.strip = number()?,
            "group" => self.group = text()?.into(),
            _ => {}
        }
        Ok(())
    }
}

impl Host {
    fn read(text: &str) -> Result<Self, ServiceError> {
        if text.is_empty() {
            return Ok(Self::None);
        }
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self::Address(address.to_canonical())),
            Err(_) => match Name::parse(text) {
                Ok(_) => Ok(Self::Name(text.into())),
                Err(error) => Err(ServiceError::Host(text.to_owned(), error)),
            },
        }
    }

    /// The name, if it is one.
    pub(super) fn name(&self) -> Option<Name> {
        match self {
            Self::Name(text) => Name::parse(text).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let service = Service::read(
            br#"{"host":"10.0.0.1","port":8080,"Priority":20,"weight":5,"text":"x","mail":true,"ttl":60,"targetstrip":1,
                 "group":"g1","new":{"a":[1]}}"#,
        )
        .unwrap();
        assert_eq!(service.host, Host::Address([10, 0, 0, 1].into()));
        assert_eq!((service.port, service.priority, service.weight, service.strip), (8080, 20, 5, 1));
        assert_eq!((&*service.text, service.mail, service.ttl, &*service.group), ("x", true, 60, "g1"));
        for (value, host) in [
            (r#"{"host":"::ffff:10.0.0.1"}"#, Host::Address([10, 0, 0, 1].into())),
            (r#"{"host":"2001:db8::1"}"#, Host::Address("2001:db8::1".parse().unwrap())),
            (r#"{"HOST":"a.test"}"#, Host::Name("a.test".into())),
            (r#"{"host":""}"#, Host::None),
            (r#"{"host":null}"#, Host::None),
            ("{}", Host::None),
            ("null", Host::None),
        ] {
            assert_eq!(Service::read(value.as_bytes()).map(|service| service.host), Ok(host), "{value}");
        }
    }

    #[test]
    fn what_is_no_service() {
        for (value, error) in [
            ("", "no JSON object: EOF while parsing a value at line 1 column 0"),
            ("10.0.0.1", "no JSON object: trailing characters at line 1 column 5"),
            ("[]", "no JSON object: another kind of value"),
            (r#"{"host":1}"#, "`host` is not a text"),
            (r#"{"port":"80"}"#, "`port` is not a whole number"),
            (r#"{"port":80.5}"#, "`port` is not a whole number"),
            (r#"{"ttl":-1}"#, "`ttl` is not a TTL"),
            (r#"{"mail":1}"#, "`mail` is not `true` or `false`"),
            (r#"{"host":"a..b"}"#, "host `a..b`: empty label in a domain name"),
        ] {
            assert_eq!(Service::read(value.as_bytes()).map_err(|error| error.to_string()), Err(error.to_owned()));
        }
        assert_eq!(Service::read(&vec![b' '; 70_000]), Err(ServiceError::TooLong));
    }
}
