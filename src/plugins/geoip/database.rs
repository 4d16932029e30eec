use std::{net::IpAddr, path::Path};

use maxminddb::{MaxMindDbError, PathElement, Reader};
use serde::{Deserialize, de::DeserializeOwned};

/// A database of addresses, whole in memory.
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    has_places: bool,
    has_systems: bool,
}

/// A part of a country.
#[derive(Deserialize)]
struct Subdivision {
    #[serde(default)]
    iso_code: String,
}

impl Database {
    /// Reads a file whose type says that it knows places (City, Country, Enterprise) or autonomous systems (ASN, ISP).
    pub(super) fn open(file: &Path) -> Result<Self, String> {
        let reader = Reader::open_readfile(file).map_err(|error| match error {
            MaxMindDbError::Io(error) => error.to_string(),
            other => format!("no database of MaxMind's format: {other}"),
        })?;
        let kind = reader.metadata().database_type.clone();
        let (has_places, has_systems) = knows(&kind);
        if !has_places && !has_systems {
            return Err(format!("a database of the type `{kind}` has neither places nor autonomous systems"));
        }
        Ok(Self { reader, has_places, has_systems })
    }

    /// What it knows of an address under a label behind `geoip/`; empty if it does not know. `None` if it has no such
    /// label, or no addresses of this family.
    pub(super) fn value(&self, address: IpAddr, label: &str) -> Option<String> {
        let name = |what| self.text(address, &[what, "names", "en"]);
        let is_of_systems = label.starts_with("asn/");
        if !(if is_of_systems { self.has_systems } else { self.has_places }) {
            return None;
        }
        match label {
            "city/name" => name("city"),
            "country/name" => name("country"),
            "continent/name" => name("continent"),
            "country/code" => self.text(address, &["country", "iso_code"]),
            "country/is_in_european_union" => {
                let is_in = self.look_up::<bool>(address, &["country", "is_in_european_union"])?;
                Some(is_in.unwrap_or_default().to_string())
            }
            "continent/code" => self.text(address, &["continent", "code"]),
            "latitude" | "longitude" => {
                let number = self.look_up::<f64>(address, &["location", label])?;
                Some(number.map_or_else(String::new, |number| number.to_string()))
            }
            "timezone" => self.text(address, &["location", "time_zone"]),
            "postalcode" => self.text(address, &["postal", "code"]),
            "subdivisions/code" => {
                let parts = self.look_up::<Vec<Subdivision>>(address, &["subdivisions"])?.unwrap_or_default();
                Some(parts.into_iter().map(|part| part.iso_code).collect::<Vec<_>>().join(","))
            }
            "asn/number" => {
                let number = self.look_up::<u32>(address, &["autonomous_system_number"])?;
                Some(number.unwrap_or_default().to_string())
            }
            "asn/org" => self.text(address, &["autonomous_system_organization"]),
            _ => None,
        }
    }

    fn text(&self, address: IpAddr, path: &[&str]) -> Option<String> {
        self.look_up::<String>(address, path).map(Option::unwrap_or_default)
    }

    /// What stands at a path for an address; `None` if it cannot be looked up.
    #[expect(
        clippy::option_option,
        reason = "an address that it cannot look up is something else than one that it does not know"
    )]
    fn look_up<T: DeserializeOwned>(&self, address: IpAddr, path: &[&str]) -> Option<Option<T>> {
        let path: Vec<PathElement<'_>> = path.iter().map(|word| PathElement::Key(word)).collect();
        let found = self.reader.lookup(address).ok()?;
        found.decode_path(&path).ok()
    }
}

/// Whether a type of database knows places, and autonomous systems.
fn knows(kind: &str) -> (bool, bool) {
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    // `DBIP-ISP (compat=Enterprise)` has places.
    let has_places = has(&["City", "Country", "Enterprise"]);
    (has_places, !has_places && has(&["ASN", "ISP"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_databases() {
        for (kind, places, systems) in [
            ("GeoLite2-City", true, false),
            ("GeoIP2-City-North-America", true, false),
            ("GeoLite2-Country", true, false),
            ("DBIP-Location (compat=City)", true, false),
            ("DBIP-ISP (compat=Enterprise)", true, false),
            ("GeoIP2-Enterprise", true, false),
            ("GeoLite2-ASN", false, true),
            ("DBIP-ASN-Lite (compat=GeoLite2-ASN)", false, true),
            ("GeoIP2-ISP", false, true),
            ("GeoIP2-Anonymous-IP", false, false),
            ("GeoIP2-Domain", false, false),
        ] {
            assert_eq!(knows(kind), (places, systems), "{kind}");
        }
    }
}
