use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::profile::{self, Trouble};
use crate::http::{Handler, Reply};

/// How long a profile is taken if nothing is said, and at most, seconds.
const USUAL: u64 = 30;
const LONGEST: u64 = 300;
const BUSY: &str = "a profile is being taken already\n";

/// What Go's runtime shows.
const OF_GO: [&str; 8] = [
    "/debug/pprof/allocs",
    "/debug/pprof/block",
    "/debug/pprof/goroutine",
    "/debug/pprof/heap",
    "/debug/pprof/mutex",
    "/debug/pprof/symbol",
    "/debug/pprof/threadcreate",
    "/debug/pprof/trace",
];

/// All paths.
pub(super) fn all() -> Vec<(&'static str, Handler)> {
    // One profile at a time.
    let place = Arc::new(Semaphore::new(1));
    let mut all = vec![
        ("/debug/pprof", Handler::now(index)),
        ("/debug/pprof/", Handler::now(index)),
        ("/debug/pprof/cmdline", Handler::now(command_line)),
        ("/debug/pprof/profile", Handler::later(move |query| take(query.to_owned(), Arc::clone(&place)))),
    ];
    all.extend(OF_GO.map(|path| (path, Handler::now(move || nothing_of_the_kind(path)))));
    all
}

fn index() -> Reply {
    let mut text =
        "/debug/pprof/\n\ncmdline\nprofile?seconds=30\n\nnot in this program, which has no Go runtime:\n".to_owned();
    for path in OF_GO {
        _ = writeln!(text, "{}", word(path));
    }
    Reply::text(200, text)
}

fn nothing_of_the_kind(path: &str) -> Reply {
    let text = format!(
        "`{}` shows a part of Go's runtime, and this program has none. /debug/pprof/profile is a profile of the CPU time; \
         the metrics have the process's memory.\n",
        word(path)
    );
    Reply::text(501, text)
}

fn word(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The words of the process, with a zero between them.
fn command_line() -> Reply {
    let words: Vec<Vec<u8>> = std::env::args_os().map(|word| word.as_bytes().to_vec()).collect();
    Reply { body: words.join(&0), ..Reply::text(200, "") }
}

async fn take(query: String, place: Arc<Semaphore>) -> Reply {
    let Some(seconds) = seconds(&query) else {
        return Reply::text(400, format!("seconds: expected a number between 1 and {LONGEST}\n"));
    };
    let Ok(_taken) = place.try_acquire() else { return Reply::text(503, BUSY) };
    match profile::take(Duration::from_secs(seconds)).await {
        Ok(body) => Reply { status: 200, content_type: "application/octet-stream", body },
        Err(Trouble::Busy) => Reply::text(503, BUSY),
        Err(Trouble::Other(why)) => Reply::text(500, format!("no profile can be taken: {why}\n")),
    }
}

/// What `seconds=N` says.
fn seconds(query: &str) -> Option<u64> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("seconds="));
    value.map_or(Some(USUAL), |text| text.parse().ok()).filter(|seconds| (1..=LONGEST).contains(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_how_long() {
        for (query, expected) in [
            ("", Some(30)),
            ("seconds=5", Some(5)),
            ("debug=1&seconds=300", Some(300)),
            ("seconds=0", None),
            ("seconds=301", None),
            ("seconds=-1", None),
            ("seconds=", None),
            ("seconds=1s", None),
        ] {
            assert_eq!(seconds(query), expected, "{query}");
        }
    }
}
