//! From when to when a certificate holds (RFC 5280 section 4.1.2.5).

use std::time::{SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The times between which a certificate holds, Unix time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: i64,
    /// The last second.
    pub until: i64,
}

impl Validity {
    /// That of a certificate in DER; `None` if it is none that can be read.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = content(certificate, SEQUENCE)?;
        let (mut rest, _) = content(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = content(rest, VERSION)?.1;
        }
        // Serial number, algorithm, issuer.
        for _ in 0..3 {
            rest = content(rest, *rest.first()?)?.1;
        }
        let (times, _) = content(rest, SEQUENCE)?;
        let (from, times) = time(times)?;
        Some(Self { from, until: time(times)?.0 })
    }

    /// Why clients refuse the certificate at this time; `None` if it holds.
    pub fn complaint(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        if now > self.until {
            Some(format!("the certificate ended on {} and is refused by whoever checks it", date(self.until)))
        } else if now < self.from {
            Some(format!("the certificate holds from {} on; until then whoever checks it refuses it", date(self.from)))
        } else {
            None
        }
    }
}

/// What an element of this type holds, and what stands behind it.
fn content(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&found, der) = der.split_first()?;
    let (&length, der) = der.split_first()?;
    let (length, der) = if length < 0x80 {
        (usize::from(length), der)
    } else {
        let (octets, der) = der.split_at_checked(usize::from(length & 0x7F)).filter(|(octets, _)| octets.len() <= 4)?;
        (octets.iter().fold(0, |length, &octet| length << 8 | usize::from(octet)), der)
    };
    der.split_at_checked(length).filter(|_| found == kind)
}

/// A time in seconds, and what stands behind it. Both forms end with `Z` and have seconds in certificates.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let kind = *der.first()?;
    let (text, rest) = content(der, kind)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z').filter(|text| text.is_ascii())?;
    let years = match kind {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    };
    let (year, behind) = text.split_at_checked(years)?;
    let year: i64 = year.parse().ok()?;
    let year = if years == 4 { year } else { year + if year < 50 { 2000 } else { 1900 } };
    let part = |at: usize| behind.get(at..at + 2)?.parse::<i64>().ok();
    let days = days(year, part(0)?, part(2)?);
    Some((days * 86_400 + part(4)? * 3600 + part(6)? * 60 + part(8)?, rest))
}

/// Days from the first of January 1970. Years begin with March, so that the leap day is the last one.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 719_469
}

/// `2021-01-01 00:00:00 UTC`.
fn date(time: i64) -> String {
    let (days_left, seconds) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    // The year by estimate, which is at most one too many.
    let mut year = 1970 + days_left.div_euclid(365);
    while days(year, 1, 1) > days_left {
        year -= 1;
    }
    let month = (1..=12).rev().find(|&month| days(year, month, 1) <= days_left).unwrap_or(1);
    let day = days_left - days(year, month, 1) + 1;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn certificates_say_from_when_to_when_they_hold() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let found = Validity::of(&certificate((2020, 2, 29), (2021, 1, 1))).unwrap();
        assert_eq!(found, Validity { from: 1_582_934_400, until: 1_609_459_200 });
        assert_eq!(found.complaint(at(1_609_459_200)), None);
        let over = "the certificate ended on 2021-01-01 00:00:00 UTC and is refused by whoever checks it";
        assert_eq!(found.complaint(at(1_609_459_201)).as_deref(), Some(over));
        let early = "the certificate holds from 2020-02-29 00:00:00 UTC on; until then whoever checks it refuses it";
        assert_eq!(found.complaint(at(0)).as_deref(), Some(early));
        // From 2050 on years have four digits.
        let found = Validity::of(&certificate((1975, 1, 1), (4096, 1, 1))).unwrap();
        assert_eq!(found, Validity { from: 157_766_400, until: 67_090_118_400 });
    }

    #[test]
    fn what_is_cut_says_nothing() {
        let whole = certificate((2020, 2, 29), (2021, 1, 1));
        for length in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn dates() {
        for (time, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(time), text);
        }
    }
}
