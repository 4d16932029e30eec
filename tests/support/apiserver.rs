use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde::Deserialize as _;

use super::server::{directory, free_port};

/// A real kube-apiserver (tests/apiserver, built by `make e2e`).
pub(crate) struct ApiServer {
    child: Child,
    pub(crate) port: u16,
    pub(crate) directory: PathBuf,
    /// The cluster that was made for it (tests/apiserver/README.md).
    cluster: Option<String>,
}

const TOKEN: &str = "admin-token-for-tests";

impl ApiServer {
    /// Starts one with no data.
    pub(crate) fn start() -> Self {
        Self::at(directory(), free_port(), None)
    }

    /// Starts one that holds a made cluster of this size, as tests/apiserver/README.md words it.
    pub(crate) fn with_cluster(size: &str) -> Self {
        Self::at(directory(), free_port(), Some(size.to_owned()))
    }

    /// A file of questions for dnsperf about the made cluster: `names`, `walk`, `ptr` or `srv`.
    pub(crate) fn questions(&self, kind: &str) -> PathBuf {
        self.directory.join("queries").join(kind)
    }

    /// A large cluster on a busy machine may not be read in the time that an API server gives itself: it ends, and the
    /// next start finds its data in memory.
    fn at(directory: PathBuf, port: u16, cluster: Option<String>) -> Self {
        let started = (0..3).find_map(|_| Self::launch(&directory, port, cluster.as_deref()));
        let Some(child) = started else {
            let log = fs::read_to_string(directory.join("apiserver.log")).unwrap_or_default();
            panic!("the API server does not start:\n{log}");
        };
        Self { child, port, directory, cluster }
    }

