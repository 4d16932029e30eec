//! A real etcd, of one member, on free ports of loopback.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::server::{directory, free_port, pause};

/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running etcd. Its data goes when it is dropped.
pub(crate) struct Etcd {
    client: u16,
    peer: u16,
    home: PathBuf,
    more: Vec<String>,
    /// What `etcdctl` needs to be let in.
    pass: Vec<String>,
    child: Option<Child>,
}

impl Etcd {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        let mut etcd = Self::idle();
        etcd.restart();
        etcd
    }

    /// One that does not run yet.
    pub(crate) fn idle() -> Self {
        Self {
            client: free_port(),
            peer: free_port(),
            home: directory(),
            more: Vec::new(),
            pass: Vec::new(),
            child: None,
        }
    }

    /// The same with more flags; clients come over TLS if they say so.
    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.more = flags.iter().map(|&flag| flag.to_owned()).collect();
        self
    }

    /// From now on `etcdctl` says this as well.
    pub(crate) fn pass(&mut self, flags: &[&str]) {
        self.pass = flags.iter().map(|&flag| flag.to_owned()).collect();
    }

    /// Forgets all that it holds. It must not run.
    pub(crate) fn forget(&self) {
        std::fs::remove_dir_all(self.home.join("data")).expect("its data");
    }

    /// Host and port for clients.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.client)
    }

    fn scheme(&self) -> &'static str {
        if self.more.iter().any(|flag| flag.starts_with("--cert-file")) { "https" } else { "http" }
    }

    /// Where clients find it.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme(), self.address())
    }

    /// Ends it at once; what it holds stays.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }

    /// Starts it with what it holds, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        let (client, peer) = (self.endpoint(), format!("http://127.0.0.1:{}", self.peer));
        let log = std::fs::File::create(self.home.join("log")).expect("a log");
        let child = Command::new("etcd")
            .arg("--data-dir")
            .arg(self.home.join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("etcd, of the package etcd-server");
        self.child = Some(child);
        let start = Instant::now();
        while !self.try_tell(&["endpoint", "health"], "").0 {
            let log = || std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "etcd does not answer:\n{}", log());
            pause(50);
        }
    }

    /// Runs `etcdctl`; gives what it says.
    pub(crate) fn tell(&self, words: &[&str]) -> String {
        self.tell_with(words, "")
    }

    /// `put KEY VALUE`, `delete KEY`, `lease SECONDS KEY VALUE`, one a line; all but leases at once.
    pub(crate) fn change(&self, lines: &str) {
        let mut all = String::from("\n");
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let (verb, rest) = line.split_once(' ').expect("a verb");
            match verb {
                "put" => {
                    let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                    all.push_str(&format!("put {key} {value:?}\n"));
                }
                "delete" => all.push_str(&format!("del {rest}\n")),
                "lease" => {
                    let words: Vec<&str> = rest.splitn(3, ' ').collect();
                    self.put_on_lease(words[0], words[1], words[2]);
                }
                _ => panic!("`{line}`: put, delete or lease"),
            }
        }
        self.tell_with(&["txn"], &(all + "\n\n"));
    }

    /// Puts a value on a lease of its own, and gives its number.
    pub(crate) fn put_on_lease(&self, seconds: &str, key: &str, value: &str) -> String {
        let granted = self.tell(&["lease", "grant", seconds]);
        let lease = granted.split(' ').nth(1).expect("a number").to_owned();
        self.tell(&["put", &format!("--lease={lease}"), key, value]);
        lease
    }

    fn tell_with(&self, words: &[&str], input: &str) -> String {
        let (is_well, said) = self.try_tell(words, input);
        assert!(is_well, "etcdctl {words:?}: {said}");
        said
    }

    fn try_tell(&self, words: &[&str], input: &str) -> (bool, String) {
        let mut child = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoint(), "--insecure-skip-tls-verify", "--dial-timeout=2s"])
            .args(&self.pass)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcdctl, of the package etcd-client");
        child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("told");
        let output = child.wait_with_output().expect("its end");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
        _ = std::fs::remove_dir_all(&self.home);
    }
}
