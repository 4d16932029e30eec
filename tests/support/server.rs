use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
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
    std::env::var_os("SUBJECT").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_seamark")), PathBuf::from)
}

/// A port of loopback that is free for UDP and TCP. It is below those that the kernel hands out by itself (from 32768
/// on), which any socket of a test that runs beside this one may be given a moment later.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    for _ in 0..1000 {
        // Test programs that run at the same time start at different places.
        let number = std::process::id().wrapping_mul(1009).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + number % COUNT) as u16;
        let is_free = TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("::1", port)).is_ok();
        if is_free {
            return port;
        }
    }
    panic!("no free port");
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
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_seamark")), corefile)
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

    fn wait_until_it_answers(&self) {
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
    std::thread::sleep(Duration::from_millis(milliseconds));
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

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{}", self.log());
        }
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.directory);
    }
}
