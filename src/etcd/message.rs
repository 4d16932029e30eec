//! Messages of etcd's API, as far as they are needed here. Field numbers are those of its `rpc.proto` and `kv.proto`.

use crate::protobuf::{Fields, Malformed, Message};

use super::mirror::Span;

/// A key with its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyValue {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    /// 0 = none.
    pub(super) lease: i64,
}

/// A change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Put(KeyValue),
    Delete(String),
}

/// One page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) revision: i64,
    pub(super) values: Vec<KeyValue>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<Vec<u8>>,
}

/// What a watch says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) events: Vec<Event>,
    /// Why it has ended, if it has.
    pub(super) ended: Option<String>,
}

/// `RangeRequest`: a page of a span from this key on, as of a revision; 0 = now.
pub(super) fn range(first: &[u8], span: &Span, revision: i64, limit: u64) -> Message {
    let end = if span.is_one() { &[][..] } else { span.end.as_bytes() };
    Message::default().octets(1, first).octets(2, end).number(3, limit).number(4, revision as u64)
}

/// `WatchRequest` with a `WatchCreateRequest`: a span from a revision on, long answers in parts.
pub(super) fn watch(span: &Span, revision: i64) -> Message {
    let end = if span.is_one() { &[][..] } else { span.end.as_bytes() };
    let create = Message::default().octets(1, span.first.as_bytes()).octets(2, end).number(3, revision as u64);
    Message::default().message(1, &create.number(8, 1))
}

/// `WatchRequest` with a `WatchProgressRequest`: asks how far the watches are.
pub(super) fn progress() -> Message {
    Message::default().message(3, &Message::default())
}

/// `AuthenticateRequest`.
pub(super) fn authenticate(user: &str, password: &str) -> Message {
    Message::default().octets(1, user.as_bytes()).octets(2, password.as_bytes())
}

/// `LeaseTimeToLiveRequest`.
pub(super) fn time_to_live(lease: i64) -> Message {
    Message::default().number(1, lease as u64)
}

/// `RangeResponse`.
pub(super) fn page(reply: &[u8]) -> Result<Page, Malformed> {
    let mut page = Page::default();
    let (mut more, mut last) = (false, &[][..]);
    for field in Fields::of(reply) {
        match field? {
            (1, header) => page.revision = revision(header.octets())?,
            (2, value) => {
                let (value, key) = key_value(value.octets())?;
                page.values.extend(value);
                last = key;
            }
            (3, value) => more = value.number() != 0,
            _ => {}
        }
    }
    page.next = more.then(|| [last, &[0]].concat());
    Ok(page)
}

/// `WatchResponse`.
pub(super) fn watched(reply: &[u8]) -> Result<Watched, Malformed> {
    let mut watched = Watched::default();
    let (mut canceled, mut compacted, mut reason) = (false, 0, String::new());
    for field in Fields::of(reply) {
        match field? {
            (4, value) => canceled = value.number() != 0,
            (5, value) => compacted = value.number(),
            (6, value) => reason = String::from_utf8_lossy(value.octets()).into_owned(),
            (11, event) => watched.events.extend(self::event(event.octets())?),
            _ => {}
        }
    }
    if canceled || compacted != 0 {
        watched.ended = Some(match compacted {
            0 if reason.is_empty() => "the watch was cancelled".to_owned(),
            0 => reason,
            _ => "the revision has been compacted".to_owned(),
        });
    }
    Ok(watched)
}

/// `AuthenticateResponse`: the token.
pub(super) fn token(reply: &[u8]) -> Result<String, Malformed> {
    let mut token = String::new();
    for field in Fields::of(reply) {
        if let (2, value) = field? {
            token = String::from_utf8_lossy(value.octets()).into_owned();
        }
    }
    Ok(token)
}

/// `LeaseTimeToLiveResponse`: the seconds that are left, if the lease is there.
pub(super) fn seconds_left(reply: &[u8]) -> Result<Option<u32>, Malformed> {
    let mut left = 0;
    for field in Fields::of(reply) {
        if let (3, value) = field? {
            left = value.number() as i64;
        }
    }
    Ok((left > 0).then(|| u32::try_from(left).unwrap_or(u32::MAX)))
}

/// `ResponseHeader`.
fn revision(header: &[u8]) -> Result<i64, Malformed> {
    let mut revision = 0;
    for field in Fields::of(header) {
        if let (3, value) = field? {
            revision = value.number() as i64;
        }
    }
    Ok(revision)
}

