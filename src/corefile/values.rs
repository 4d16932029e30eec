use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use super::{
    Error, Token,
    address::{prefix_length, width, zones_of},
};

/// Units of a Go duration, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

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
            (i64::MIN, _) => format!(" of at most {high}"),
            (_, i64::MAX) => format!(" of at least {low}"),
            _ => format!(" between {low} and {high}"),
        };
        self.text
            .parse::<i64>()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.error(format!("expected a number{limits}, found `{}`", self.text)).within(what))
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
        let alone = || self.text.parse().ok().map(|address| (address, width(address)));
        let expected = || self.error(format!("expected a network such as `10.0.0.0/8`, found `{}`", self.text));
        network(&self.text).or_else(alone).ok_or_else(expected)
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

/// A network in CIDR notation: its address as it is written, and the length of its prefix.
pub fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address = address.parse().ok()?;
    Some((address, prefix_length(length, address)?))
}

/// A Go duration such as `300ms` or `1h5m`; `None` if it is none, or negative.
pub fn duration(text: &str) -> Option<Duration> {
    nanoseconds(text).map(Duration::from_nanos)
}

/// Reads a Go duration without its sign. Whole numbers throughout: `4.35s` is exactly that.
fn nanoseconds(text: &str) -> Option<u64> {
    if text.is_empty() || text == "0" {
        return (!text.is_empty()).then_some(0);
    }
    let number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let (amount, behind) = rest.split_at(rest.find(|c| !number(c))?);
        let (unit, next) = behind.split_at(behind.find(number).unwrap_or(behind.len()));
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(amount, *scale)?)?;
        rest = next;
    }
    i64::try_from(total).is_ok().then_some(total)
}

/// A decimal number times `scale`, cut to a whole number.
fn scaled(amount: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // More than 18 digits behind the point are far below a nanosecond.
    let (known, beyond) = fraction.split_at(fraction.find('.').unwrap_or(fraction.len()).min(18));
    let digits = beyond.bytes().all(|octet| octet.is_ascii_digit());
    let parts = if known.is_empty() { 0 } else { known.parse::<u128>().ok()? };
    let parts = parts * u128::from(scale) / 10u128.pow(known.len() as u32);
    let total = u128::from(whole) * u128::from(scale) + parts;
    u64::try_from(total).ok().filter(|_| digits)
}
