use super::*;

/// What Go matches and what it does not, for each thing that the `regex` crate reads in another way.
#[test]
fn patterns_mean_what_they_mean_to_go() {
    for (pattern, matches, others) in [
        (r"^a\.b$", &["a.b"][..], &["axb"][..]),
        // Literals.
        (r"^\Qa.b\E$", &["a.b"], &["axb"]),
        (r"^\Qa[b", &["a[b"], &["a"]),
        (r"^\Q\E[a]$", &["a"], &["[a]"]),
        // Braces that count nothing.
        ("^a{b}$", &["a{b}"], &["ab"]),
        ("^a{,2}$", &["a{,2}"], &["aa"]),
        ("^{a$", &["{a"], &["a"]),
        ("^a{2}$", &["aa"], &["a{2}"]),
        ("^a{1,2}$", &["a", "aa"], &["aaa"]),
        ("^a{2,}$", &["aaa"], &["a"]),
        // Classes are ASCII, and so are the ends of words.
        (r"^\d+$", &["12"], &["٣"]),
        (r"^\w+$", &["a_1"], &["é"]),
        (r"^\W$", &["é", "-"], &["a"]),
        (r"^\s$", &["\t", " "], &["\u{b}", "\u{a0}"]),
        (r"\ba\b", &["-a-", "éa"], &["ba"]),
        // Escapes.
        (r"^\101\x42\x{43}\07$", &["ABC\u{7}"], &["101BC7"]),
        (r"^\<a\>$", &["<a>"], &["a"]),
        (r"^a\-b\_\/\:$", &["a-b_/:"], &["ab"]),
        (r"^a\z", &["a"], &["a\n", "ab"]),
        (r"\Aa$", &["a"], &["a\n", "ba"]),
        (r"^\pL\p{Greek}\P{L}$", &["aα1"], &["1α1"]),
        (r"^\a\f\t\n\r\v$", &["\u{7}\u{c}\t\n\r\u{b}"], &["aftnrv"]),
        // Between brackets.
        ("^[[]$", &["["], &["]"]),
        ("^[a[b]+$", &["a[b"], &["]"]),
        ("^[]a]+$", &["]a"], &["b"]),
        ("^[^]a]$", &["b"], &["]", "a"]),
        ("^[a&&b]+$", &["a&b"], &["c"]),
        ("^[a-c&&b]+$", &["a&c"], &["d"]),
        ("^[a~~b]+$", &["a~b"], &["c"]),
        ("^[+--]+$", &["+,-"], &["."]),
        ("^[a-]+$", &["a-"], &["b"]),
        ("^[-a]+$", &["a-"], &["b"]),
        (r"^[\d-x]+$", &["1-x"], &["a"]),
        (r"^[\w.]+$", &["a.1"], &["é"]),
        (r"^[^\d]$", &["a"], &["1"]),
        (r"^[^\D]$", &["1"], &["a"]),
        ("^[[:alpha:]-]+$", &["a-b"], &["1"]),
        ("^[[:^digit:]]$", &["a"], &["1"]),
        (r"^[\x41-\103]+$", &["ABC"], &["D"]),
        (r"^[a\]b]+$", &["a]b"], &["c"]),
        // Groups and flags.
        ("^(?P<n>a)(?<m>b)$", &["ab"], &["a"]),
        ("(?i)^A$", &["a", "A"], &["b"]),
        ("(?s)^.$", &["\n"], &[""]),
        ("^.$", &["a"], &["\n"]),
        ("(?U)^a+$", &["aa"], &["b"]),
    ] {
        let found = of_text(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let octets = of_octets(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in matches {
            assert!(found.is_match(text) && octets.is_match(text.as_bytes()), "{pattern} matches {text:?}");
        }
        for text in others {
            assert!(!found.is_match(text) && !octets.is_match(text.as_bytes()), "{pattern} does not match {text:?}");
        }
    }
}

#[test]
fn what_is_no_pattern_says_why() {
    for (pattern, message) in [
        ("a(b", "bad regular expression: unclosed group"),
        ("[a", "bad regular expression: unclosed character class"),
        (r"\Ca", r"bad regular expression: `\C` is not there"),
        (r"[\C]", r"bad regular expression: `\C` is not there"),
        (r"(a)\1", r"bad regular expression: `\1`: groups cannot be referred to in the pattern"),
        ("[[:alfa:]]", "bad regular expression: unknown class `[:alfa:]`"),
        (r"\Z", "bad regular expression: unrecognized escape sequence"),
        ("(?=a)", "bad regular expression: look-around, including look-ahead and look-behind, is not supported"),
    ] {
        assert_eq!(of_text(pattern).map(drop).map_err(|error| error.to_string()), Err(message.to_owned()), "{pattern}");
        assert_eq!(of_octets(pattern).map(drop), of_text(pattern).map(drop), "{pattern}");
    }
}

#[test]
fn patterns_that_explode_are_refused_before_they_take_anything() {
    let large = PatternError::TooLarge(LARGEST);
    assert_eq!(large.to_string(), "the regular expression is too large: its repetitions take more than 4096 KiB");
    for pattern in ["(a{1000}){1000}", "((a{100}){100}){100}", "((((((a{9}){9}){9}){9}){9}){9}){9}", r"(\pL{100}){100}"]
    {
        assert_eq!(of_text(pattern).map(drop), Err(large.clone()), "{pattern}");
        assert_eq!(of_octets(pattern).map(drop), Err(large.clone()), "{pattern}");
    }
    // What is large and yet used.
    for pattern in [r"^\w{1000}$", "(a{30}){30}", "(a|b|c|[d-z]){200}", "[^a]{1000}"] {
        assert!(of_text(pattern).is_ok() && of_octets(pattern).is_ok(), "{pattern}");
    }
    assert_eq!(of_text(&"a".repeat(LONGEST + 1)).map(drop), Err(PatternError::TooLong));
    assert!(of_text(&"a".repeat(LONGEST)).is_ok());
    assert_eq!(of_query("(a{100}){100}").map(drop), Err(PatternError::TooLarge(LARGEST_MADE)));
    assert!(of_query("^a[0-9]+$").is_ok());
    // Deep nesting ends in an error and not in the stack.
    assert!(of_text(&format!("{}a{}", "(".repeat(4000), ")".repeat(4000))).is_err());
}
