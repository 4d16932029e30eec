use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use super::{Error, Token, address::zones_of};

/// Units of a Go duration, in nanoseconds.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

impl Token {
    /// The word as a Go duration: `300ms`, `1h5m`, `1.5s`, `0`.
    ///
    /// # Errors
    /// It is none, or negative.
    pub fn duration(&self) -> Result<Duration, Error> {
        let expected = || self.error(format!("expected a duration such as `30s` or `1h5m`, found `{}`", self.text));
        if let Some(positive) = self.text.strip_prefix('-') {
            return Err(match nanoseconds(positive) {
                Some(_) => self.error(format!("a duration cannot be negative, found `{}`", self.text)),
                None => expected(),
            });
        }
        let text = self.text.strip_prefix('+').unwrap_or(&self.text);
        nanoseconds(text).map(Duration::from_nanos).ok_or_else(expected)
    }

    /// The word as a whole number within `range`.
    ///
    /// # Errors
    /// It is none, or out of range.
    pub fn integer(&self, what: &str, range: RangeInclusive<i64>) -> Result<i64, Error> {
        let (low, high) = (*range.start(), *range.end());
        let limits = match (low, high) {
            (i64::MIN, i64::MAX) => String::new(),
            (_, i64::MAX) => format!(" of at least {low}"),
            _ => format!(" between {low} and {high}"),
        };
        self.text
            .parse::<i64>()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.error(format!("{what}: expected a number{limits}, found `{}`", self.text)))
    }

    /// The word as a number with a fraction.
    ///
    /// # Errors
    /// It is none.
    pub fn float(&self, what: &str) -> Result<f64, Error> {
        let number = self.text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.error(format!("{what}: expected a number, found `{}`", self.text)))
    }

    /// The word as a percentage such as `10%`.
    ///
    /// # Errors
    /// It is none, or out of range.
    pub fn percentage(&self, what: &str, range: RangeInclusive<u32>) -> Result<u32, Error> {
        let number = self.text.strip_suffix('%').and_then(|number| number.parse().ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            let (low, high) = range.into_inner();
            self.error(format!("{what}: expected a percentage between {low}% and {high}%, found `{}`", self.text))
        })
    }

    /// The word as a zone, or as a network that is turned into reverse zones.
    ///
    /// # Errors
    /// It is no domain name.
    pub fn zones(&self) -> Result<Vec<String>, Error> {
        zones_of(self)
    }

    /// The word as an IP address.
    ///
    /// # Errors
    /// It is none.
    pub fn ip(&self) -> Result<IpAddr, Error> {
        let address = self.text.parse();
        address.map_err(|_| self.error(format!("expected an IP address, found `{}`", self.text)))
    }

    /// The word as a network in CIDR notation; an address alone is a network of one.
    ///
    /// # Errors
    /// It is none.
    pub fn cidr(&self) -> Result<(IpAddr, u8), Error> {
        let expected = || self.error(format!("expected a network such as `10.0.0.0/8`, found `{}`", self.text));
        let (address, length) = self.text.split_once('/').unwrap_or((&self.text, ""));
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = if length.is_empty() && !self.text.contains('/') {
            longest
        } else {
            length.parse().ok().filter(|&length| length <= longest).ok_or_else(expected)?
        };
        Ok((address, length))
    }

    /// The word as an IP address with or without a port: `1.2.3.4`, `1.2.3.4:53`, `::1`, `[::1]:53`.
    ///
    /// # Errors
    /// It is none.
    pub fn socket_address(&self, default_port: u16) -> Result<SocketAddr, Error> {
        let text = self.text.as_str();
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(SocketAddr::new(address, default_port));
        }
        text.parse().map_err(|_| self.error(format!("expected an IP address with or without a port, found `{text}`")))
    }

    /// The word as an address to listen on: host (none = all addresses) and port.
    ///
    /// # Errors
    /// It has no port where one is needed, or the port is no number up to 65535.
    pub fn listen_address(&self, default_port: u16) -> Result<(Option<String>, u16), Error> {
        let text = self.text.as_str();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok((Some(address.to_string()), default_port));
        }
        let Some((host, port)) = text.rsplit_once(':') else { return Ok((Some(text.to_owned()), default_port)) };
        let port = port.parse::<u16>().map_err(|_| {
            self.error(format!("expected an address such as `:8080` or `127.0.0.1:8080`, found `{text}`"))
        })?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(((!host.is_empty()).then(|| host.to_owned()), port))
    }
}

/// Reads a Go duration without its sign.
fn nanoseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| digits + at);
        let (_, scale) = UNITS.iter().find(|(unit, _)| *unit == &rest[digits..unit_end])?;
        total += number * scale;
        rest = &rest[unit_end..];
    }
    (!text.is_empty() && total <= i64::MAX as f64).then_some(total as u64)
}
