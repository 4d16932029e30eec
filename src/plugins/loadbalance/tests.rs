use super::*;
use crate::wire::{Name, NameRef};

fn a(last: u8) -> Record {
    Record::of_question(5, RData::A([10, 0, 0, last].into()))
}

#[test]
fn every_order_of_addresses_comes_up_and_cnames_stay_first() {
    let cname = Record::of_question(5, RData::Cname(NameRef::from(Name::parse("x.").unwrap())));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..300 {
        let mut section = vec![a(1), a(2), cname.clone(), a(3)];
        arrange(&mut section, random);
        assert_eq!(section[0], cname);
        seen.insert(section[1..].iter().map(|record| format!("{:?}", record.data)).collect::<String>());
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn preferred_networks_come_first() {
    let plugin = LoadBalance {
        prefer: vec![("10.0.0.3".parse().unwrap(), 32), ("10.0.0.2".parse().unwrap(), 31)],
        weights: None,
    };
    let mut section = vec![a(1), a(2), a(3)];
    section.sort_by_key(|record| plugin.rank(record));
    assert_eq!(section, [a(3), a(2), a(1)]);
    for (address, network, length, inside) in [
        ("10.1.2.3", "10.0.0.0", 8, true),
        ("11.1.2.3", "10.0.0.0", 8, false),
        ("1.2.3.4", "0.0.0.0", 0, true),
        ("fd00::1", "fd00::", 64, true),
        ("fd00::1", "10.0.0.0", 0, false),
    ] {
        assert_eq!(within(address.parse().unwrap(), network.parse().unwrap(), length), inside, "{address} {network}");
    }
}

#[test]
fn the_weighted_address_stands_before_the_others() {
    let weights = Weights::parse("a.test\n 10.0.0.2 255\n").unwrap();
    let name = Name::parse("a.test.").unwrap();
    let cname = Record::of_question(5, RData::Cname(NameRef::from(name)));
    let mut section = vec![cname.clone(), a(1), a(2), a(3)];
    put_first(&mut section, &weights, &name, 5);
    assert_eq!(section, [cname, a(2), a(1), a(3)]);
}
