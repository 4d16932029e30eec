//! Runs a scenario file against seamark or CoreDNS. The format is described in tests/scenarios/README.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Deserialize as _;

use super::{
    apiserver::ApiServer,
    dig::Reply,
    server::{Server, directory, free_port, pause},
    upstream::Upstream,
};

/// Which program a scenario is run against, and so where its cluster comes from.
pub(crate) enum Subject {
    /// seamark, reading manifests.
    Seamark,
    /// CoreDNS, asking a real API server.
    CoreDns(PathBuf),
}

/// How long an answer may take to become what is expected.
const PATIENCE: Duration = Duration::from_secs(6);

/// Runs a file; gives what went wrong, and how many questions there were.
pub(crate) fn run(file: &Path, subject: &Subject) -> (Vec<String>, usize) {
    let text = fs::read_to_string(file).expect("a scenario");
    let mut world = World::new(subject);
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (head, body) in parts(&text) {
        let mut words = head.split(' ');
        match words.next().unwrap_or_default() {
            "corefile" => world.corefile = body,
            "objects" | "apply" => world.apply(&body),
            "delete" => world.delete(words.next().expect("what to delete")),
            "ask" => {
                for case in cases(&body) {
                    asked += 1;
                    wrong.extend(world.check(&case, subject));
                }
            }
            other => panic!("{}: unknown part `{other}`", file.display()),
        }
    }
    (wrong, asked)
}

/// The parts of a file: what stands behind `== `, and the lines up to the next.
fn parts(text: &str) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("== ") {
            parts.push((head.trim().to_owned(), String::new()));
        } else if let Some((_, body)) = parts.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    parts
}

/// A question and what each program answers.
struct Case {
    question: String,
    expected: Expected,
    /// Set if CoreDNS answers something else on purpose.
    coredns: Option<Expected>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Expected {
    status: String,
    flags: Vec<String>,
    sections: [BTreeSet<String>; 3],
    /// Only the status and the flags count.
    loose: bool,
}

const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

fn cases(body: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in body.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with(' ') {
            let question = line.trim().to_owned();
            cases.push(Case { question, expected: Expected::default(), coredns: None });
            continue;
        }
        let case = cases.last_mut().expect("a question comes first");
        let line = line.trim();
        // `differs: reason` begins what CoreDNS answers instead.
        if line.starts_with("differs:") {
            case.coredns = Some(Expected::default());
            continue;
        }
        let expected = case.coredns.as_mut().unwrap_or(&mut case.expected);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match SECTIONS.iter().position(|section| *section == word) {
            Some(section) => _ = expected.sections[section].insert(rest.to_owned()),
            None if word == "..." => expected.loose = true,
            None => {
                word.clone_into(&mut expected.status);
                expected.flags = rest.split_whitespace().map(str::to_owned).collect();
            }
        }
    }
    cases
}

impl Expected {
    fn fits(&self, reply: &Reply) -> bool {
        let reply = reply.normalised();
        let flags = self.flags.iter().all(|flag| match flag.strip_prefix('-') {
            Some(unset) => !reply.has(unset),
            None => reply.has(flag),
        });
        let sections = [&reply.answer, &reply.authority, &reply.additional];
        let equal = |(wanted, found): (&BTreeSet<String>, &Vec<String>)| {
            wanted.len() == found.len() && wanted.iter().all(|wanted| found.iter().any(|found| same(wanted, found)))
        };
        self.status == reply.status && flags && (self.loose || self.sections.iter().zip(sections).all(equal))
    }
}

/// Compares a record with one that may leave its TTL out.
fn same(wanted: &str, found: &str) -> bool {
    let has_ttl = wanted.split(' ').nth(1).is_some_and(|word| word.parse::<u32>().is_ok());
    if has_ttl {
        return wanted == found;
    }
    let mut words: Vec<&str> = found.split(' ').collect();
    words.remove(1);
    words.join(" ") == wanted
}

/// A server with its cluster.
struct World {
    corefile: String,
    objects: BTreeMap<String, serde_json::Value>,
    manifests: PathBuf,
    api: Option<ApiServer>,
    program: Option<PathBuf>,
    upstream: Upstream,
    server: Option<Server>,
}

impl World {
    fn new(subject: &Subject) -> Self {
        let (api, program) = match subject {
            Subject::Seamark => (None, None),
            Subject::CoreDns(path) => (Some(ApiServer::start()), Some(path.clone())),
        };
        Self {
            corefile: String::new(),
            objects: BTreeMap::new(),
            manifests: directory(),
            api,
            program,
            upstream: Upstream::start(),
            server: None,
        }
    }

    fn apply(&mut self, text: &str) {
        for document in serde_yaml::Deserializer::from_str(text) {
            let object = serde_json::Value::deserialize(document).expect("YAML");
            if object.is_null() {
                continue;
            }
            if let (Some(namespace), Some(api)) = (object["metadata"]["namespace"].as_str(), &self.api) {
                let name = format!("Namespace/{namespace}");
                self.objects.entry(name).or_insert_with(|| {
                    api.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n"));
                    serde_json::Value::Null
                });
            }
            if let Some(api) = &self.api {
                api.apply(&object.to_string());
            }
            self.objects.insert(key_of(&object), object);
        }
        self.write();
    }

    /// `Kind/namespace/name`.
    fn delete(&mut self, key: &str) {
        let object = self.objects.remove(key).unwrap_or_else(|| panic!("no object {key}"));
        if let Some(api) = &self.api {
            api.delete(&super::apiserver::path_of(&object));
        }
        self.write();
    }

    fn write(&self) {
        let objects = self.objects.values().filter(|object| !object.is_null());
        let text: Vec<String> = objects.map(ToString::to_string).collect();
        let next = self.manifests.join(".next");
        fs::write(&next, text.join("\n---\n")).expect("a file");
        fs::rename(next, self.manifests.join("objects.yaml")).expect("a file");
    }

    fn server(&mut self) -> &Server {
        if self.server.is_none() {
            let source = match &self.api {
                Some(api) => format!("kubeconfig {}", api.kubeconfig().display()),
                None => format!("manifests {}", self.manifests.display()),
            };
            let mut corefile = self.corefile.replace("{cluster}", &source);
            corefile = corefile.replace("{upstream}", &self.upstream.address.to_string());
            while corefile.contains("{free}") {
                corefile = corefile.replacen("{free}", &free_port().to_string(), 1);
            }
            let program = self.program.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_seamark")));
            self.server = Some(Server::start_program(&program, &corefile));
        }
        self.server.as_ref().expect("a server")
    }

    fn check(&mut self, case: &Case, subject: &Subject) -> Option<String> {
        let coredns = matches!(subject, Subject::CoreDns(_));
        let expected = if coredns { case.coredns.as_ref().unwrap_or(&case.expected) } else { &case.expected };
        let server = self.server();
        let start = Instant::now();
        loop {
            let reply = server.ask(&case.question);
            if expected.fits(&reply) {
                // What is marked as different must be.
                let same = case.coredns.as_ref().is_some_and(|_| coredns && case.expected.fits(&reply));
                return same.then(|| format!("{}: marked as different, and is not", case.question));
            }
            if start.elapsed() > PATIENCE {
                return Some(format!("{}: got\n{}", case.question, reply.text.trim()));
            }
            pause(50);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.manifests);
    }
}

fn key_of(object: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind}/{namespace}/{name}"),
        None => format!("{kind}/{name}"),
    }
}
