use std::path::Path;

use super::*;
use crate::wire::RecordType;

/// Data of types in presentation form and in wire form (hexadecimal), checked against RFCs and another implementation.
#[test]
fn data_of_all_types() {
    for (text, wire) in [
        ("A 192.0.2.1", "c0000201"),
        ("aaaa 2001:db8::1", "20010db8000000000000000000000001"),
        ("NS ns.b.", "026e73016200"),
        ("MX 10 m", "000a016d00"),
        ("TXT \"a b\" c \"\\100;\\\"\"", "0361206201630364 3b22"),
        ("SRV 1 2 3 t.", "0001 0002 0003 0174 00"),
        ("CAA 0 issue \"ca.test\"", "00 05 6973737565 63612e74657374"),
        (
            "DS 60485 RSASHA1 1 2BB183AF5F22588179A5 3B0A98631FAD1A292118",
            "ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118",
        ),
        (
            "NSEC host.b. A MX RRSIG NSEC TYPE1234",
            "04686f7374016200 0006400100000003 041b000000000000000000000000000000000000000000000000000020",
        ),
        (
            "NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A",
            "01 01 000c 04aabbccdd 14 17f3df17b2b2adaef615257de4d2020b80ac6c7c 0001 40",
        ),
        ("NSEC3PARAM 1 0 0 -", "01 00 0000 00"),
        (
            "RRSIG A 5 3 86400 20030322173103 20030220173103 2642 e. AAEC",
            "0001 05 03 00015180 3e7c9dd7 3e5510d7 0a52 016500 000102",
        ),
        ("SSHFP 2 1 123456789abcdef67890123456789abcdef67890", "02 01 123456789abcdef67890123456789abcdef67890"),
        ("TLSA 3 1 1 0a0b", "03 01 01 0a0b"),
        ("LOC 42 21 54 N 71 06 18 W -24m 30m", "00 33 16 13 89172dd0 70be15f0 00988d20"),
        (
            "HTTPS 1 . alpn=\"h2,h3\" port=8443 ipv4hint=192.0.2.1",
            "0001 00 0001 0006 02683202 6833 0003 0002 20fb 0004 0004 c0000201",
        ),
        (
            "SVCB 16 f. mandatory=ipv4hint,alpn alpn=h2 ipv4hint=192.0.2.1",
            "0010 016600 0000 0004 00010004 0001 0003 026832 0004 0004 c0000201",
        ),
        ("SVCB 1 f. key667=\"hello\\210qoo\"", "0001 016600 029b 0009 68656c6c6fd2716f6f"),
        (
            "NAPTR 100 10 u E2U+sip \"!^.*$!sip:a@b!\" .",
            "0064 000a 0175 074532552b736970 0e215e2e2a24217369703a61406221 00",
        ),
        ("URI 10 1 \"ftp://f.test\"", "000a 0001 6674703a2f2f662e74657374"),
        ("EUI48 00-00-5e-00-53-2a", "00005e00532a"),
        ("L64 10 2001:0DB8:1140:1000", "000a 20010db811401000"),
        ("APL 1:192.168.32.0/21 !1:192.168.38.0/28", "0001 15 03 c0a820 0001 1c 83 c0a826"),
        ("HINFO PC \"a b\"", "025043 03612062"),
        ("IPSECKEY 10 1 2 192.0.2.38 AQNR", "0a 01 02 c0000226 010351"),
        ("TYPE65280 \\# 4 0A000001", "0a000001"),
        ("A \\# 4 0A000001", "0a000001"),
        ("TYPE65281 \\# 0", ""),
    ] {
        let limits = Limits { records: 1, default_ttl: Some(1), include: None };
        let mut found = Vec::new();
        let mut take = |record: TextRecord| {
            found.push(record.data);
            Ok(())
        };
        let read =
            MasterFile::new(Path::new("z"), Name::root(), &limits).read(format!("x {text}").as_bytes(), &mut take);
        read.unwrap_or_else(|error| panic!("{text}: {error}"));
        let hex: String = found[0].iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, wire.replace(' ', ""), "{text}");
    }
}

fn lines(text: &str) -> Result<Vec<String>, String> {
    let include = |path: &Path| match path.to_str() {
        Some("dir/more") => Ok(b"$ORIGIN sub\nin A 192.0.2.9\n".to_vec()),
        Some("dir/self") => Ok(b"$INCLUDE self\n".to_vec()),
        _ => Err(std::io::Error::other("no such file")),
    };
    let limits = Limits { records: 20, default_ttl: None, include: Some(&include) };
    let mut found = Vec::new();
    let mut take = |record: TextRecord| {
        found.push(format!("{} {} {} {}", record.owner, record.ttl, record.record_type, record.data.len()));
        Ok(())
    };
    let origin = Name::parse("z.test.").unwrap();
    let read = MasterFile::new(Path::new("dir/zone"), origin, &limits).read(text.as_bytes(), &mut take);
    read.map(|()| found).map_err(|error| error.to_string())
}

