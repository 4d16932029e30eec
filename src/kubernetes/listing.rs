//! How objects of one kind come: listed, then watched, for ever. The list comes one object at a time (a watch with
//! `sendInitialEvents`, KEP-3157) where the API server knows that, and else in pages.

use std::{fmt::Debug, time::Duration};

use futures::{
    Stream, StreamExt as _,
    stream::{BoxStream, unfold},
};
use kube::{
    Api, Resource,
    runtime::watcher::{Config, Error, Event, InitialListStrategy, watcher},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// How long a list may be silent before the API server is taken not to know lists that come as a watch: it would wait
/// for changes.
const SILENCE: Duration = Duration::from_secs(10);

/// What becomes of the objects of `api`, without end. An [`Event::Init`] may follow one whose list was never complete;
/// after an error, the next event is asked for when its receiver asks.
pub fn events<K>(api: Api<K>, config: Config) -> impl Stream<Item = Result<Event<K>, Error>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = config.streaming_lists();
    let listing = Listing { events: watcher(api.clone(), config.clone()).boxed(), api, config, listing: false };
    unfold(listing, |mut listing| async move { Some((listing.next().await?, listing)) })
}

struct Listing<K: Resource> {
    api: Api<K>,
    config: Config,
    events: BoxStream<'static, Result<Event<K>, Error>>,
    /// Between [`Event::Init`] and [`Event::InitDone`].
    listing: bool,
}

impl<K: Resource + Clone + DeserializeOwned + Debug + Send + 'static> Listing<K> {
    async fn next(&mut self) -> Option<Result<Event<K>, Error>> {
        loop {
            let streaming = self.config.initial_list_strategy == InitialListStrategy::StreamingList;
            let event = if streaming && self.listing {
                match timeout(SILENCE, self.events.next()).await {
                    Ok(event) => event,
                    Err(_) => {
                        self.page();
                        continue;
                    }
                }
            } else {
                self.events.next().await
            };
            match &event {
                Some(Ok(Event::Init)) => self.listing = true,
                Some(Ok(Event::InitDone)) => self.listing = false,
                Some(Err(error)) if streaming && refuses_streaming(error) => {
                    self.page();
                    continue;
                }
                // The next list begins when the server has been reached again.
                Some(Err(_)) => self.listing = false,
                _ => {}
            }
            return event;
        }
    }

    /// Begins anew, in pages from now on.
    fn page(&mut self) {
        tracing::debug!(url = self.api.resource_url(), "the API server gives no list as a watch");
        self.config.initial_list_strategy = InitialListStrategy::ListWatch;
        self.events = watcher(self.api.clone(), self.config.clone()).boxed();
        self.listing = false;
    }
}

/// Whether an error means that lists as a watch are unknown, or not allowed, there.
fn refuses_streaming(error: &Error) -> bool {
    let code = match error {
        Error::WatchStartFailed(kube::Error::Api(status)) | Error::InitialListFailed(kube::Error::Api(status)) => {
            status.code
        }
        Error::WatchError(status) => status.code,
        _ => return false,
    };
    matches!(code, 400 | 422)
}