/// `KeyValue`, and its key as it stands there. `None` if that is no text: no name leads there, and there is no place for it in an
/// order of texts.
fn key_value(octets: &[u8]) -> Result<(Option<KeyValue>, &[u8]), Malformed> {
    let (mut known, mut key) = (KeyValue::default(), &[][..]);
    for field in Fields::of(octets) {
        match field? {
            (1, value) => key = value.octets(),
            (5, value) => known.value = value.octets().to_vec(),
            (6, value) => known.lease = value.number() as i64,
            _ => {}
        }
    }
    let text = str::from_utf8(key).ok().map(str::to_owned);
    Ok((text.map(|text| KeyValue { key: text, ..known }), key))
}

/// `Event`; `None` if its key is no text.
fn event(octets: &[u8]) -> Result<Option<Event>, Malformed> {
    let (mut deleted, mut known) = (false, None);
    for field in Fields::of(octets) {
        match field? {
            (1, value) => deleted = value.number() == 1,
            (2, value) => (known, _) = key_value(value.octets())?,
            _ => {}
        }
    }
    Ok(known.map(|known| if deleted { Event::Delete(known.key) } else { Event::Put(known) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::default()
    }

    fn value(key: &str, lease: u64) -> Message {
        message().octets(1, key.as_bytes()).number(2, 5).number(3, 9).octets(5, b"{}").number(6, lease)
    }

    #[test]
    fn requests() {
        let (below, only) = (Span::below("/s"), Span::only("/s"));
        assert_eq!(range(b"/s/", &below, 0, 250), message().octets(1, b"/s/").octets(2, b"/s0").number(3, 250));
        assert_eq!(range(b"/s", &only, 7, 250), message().octets(1, b"/s").number(3, 250).number(4, 7));
        let create = message().octets(1, b"/s/").octets(2, b"/s0").number(3, 8).number(8, 1);
        assert_eq!(watch(&below, 8), message().message(1, &create));
    }

    #[test]
    fn pages() {
        let header = message().number(1, 4711).number(3, 12);
        let reply =
            message().message(1, &header).message(2, &value("/s/a", 0)).message(2, &value("/s/b", 77)).number(3, 1);
        let page = page(reply.number(4, 9).wire()).unwrap();
        assert_eq!((page.revision, page.next.as_deref()), (12, Some(&b"/s/b\0"[..])));
        let values: Vec<_> =
            page.values.iter().map(|value| (value.key.as_str(), value.value.as_slice(), value.lease)).collect();
        assert_eq!(values, [("/s/a", &b"{}"[..], 0), ("/s/b", b"{}", 77)]);
        assert_eq!(super::page(b"\x12\x07x"), Err(Malformed));
        // A key that is no text has no place in the order of texts; the next page begins behind it all the same.
        let odd = message().octets(1, b"/s/\x80").octets(5, b"{}");
        let reply = message().message(1, &header).message(2, &value("/s/a", 0)).message(2, &odd).number(3, 1);
        let page = super::page(reply.wire()).unwrap();
        assert_eq!((page.values.len(), page.next.as_deref()), (1, Some(&b"/s/\x80\0"[..])));
    }

    #[test]
    fn watches() {
        let put = message().message(2, &value("/s/a", 0));
        let delete = message().number(1, 1).message(2, &message().octets(1, b"/s/b"));
        let read = watched(message().message(11, &put).message(11, &delete).wire()).unwrap();
        assert!(
            matches!(&read.events[..], [Event::Put(value), Event::Delete(key)] if value.key == "/s/a" && key == "/s/b")
        );
        assert_eq!(read.ended, None);
        let canceled = message().number(4, 1);
        for (reply, reason) in [
            (canceled.clone().octets(6, b"permission denied"), "permission denied"),
            (canceled.clone().number(5, 12), "the revision has been compacted"),
            (canceled, "the watch was cancelled"),
        ] {
            assert_eq!(watched(reply.wire()).unwrap().ended.as_deref(), Some(reason));
        }
    }

    #[test]
    fn leases_and_tokens() {
        for (reply, left) in
            [(message().number(3, 42), Some(42)), (message().number(3, -1i64 as u64), None), (message(), None)]
        {
            assert_eq!(seconds_left(reply.wire()), Ok(left));
        }
        assert_eq!(token(message().octets(2, b"abc.1").wire()), Ok("abc.1".to_owned()));
    }
}
