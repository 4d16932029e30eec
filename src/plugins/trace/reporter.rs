use std::{mem, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::config::Config;
use crate::{
    http::{Target, post},
    metrics::{Counter, Registry},
    tls::Caller,
};

/// How long a collector may take to accept spans.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hands spans to a collector, some at a time.
pub(super) struct Reporter {
    spans: mpsc::Sender<serde_json::Value>,
    dropped: Counter,
}

impl Reporter {
    /// Needs a tokio runtime, on which it posts.
    pub(super) fn start(config: &Config, registry: &Registry) -> Self {
        let scheme = if config.is_encrypted { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}{}", config.target.authority, config.target.path);
        let count =
            |name: &str, help: &str| registry.counter(name, help, &["endpoint"]).with_label_values(&[&endpoint]);
        let sent = count("seamark_trace_spans_sent_total", "Spans that a collector has taken.");
        let help = "Spans that did not fit the backlog, or that no collector has taken.";
        let dropped = count("seamark_trace_spans_dropped_total", help);
        let (spans, waiting) = mpsc::channel(config.backlog);
        let posting = Posting {
            target: config.target.clone(),
            caller: config.is_encrypted.then(|| Caller::new(false)),
            batch: config.batch,
            interval: config.interval,
            sent,
            dropped: dropped.clone(),
            endpoint,
        };
        tokio::spawn(posting.run(waiting));
        Self { spans, dropped }
    }

    /// Never waits.
    pub(super) fn report(&self, span: serde_json::Value) {
        if self.spans.try_send(span).is_err() {
            self.dropped.inc();
        }
    }
}

struct Posting {
    target: Target,
    /// `None` without TLS.
    caller: Option<Caller>,
    batch: usize,
    interval: Duration,
    sent: Counter,
    dropped: Counter,
    endpoint: String,
}

impl Posting {
    /// Posts what comes, until nobody reports any more.
    async fn run(self, mut waiting: mpsc::Receiver<serde_json::Value>) {
        let mut works = true;
        loop {
            let mut batch = Vec::new();
            let Some(first) = waiting.recv().await else { return };
            batch.push(first);
            let end = Instant::now() + self.interval;
            while batch.len() < self.batch {
                tokio::select! {
                    more = waiting.recv_many(&mut batch, self.batch) => if more == 0 { break },
                    () = sleep_until(end) => break,
                }
            }
            for part in batch.chunks(self.batch) {
                let outcome = self.post(part).await;
                let counter = if outcome.is_ok() { &self.sent } else { &self.dropped };
                counter.inc_by(part.len() as u64);
                // Told when it changes, not each second.
                match (mem::replace(&mut works, outcome.is_ok()), outcome) {
                    (true, Err(error)) => {
                        tracing::error!(target: "plugin/trace", "spans cannot be posted to {}: {error}", self.endpoint);
                    }
                    (false, Ok(())) => tracing::info!(target: "plugin/trace", "{} takes spans again", self.endpoint),
                    _ => {}
                }
            }
        }
    }

    async fn post(&self, spans: &[serde_json::Value]) -> Result<(), String> {
        let body = serde_json::to_vec(spans).map_err(|error| error.to_string())?;
        // The collector is not to trace the post itself.
        let headers = [("content-type", "application/json"), ("b3", "0")];
        match post(&self.target, &headers, body, PATIENCE, self.caller.as_ref()).await {
            Ok(200..=299) => Ok(()),
            Ok(status) => Err(format!("status {status}")),
            Err(error) => Err(error.to_string()),
        }
    }
}
