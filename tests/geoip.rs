//! `geoip`: labels from databases, asked of seamark by `make test` and of CoreDNS by `make e2e`.

use std::{fs, path::Path, time::Duration};

use crate::support::{
    mmdb,
    server::{Server, directory, eventually, free_port, program},
};

const PATIENCE: Duration = Duration::from_secs(10);

const PLACES: &str = "{/geoip/city/name}|{/geoip/country/code}|{/geoip/country/name}|{/geoip/country/is_in_european_union}|\
     {/geoip/continent/code}|{/geoip/continent/name}|{/geoip/latitude}|{/geoip/longitude}|{/geoip/timezone}|\
     {/geoip/postalcode}|{/geoip/subdivisions/code}|{/geoip/asn/number}|{/geoip/other}";
const SYSTEMS: &str = "{/geoip/asn/number}|{/geoip/asn/org}|{/geoip/city/name}";

fn labels_are_those_of_the_database(program: &Path) {
    let home = directory();
    mmdb::places().write(&home.join("places.mmdb"));
    mmdb::systems().write(&home.join("systems.mmdb"));
    let (behind, systems) = (free_port(), free_port());
    let corefile = format!(
        "view.test:{{port}} {{
            view here {{
                expr metadata('geoip/country/code') == 'IS' && client_ip() != ''
            }}
            metadata
            geoip places.mmdb
            template IN TXT {{
                answer \"{{{{ .Name }}}} 60 IN TXT {{{{ .Meta \\\"geoip/city/name\\\" }}}}\"
            }}
        }}
        .:{{port}} {{
            metadata
            geoip places.mmdb
            log . \"{{name}} {PLACES}.\"
            whoami
        }}
        .:{behind} {{
            metadata
            geoip places.mmdb {{
                edns-subnet
            }}
            log . \"{{name}} {PLACES}.\"
            whoami
        }}
        .:{systems} {{
            metadata
            geoip systems.mmdb {{
                edns-subnet
            }}
            log . \"{{name}} {SYSTEMS}.\"
            whoami
        }}
        "
    );
    let server = Server::launch(program, &corefile, home, free_port());
    server.wait_until_it_answers();
    let said = |name: &str| {
        let line = |log: &str| log.lines().find_map(|line| line.split(&format!("{name} ")).nth(1).map(str::to_owned));
        eventually(&format!("the line of {name}"), PATIENCE, || line(&server.log()).is_some());
        line(&server.log()).expect("a line")
    };
    let iceland = "Akureyri|IS|Iceland|true|EU|Europe|65.6835|-18|Atlantic/Reykjavik|600|6,AKU|-|-.";
    let japan = "|JP||false||||||||-|-.";
    let unknown = "|||false||||||||-|-.";
    let ask = |port, words: &str| _ = crate::support::dig::ask(port, &words.split(' ').collect::<Vec<_>>());
    for (port, words, expected) in [
        (server.port, "here.test A", iceland),
        (server.port, "not-asked.test A +subnet=192.0.2.7/32", iceland),
        (behind, "none.test A", iceland),
        (behind, "v4.test A +subnet=192.0.2.7/32", japan),
        (behind, "part.test A +subnet=192.0.2.0/24", japan),
        (behind, "v6.test A +subnet=2001:db8::/56", japan),
        (behind, "unknown.test A +subnet=198.51.100.0/24", unknown),
        (behind, "zero.test A +subnet=0.0.0.0/0", unknown),
        (systems, "system.test A", "64500|LOOPBACK-AS|-."),
        (systems, "large.test A +subnet=192.0.2.7/32", "4200000000|DOC|-."),
        (systems, "unknown-system.test A +subnet=198.51.100.0/24", "0||-."),
    ] {
        ask(port, words);
        let name = words.split(' ').next().expect("a name");
        assert_eq!(said(&format!("{name}.")), expected, "{words}");
    }
    let reply = server.ask("www.view.test TXT");
    assert_eq!(reply.answer, ["www.view.test. 60 TXT \"Akureyri\""], "{}", reply.text);
}

#[test]
fn labels_are_those_of_a_database() {
    labels_are_those_of_the_database(program());
}

#[test]
#[ignore = "make e2e"]
fn labels_are_those_of_a_database_with_coredns() {
    labels_are_those_of_the_database(&crate::live::coredns());
}

/// What is no database of the kind stops the start; a new file is read at a reload.
#[test]
fn databases_that_are_wrong_and_those_that_change() {
    let home = directory();
    mmdb::Database::new("GeoIP2-Domain").write(&home.join("domain.mmdb"));
    fs::write(home.join("text.mmdb"), "no database").expect("a file");
    for (file, why) in [
        ("nothing.mmdb", "geoip: nothing.mmdb: No such file or directory"),
        ("text.mmdb", "geoip: text.mmdb: no database of MaxMind's format: "),
        (
            "domain.mmdb",
            "geoip: domain.mmdb: a database of the type `GeoIP2-Domain` has neither places nor autonomous systems",
        ),
    ] {
        let corefile = format!(".:{{port}} {{\n geoip {file}\n whoami\n}}\n");
        let folder = directory();
        for name in ["domain.mmdb", "text.mmdb"] {
            fs::copy(home.join(name), folder.join(name)).expect("a copy");
        }
        let mut server = Server::launch(program(), &corefile, folder, free_port());
        assert!(server.wait(PATIENCE).is_some_and(|status| !status.success()), "{file}");
        assert!(server.log().contains(why), "{file}: {}", server.log());
    }
    mmdb::places().write(&home.join("a.mmdb"));
    let corefile =
        ".:{port} {\n metadata\n geoip a.mmdb\n log . \"{name} {/geoip/city/name}|{/geoip/asn/number}.\"\n whoami\n}\n";
    let server = Server::launch(program(), corefile, home, free_port());
    server.wait_until_it_answers();
    server.ask("before.test A");
    eventually("the place", PATIENCE, || server.log().contains("before.test. Akureyri|-."));
    mmdb::systems().write(&server.directory.join("a.mmdb"));
    server.signal("USR1");
    eventually("the reload", PATIENCE, || server.log().contains("Reloading complete"));
    server.ask("after.test A");
    eventually("the system", PATIENCE, || server.log().contains("after.test. -|64500."));
}
