use std::{fs, path::PathBuf};

use super::{
    rules::{Limits, Permission, Rules},
    store::Store,
};
use crate::wire::{Class, Name, RData, Rcode, RecordType, Update, Wish};

const ZONE: &str = "$TTL 60\n@ SOA ns host 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn folder(label: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("seamark-dynupdate-{label}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("db"), ZONE).unwrap();
    folder
}

fn rules(records: usize) -> Rules {
    let permissions = vec![Permission { key: name("k."), name: None, types: None }];
    Rules { permissions, limits: Limits { records, ..Limits::default() } }
}

fn add(owner: &str) -> Update {
    let data = RData::address([192, 0, 2, 9].into()).to_wire();
    let wish = Wish { owner: name(owner), class: Class::IN, ttl: 60, record_type: RecordType::A, data };
    Update { prerequisites: Vec::new(), changes: vec![wish] }
}

#[test]
fn what_is_kept_is_read_again() {
    let folder = folder("kept");
    let (seed, kept) = (folder.join("db"), folder.join("kept"));
    let open = || Store::open(name("z.test."), &seed, Some(kept.clone()));
    let store = open().unwrap();
    for (owner, serial) in [("a.z.test.", Some(8)), ("a.z.test.", None), ("b.z.test.", Some(9))] {
        assert_eq!(store.update(&rules(100), &name("k."), &add(owner)), Ok(serial), "{owner}");
    }
    let refused = store.update(&rules(5), &name("k."), &add("c.z.test.")).unwrap_err();
    assert_eq!(
        (refused.rcode, refused.cause.unwrap()),
        (Rcode::REFUSED, "6 records are more than max_records, 5".to_owned())
    );
    let error = open().err().unwrap();
    assert!(error.ends_with("kept.lock: another zone or process has this database"), "{error}");
    drop(store);
    // The zone file counts no more.
    fs::write(&seed, "nonsense").unwrap();
    assert_eq!(open().unwrap().update(&rules(100), &name("k."), &add("c.z.test.")), Ok(Some(10)));
    // No other file is taken for a database, and none of another zone.
    let text = fs::read_to_string(&kept).unwrap();
    let error = |text: &str| {
        fs::write(&kept, text).unwrap();
        open().err().unwrap().rsplit(": ").next().unwrap().to_owned()
    };
    assert_eq!(error(ZONE), "no database of seamark");
    assert_eq!(error(&text.replace("z.test.", "y.test.")), "an SOA record for y.test., which is not the zone z.test.");
    assert_eq!(error(text.split_inclusive('\n').next().unwrap()), "no SOA record for z.test.");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn zones_that_updates_would_make_wrong_are_not_taken() {
    let folder = folder("wrong");
    for (more, trouble) in [
        ("a DS 1 13 2 00FF", "records of type DS, which updates would make wrong"),
        ("a CNAME ns\na A 192.0.2.1", "a.z.test. is an alias and has other records"),
    ] {
        fs::write(folder.join("db"), format!("{ZONE}{more}\n")).unwrap();
        let error = Store::open(name("z.test."), &folder.join("db"), None).err().unwrap();
        assert!(error.ends_with(trouble), "{error}");
    }
    fs::write(folder.join("db"), ZONE.replace(" 7 ", " 0 ")).unwrap();
    let error = Store::open(name("z.test."), &folder.join("db"), None).err().unwrap();
    assert!(error.ends_with("the serial 0, which updates do not have"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}
