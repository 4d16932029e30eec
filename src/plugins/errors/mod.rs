#![doc = include_str!("README.md")]

mod config;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing::Level;

use crate::{
    chain::{Again, Context, Directive, Plugin, Sent},
    wire::{Question, Rcode, Response},
};
use config::Pattern;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "errors", parse: config::parse };

struct ErrorLog {
    patterns: Arc<[Counted]>,
}

/// A pattern and how many reasons have matched it since the last summary.
struct Counted {
    pattern: Pattern,
    count: AtomicU64,
}

impl ErrorLog {
    fn new(patterns: Vec<Pattern>) -> Self {
        let counted = patterns.into_iter().map(|pattern| Counted { pattern, count: AtomicU64::new(0) });
        Self { patterns: counted.collect() }
    }

    /// Writes the summaries, each at its own pace; `None` if nothing is consolidated.
    fn flusher(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let patterns = Arc::clone(&self.patterns);
        (!patterns.is_empty()).then_some(async move {
            let each = (0..patterns.len()).map(|index| {
                let patterns = Arc::clone(&patterns);
                async move {
                    let mut ticks = tokio::time::interval(patterns[index].pattern.period);
                    loop {
                        ticks.tick().await;
                        patterns[index].flush();
                    }
                }
            });
            futures::future::join_all(each).await;
        })
    }

    fn log(&self, rcode: Rcode, question: &Question, reason: &str) {
        let Some(counted) = self.patterns.iter().find(|counted| counted.pattern.regex.is_match(reason)) else {
            return write(Level::ERROR, &line(rcode, question, reason));
        };
        let earlier = counted.count.fetch_add(1, Ordering::Relaxed);
        if earlier == 0 && counted.pattern.show_first {
            write(counted.pattern.level, &line(rcode, question, reason));
        }
    }
}

impl Counted {
    fn flush(&self) {
        let count = self.count.swap(0, Ordering::Relaxed);
        let shown = u64::from(self.pattern.show_first);
        if count > shown {
            let Pattern { regex, period, level, .. } = &self.pattern;
            write(*level, &format!("{count} errors like '{regex}' occurred in last {}", text(*period)));
        }
    }
}

impl Drop for ErrorLog {
    fn drop(&mut self) {
        self.patterns.iter().for_each(Counted::flush);
    }
}

fn line(rcode: Rcode, question: &Question, reason: &str) -> String {
    format!("{} {} {}: {reason}", rcode.0, question.name, question.record_type)
}

fn text(period: Duration) -> String {
    format!("{period:?}")
}

fn write(level: Level, text: &str) {
    match level {
        Level::WARN => tracing::warn!(target: "plugin/errors", "{text}"),
        Level::INFO => tracing::info!(target: "plugin/errors", "{text}"),
        Level::DEBUG => tracing::debug!(target: "plugin/errors", "{text}"),
        _ => tracing::error!(target: "plugin/errors", "{text}"),
    }
}

impl Plugin for ErrorLog {
    fn name(&self) -> &'static str {
        "errors"
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        if let Some(cause) = &response.cause {
            self.log(response.rcode, cx.question(), &cause.to_string());
        }
    }

    fn again(&self, _: &Context, sent: &Sent<'_>) -> Again {
        if sent.response.cause.is_some() { Again::Never } else { Again::Always }
    }
}
