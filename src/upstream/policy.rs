use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// In which order upstreams are asked.
#[derive(Debug, Default)]
pub enum Policy {
    /// Any order.
    #[default]
    Random,
    /// Each in turn goes first.
    RoundRobin(AtomicUsize),
    /// As they are written.
    Sequential,
}

impl Policy {
    /// Numbers of `count` upstreams in the order in which to try them. `random` gives any number.
    pub fn order(&self, count: usize, mut random: impl FnMut() -> usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        match self {
            Self::Random => {
                for last in (1..count).rev() {
                    order.swap(last, random() % (last + 1));
                }
            }
            Self::RoundRobin(next) if count > 0 => order.rotate_left(next.fetch_add(1, Relaxed) % count),
            Self::RoundRobin(_) | Self::Sequential => {}
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let sequential = Policy::Sequential;
        assert_eq!(sequential.order(3, || 0), [0, 1, 2]);
        let turns = Policy::RoundRobin(AtomicUsize::new(0));
        let orders: Vec<_> = (0..4).map(|_| turns.order(3, || 0)).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
        let mut numbers = [0, 0].into_iter();
        assert_eq!(Policy::Random.order(3, || numbers.next().unwrap()), [1, 2, 0]);
        assert!(turns.order(0, || 0).is_empty());
    }
}
