use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// How long an upstream takes to answer, smoothed (RFC 6298 section 2). Several threads may sample at once; that one
/// sample is lost then does no harm.
#[derive(Debug, Default)]
pub struct Rtt {
    /// Microseconds; 0 = nothing is known.
    smoothed: AtomicU32,
    deviation: AtomicU32,
}

/// Bounds of [`Rtt::head_start`].
const LEAST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_millis(300);
/// What is counted at most for one answer.
const LONGEST: Duration = Duration::from_secs(10);

impl Rtt {
    /// An answer took this long.
    pub fn sample(&self, took: Duration) {
        let took = micros(took);
        let smoothed = self.smoothed.load(Relaxed);
        if smoothed == 0 {
            return self.set(took, took / 2);
        }
        let deviation = self.deviation.load(Relaxed);
        let (smoothed, off) = (smoothed - smoothed / 8 + took / 8, smoothed.abs_diff(took));
        self.set(smoothed, deviation - deviation / 4 + off / 4);
    }

    /// Nothing has come for this long.
    pub fn late(&self, waited: Duration) {
        let smoothed = self.smoothed.load(Relaxed);
        self.set(smoothed.saturating_mul(2).max(micros(waited)).min(micros(LONGEST)), self.deviation.load(Relaxed));
    }

    /// Forgets what was, in favour of an answer that took this long.
    pub fn renew(&self, took: Duration) {
        let took = micros(took);
        self.set(took, took / 2);
    }

    fn set(&self, smoothed: u32, deviation: u32) {
        self.smoothed.store(smoothed.max(1), Relaxed);
        self.deviation.store(deviation, Relaxed);
    }

    /// The smoothed time; zero if nothing is known.
    pub fn smoothed(&self) -> Duration {
        Duration::from_micros(self.smoothed.load(Relaxed).into())
    }

    /// How long the upstream has a query to itself before somebody else is asked as well: longer than nearly all of its
    /// answers take, and 0.1 to 0.3 seconds.
    pub fn head_start(&self) -> Duration {
        let smoothed = self.smoothed.load(Relaxed);
        if smoothed == 0 {
            return MOST;
        }
        let usual = smoothed.saturating_add(self.deviation.load(Relaxed).saturating_mul(4));
        Duration::from_micros(usual.into()).clamp(LEAST, MOST)
    }

    /// Whether it takes so much longer than the best that it should be asked last.
    pub fn is_slow(&self, best: Duration) -> bool {
        self.smoothed() > best * 4 + LEAST / 2
    }
}

fn micros(time: Duration) -> u32 {
    time.min(LONGEST).as_micros() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &[u64]) -> Rtt {
        let rtt = Rtt::default();
        samples.iter().for_each(|&ms| rtt.sample(Duration::from_millis(ms)));
        rtt
    }

    #[test]
    fn the_head_start_follows_what_is_usual() {
        for (what, samples, head_start) in [
            ("nothing is known", &[][..], 300),
            ("always fast", &[1, 1, 1], 100),
            ("always 50 ms, once more", &[50; 40], 100),
            ("about 150 ms", &[150; 40], 150),
            ("fast and slow by turns", &[5, 200, 5, 200, 5, 200, 5, 200], 300),
        ] {
            let found = after(samples).head_start().as_millis();
            assert!(found.abs_diff(head_start) <= 5, "{what}: {found}");
        }
    }

    #[test]
    fn an_upstream_that_is_late_goes_behind_until_it_answers() {
        let (best, rtt) = (Duration::from_millis(1), after(&[1, 1]));
        assert!(!rtt.is_slow(best));
        rtt.late(Duration::from_millis(100));
        assert!(rtt.is_slow(best));
        rtt.renew(Duration::from_millis(2));
        assert!(!rtt.is_slow(best));
        assert!(!Rtt::default().is_slow(best), "who was never asked is worth a try");
    }
}
