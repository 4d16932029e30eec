use std::net::IpAddr;

/// The devices and addresses of the host, as far as they matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<Address>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Somebody's bridge port is inside.
    pub(super) has_ports: bool,
    /// It has our mark: we or another instance made it.
    pub(super) ours: bool,
}

/// What matters of the type of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dummy,
    Bridge,
    Loopback,
    Other,
}

/// An address of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) index: u32,
    pub(super) ip: IpAddr,
    /// It has our mark.
    pub(super) ours: bool,
}

/// What is to be done, and to which device.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) place: Place,
    /// Addresses that are nowhere yet.
    pub(super) missing: Vec<IpAddr>,
}

/// Where the addresses go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A device that is there.
    There(u32),
    /// One that must be made first.
    ToBeMade,
}

/// Why nothing is done: what is there belongs to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The name is taken by a device that carries traffic.
    #[error(
        "device {0} is there already and is neither a dummy nor a bridge without ports: choose another -interfacename"
    )]
    Device(String),
    /// An address is taken.
    #[error(
        "{ip} belongs to device {device} already: take it from -localip, or from the device (with kube-proxy in IPVS mode listen on the link-local address only)"
    )]
    Address {
        /// The address.
        ip: IpAddr,
        /// The device that has it.
        device: String,
    },
}

/// What must be done so that the device `name` has the addresses. `on_loopback` puts them on `lo`, where no device can
/// be made.
pub(super) fn plan(host: &Host, name: &str, local: &[IpAddr], on_loopback: bool) -> Result<Plan, Conflict> {
    let place = match host.links.iter().find(|link| link.name == name) {
        Some(link) if link.kind == Kind::Dummy || (link.kind == Kind::Bridge && !link.has_ports) => {
            Place::There(link.index)
        }
        Some(_) => return Err(Conflict::Device(name.to_owned())),
        None => match host.links.iter().find(|link| link.kind == Kind::Loopback) {
            Some(loopback) if on_loopback => Place::There(loopback.index),
            _ => Place::ToBeMade,
        },
    };
    let mut missing = Vec::new();
    for ip in local {
        let holders: Vec<_> = host.addresses.iter().filter(|address| address.ip == *ip).collect();
        // What has our mark elsewhere is left over from a time when the device could not be made.
        let foreign = holders.iter().find(|address| place != Place::There(address.index) && !address.ours);
        if let Some(address) = foreign {
            let device = host.links.iter().find(|link| link.index == address.index);
            let device = device.map_or_else(|| format!("#{}", address.index), |link| link.name.clone());
            return Err(Conflict::Address { ip: *ip, device });
        }
        if !holders.iter().any(|address| place == Place::There(address.index)) {
            missing.push(*ip);
        }
    }
    Ok(Plan { place, missing })
}

/// What leaves the host when the last instance ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Removal {
    /// The device, with all its addresses.
    pub(super) device: Option<u32>,
    /// Addresses that we put on a device which was there before.
    pub(super) addresses: Vec<Address>,
}

