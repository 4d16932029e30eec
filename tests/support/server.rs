use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::dig::{self, Reply};

/// A running server with a Corefile of its own. Killed when it is dropped; its log is shown if the test fails.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    pub(crate) directory: PathBuf,
}

/// The program to test: seamark, or whatever SUBJECT names.
pub(crate) fn subject() -> PathBuf {
    std::env::var_os("SUBJECT").map_or_else(|| program().to_owned(), PathBuf::from)
}

/// Whether [`program`] is the one that people run: what it needs says something.
pub(crate) fn is_as_released() -> bool {
    std::env::var_os("SEAMARK").is_some()
}

/// The program of this project: that of SEAMARK, as `make e2e` has built it for people, or the one that was built with the
/// tests.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        std::env::var_os("SEAMARK").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_seamark")), PathBuf::from)
    })
}

/// A port of loopback that is free for UDP and TCP. It is none that the kernel gives to a socket on its own account, and
/// no two tests get the same one, so that it stays free while nobody serves it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..10_000 {
        let number = std::process::id().wrapping_mul(997).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (number % 22_000) as u16;
        let is_free = |host| UdpSocket::bind((host, port)).is_ok() && TcpListener::bind((host, port)).is_ok();
        if is_free("127.0.0.1") && is_free("::1") {
            return port;
        }
    }
    panic!("no free port");
}

/// Sockets of an address. Somebody who looks for a free port, or a slow answer of before, may hold it for a moment.
pub(crate) fn open(address: SocketAddr) -> (UdpSocket, TcpListener) {
    let start = Instant::now();
    loop {
        match UdpSocket::bind(address).and_then(|udp| Ok((udp, TcpListener::bind(address)?))) {
            Ok(sockets) => return sockets,
            Err(error) if start.elapsed() > Duration::from_secs(5) => {
                panic!("{address}: {error} (port 53 is for root)")
            }
            Err(_) => pause(20),
        }
    }
}

/// A directory that is this test's own.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("seamark-test-{}-{number}", std::process::id()));
    fs::create_dir_all(&path).expect("a directory");
    path
}

impl Server {
    /// Starts seamark with this Corefile; `{port}` is the port to listen on.
    pub(crate) fn start(corefile: &str) -> Self {
        Self::start_program(program(), corefile)
    }

    /// Starts a program that takes CoreDNS's flags.
    pub(crate) fn start_program(program: &Path, corefile: &str) -> Self {
        let server = Self::launch(program, corefile, directory(), free_port());
        server.wait_until_it_answers();
        server
    }

    /// Starts a program with variables in its environment.
    pub(crate) fn start_in(program: &Path, corefile: &str, environment: &[(&str, &str)]) -> Self {
        let server = Self::launch_in(program, corefile, directory(), free_port(), environment);
        server.wait_until_it_answers();
        server
    }

    /// Starts a program and does not wait.
    pub(crate) fn launch(program: &Path, corefile: &str, directory: PathBuf, port: u16) -> Self {
        Self::launch_in(program, corefile, directory, port, &[])
    }

    fn launch_in(program: &Path, corefile: &str, directory: PathBuf, port: u16, environment: &[(&str, &str)]) -> Self {
        let path = directory.join("Corefile");
        fs::write(&path, corefile.replace("{port}", &port.to_string())).expect("a Corefile");
        let log = fs::File::create(directory.join("log")).expect("a log");
        // Called as the stock manifest calls it: by the name `coredns`.
        let link = directory.join("coredns");
        if !link.exists() {
            std::os::unix::fs::symlink(program, &link).expect("a link");
        }
        let mut command = Command::new(link);
        let child = command
            .args(["-conf", "Corefile"])
            .current_dir(&directory)
            .envs(environment.iter().copied())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self { child, port, directory }
    }

    /// Waits until there is any answer.
    pub(crate) fn wait_until_it_answers(&self) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(15) {
            let reply = dig::ask(self.port, &["probe.invalid.", "A", "+tcp", "+time=1"]);
            if reply.status != "TIMEOUT" {
                return;
            }
            pause(30);
        }
        panic!("the server does not answer:\n{}", self.log());
    }

    /// Asks a question.
    pub(crate) fn ask(&self, words: &str) -> Reply {
        dig::ask(self.port, &words.split_whitespace().collect::<Vec<_>>())
    }

    /// Everything that it has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Writes another Corefile in the place of the first.
    pub(crate) fn rewrite(&self, corefile: &str) {
        let path = self.directory.join("Corefile");
        let next = self.directory.join("Corefile.next");
        fs::write(&next, corefile.replace("{port}", &self.port.to_string())).expect("a Corefile");
        fs::rename(next, path).expect("a Corefile");
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {name}");
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Some(status);
            }
            pause(20);
        }
        None
    }
}

/// Waits a moment. Black-box tests wait for another program, and there is no event for that.
pub(crate) fn pause(milliseconds: u64) {
    #[expect(clippy::disallowed_methods, reason = "a test, waiting for another process")]
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience, "waited in vain: {what}");
        pause(20);
    }
}

/// The body of an HTTP reply, with its status in front.
pub(crate) fn http(url: &str) -> (u16, String) {
    let output =
        Command::new("curl").args(["-s", "-m", "5", "-w", "\n%{http_code}", url]).output().expect("curl is needed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, code) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (code.parse().unwrap_or(0), body.to_owned())
}

/// The sum of all series of a family.
pub(crate) fn metric(port: u16, family: &str) -> f64 {
    let (_, text) = http(&format!("http://127.0.0.1:{port}/metrics"));
    let of_family = |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let value = |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok());
    text.lines().filter(of_family).filter_map(value).sum()
}

/// Resident memory, KiB.
pub(crate) fn resident(server: &Server) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of the server\n{}", self.log());
        }
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.directory);
    }
}

/// Runs a program while the test goes on.
pub(crate) trait Background {
    /// Gives what it has written, once it has ended.
    fn output_in_background(&mut self) -> thread::JoinHandle<String>;
}

impl Background for Command {
    fn output_in_background(&mut self) -> thread::JoinHandle<String> {
        let child = self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("dnsperf is needed");
        thread::spawn(move || {
            let output = child.wait_with_output().expect("it ends");
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
        })
    }
}
