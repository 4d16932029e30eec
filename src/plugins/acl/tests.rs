use super::{config::Config, *};
use crate::{chain::Keys, corefile, wire::Name};

fn read(text: &str) -> Result<AccessControl, String> {
    let stanza = corefile::stanza(text);
    let keys = Keys { zones: vec![".".to_owned()] };
    let config = Config::read(&stanza, &keys).map_err(|error| error.message().to_owned())?;
    let lists = config.lists.into_iter().map(|(zones, policies)| List { zones, policies, refusals: Vec::new() });
    Ok(AccessControl { lists: lists.collect(), allowed: Vec::new() })
}

#[test]
fn the_first_line_that_takes_a_query_decides() {
    use Action::{Allow, Block, Drop, Filter};
    let example = "acl example.org {\n block type TXT net 10.0.0.0/8\n allow net 10.1.0.0/16\n drop type A\n}";
    let office = "acl {\n allow net 192.0.2.0/24 fd00::/8\n block\n}";
    let sections = "acl {\n filter net 10.0.0.1 type A AAAA TYPE65 net 10.0.0.2\n}";
    let both = format!("{example}\n{office}");
    for (corefile, client, name, kind, expected) in [
        (example, "10.1.1.1", "www.example.org.", RecordType::TXT, Block),
        (example, "10.1.1.1", "www.example.org.", RecordType::A, Allow),
        (example, "10.2.1.1", "www.example.org.", RecordType::A, Drop),
        (example, "10.2.1.1", "www.example.org.", RecordType::MX, Allow),
        (example, "10.2.1.1", "www.example.net.", RecordType::A, Allow),
        (office, "192.0.2.200", "www.example.net.", RecordType::A, Allow),
        (office, "fd01::1", "www.example.net.", RecordType::A, Allow),
        (office, "198.51.100.1", "www.example.net.", RecordType::A, Block),
        (office, "2001:db8::1", "www.example.net.", RecordType::A, Block),
        // An allowed query is not looked at again; one that no line of the first list takes is.
        (&both, "10.1.1.1", "www.example.org.", RecordType::A, Allow),
        (&both, "10.2.1.1", "www.example.org.", RecordType::MX, Block),
        (&both, "192.0.2.1", "www.example.org.", RecordType::MX, Allow),
        (sections, "10.0.0.1", "www.example.org.", RecordType::AAAA, Filter),
        (sections, "10.0.0.2", "www.example.org.", RecordType::HTTPS, Filter),
        (sections, "10.0.0.3", "www.example.org.", RecordType::A, Allow),
        ("acl {\n block net * type *\n}", "10.0.0.3", ".", RecordType::A, Block),
        ("acl", "10.0.0.3", "www.example.org.", RecordType::A, Allow),
    ] {
        let question = Question::new(Name::parse(name).unwrap(), kind);
        let (action, _) = read(corefile).unwrap().verdict(&question, client.parse().unwrap(), 0);
        assert_eq!(action, expected, "{client} asks {name} {kind} of {corefile}");
    }
}
