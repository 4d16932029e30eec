//! Runs a scenario file against seamark or CoreDNS. The format is described in tests/scenarios/README.md.

use std::{
    collections::BTreeMap,
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Deserialize as _;

use super::{
    apiserver::ApiServer,
    cast::Cast,
    certificates::Authority,
    connection, dig,
    etcd::Etcd,
    expect::{Case, Numbers, cases, checked_blocks, duration},
    message,
    server::{Server, directory, free_port, http, pause, program},
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
/// The same for a count.
const COUNTING: Duration = Duration::from_secs(2);

/// Whether a file has a cluster.
pub(crate) fn has_cluster(file: &Path) -> bool {
    fs::read_to_string(file).expect("a scenario").contains("{cluster}")
}

/// Runs a file; gives what went wrong, and how many questions there were.
pub(crate) fn run(file: &Path, subject: &Subject) -> (Vec<String>, usize) {
    let text = fs::read_to_string(file).expect("a scenario");
    let mut world = World::new(subject, text.contains("{cluster}"));
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (number, head, body) in parts(&text) {
        let words: Vec<&str> = head.split(' ').collect();
        let mut failures = Vec::new();
        match words[0] {
            "corefile" => world.change_corefile(body),
            "certificates" => world.certify(),
            "objects" | "apply" => world.apply(&body),
            "delete" => world.delete(words[1]),
            "upstream" => world.cast.instruct(&words[1..], &body),
            "stop" => world.cast.named(words[1]).stop(),
            "start" => world.cast.named(words[1]).restart(),
            "etcd" => world.tell_etcd(&words[1..], &body),
            "file" => world.write_file(words[1], &body),
            "wait" => pause(duration(words[1]).as_millis() as u64),
            "ask" => {
                let patience = if words.get(1) == Some(&"once") { Duration::ZERO } else { PATIENCE };
                for case in cases(&body) {
                    asked += 1;
                    failures.extend(world.check(&case, subject, patience));
                }
            }
            "send" => world.send(&body),
            "asked" => {
                failures.extend(world.check_numbers(&body, subject, |world, name| world.cast.count(name)));
                world.cast.forget_counts();
            }
            "logged" => failures.extend(world.check_log(&body)),
            "unlogged" => failures.extend(world.check_silence(&body)),
            "http" => failures.extend(world.check_http(&body, subject)),
            "transfer" => failures.extend(world.check_transfers(&body, subject)),
            "connection" => failures.extend(world.check_connections(&body, subject)),
            "metrics" => failures.extend(world.check_numbers(&body, subject, World::metric)),
            other => panic!("{}: unknown part `{other}`", file.display()),
        }
        wrong.extend(failures.into_iter().map(|failure| format!("line {number}: {failure}")));
    }
    (wrong, asked)
}

/// The parts of a file: line, what stands behind `== `, and the lines up to the next.
fn parts(text: &str) -> Vec<(usize, String, String)> {
    let mut parts: Vec<(usize, String, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(head) = line.strip_prefix("== ") {
            parts.push((number, head.trim().to_owned(), String::new()));
        } else if let Some((_, _, body)) = parts.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    parts
}

/// A server with its cluster and its upstreams.
struct World {
    corefile: String,
    objects: BTreeMap<String, serde_json::Value>,
    manifests: PathBuf,
    api: Option<ApiServer>,
    program: PathBuf,
    upstream: Upstream,
    cast: Cast,
    etcd: Option<Etcd>,
    metrics: u16,
    /// Ports by name: `{port.health}`.
    ports: BTreeMap<String, u16>,
    /// Where the server runs.
    home: PathBuf,
    server: Option<Server>,
}

impl World {
    fn new(subject: &Subject, has_cluster: bool) -> Self {
        let (api, program) = match subject {
            Subject::Seamark => (None, program().to_owned()),
            Subject::CoreDns(path) => (has_cluster.then(ApiServer::start), path.clone()),
        };
        Self {
            corefile: String::new(),
            objects: BTreeMap::new(),
            manifests: directory(),
            api,
            program,
            upstream: Upstream::start(),
            cast: Cast::default(),
            etcd: None,
            metrics: free_port(),
            ports: BTreeMap::new(),
            home: directory(),
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

    /// Changes what etcd holds, ends it, or starts it again.
    fn tell_etcd(&mut self, words: &[&str], body: &str) {
        match words {
            ["stop"] => self.etcd.as_mut().expect("an etcd").stop(),
            ["start"] => self.etcd.as_mut().expect("an etcd").restart(),
            ["idle"] => self.etcd = Some(Etcd::idle()),
            _ => self.etcd.get_or_insert_with(Etcd::start).change(body),
        }
    }

    /// A file in the server's directory.
    fn write_file(&mut self, name: &str, text: &str) {
        let next = self.home.join(".next");
        fs::write(&next, self.fill_in(text)).expect("a file");
        fs::rename(next, self.home.join(name)).expect("a file");
    }

    fn server(&mut self) -> &Server {
        if self.server.is_none() {
            let source = match &self.api {
                Some(api) => format!("kubeconfig {}", api.kubeconfig().display()),
                None => format!("manifests {}", self.manifests.display()),
            };
            let text = self.corefile.replace("{cluster}", &source);
            let mut corefile = self.fill_in(&text);
            while corefile.contains("{free}") {
                corefile = corefile.replacen("{free}", &free_port().to_string(), 1);
            }
            let server = Server::launch(&self.program, &corefile, self.home.clone(), free_port());
            server.wait_until_it_answers();
            self.cast.forget_counts();
            self.server = Some(server);
        }
        self.server.as_ref().expect("a server")
    }

    /// The Corefile to start with, or one that takes the place of the first.
    fn change_corefile(&mut self, corefile: String) {
        self.corefile = corefile;
        if self.server.is_some() {
            let corefile = self.fill_in(&self.corefile.clone());
            self.server().rewrite(&corefile);
        }
    }

    /// Puts addresses and ports into a text. Ports have names, and come into being when they are named first.
    fn fill_in(&mut self, text: &str) -> String {
        let mut text = self.cast.fill_in(text);
        text = text.replace("{upstream}", &self.upstream.address.to_string());
        text = text.replace("{metrics}", &self.metrics.to_string());
        if let Some(etcd) = &self.etcd {
            text = text.replace("{etcd}", &etcd.endpoint());
        }
        text = text.replace("{home}", &self.home.display().to_string());
        while let Some((name, _)) = text.split_once("{port.").and_then(|(_, rest)| rest.split_once('}')) {
            let name = name.to_owned();
            let port = *self.ports.entry(name.clone()).or_insert_with(free_port);
            text = text.replace(&format!("{{port.{name}}}"), &port.to_string());
        }
        text
    }

    /// Writes `dns.pem` and `dns.key` for 127.0.0.1 and `dns.test`, and who has signed it as `ca.pem`.
    fn certify(&self) {
        let authority = Authority::new("scenario");
        authority.write(&self.home.join("ca.pem"));
        authority.certify(&["dns.test", "127.0.0.1"]).write(&self.home, "dns");
    }

    fn check(&mut self, case: &Case, subject: &Subject, patience: Duration) -> Option<String> {
        let coredns = matches!(subject, Subject::CoreDns(_));
        let expected = if coredns { case.coredns.as_ref().unwrap_or(&case.expected) } else { &case.expected };
        let question = self.fill_in(&case.question);
        let server = self.server();
        let start = Instant::now();
        loop {
            let reply = server.ask(&question);
            if expected.fits(&reply) {
                // What is marked as different must be.
                let same = case.coredns.as_ref().is_some_and(|_| coredns && case.expected.fits(&reply));
                return same.then(|| format!("{}: marked as different, and is not", case.question));
            }
            if start.elapsed() >= patience {
                return Some(format!("{}: got\n{}", case.question, reply.text.trim()));
            }
            pause(50);
        }
    }

    /// Sends questions and does not wait for answers. `{1..9}` in one is each of these numbers.
    fn send(&mut self, body: &str) {
        let port = self.server().port;
        for line in body.lines() {
            let (name, kind) = line.split_once(' ').expect("a name and a type");
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            for (sent, name) in (0..).zip(numbered(name)) {
                socket.send_to(&message::query(sent, &name, kind), ("127.0.0.1", port)).expect("sent");
                if sent % 50 == 49 {
                    pause(20);
                }
            }
        }
    }

    /// Waits until each line is the end of one that the server has written.
    fn check_log(&mut self, body: &str) -> Option<String> {
        let body = self.cast.fill_in(body);
        let server = self.server();
        let missing = || {
            let log = server.log();
            body.lines().find(|line| !line.is_empty() && !log.lines().any(|logged| logged.ends_with(line)))
        };
        let start = Instant::now();
        while missing().is_some() && start.elapsed() < COUNTING {
            pause(50);
        }
        missing().map(|line| format!("`{line}` is not logged:\n{}", server.log()))
    }

    /// Waits a moment, and finds none of these lines.
    fn check_silence(&mut self, body: &str) -> Option<String> {
        let body = self.fill_in(body);
        pause(200);
        let log = self.server().log();
        let is_there = |line: &&str| !line.is_empty() && log.lines().any(|logged| logged.contains(line));
        body.lines().find(is_there).map(|line| format!("`{line}` is logged:\n{log}"))
    }

    /// `PORT/PATH` and below it status and body.
    fn check_http(&mut self, body: &str, subject: &Subject) -> Vec<String> {
        let body = self.fill_in(body);
        self.server();
        checked(&body, subject, |head| {
            let (status, text) = http(&format!("http://127.0.0.1:{head}"));
            vec![format!("{status} {text}").trim_end().to_owned()]
        })
    }

    /// What `dig` takes for a transfer, and below it the records in any order, or `failed`.
    fn check_transfers(&mut self, body: &str, subject: &Subject) -> Vec<String> {
        let body = self.fill_in(body);
        let port = self.server().port;
        checked(&body, subject, |head| dig::transfer(port, &head.split(' ').collect::<Vec<_>>()))
    }

    /// Connections of TCP and how they end: `silent`, or so many `queries`.
    fn check_connections(&mut self, body: &str, subject: &Subject) -> Vec<String> {
        let body = self.fill_in(body);
        let port = self.server().port;
        checked(&body, subject, |head| vec![connection::end_of(port, head)])
    }

    fn metric(&self, series: &str) -> Option<String> {
        let port = self.server.as_ref().expect("a server").port.to_string();
        let series = format!("{} ", self.cast.fill_in(&series.replace("{port}", &port)));
        let (_, text) = http(&format!("http://127.0.0.1:{}/metrics", self.metrics));
        text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
    }

    /// Waits until all numbers are as expected, and looks again whether they stay so.
    fn check_numbers(
        &mut self,
        body: &str,
        subject: &Subject,
        find: impl Fn(&Self, &str) -> Option<String>,
    ) -> Option<String> {
        self.server();
        let (ours, theirs) = Numbers::read(body);
        let coredns = matches!(subject, Subject::CoreDns(_));
        let expected = if coredns { theirs.as_ref().unwrap_or(&ours) } else { &ours };
        let wrong = |numbers: &Numbers| numbers.wrong(|name| find(self, name));
        let start = Instant::now();
        while wrong(expected).is_some() && start.elapsed() < COUNTING {
            pause(50);
        }
        pause(100);
        let same = coredns && theirs.is_some() && wrong(&ours).is_none();
        wrong(expected).or_else(|| same.then(|| "marked as different, and is not".to_owned()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.manifests);
        _ = fs::remove_dir_all(&self.home);
    }
}

/// Compares each block with what is found for its head, and waits a little for it.
fn checked(body: &str, subject: &Subject, find: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let coredns = matches!(subject, Subject::CoreDns(_));
    let mut wrong = Vec::new();
    for (head, ours, theirs) in checked_blocks(body) {
        let expected = if coredns { theirs.as_ref().unwrap_or(&ours) } else { &ours };
        let start = Instant::now();
        let mut found = find(&head);
        while !fits(expected, &found) && start.elapsed() < PATIENCE {
            pause(50);
            found = find(&head);
        }
        if !fits(expected, &found) {
            wrong.push(format!("{head}: got\n{}", found.join("\n")));
        } else if coredns && theirs.is_some() && fits(&ours, &found) {
            wrong.push(format!("{head}: marked as different, and is not"));
        }
    }
    wrong
}

/// The same lines in any order. A line may be two numbers with `..` between them for one that lies there.
fn fits(expected: &[String], found: &[String]) -> bool {
    if let ([range], [number]) = (expected, found)
        && let Some((least, most)) = range.split_once("..")
        && let (Ok(least), Ok(most), Ok(number)) = (least.parse::<f64>(), most.parse::<f64>(), number.parse::<f64>())
    {
        return (least..=most).contains(&number);
    }
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    sorted(expected) == sorted(found)
}

/// `a{1..3}.test.` is three names.
fn numbered(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (range, behind) = rest.split_once('}').expect("a closing brace");
    let (first, last) = range.split_once("..").expect("a range");
    let (first, last): (u32, u32) = (first.parse().expect("a number"), last.parse().expect("a number"));
    (first..=last).map(|number| format!("{before}{number}{behind}")).collect()
}

fn key_of(object: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind}/{namespace}/{name}"),
        None => format!("{kind}/{name}"),
    }
}
