use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use serde_json::{Value, json};

use super::server::pause;

/// An API server that does on command what a real one does not: plain HTTP, lists in pages, watches, faults.
#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

/// What it holds, and how it misbehaves.
#[derive(Default)]
pub(crate) struct State {
    /// By resource and name.
    objects: BTreeMap<(String, String), Value>,
    /// Everything that has happened, for watches: version, resource, event.
    history: Vec<(u64, String, Value)>,
    version: u64,
    /// Watches know `sendInitialEvents`.
    pub(crate) streaming: bool,
    /// Answer this status to everything that concerns a resource.
    pub(crate) refuse: BTreeMap<String, u16>,
    /// End every watch that was begun before this number.
    pub(crate) generation: u64,
    /// A watch that is ended says 410 Gone first.
    pub(crate) gone: bool,
    /// A watch that is ended sends half an object first.
    pub(crate) half: bool,
    /// Octets of a watch leave one by one.
    pub(crate) slow: bool,
    /// Requests by kind: `list services`, `page services`, `watch services`, `stream services`.
    pub(crate) requests: BTreeMap<String, usize>,
}

impl Scripted {
    pub(crate) fn start(streaming: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State { streaming, version: 10, ..State::default() }));
        let server = Self { port, state };
        let accepting = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = accepting.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        server.put("namespaces", "", "one", json!({}));
        server
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Ends all watches.
    pub(crate) fn cut(&self) {
        self.state().generation += 1;
    }

    pub(crate) fn put(&self, resource: &str, namespace: &str, name: &str, mut object: Value) {
        let mut state = self.state();
        state.version += 1;
        object["metadata"]["name"] = json!(name);
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let key = (resource.to_owned(), format!("{namespace}/{name}"));
        let kind = if state.objects.insert(key, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        let event = (state.version, resource.to_owned(), json!({"type": kind, "object": object}));
        state.history.push(event);
    }

    /// Takes an object away; `silently` as if the watch had missed it.
    pub(crate) fn remove(&self, resource: &str, namespace: &str, name: &str, silently: bool) {
        let mut state = self.state();
        state.version += 1;
        let object = state.objects.remove(&(resource.to_owned(), format!("{namespace}/{name}"))).expect("an object");
        if !silently {
            let event = (state.version, resource.to_owned(), json!({"type": "DELETED", "object": object}));
            state.history.push(event);
        }
    }

    /// A service with an address in namespace `one`.
    pub(crate) fn service(&self, name: &str, address: &str) {
        let spec = json!({"clusterIP": address, "clusterIPs": [address], "ports": [{"name": "http", "port": 80}]});
        self.put("services", "one", name, json!({"spec": spec}));
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() {
            return;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
            header.clear();
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let resource = path.rsplit('/').next().unwrap_or_default().to_owned();
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
        };
        let refused = self.state().refuse.get(&resource).copied();
        if let Some(code) = refused {
            return self.refuse(stream, &resource, code);
        }
        if parameter("watch") == "true" {
            self.watch(stream, &resource, &parameter("resourceVersion"), parameter("sendInitialEvents") == "true");
        } else {
            self.list(stream, &resource, &parameter("limit"), &parameter("continue"));
        }
    }

    fn count(&self, what: &str, resource: &str) {
        *self.state().requests.entry(format!("{what} {resource}")).or_default() += 1;
    }

    fn refuse(&self, stream: TcpStream, resource: &str, code: u16) {
        let message = format!("{resource} is forbidden: User \"test\" cannot list resource \"{resource}\"");
        reply(stream, code, &json!({"kind": "Status", "status": "Failure", "code": code, "message": message}));
    }

    fn list(&self, stream: TcpStream, resource: &str, limit: &str, from: &str) {
        self.count(if from.is_empty() { "list" } else { "page" }, resource);
        let (items, version) = {
            let state = self.state();
            let items: Vec<Value> = state
                .objects
                .iter()
                .filter(|((kind, _), _)| kind == resource)
                .map(|(_, object)| object.clone())
                .collect();
            (items, state.version)
        };
        let start: usize = from.parse().unwrap_or(0);
        let size = limit.parse().unwrap_or(usize::MAX);
        let page: Vec<Value> = items.iter().skip(start).take(size).cloned().collect();
        let next = start + page.len();
        let more = if next < items.len() { next.to_string() } else { String::new() };
        let metadata = json!({"resourceVersion": version.to_string(), "continue": more});
        reply(stream, 200, &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page}));
    }

    fn watch(&self, mut stream: TcpStream, resource: &str, from: &str, initial: bool) {
        self.count(if initial { "stream" } else { "watch" }, resource);
        let (generation, streaming) = {
            let state = self.state();
            (state.generation, state.streaming)
        };
        if initial && !streaming {
            let message = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            return reply(
                stream,
                422,
                &json!({"kind": "Status", "status": "Failure", "code": 422, "message": message}),
            );
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
        let mut seen: u64 = from.parse().unwrap_or(0);
        if initial {
            let (events, version) = {
                let state = self.state();
                let of_kind = state.objects.iter().filter(|((kind, _), _)| kind == resource);
                let events: Vec<Value> =
                    of_kind.map(|(_, object)| json!({"type": "ADDED", "object": object})).collect();
                (events, state.version)
            };
            seen = version;
            let annotations = json!({"k8s.io/initial-events-end": "true"});
            let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
            let end = json!({"type": "BOOKMARK", "object": {"kind": "x", "apiVersion": "v1", "metadata": metadata}});
            if events.iter().chain([&end]).any(|event| !self.send(&mut stream, event)) {
                return;
            }
        }
        loop {
            let (news, ended, gone, half) = {
                let state = self.state();
                let news: Vec<(u64, Value)> = state
                    .history
                    .iter()
                    .filter(|(version, kind, _)| *version > seen && kind == resource)
                    .map(|(version, _, event)| (*version, event.clone()))
                    .collect();
                (news, state.generation != generation, state.gone, state.half)
            };
            if ended {
                if gone {
                    let status = json!({"kind": "Status", "code": 410, "status": "Failure", "reason": "Expired", "message": "too old"});
                    self.send(&mut stream, &json!({"type": "ERROR", "object": status}));
                } else if half {
                    _ = stream.write_all(b"40\r\n{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"we");
                    return;
                }
                _ = stream.write_all(b"0\r\n\r\n");
                return;
            }
            for (version, event) in news {
                seen = version;
                if !self.send(&mut stream, &event) {
                    return;
                }
            }
            pause(5);
        }
    }

    fn send(&self, stream: &mut TcpStream, event: &Value) -> bool {
        let text = format!("{event}\n");
        if !self.state().slow {
            return stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).is_ok();
        }
        text.bytes().all(|octet| {
            pause(1);
            stream.write_all(&[b'1', b'\r', b'\n', octet, b'\r', b'\n']).is_ok()
        })
    }
}

fn reply(mut stream: TcpStream, code: u16, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    _ = stream.write_all((head + &body).as_bytes());
}
