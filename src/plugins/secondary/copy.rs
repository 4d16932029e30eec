use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{
    authority::{IncomingError, ZoneCell, serial, transfer},
    tsig::Identity,
    wire::Soa,
};

/// Pauses between attempts as long as there is no copy at all.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The shortest time between two looks, whatever the SOA says.
const SHORTEST: Duration = Duration::from_secs(1);

/// The copy of a zone, and where it comes from.
pub(super) struct Copy {
    pub(super) cell: Arc<ZoneCell>,
    pub(super) primaries: Vec<SocketAddr>,
    /// Under whose name they are asked.
    pub(super) identity: Option<Identity>,
    /// Rings when a primary says that there is something new.
    pub(super) news: Arc<Notify>,
}

impl Copy {
    /// Keeps the copy as its SOA says (RFC 1034 section 4.3.5): looks after REFRESH, after RETRY if that failed, and
    /// gives the zone up after EXPIRE.
    pub(super) async fn keep(self) {
        self.begin().await;
        let mut confirmed = Instant::now();
        let mut failed = false;
        loop {
            let Some(zone) = self.cell.zone() else {
                // It has expired.
                self.begin().await;
                confirmed = Instant::now();
                failed = false;
                continue;
            };
            let Soa { refresh, retry, expire, .. } = *zone.soa();
            drop(zone);
            let pause =
                Duration::from_secs(u64::from(if failed { retry } else { refresh })).max(SHORTEST) + jitter(failed);
            let end = confirmed + Duration::from_secs(u64::from(expire));
            let pause = pause.min(end.saturating_duration_since(Instant::now()));
            // Whether the time is over or a primary has rung, it is the same to do.
            _ = timeout(pause, self.news.notified()).await;
            failed = !self.refreshed().await;
            if !failed {
                confirmed = Instant::now();
            } else if Instant::now() >= end {
                tracing::warn!("plugin/secondary: zone {} has expired", self.cell.origin());
                self.cell.replace(None);
            }
        }
    }

    /// Tries until there is a copy.
    async fn begin(&self) {
        let mut pause = FIRST_PAUSE;
        while !self.taken().await {
            _ = timeout(pause, self.news.notified()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes the zone from the first primary that gives it.
    async fn taken(&self) -> bool {
        for primary in &self.primaries {
            match transfer(*primary, self.cell.origin(), self.identity.as_ref()).await {
                Ok(zone) => {
                    let serial = zone.soa().serial;
                    tracing::info!(
                        "plugin/secondary: zone {} taken from {primary} with serial {serial}",
                        self.cell.origin()
                    );
                    self.cell.replace(Some(zone));
                    return true;
                }
                Err(error) => self.complain(*primary, &error),
            }
        }
        false
    }

    /// Whether the copy is now that of a primary.
    async fn refreshed(&self) -> bool {
        let Some(known) = self.cell.zone().map(|zone| zone.soa().serial) else { return false };
        for primary in &self.primaries {
            match serial(*primary, self.cell.origin(), self.identity.as_ref()).await {
                Ok(theirs) if is_newer(theirs, known) => return self.taken().await,
                Ok(_) => return true,
                Err(error) => self.complain(*primary, &error),
            }
        }
        false
    }

    fn complain(&self, primary: SocketAddr, error: &IncomingError) {
        tracing::warn!("plugin/secondary: zone {} from {primary}: {error}", self.cell.origin());
    }
}

/// RFC 1982 section 3.2: serials go round.
const fn is_newer(theirs: u32, known: u32) -> bool {
    (theirs.wrapping_sub(known) as i32) > 0
}

/// So that not all secondaries come at once.
fn jitter(failed: bool) -> Duration {
    Duration::from_millis(rand::random_range(0..if failed { 2000 } else { 5000 }))
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn serials_go_round() {
        for (theirs, known, newer) in
            [(2, 1, true), (1, 1, false), (1, 2, false), (0, u32::MAX, true), (5, 0xF000_0000, true)]
        {
            assert_eq!(is_newer(theirs, known), newer, "{theirs} {known}");
        }
    }
}