    /// Starts the process and waits until it is ready; `None` if it ends before.
    fn launch(directory: &Path, port: u16, cluster: Option<&str>) -> Option<Child> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/e2e/apiserver");
        let log = fs::File::create(directory.join("apiserver.log")).expect("a log");
        let mut child = Command::new(&program)
            .args(["-port", &port.to_string()])
            .args(cluster.iter().flat_map(|size| ["-cluster", size]))
            .arg("-dir")
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `make e2e` builds it", program.display()));
        let output = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        if !lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("ready")) {
            _ = child.wait();
            return None;
        }
        // Keep reading, or it blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(child)
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let fresh = Self::at(self.directory.clone(), self.port, self.cluster.clone());
        // The old child is gone already; only the directory must not be removed by its drop.
        let mut old = std::mem::replace(self, fresh);
        old.directory = PathBuf::new();
    }

    /// The kubeconfig of an administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// A kubeconfig with another token.
    pub(crate) fn kubeconfig_with(&self, token: &str) -> PathBuf {
        let text = fs::read_to_string(self.kubeconfig()).expect("a kubeconfig").replace(TOKEN, token);
        let path = self.directory.join("other.kubeconfig");
        fs::write(&path, text).expect("a kubeconfig");
        path
    }

    /// Sends a request; gives status and body.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Option<&str>,
        token: &str,
    ) -> (u16, String) {
        let mut command = Command::new("curl");
        command.args(["-sk", "-m", "20", "-X", method, "-H", &format!("Authorization: Bearer {token}")]);
        command.args(["-H", &format!("Content-Type: {kind}"), "-w", "\n%{http_code}"]);
        command.arg(format!("https://127.0.0.1:{}{path}", self.port));
        if body.is_some() {
            command.args(["--data-binary", "@-"]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("curl is needed");
        if let (Some(body), Some(mut input)) = (body, child.stdin.take()) {
            input.write_all(body.as_bytes()).expect("curl reads");
        }
        let output = child.wait_with_output().expect("curl ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (code.parse().unwrap_or(0), body.to_owned())
    }

    /// Creates or changes every object of a YAML text, status included.
    pub(crate) fn apply(&self, text: &str) {
        for document in serde_yaml::Deserializer::from_str(text) {
            let object = serde_json::Value::deserialize(document).expect("YAML");
            if !object.is_null() {
                self.apply_object(&object);
            }
        }
    }

    /// Creates or changes every object of the YAML files of a directory.
    pub(crate) fn apply_directory(&self, directory: &Path) {
        let mut files: Vec<_> =
            fs::read_dir(directory).expect("a directory").map(|e| e.expect("a file").path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
            self.apply(&fs::read_to_string(file).expect("a file"));
        }
    }

    fn apply_object(&self, object: &serde_json::Value) {
        let path = path_of(object);
        let force = "?fieldManager=test&force=true";
        let apply = "application/apply-patch+yaml";
        let (code, body) = self.request("PATCH", &format!("{path}{force}"), apply, Some(&object.to_string()), TOKEN);
        assert!(matches!(code, 200 | 201), "{path}: {code} {body}");
        if object.get("status").is_some() && object["kind"] != "Namespace" {
            let status = format!("{path}/status{force}");
            let (code, body) = self.request("PATCH", &status, apply, Some(&object.to_string()), TOKEN);
            assert!(matches!(code, 200 | 201), "{status}: {code} {body}");
        }
    }

    /// Creates many objects of one collection over one connection.
    pub(crate) fn create_all(&self, collection: &str, objects: &[serde_json::Value]) {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut config = String::new();
        for object in objects {
            let url = format!("https://127.0.0.1:{}{collection}", self.port);
            let token = format!("Authorization: Bearer {TOKEN}");
            config += &format!(
                "url = \"{url}\"\ninsecure\nsilent\noutput = \"/dev/null\"\nheader = \"{token}\"\n\
                 header = \"Content-Type: application/json\"\nwrite-out = \"%{{http_code}}\\n\"\ndata-binary = \"{}\"\nnext\n",
                quoted(&object.to_string())
            );
        }
        let path = self.directory.join("curl.config");
        fs::write(&path, config.trim_end_matches("next\n")).expect("a file");
        let output = Command::new("curl").arg("-K").arg(&path).output().expect("curl is needed");
        let codes = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(codes.lines().filter(|code| *code == "201").count(), objects.len(), "{collection}: {codes}");
    }

    /// Changes an object by a merge patch.
    pub(crate) fn merge(&self, path: &str, patch: &serde_json::Value) {
        let kind = "application/merge-patch+json";
        let (code, body) = self.request("PATCH", path, kind, Some(&patch.to_string()), TOKEN);
        assert_eq!(code, 200, "{path}: {body}");
    }

    /// Reads an object.
    pub(crate) fn read(&self, path: &str) -> serde_json::Value {
        let (code, body) = self.request("GET", path, "application/json", None, TOKEN);
        assert_eq!(code, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, path: &str) {
        let (code, body) = self.request("DELETE", path, "application/json", None, TOKEN);
        assert!(matches!(code, 200 | 202), "{path}: {code} {body}");
    }

    /// A token of a ServiceAccount.
    pub(crate) fn token(&self, namespace: &str, account: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let (code, body) = self.request("POST", &path, "application/json", Some("{}"), TOKEN);
        assert_eq!(code, 201, "{body}");
        let reply: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        reply["status"]["token"].as_str().expect("a token").to_owned()
    }
}

pub(crate) fn path_of(object: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let kind = text(&object["kind"]).to_lowercase();
    let plural = if kind.ends_with("policy") || kind.ends_with("y") {
        format!("{}ies", &kind[..kind.len() - 1])
    } else if kind.ends_with("ss") {
        format!("{kind}es")
    } else {
        format!("{kind}s")
    };
    let name = text(&object["metadata"]["name"]);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{root}/{plural}/{name}"),
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if self.directory.as_os_str().is_empty() {
            return;
        }
        self.kill();
        _ = fs::remove_dir_all(&self.directory);
    }
}