/// Only what has our mark goes; what was there before stays.
pub(super) fn removal(host: &Host, name: &str, local: &[IpAddr]) -> Removal {
    let device = host.links.iter().find(|link| link.name == name && link.ours).map(|link| link.index);
    let ours = |address: &&Address| address.ours && local.contains(&address.ip) && Some(address.index) != device;
    Removal { device, addresses: host.addresses.iter().filter(ours).copied().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1 lo loopback`, `7 nodelocaldns dummy ours`; `1 127.0.0.1`, `7 10.96.0.10 ours`.
    fn mk_host(links: &[&str], addresses: &[&str]) -> Host {
        let link = |text: &&str| {
            let words: Vec<&str> = text.split(' ').collect();
            let kind = match words[2] {
                "dummy" => Kind::Dummy,
                "bridge" => Kind::Bridge,
                "loopback" => Kind::Loopback,
                _ => Kind::Other,
            };
            let has = |word| words[3..].contains(&word);
            let (index, name) = (words[0].parse().unwrap(), words[1].to_owned());
            Link { index, name, kind, has_ports: has("ports"), ours: has("ours") }
        };
        let address = |text: &&str| {
            let words: Vec<&str> = text.split(' ').collect();
            let (index, ip) = (words[0].parse().unwrap(), words[1].parse().unwrap());
            Address { index, ip, ours: words.get(2) == Some(&"ours") }
        };
        Host { links: links.iter().map(link).collect(), addresses: addresses.iter().map(address).collect() }
    }

    const LO: &str = "1 lo loopback";
    const LOCAL: [&str; 2] = ["169.254.20.53", "fd00::53"];

    fn local() -> Vec<IpAddr> {
        LOCAL.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn planned(links: &[&str], addresses: &[&str], on_loopback: bool) -> Result<(Place, String), String> {
        let plan = plan(&mk_host(links, addresses), "nodelocaldns", &local(), on_loopback);
        let text = |ips: Vec<IpAddr>| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        plan.map(|plan| (plan.place, text(plan.missing))).map_err(|conflict| conflict.to_string())
    }

    #[test]
    fn what_is_missing_is_made() {
        use Place::{There, ToBeMade};
        let both = "169.254.20.53 fd00::53";
        for (links, addresses, on_loopback, place, missing) in [
            (&[LO][..], &[][..], false, ToBeMade, both),
            (&[LO], &[], true, There(1), both),
            (&[LO, "7 nodelocaldns dummy ours"], &[], false, There(7), both),
            (&[LO, "7 nodelocaldns dummy"], &["7 169.254.20.53"], false, There(7), "fd00::53"),
            (&[LO, "7 nodelocaldns bridge"], &["7 fd00::53", "7 169.254.20.53"], false, There(7), ""),
            (&[LO], &["1 169.254.20.53"], true, There(1), "fd00::53"),
            (&[LO, "7 nodelocaldns dummy ours"], &["1 169.254.20.53 ours"], false, There(7), both),
        ] {
            assert_eq!(
                planned(links, addresses, on_loopback),
                Ok((place, missing.to_owned())),
                "{links:?} {addresses:?}"
            );
        }
    }

    #[test]
    fn what_belongs_to_others_is_not_touched() {
        for (links, addresses, error) in [
            (&[LO, "7 nodelocaldns veth"][..], &[][..], "device nodelocaldns is there already"),
            (&[LO, "7 nodelocaldns bridge ports"], &[], "device nodelocaldns is there already"),
            (&[LO, "4 kube-ipvs0 dummy"], &["4 169.254.20.53"], "169.254.20.53 belongs to device kube-ipvs0 already"),
            (&[LO], &["1 fd00::53"], "fd00::53 belongs to device lo already"),
        ] {
            let found = planned(links, addresses, false).unwrap_err();
            assert!(found.starts_with(error), "{found}");
        }
    }

    #[test]
    fn only_what_we_made_goes() {
        let what = |links: &[&str], addresses: &[&str]| {
            let removal = removal(&mk_host(links, addresses), "nodelocaldns", &local());
            (removal.device, removal.addresses.iter().map(|address| (address.index, address.ip.to_string())).collect())
        };
        let one = |index: u32, ip: &str| vec![(index, ip.to_owned())];
        assert_eq!(what(&[LO, "7 nodelocaldns dummy ours"], &["7 fd00::53 ours"]), (Some(7), vec![]));
        assert_eq!(
            what(&[LO, "7 nodelocaldns dummy"], &["7 fd00::53 ours", "7 169.254.20.53"]),
            (None, one(7, "fd00::53"))
        );
        assert_eq!(what(&[LO], &["1 169.254.20.53 ours", "1 fd00::53"]), (None, one(1, "169.254.20.53")));
        assert_eq!(what(&[LO], &["1 10.0.0.1 ours"]), (None, vec![]), "an address that is not on the list");
    }
}
