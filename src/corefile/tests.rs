use std::path::Path;

use super::*;

fn environment(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("1053".to_owned()),
        "TWO_WORDS" => Some("a b".to_owned()),
        "OUTER" => Some("{$PORT}".to_owned()),
        "SELF" => Some("x{$SELF}".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Corefile {
    parse("Corefile", text, Path::new("/nonexistent"), &environment).unwrap_or_else(|error| panic!("{error}"))
}

fn refuse(text: &str) -> Errors {
    parse("Corefile", text, Path::new("/nonexistent"), &environment).expect_err(text)
}

/// Keys, then each directive with its words; `/` between lines, `{ }` for blocks.
fn outline(corefile: &Corefile) -> String {
    let block = |block: &Block| {
        let keys: Vec<_> = block.keys.iter().map(|key| key.token.text.clone()).collect();
        let lines: Vec<_> = block
            .stanzas
            .iter()
            .flat_map(|stanza| &stanza.instances)
            .map(|i| words(&i.name, &i.args, &i.lines, i.braces))
            .collect();
        format!("{}: {}", keys.join(" "), lines.join(" / "))
    };
    corefile.blocks.iter().map(block).collect::<Vec<_>>().join(" // ")
}

fn words(word: &Token, args: &[Token], lines: &[Line], braces: bool) -> String {
    let mut text = word.text.clone();
    args.iter().for_each(|arg| text.push_str(&format!(" {}", arg.text)));
    if braces {
        let inner: Vec<_> = lines.iter().map(|l| words(&l.word, &l.args, &l.lines, l.braces)).collect();
        text.push_str(&format!(" {{ {} }}", inner.join(" / ")));
    }
    text
}

#[test]
fn words_quotes_and_comments() {
    for (text, expected) in [
        (".:53 {\n whoami\n}\n", ".:53: whoami"),
        ("\u{feff}. {\r\n whoami\r\n}\r\n", ".: whoami"),
        (". {\n log . \"{remote} \\\"x\\\" a\\d\"\n}", ".: log . {remote} \"x\" a\\d"),
        (". {\n log a\"b c\n}", ".: log a\"b c"),
        (". {\n whoami#a b\n}", ".: whoami b"),
        (". {\n # whole line { }\n whoami # behind\n}", ".: whoami"),
        (". {\n x \"two\nlines\" same\n y\n}", ".: x two\nlines same / y"),
        (". {\n x \"\" y\n}", ".: x  y"),
        (". {\n cache 30 {\n  prefetch 1\n  a {\n   b\n  }\n }\n}", ".: cache 30 { prefetch 1 / a { b } }"),
        ("a b, c,\nd {\n whoami\n}", "a b c d: whoami"),
        (".\n{\n whoami\n}", ".: whoami"),
        (".:53\nwhoami\ncache 3 {\n success 1\n}\nlog", ".:53: whoami / cache 3 { success 1 } / log"),
        (". {\n forward a b\n log\n forward c d\n}", ".: forward a b / forward c d / log"),
        ("# nothing\n", ""),
    ] {
        assert_eq!(outline(&read(text)), expected, "{text}");
    }
}

#[test]
fn environment_variables_stay_one_word() {
    for (text, expected) in [
        (".:{$PORT} {\n whoami\n}", ".:1053: whoami"),
        (".:{%PORT%} {\n whoami\n}", ".:1053: whoami"),
        (". {\n x {$TWO_WORDS}\n}", ".: x a b"),
        (". {\n x {$OUTER}-{$PORT}\n}", ".: x 1053-1053"),
        (". {\n x {$UNSET} y\n}", ".: x  y"),
        (". {\n x {$} {$half\n}", ".: x {$} {$half"),
    ] {
        assert_eq!(outline(&read(text)), expected, "{text}");
    }
    assert!(refuse(". {\n x {$SELF}\n}").to_string().contains("refers to itself"));
}

#[test]
fn snippets_are_put_in_place() {
    let text = "(common) {\n errors\n log\n}\n. {\n import common\n whoami\n}\n";
    assert_eq!(outline(&read(text)), ".: errors / log / whoami");
    let nested = "(ttl) {\n success 1\n}\n. {\n cache {\n  import ttl\n }\n}\n";
    assert_eq!(outline(&read(nested)), ".: cache { success 1 }");
}

#[test]
fn keys_become_zones_and_ports() {
    for (key, scheme, zones, port) in [
        (".", Scheme::Dns, vec!["."], None),
        (".:53", Scheme::Dns, vec!["."], Some(53)),
        (":1053", Scheme::Dns, vec!["."], Some(1053)),
        ("Example.ORG", Scheme::Dns, vec!["example.org."], None),
        ("tls://example.org:8853", Scheme::Tls, vec!["example.org."], Some(8853)),
        ("10.0.0.0/8", Scheme::Dns, vec!["10.in-addr.arpa."], None),
        ("10.1.2.0/24:1053", Scheme::Dns, vec!["2.1.10.in-addr.arpa."], Some(1053)),
        ("10.0.2.0/23", Scheme::Dns, vec!["2.0.10.in-addr.arpa.", "3.0.10.in-addr.arpa."], None),
        ("10.0.0.0/24.", Scheme::Dns, vec!["10.0.0.0/24."], None),
        ("2001:db8::/32", Scheme::Dns, vec!["8.b.d.0.1.0.0.2.ip6.arpa."], None),
        ("0.0.0.0/0", Scheme::Dns, vec!["in-addr.arpa."], None),
    ] {
        let corefile = read(&format!("{key} {{\n}}\n"));
        let found = &corefile.blocks[0].keys[0];
        assert_eq!((found.scheme, found.port), (scheme, port), "{key}");
        assert_eq!(found.zones, zones, "{key}");
    }
}

#[test]
fn errors_name_the_place() {
    for (text, place, message) in [
        (".:53{\n whoami\n}", "1:1", "a brace must be a word of its own"),
        ("a {\n}\n}\n", "3:1", "closes nothing"),
        (". { whoami }\n", "1:5", "last word of its line"),
        (". {\n cache {\n } log\n}", "3:4", "behind a closing brace"),
        (". {\n cache\n {\n }\n}", "3:2", "line of its directive"),
        ("udp://x {\n}", "1:1", "unknown scheme `udp://`"),
        ("a:53,b:53 {\n}", "1:1", "comma and a blank"),
        ("a, {\n}", "1:4", "comma before the opening brace"),
        ("a..b {\n}", "1:1", "not a domain name"),
        ("10.0.0.0/33 {\n}", "1:1", "prefix length"),
        ("example.org: {\n}", "1:1", "port behind the colon"),
        ("example.org:domain {\n}", "1:1", "port number"),
        ("x:70000 {\n}", "1:1", "between 1 and 65535"),
        (". {\n log \"open\n}", "2:6", "never closed"),
        (". {\n cache {\n", "1:3", "never closed"),
        (". {\n import a b\n}", "2:11", "exactly one argument"),
        (". {\n import nothing-here\n}", "2:9", "no snippet and no file"),
        (". {\n import a*b*\n}", "2:9", "one `*`"),
        ("(a) {\n import a\n}\n. {\n}", "1:1", "imports itself"),
        ("(a) {\n}\n(a) {\n}\n", "3:1", "defined already"),
        ("a {\n}\nb\n", "3:1", "expected `{`"),
        (". {\n cache{\n }\n}", "2:2", "a brace must be a word of its own"),
        (". {\n cache {\n  prefetch 1 }\n whoami\n}", "3:14", "on a line of its own"),
        ("a {\n}\n{\n}", "3:1", "belongs to no server block"),
        (".\ncache\n{\n}", "3:1", "line of its directive"),
        ("(a) (b) {\n}", "1:5", "a snippet has one name"),
        ("() {\n}", "1:1", "needs a name"),
        ("(a)\n", "1:1", "needs braces"),
        (". {\n import late\n}\n(late) {\n}", "2:9", "defined further down"),
        (". {\n import {$UNSET}\n}", "2:9", "import of nothing"),
        (". {\n import a[b]\n}", "2:9", "no brackets"),
        (". {\n import /\n}", "2:9", "is a directory"),
        (". {\n import a {\n }\n}", "2:2", "takes no block"),
        ("fe80::abcd {\n}", "1:1", "port number"),
        ("x:0 {\n}", "1:1", "between 1 and 65535"),
        ("10.0.0.0/+8 {\n}", "1:1", "prefix length"),
    ] {
        let errors = refuse(text);
        let found = errors.all.iter().any(|error| {
            let at = format!("{}:{}", error.span().line, error.span().column);
            error.message().contains(message) && at == place
        });
        assert!(found, "{text}\nexpected {place} {message}, found:\n{errors}");
    }
}

#[test]
fn one_closing_brace_may_be_missing_at_the_end() {
    let corefile = read(". {\n cache {\n  success 1\n }\n");
    assert_eq!(outline(&corefile), ".: cache { success 1 }");
    assert_eq!(corefile.warnings.len(), 1);
}

#[test]
fn an_error_shows_its_line_with_a_caret() {
    let errors = refuse("a {\n}\n.:99999 {\n}\n");
    let expected = "Corefile:3 - Error during parsing: expected a port between 1 and 65535, found `99999`
 --> Corefile:3:1
  |
3 | .:99999 {
  | ^^^^^^^";
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn durations_are_gos() {
    for (text, milliseconds) in [
        ("300ms", Some(300)),
        ("1h5m", Some(3_900_000)),
        ("1.5s", Some(1500)),
        ("0", Some(0)),
        ("0s", Some(0)),
        ("5", None),
        ("-1s", None),
        ("", None),
        ("s", None),
        ("1d", None),
        (".5s", Some(500)),
        ("1.s", Some(1000)),
        (".s", None),
        ("1.2.3s", None),
        ("0.0000000000000000000000001h", Some(0)),
        ("2562048h", None),
        ("99999999999999999999h", None),
    ] {
        assert_eq!(word(text).duration().ok().map(|d| d.as_millis()), milliseconds, "{text}");
    }
    assert_eq!(word("4.35s").duration().unwrap().as_nanos(), 4_350_000_000);
    assert!(word("-1s").duration().unwrap_err().message().contains("cannot be negative"));
}

#[test]
fn files_are_imported_relative_to_the_importing_file() {
    let directory = std::env::temp_dir().join(format!("seamark-import-{}", std::process::id()));
    let custom = directory.join("custom");
    std::fs::create_dir_all(custom.join("..data")).unwrap();
    std::fs::write(custom.join("b.override"), "log\n").unwrap();
    std::fs::write(custom.join("a.override"), "errors\nimport deeper/x\n").unwrap();
    std::fs::create_dir_all(custom.join("deeper")).unwrap();
    std::fs::write(custom.join("deeper/x"), "whoami\n").unwrap();
    std::fs::write(custom.join("more.server"), "example.org {\n whoami\n}\n").unwrap();
    let text = ". {\n import custom/*.override\n}\nimport custom/*.server\nimport custom/*.absent\n";
    std::fs::write(directory.join("Corefile"), text).unwrap();
    let corefile = load(&directory.join("Corefile"), &environment).unwrap();
    assert_eq!(outline(&corefile), ".: errors / whoami / log // example.org: whoami");
    assert_eq!(corefile.warnings.len(), 1, "{:?}", corefile.warnings);
    std::fs::write(directory.join("Corefile"), "import Corefile\n").unwrap();
    assert!(load(&directory.join("Corefile"), &environment).unwrap_err().to_string().contains("too many imports"));
    std::fs::write(custom.join(".hidden"), "log\n").unwrap();
    std::fs::write(directory.join("Corefile"), ". {\n import custom/.h*\n import custom/a.overrid?\n}\n").unwrap();
    let corefile = load(&directory.join("Corefile"), &environment).unwrap();
    assert_eq!(outline(&corefile), ".: log / errors / whoami");
    std::fs::write(custom.join("broken"), b"log \xff\n}\n").unwrap();
    std::fs::write(directory.join("Corefile"), ". {\n import custom/broken\n}\n").unwrap();
    let errors = load(&directory.join("Corefile"), &environment).unwrap_err();
    assert_eq!(errors.all[0].span().file_name(), custom.join("broken").to_string_lossy());
    std::fs::remove_dir_all(directory).unwrap();
}

/// What CoreDNS takes on one line is taken here too.
#[test]
fn words_may_follow_an_opening_brace() {
    for (text, expected) in [
        (". { }\n", ".: "),
        (". {}\n", ".: "),
        (". { whoami\n}\n", ".: whoami"),
        (". {\n cache { }\n log\n}\n", ".: cache {  } / log"),
        (". {\n cache {}\n log\n}\n", ".: cache {  } / log"),
        (". {\n cache { prefetch 1\n  success 2\n }\n}\n", ".: cache { prefetch 1 / success 2 }"),
        (". {\n template A {{ x\n}\n", ".: template A {{ x"),
        (".\nforward a,\nlog\n", ".: forward a, / log"),
    ] {
        assert_eq!(outline(&read(text)), expected, "{text}");
    }
}

#[test]
fn all_errors_are_reported_in_the_order_of_the_file() {
    let text = "udp://x {\n log \"open\n import gone\n} y\na..b:0 {\n cache{\n }\n}\n}\n";
    let places: Vec<_> = refuse(text).all.iter().map(|e| format!("{}:{}", e.span().line, e.span().column)).collect();
    assert_eq!(places, ["1:1", "2:6", "3:9", "4:3", "5:1", "6:2", "9:1"]);
}

#[test]
fn an_error_in_a_snippet_is_reported_once() {
    let errors = refuse("(a) {\n import gone\n}\n. {\n import a\n import a\n}\n");
    assert_eq!(errors.all.len(), 1, "{errors}");
}

#[test]
fn bounds_hold() {
    let deep = "a {\n".repeat(100_000) + &"}\n".repeat(100_000);
    assert!(refuse(&deep).to_string().contains("32 deep"));
    assert!(refuse(&"a {\n".repeat(100_000)).to_string().contains("32 deep"));
    let cycle = "(a) {\n import b\n import b\n}\n(b) {\n import a\n x {\n  import a\n }\n}\n. {\n import a\n}\n";
    let errors = refuse(cycle);
    assert_eq!(errors.all.len(), 1, "{errors}");
    assert!(errors.to_string().contains("too many imports"));
    let mut doubling = format!("(s0) {{\n{}}}\n", " log\n".repeat(1000));
    (1..13).for_each(|n| doubling += &format!("(s{n}) {{\n import s{0}\n import s{0}\n}}\n", n - 1));
    assert!(refuse(&(doubling + ". {\n import s12\n}\n")).to_string().contains("1000000 lines"));
}

/// `{$ZONE} {` without the variable: CoreDNS answers for everything.
#[test]
fn keys_that_are_all_empty_mean_the_root() {
    let corefile = read("{$UNSET} \"\" {\n whoami\n}\n");
    assert_eq!(outline(&corefile), ".: whoami");
    assert_eq!(corefile.warnings.len(), 1);
    assert_eq!(read("{$UNSET} b {\n}\n").blocks[0].keys.len(), 1);
}

#[test]
fn an_address_as_a_key_is_warned_about() {
    let corefile = read("2001:db8::53 {\n}\n");
    assert_eq!(corefile.blocks[0].keys[0].port, Some(53));
    assert_eq!(corefile.warnings.len(), 1);
}

#[test]
fn canonical_text_is_equal_when_the_meaning_is() {
    let canonical = |text: &str| read(text).canonical();
    let plain = canonical(". {\n log a b\n cache 3\n}\n");
    for same in ["\n# x\n.  {\n log \"a\" b # y\n\n cache 3\n}\n", ".\nlog a b\ncache 3 { }\n"] {
        assert_eq!(canonical(same), plain, "{same}");
    }
    for other in [
        ". {\n log \"a b\"\n cache 3\n}\n",
        ". {\n log \"a\u{1f}b\"\n cache 3\n}\n",
        ". {\n log a b cache 3\n}\n",
        ". {\n log a {\n b\n }\n cache 3\n}\n",
        ". {\n log a b\n}\n. {\n cache 3\n}\n",
    ] {
        assert_ne!(canonical(other), plain, "{other}");
    }
}

#[test]
fn braces_behind_a_property_are_refused() {
    let corefile = read(". {\n cache {\n  prefetch 1 {\n   x\n  }\n }\n}\n");
    let line = &corefile.blocks[0].stanzas[0].instances[0].lines[0];
    assert_eq!(line.no_block().unwrap_err().message(), "`prefetch` takes no block");
    assert!(line.args().one("amount").is_err());
    assert!(line.args().zones().is_err());
    assert!(line.args_before_block().one("amount").is_ok());
}

#[test]
fn carets_stand_under_their_words() {
    for (text, lines) in [
        ("\tudp://x {\n}\n", "1 | \tudp://x {\n  | \t^^^^^^^"),
        (". {\n x \"\\\"é\" {$SELF}\n}\n", "2 |  x \"\\\"é\" {$SELF}\n  |          ^^^^^^^"),
        (". {\r\n import a b\r\n}\r\n", "2 |  import a b\n  |           ^"),
    ] {
        let errors = refuse(text).to_string();
        assert!(errors.ends_with(lines), "{errors}");
    }
    let text = "\n".repeat(9) + ". {\n log \"a\\\"b\" x\n}\n";
    let log = &read(&text).blocks[0].stanzas[0].instances[0];
    let shown = log.args[0].error("bad").within("log").to_string();
    assert!(
        shown.starts_with("Corefile:11 - Error during parsing: log: bad\n  --> Corefile:11:6\n   |\n11 | "),
        "{shown}"
    );
    assert!(shown.ends_with("\n   |      ^^^^^^"), "{shown}");
    let missing = log.clone().args().rest().last().map(|word| word.span.column);
    assert_eq!(missing, Some(13));
}

fn word(text: &str) -> Token {
    Token { text: text.to_owned(), ..read("x {\n}").blocks[0].keys[0].token.clone() }
}

#[test]
fn addresses_and_networks() {
    for (text, expected) in [
        ("1.2.3.4", Some("1.2.3.4:53")),
        ("1.2.3.4:5353", Some("1.2.3.4:5353")),
        ("::1", Some("[::1]:53")),
        ("[::1]", Some("[::1]:53")),
        ("[::1]:5", Some("[::1]:5")),
        ("1.2.3.4:", None),
        ("1.2.3.4:99999", None),
        ("host", None),
    ] {
        let found = word(text).socket_address(53).ok().map(|address| address.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }
    for (text, expected) in [
        (":8080", Some((None, 8080))),
        ("127.0.0.1:80", Some((Some("127.0.0.1"), 80))),
        ("[::1]:80", Some((Some("::1"), 80))),
        ("localhost", Some((Some("localhost"), 1))),
        ("x:port", None),
    ] {
        let expected = expected.map(|(host, port)| (host.map(str::to_owned), port));
        assert_eq!(word(text).listen_address(1).ok(), expected, "{text}");
    }
    for (text, length) in [("10.0.0.0/8", Some(8)), ("10.0.0.1", Some(32)), ("::/0", Some(0)), ("10.0.0.0/33", None)] {
        assert_eq!(word(text).cidr().ok().map(|(_, length)| length), length, "{text}");
    }
}

/// The pairs in tests/corefiles/bad of which this module alone finds the error.
#[test]
fn wrong_corefiles_give_their_exact_error() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corefiles/bad");
    let Ok(listing) = std::fs::read_dir(&directory) else { return };
    let mut refused = 0;
    for path in
        listing.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "Corefile"))
    {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let Err(errors) = parse(&name, &text, &directory, &|_| None) else { continue };
        let expected = std::fs::read_to_string(path.with_extension("error")).unwrap_or_default();
        assert_eq!(errors.to_string(), expected.trim_end(), "{name}");
        refused += 1;
    }
    assert!(refused >= 20, "only {refused}");
}

/// A generator of numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const PIECES: [&str; 25] = [
    "{",
    "}",
    " ",
    "\n",
    ".",
    "a",
    "\"",
    "\\",
    "#",
    "import",
    "(s)",
    "{$PORT}",
    "{$SELF}",
    "{$",
    ",",
    ":53",
    "tls://",
    "/33",
    "10.0.0.0/9",
    "cache",
    "{}",
    "\u{e9}",
    "\r",
    "s",
    "\u{feff}",
];

const WHOLE: &str = "(s) {\n errors\n}\n# comment\n.:53, tls://example.org:853 10.0.0.0/22 {\n import s\n cache 30 {\n  \
                     prefetch 1 \"10%\"\n  a {\n   b\n  }\n }\n forward . {$PORT}\n}\nb\n{\n log \"x\n y\" z#w\n}\n";

fn is_read_or_refused(text: &str) {
    match parse("Corefile", text, Path::new("/nonexistent"), &environment) {
        Ok(corefile) => {
            assert!(corefile.blocks.iter().all(|block| !block.keys.is_empty()), "{text:?}");
            _ = corefile.canonical();
        }
        Err(errors) => {
            assert!(!errors.all.is_empty() && errors.all.iter().all(|error| error.span().line >= 1), "{text:?}");
            _ = errors.to_string();
        }
    }
}

/// Any text gives blocks or errors with a line, never a panic and never an endless loop.
#[test]
fn any_text_is_read_or_refused() {
    let mut dice = Dice(1);
    for _ in 0..20_000 {
        let text: String = (0..dice.roll(30)).map(|_| PIECES[dice.roll(PIECES.len())]).collect();
        is_read_or_refused(&text);
    }
}

/// A good Corefile with a few letters taken out, put in or cut off.
#[test]
fn any_damaged_corefile_is_read_or_refused() {
    assert_eq!(read(WHOLE).blocks.len(), 2);
    let mut dice = Dice(7);
    for _ in 0..20_000 {
        let mut letters: Vec<char> = WHOLE.chars().collect();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(letters.len());
            match dice.roll(8) {
                0 => letters.truncate(at.max(1)),
                1..4 => _ = letters.remove(at),
                _ => _ = letters.splice(at..at, PIECES[dice.roll(PIECES.len())].chars()),
            }
            if letters.is_empty() {
                break;
            }
        }
        is_read_or_refused(&letters.into_iter().collect::<String>());
    }
}
