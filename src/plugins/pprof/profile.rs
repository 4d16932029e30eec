use std::{path::Path, time::Duration};

use rpprof::{Error, ProfilerGuard};
use tokio::task::spawn_blocking;

use super::encode::{Profile, Stack};

/// How often a stack is noted, for each second of CPU time. No round number, so that what happens in step with a clock
/// is not always hit, or never.
const FREQUENCY: i32 = 99;
/// Where the profiler may put what overflows if there is no directory for such files.
const SHARED_MEMORY: &str = "/dev/shm";

/// Why there is no profile.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is one in the making.
    Busy,
    /// Something else.
    Other(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Running => Self::Busy,
            other => Self::Other(other.to_string()),
        }
    }
}

/// Takes a profile of the process's CPU time, and gives it in the form of pprof. It ends early if the future is dropped.
pub(super) async fn take(time: Duration) -> Result<Vec<u8>, Trouble> {
    // Both ends read files of the system, which takes some milliseconds.
    let guard = at_leisure(begin).await??;
    tokio::time::sleep(time).await;
    at_leisure(move || end(&guard)).await?
}

async fn at_leisure<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    spawn_blocking(work).await.map_err(|error| Trouble::Other(error.to_string()))
}

fn begin() -> Result<ProfilerGuard<'static>, Trouble> {
    if !std::env::temp_dir().is_dir() {
        // Already set by an earlier profile is as good.
        _ = tempfile::env::override_temp_dir(Path::new(SHARED_MEMORY));
    }
    Ok(ProfilerGuard::new(FREQUENCY)?)
}

fn end(guard: &ProfilerGuard<'static>) -> Result<Vec<u8>, Trouble> {
    let report = guard.report().build_unresolved()?;
    let stacks = report.data.iter().map(|(stack, count)| Stack {
        addresses: stack.frames.iter().map(|frame| frame.ip as u64).collect(),
        thread: String::from_utf8_lossy(&stack.thread_name[..stack.thread_name_length]).into_owned(),
        count: *count as u64,
    });
    let timing = &report.timing;
    let profile = Profile {
        stacks: stacks.collect(),
        start: timing.start_time,
        duration: timing.duration,
        period: Duration::from_secs(1) / FREQUENCY as u32,
    };
    let octets = profile.encode();
    backtrace::clear_symbol_cache();
    Ok(octets)
}
