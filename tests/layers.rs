//! The floors of the house: who may import whom. See docs/architecture.md.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each module and what it may import besides itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("corefile", &[]),
    ("metrics", &[]),
    ("tls", &[]),
    ("http", &["tls"]),
    ("versions", &[]),
    ("pattern", &[]),
    ("protobuf", &[]),
    ("expression", &["pattern"]),
    ("tsig", &["wire"]),
    ("chain", &["wire", "corefile", "metrics", "tls", "http", "versions", "expression", "tsig"]),
    ("cache", &["wire", "metrics", "versions"]),
    ("rpc", &["wire", "protobuf"]),
    ("upstream", &["wire", "metrics", "tls", "protobuf", "rpc"]),
    ("etcd", &["wire", "metrics", "protobuf", "rpc", "upstream"]),
    ("kubernetes", &["wire", "metrics", "versions"]),
    ("template", &[]),
    ("tap", &["metrics", "tls", "protobuf"]),
    ("zone", &["wire"]),
    ("dnssec", &["wire", "zone"]),
    ("authority", &["wire", "chain", "zone", "tsig"]),
    (
        "plugins",
        &[
            "wire",
            "corefile",
            "metrics",
            "tls",
            "http",
            "versions",
            "pattern",
            "protobuf",
            "expression",
            "chain",
            "cache",
            "upstream",
            "kubernetes",
            "etcd",
            "tap",
            "template",
            "zone",
            "authority",
            "tsig",
            "dnssec",
        ],
    ),
    // Of `kubernetes` only the client: see below.
    ("autoscale", &["metrics", "http", "kubernetes"]),
    // Not `plugins`: it is handed the table of directives.
    ("server", &["wire", "corefile", "metrics", "tls", "http", "versions", "protobuf", "chain", "tsig"]),
    ("node", &["wire", "metrics"]),
    (
        "commands",
        &[
            "autoscale",
            "node",
            "http",
            "wire",
            "metrics",
            "plugins",
            "server",
            "chain",
            "kubernetes",
            "corefile",
            "upstream",
            "versions",
        ],
    ),
];

/// Words that stand in one place only.
const PLACES: &[(&str, &[&str], &str)] = &[
    (
        "to_be_bytes",
        &["wire", "node/nft", "tap"],
        "offsets are known in src/wire, in the messages to nftables and in dnstap's frames only",
    ),
    (
        "from_be_bytes",
        &["wire", "node/nft", "tap"],
        "offsets are known in src/wire, in the messages to nftables and in dnstap's frames only",
    ),
    ("prometheus::", &["metrics", "plugins/mod.rs"], "metrics are made by src/metrics"),
    ("quick_cache::", &["cache"], "the cache's map is src/cache's own affair"),
    ("kube::", &["kubernetes", "autoscale"], "the API server is known there only"),
    ("k8s_openapi::", &["kubernetes", "autoscale"], "the API server is known there only"),
    ("rustls::", &["tls", "upstream", "server/secure"], "who we are is src/tls's affair, connections are the rim's"),
    ("Regex::new(", &["pattern"], "patterns are read as Go reads them, and bounded, in src/pattern"),
    ("RegexBuilder", &["pattern"], "as above"),
    ("quinn::", &["upstream", "server/secure"], "QUIC is known at the rim only"),
    ("h2::", &["upstream", "rpc", "server/secure"], "HTTP/2 is known at the rim only"),
    ("h3::", &["server/secure"], "HTTP/3 is known at the rim only"),
    (
        "serde_yaml::",
        &["kubernetes/manifests.rs", "kubernetes/rights.rs", "kubernetes/tests.rs"],
        "YAML is read in two places",
    ),
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("a file");
                found.push((path.strip_prefix(&root).expect("below src").to_owned(), text));
            }
        }
    }
    found
}

/// The modules that a text names behind `crate::`, those in braces included.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for character in list.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.push(std::mem::take(&mut word));
                        continue;
                    }
                    _ => {}
                }
                if depth == 0 {
                    word.push(character);
                }
            }
            found.push(word);
        } else {
            found.push(rest.to_owned());
        }
    }
    let first =
        |text: String| text.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    found.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn modules_import_only_from_lower_floors() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(module) = path.iter().next().and_then(|part| part.to_str()).filter(|part| !part.ends_with(".rs"))
        else {
            continue;
        };
        let (_, allowed) =
            ALLOWED.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("src/{module} has no floor"));
        for import in imports(&text) {
            if import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_autoscaler_takes_how_to_ask_the_api_server_and_nothing_else_of_the_watched_cluster() {
    let sources = sources();
    let own: Vec<_> = sources.iter().filter(|(path, _)| path.starts_with("autoscale")).collect();
    let taken: Vec<&str> =
        own.iter().flat_map(|(_, text)| text.lines()).filter(|line| line.contains("kubernetes::")).collect();
    assert!(!taken.is_empty());
    let may = ["kubernetes::client::", "use crate::kubernetes::listing::"];
    assert!(taken.iter().all(|line| may.iter().any(|name| line.trim().starts_with(name))), "{taken:?}");
}

/// The thinking knows no clock, no runtime and no network: those names stand at the rim only.
#[test]
fn the_autoscalers_thinking_waits_for_nothing() {
    let rim = ["api", "cluster", "follow", "nodes", "report", "run", "watching"];
    let mut wrong = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("autoscale")) {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if rim.contains(&name) || path.starts_with("autoscale/tests") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in ["async ", "tokio", "kube::", "::now()", "std::net"] {
            if code.contains(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_plugin_never_imports_a_plugin() {
    let mut wrong = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("plugins") && path.iter().count() > 2) {
        for line in text.lines().filter(|line| line.contains("crate::plugins") || line.contains("super::super::")) {
            wrong.push(format!("{}: {line}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn some_words_stand_in_one_place() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (word, places, why) in PLACES {
            if places.iter().any(|place| path.starts_with(place)) {
                continue;
            }
            let before = |at: usize| text[..at].chars().next_back().unwrap_or(' ');
            let stands = text
                .match_indices(word)
                .any(|(at, _)| !before(at).is_alphanumeric() && before(at) != '_' && before(at) != ':');
            let method = word.ends_with("bytes") && text.contains(word);
            if stands || method {
                wrong.push(format!("{}: `{word}`: {why}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_named_after_an_idea_and_do_not_outgrow_it() {
    for (path, text) in sources() {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(!["util", "utils", "common", "helper", "helpers", "misc"].contains(&name), "{}", path.display());
        assert!(text.lines().count() <= 700, "{} has grown past its idea", path.display());
    }
}

#[test]
fn every_plugin_is_a_folder_with_a_readme_that_is_complete() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plugins");
    for entry in fs::read_dir(plugins).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if !entry.is_dir() {
            continue;
        }
        let readme = fs::read_to_string(entry.join("README.md")).unwrap_or_default();
        for section in ["## Name", "## Description", "## Syntax", "## Examples"] {
            assert!(readme.contains(section), "{}: README.md lacks {section}", entry.display());
        }
        let code = fs::read_to_string(entry.join("mod.rs")).unwrap_or_default();
        assert!(code.contains("include_str!(\"README.md\")"), "{}: mod.rs does not show README.md", entry.display());
    }
}