#[test]
fn owners_times_and_origins() {
    for (text, expected) in [
        ("a 5 A 1.2.3.4\n  AAAA ::1\n", vec!["a.z.test. 5 A 4", "a.z.test. 5 AAAA 16"]),
        ("$TTL 1h30m\n@ IN A 1.2.3.4\nb. in 1W A 1.2.3.4", vec!["z.test. 5400 A 4", "b. 604800 A 4"]),
        ("a 7 IN A 1.2.3.4 ; comment (\nb A 1.2.3.4", vec!["a.z.test. 7 A 4", "b.z.test. 7 A 4"]),
        ("@ SOA n h ( 1 2 ; x )\n 3 4\n 5 )\nb A 1.2.3.4\r\n", vec!["z.test. 5 SOA 40", "b.z.test. 5 A 4"]),
        (
            "$TTL 1\n$ORIGIN o\na A 1.2.3.4\n$INCLUDE more i\nb A 1.2.3.4",
            vec!["a.o.z.test. 1 A 4", "in.sub.i.o.z.test. 1 A 4", "b.o.z.test. 1 A 4"],
        ),
        (
            "$GENERATE 1-5/2 h${10,3} 60 A 10.0.0.$",
            vec!["h011.z.test. 60 A 4", "h013.z.test. 60 A 4", "h015.z.test. 60 A 4"],
        ),
        ("$GENERATE 10-10 ${0,4,n} 60 PTR \\$-$$.${-1,0,x}", vec!["a.0.z.test. 60 PTR 14"]),
        ("a\\.b\\032c 1 A 1.2.3.4", vec!["a\\.b\\032c.z.test. 1 A 4"]),
        ("ns 1 TYPE1 \\# 4 01020304", vec!["ns.z.test. 1 A 4"]),
    ] {
        assert_eq!(lines(text).unwrap_or_else(|error| panic!("{text}: {error}")), expected, "{text}");
    }
}

#[test]
fn mistakes_have_a_place() {
    for (text, error) in [
        ("a A 1.2.3.4", "dir/zone:1:1: no TTL, and none stands above"),
        ("$TTL 1\n  A 1.2.3.4", "dir/zone:2:3: no owner stands above this"),
        ("$TTL 1\na A 1.2.3", "dir/zone:2:5: expected an IPv4 address, found `1.2.3`"),
        ("$TTL 1\na A 1.2.3.4 5", "dir/zone:2:13: unexpected `5`"),
        ("$TTL 1\na MX 10", "dir/zone:2:6: expected a name behind this"),
        ("$TTL 1\na MX x m", "dir/zone:2:6: expected a number up to 65535, found `x`"),
        ("$TTL 1x", "dir/zone:1:6: bad TTL `1x`"),
        ("$FOO 1", "dir/zone:1:1: unknown control entry `$FOO`"),
        ("$TTL 1\na SOA n h ( 1 2\n", "dir/zone:2:11: a parenthesis that is never closed"),
        ("$TTL 1\na TXT \"x\n", "dir/zone:2:7: a quote that is never closed"),
        ("$TTL 1\na FOO 1", "dir/zone:2:3: unknown type `FOO`"),
        ("$TTL 1\na..b A 1.2.3.4", "dir/zone:2:1: `a..b`: empty label in a domain name"),
        ("$TTL 1\n$INCLUDE gone", "dir/zone:2:10: dir/gone: no such file"),
        ("$TTL 1\n$INCLUDE self", "dir/self:1:10: files include one another too deeply"),
        ("$TTL 1\n$GENERATE 1-30 a$ A 1.2.3.4", "dir/zone:2:16: more than 20 records"),
        (
            "$TTL 1\n$GENERATE 9-1 a$ A 1.2.3.4",
            "dir/zone:2:11: expected a range such as `1-10` or `0-100/5`, found `9-1`",
        ),
        ("$TTL 1\na TYPE9 \\# 2 00", "dir/zone:2:12: the length is 2, and 1 octets follow"),
        ("$TTL 1\na CNAME \\# 1 05", "dir/zone:2:9: CNAME: message ends too early"),
        ("$TTL 1\na HTTPS 1 . alpn", "dir/zone:2:13: `alpn` needs a value"),
    ] {
        assert_eq!(lines(text).expect_err(text), error, "{text}");
    }
}

#[test]
fn a_record_alone() {
    let first = record("www.test 60 IN A 192.0.2.1\nb. A 192.0.2.2").unwrap().unwrap();
    assert_eq!((first.ttl, first.data.record_type()), (60, RecordType::A));
    assert_eq!(record("www.test. A 192.0.2.1").unwrap().unwrap().ttl, 3600);
    assert_eq!(record(" ; nothing"), Ok(None));
    assert_eq!(record("a. A x").unwrap_err().message, "expected an IPv4 address, found `x`");
    assert_eq!(record("$INCLUDE /etc/passwd").unwrap_err().message, "no file may be included here");
}
