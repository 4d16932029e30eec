use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::Key;

/// Parts with a lock of their own.
const PARTS: usize = 64;

/// Questions that are being asked right now: who comes with an equal one waits for the same answer.
pub struct Flights<T> {
    parts: Box<[Part<T>]>,
}

type Part<T> = Mutex<HashMap<Box<[u8]>, Passengers<T>, foldhash::quality::RandomState>>;
/// Made when the first comes.
type Passengers<T> = Option<watch::Sender<Option<T>>>;

/// Who comes with a question.
pub enum Boarding<T> {
    /// Is the first, and must ask.
    Pilot(Pilot<T>),
    /// Waits.
    Passenger(Passenger<T>),
}

/// Asks for all. If it goes without landing, the others learn that there is no answer.
pub struct Pilot<T> {
    flights: Arc<Flights<T>>,
    part: usize,
    /// Empty once landed.
    key: Box<[u8]>,
}

/// Waits for the pilot.
pub struct Passenger<T>(watch::Receiver<Option<T>>);

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Part::default()).collect() }
    }
}

impl<T> Flights<T> {
    /// Comes with a question. `kind` keeps questions apart whose answers differ though their keys are equal.
    pub fn board(self: &Arc<Self>, key: &Key, kind: u8) -> Boarding<T> {
        let part = key.hash() as usize % PARTS;
        let key: Box<[u8]> = [&[kind], key.bytes()].concat().into();
        match self.part(part).entry(key) {
            Entry::Occupied(mut flight) => {
                let sender = flight.get_mut().get_or_insert_with(|| watch::channel(None).0);
                Boarding::Passenger(Passenger(sender.subscribe()))
            }
            Entry::Vacant(place) => {
                let key = place.key().clone();
                place.insert(None);
                Boarding::Pilot(Pilot { flights: Arc::clone(self), part, key })
            }
        }
    }

    fn part(&self, part: usize) -> MutexGuard<'_, HashMap<Box<[u8]>, Passengers<T>, foldhash::quality::RandomState>> {
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Pilot<T> {
    /// Gives the answer to all who wait. Whoever comes from now on asks anew.
    pub fn land(mut self, answer: &T) {
        let passengers = self.flights.part(self.part).remove(&std::mem::take(&mut self.key)).flatten();
        if let Some(passengers) = passengers {
            passengers.send_replace(Some(answer.clone()));
        }
    }
}

impl<T> Drop for Pilot<T> {
    fn drop(&mut self) {
        if !self.key.is_empty() {
            self.flights.part(self.part).remove(&self.key);
        }
    }
}

impl<T: Clone> Passenger<T> {
    /// The answer; `None` if the pilot was lost.
    pub async fn arrive(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone())
    }
}
