//! Connections of TCP, and how servers end them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::message;

/// How long a server may take to end a connection.
const PATIENCE: Duration = Duration::from_secs(15);

/// `silent`: after how many seconds a connection ends on which nothing is said; `silent after a query` likewise;
/// `queries`: how many of them are answered on one connection, twenty at most.
pub(crate) fn end_of(port: u16, what: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let start = Instant::now();
    match what {
        "silent" => {}
        "silent after a query" => _ = exchange(&mut stream),
        "queries" => return (0..20).take_while(|_| exchange(&mut stream).is_some()).count().to_string(),
        other => panic!("`{other}` is no way to use a connection"),
    }
    match stream.read(&mut [0; 512]) {
        Ok(0) => format!("{:.1}", start.elapsed().as_secs_f64()),
        other => format!("{other:?}"),
    }
}

/// Asks a question on the connection; gives the answer, if there is one.
fn exchange(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let query = message::query(1, "probe.invalid.", "A");
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query.as_slice()].concat()).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}
