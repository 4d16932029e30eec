//! Log lines as CoreDNS writes them: `[INFO] plugin/reload: text`, or a JSON record each.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer, Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::{Context, Filter, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

/// Target of per-query lines: they are written as they are, without a plugin's name.
const QUERY: &str = "query";

static DEBUG: AtomicBool = AtomicBool::new(false);

/// Switches debug lines on or off.
pub(super) fn set_debug(on: bool) {
    if DEBUG.swap(on, Ordering::Relaxed) != on {
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Sends all log lines of this process to standard output.
pub(super) fn install(json: bool) {
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stdout).event_format(Lines { json });
    Registry::default().with(layer.with_filter(Ours)).init();
}

/// Lines of seamark itself at INFO, of libraries at WARN; everything of ours at DEBUG when `debug` stands in the Corefile.
struct Ours;

impl Ours {
    fn takes(metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let ours = target.starts_with("seamark") || target.starts_with("plugin/") || target == QUERY;
        let least = match (ours, DEBUG.load(Ordering::Relaxed)) {
            (true, true) => Level::DEBUG,
            (true, false) => Level::INFO,
            (false, _) => Level::WARN,
        };
        // The watcher of the kube crate reports what our own loop reports in an operator's words.
        !target.starts_with("kube") && *metadata.level() <= least
    }
}

impl<S: Subscriber> Filter<S> for Ours {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        Self::takes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::takes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}

struct Lines {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if self.json {
            return json(&mut writer, event);
        }
        let mut text = Text { message: String::new(), fields: String::new() };
        event.record(&mut text);
        let level = match *metadata.level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        let target = metadata.target();
        write!(writer, "[{level}] ")?;
        if target.starts_with("plugin/") {
            write!(writer, "{target}: ")?;
        }
        // A per-query line has its fields inside already.
        let fields = if target == QUERY { "" } else { &text.fields };
        writeln!(writer, "{}{fields}", text.message)
    }
}

struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        if field.name() == "message" {
            _ = write!(self.message, "{value:?}");
        } else {
            _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

fn json(writer: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let metadata = event.metadata();
    let mut record = Record(Map::new());
    record.0.insert("time".to_owned(), Value::from(Timestamp::now().to_string()));
    let level = metadata.level().as_str().to_lowercase();
    record.0.insert("level".to_owned(), Value::from(if level == "warn" { "warning".to_owned() } else { level }));
    if let Some(plugin) = metadata.target().strip_prefix("plugin/") {
        record.0.insert("plugin".to_owned(), Value::from(plugin));
    }
    event.record(&mut record);
    writeln!(writer, "{}", Value::Object(record.0))
}

struct Record(Map<String, Value>);

impl Record {
    fn put(&mut self, field: &Field, value: Value) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }
}
