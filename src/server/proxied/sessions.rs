use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Client;

/// The two ends of an exchange of datagrams: the proxy's address and ours.
pub(crate) type Ends = [SocketAddr; 2];

/// For whom a proxy speaks in the datagrams that have no header. Those who have been silent for the longest time go first.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    clients: HashMap<Ends, Session>,
    /// By the last turn that each was used in.
    order: BTreeMap<u64, Ends>,
    turn: u64,
}

struct Session {
    client: Client,
    until: Instant,
    turn: u64,
}

impl Sessions {
    /// Remembers a client for so long; forgets others if there would be more than `most`. Gives their number.
    pub(super) fn keep(&self, ends: Ends, client: Client, now: Instant, (time, most): (Duration, usize)) -> usize {
        let mut table = self.table();
        table.forget(&ends);
        table.forget_old(now);
        while table.clients.len() >= most.max(1)
            && let Some((_, ends)) = table.order.pop_first()
        {
            table.clients.remove(&ends);
        }
        table.turn += 1;
        let turn = table.turn;
        table.order.insert(turn, ends);
        table.clients.insert(ends, Session { client, until: now + time, turn });
        table.clients.len()
    }

    /// The client of a datagram without a header, who is remembered for so long from now on.
    pub(super) fn find(&self, ends: Ends, now: Instant, time: Duration) -> Option<Client> {
        let mut table = self.table();
        table.turn += 1;
        let turn = table.turn;
        let session = table.clients.get_mut(&ends).filter(|session| now < session.until)?;
        session.until = now + time;
        let before = std::mem::replace(&mut session.turn, turn);
        let client = session.client.clone();
        table.order.remove(&before);
        table.order.insert(turn, ends);
        Some(client)
    }

    /// Forgets a client.
    pub(super) fn forget(&self, ends: Ends) {
        self.table().forget(&ends);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget(&mut self, ends: &Ends) {
        if let Some(session) = self.clients.remove(ends) {
            self.order.remove(&session.turn);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((_, ends)) = self.order.first_key_value()
            && let ends = *ends
            && self.clients.get(&ends).is_none_or(|session| session.until <= now)
        {
            self.order.pop_first();
            self.clients.remove(&ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(28);

    fn ends(port: u16) -> Ends {
        [([192, 0, 2, 1], port).into(), ([192, 0, 2, 53], 53).into()]
    }

    fn client(port: u16) -> Client {
        Client { peer: ([198, 51, 100, 1], port).into(), local: ends(0)[1], tlvs: None }
    }

    fn found(sessions: &Sessions, port: u16, now: Instant) -> Option<u16> {
        sessions.find(ends(port), now, TIME).map(|client| client.peer.port())
    }

    #[test]
    fn clients_are_known_for_a_while_after_they_were_heard_last() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        sessions.keep(ends(1), client(11), start, (TIME, 10));
        assert_eq!(found(&sessions, 1, after(27)), Some(11));
        assert_eq!(found(&sessions, 1, after(54)), Some(11), "each datagram counts");
        assert_eq!(found(&sessions, 1, after(82)), None);
        assert_eq!(found(&sessions, 2, start), None, "another port");
        sessions.keep(ends(1), client(12), after(83), (TIME, 10));
        assert_eq!(found(&sessions, 1, after(84)), Some(12), "the later header holds");
        sessions.forget(ends(1));
        assert_eq!(found(&sessions, 1, after(84)), None);
    }

    #[test]
    fn the_most_silent_goes_first() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        for port in [1, 2, 3] {
            sessions.keep(ends(port), client(port), now, (TIME, 3));
        }
        assert_eq!(found(&sessions, 1, now), Some(1));
        assert_eq!(sessions.keep(ends(4), client(4), now, (TIME, 3)), 3);
        assert_eq!([1, 2, 3, 4].map(|port| found(&sessions, port, now)), [Some(1), None, Some(3), Some(4)]);
        let later = now + TIME;
        assert_eq!(sessions.keep(ends(5), client(5), later, (TIME, 3)), 1, "the others have been silent too long");
        let table = sessions.table();
        assert_eq!((table.clients.len(), table.order.len()), (1, 1));
    }
}
