//! Documents say what is so: their examples load and start, their sections are complete.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{
    certificates::Authority,
    mmdb,
    server::{directory, free_port, pause, program},
};

/// A block between ``` marks.
struct Fence {
    file: PathBuf,
    /// Line of its first mark, from 1.
    line: usize,
    /// The word behind the mark.
    kind: String,
    /// The heading that it stands under.
    section: String,
    text: String,
}

impl Fence {
    fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn plugin_readmes() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("src/plugins")).expect("a directory").flatten();
    let mut files: Vec<_> =
        folders.map(|folder| folder.path().join("README.md")).filter(|path| path.exists()).collect();
    files.sort();
    files
}

/// Everything that people read, but for the history of decisions.
fn documents() -> Vec<PathBuf> {
    let pages = fs::read_dir(root().join("docs")).expect("a directory").flatten().map(|entry| entry.path());
    let mut files: Vec<_> = pages.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    files.push(root().join("README.md"));
    files.push(root().join("CONTRIBUTING.md"));
    files.extend(plugin_readmes());
    files
}

fn fences(file: &Path) -> Vec<Fence> {
    let text = fs::read_to_string(file).expect("a document");
    let mut found: Vec<Fence> = Vec::new();
    let (mut open, mut section) = (false, String::new());
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(kind) = line.strip_prefix("```") {
            open = !open;
            if open {
                let kind = kind.to_owned();
                let file = file.strip_prefix(root()).unwrap_or(file).to_owned();
                found.push(Fence { file, line: number, kind, section: section.clone(), text: String::new() });
            }
        } else if open {
            found.last_mut().expect("an open one").text += &format!("{line}\n");
        } else if let Some(heading) = line.strip_prefix("## ") {
            section = heading.to_owned();
        }
    }
    assert!(!open, "{}: a mark is missing", file.display());
    found
}

/// All examples: those of the node cache's template have `template` behind their mark.
fn examples() -> Vec<Fence> {
    let all = documents().into_iter().flat_map(|file| fences(&file));
    all.filter(|fence| ["corefile", "corefile template"].contains(&fence.kind.as_str())).collect()
}

#[test]
fn each_plugin_has_a_readme_with_all_sections_and_examples() {
    for file in plugin_readmes() {
        let text = fs::read_to_string(&file).expect("a README");
        let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let name = file.display();
        let order =
            ["Name", "Description", "Syntax", "Examples"].map(|heading| headings.iter().position(|h| *h == heading));
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{name}: sections are {headings:?}");
        let examples = fences(&file).into_iter().filter(|fence| fence.section == "Examples").collect::<Vec<_>>();
        assert!(!examples.is_empty(), "{name}: there is no example");
        for example in examples {
            let known = ["corefile", "corefile template", "zone", "sh", "yaml"].contains(&example.kind.as_str());
            assert!(known, "{}: an example is none of `corefile`, it is `{}`", example.place(), example.kind);
        }
    }
}

/// Runs `seamark check` in the root of the project, as a reader would.
fn check(example: &Fence) -> (Option<i32>, String) {
    let mut command = Command::new(program());
    command.arg("check").current_dir(root()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if example.kind.ends_with("template") {
        command.arg("-node");
    }
    let mut child = command.arg("-").spawn().expect("the program");
    let path = directory();
    let text = certified(&example.text, &path);
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    _ = fs::remove_dir_all(path);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_example_passes_check() {
    let examples = examples();
    assert!(examples.len() >= 45, "only {} examples", examples.len());
    for example in examples {
        let (code, text) = check(&example);
        assert_eq!(code, Some(0), "{}: {text}", example.place());
    }
}

/// What no machine has that the tests run on: an API server, the device of a node cache.
fn needs_a_cluster(example: &Fence) -> bool {
    example.kind.ends_with("template")
}

/// Every other example starts, its ports moved to free ones.
#[test]
fn every_example_starts() {
    let mut started = 0;
    for example in examples().into_iter().filter(|example| !needs_a_cluster(example)) {
        start(&example);
        started += 1;
    }
    assert!(started >= 45, "only {started} examples");
}

fn start(example: &Fence) {
    let port = free_port();
    let path = directory();
    let text = moved(&certified(&example.text, &path));
    fs::write(path.join("Corefile"), &text).expect("a Corefile");
    let mut child = Command::new(program())
        .args(["serve", "-conf", "Corefile", "-dns.port", &port.to_string(), "-pidfile", "pid"])
        .current_dir(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let begun = (0..500).any(|_| {
        pause(20);
        path.join("pid").exists() || child.try_wait().is_ok_and(|status| status.is_some())
    }) && path.join("pid").exists();
    _ = child.kill();
    let output = child.wait_with_output().expect("it ends");
    _ = fs::remove_dir_all(path);
    assert!(begun, "{}: does not start\n{text}\n{}", example.place(), String::from_utf8_lossy(&output.stderr));
}

/// The text with certificates and databases of ours in place of those that the examples have.
fn certified(text: &str, path: &Path) -> String {
    if text.contains("examples/certificates/") {
        Authority::new("the authority of the examples").certify(&["dns.example.org"]).write(path, "dns");
    }
    if text.contains("examples/places.mmdb") {
        mmdb::places().write(&path.join("places.mmdb"));
    }
    let own = path.display().to_string();
    text.replace("examples/certificates", &own).replace("examples/places.mmdb", &format!("{own}/places.mmdb"))
}

/// The text with the files of the project and with free ports: those of keys, and those of HTTP endpoints.
fn moved(text: &str) -> String {
    let mut moved = String::new();
    for line in text.lines() {
        let line = line.replace("examples/", &format!("{}/", root().join("examples").display()));
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = match words.as_slice() {
            [directive @ ("health" | "ready" | "prometheus" | "pprof"), rest @ ..] => {
                let block = if rest.last() == Some(&"{") { " {" } else { "" };
                format!("    {directive} 127.0.0.1:{}{block}", free_port())
            }
            [keys @ .., "{"] if !line.starts_with([' ', '\t']) => {
                let keys: Vec<String> = keys.iter().map(|key| key_without_port(key)).collect();
                format!("{} {{", keys.join(" "))
            }
            _ => line,
        };
        moved += &format!("{line}\n");
    }
    moved
}

/// A key with a free port in the place of its own; one without stays, and has that of the command line.
fn key_without_port(key: &str) -> String {
    let (key, comma) = key.strip_suffix(',').map_or((key, ""), |key| (key, ","));
    match key.rsplit_once(':') {
        Some((zone, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => {
            format!("{zone}:{}{comma}", free_port())
        }
        // Encrypted DNS has ports of its own.
        _ if key.contains("://") => format!("{key}:{}{comma}", free_port()),
        _ => format!("{key}{comma}"),
    }
}
