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
    let token = |text: &str| Token { text: text.to_owned(), ..read("x {\n}").blocks[0].keys[0].token.clone() };
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
    ] {
        assert_eq!(token(text).duration().ok().map(|d| d.as_millis()), milliseconds, "{text}");
    }
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
    std::fs::remove_dir_all(directory).unwrap();
}

/// Any text gives blocks or errors with a line, never a panic and never an endless loop.
#[test]
fn any_text_is_read_or_refused() {
    let pieces = [
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
    ];
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for _ in 0..20_000 {
        let text: String = (0..random() % 30).map(|_| pieces[random() % pieces.len()]).collect();
        if let Err(errors) = parse("Corefile", &text, Path::new("/nonexistent"), &environment) {
            assert!(errors.all.iter().all(|error| error.span().line >= 1), "{text:?}");
            _ = errors.to_string();
        }
    }
}
