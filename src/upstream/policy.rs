use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use smallvec::SmallVec;

/// A way to choose the next upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Any order.
    Random,
    /// Each in turn goes first.
    RoundRobin,
    /// As they are written.
    Sequential,
}

impl Way {
    /// With the word for each.
    pub const WORDS: [(&str, Self); 3] =
        [("random", Self::Random), ("round_robin", Self::RoundRobin), ("sequential", Self::Sequential)];
}

/// In which order upstreams are asked.
#[derive(Debug)]
pub struct Policy {
    way: Way,
    /// Counts the queries, if each upstream goes first in turn.
    turn: AtomicUsize,
}

/// Numbers of upstreams.
pub type Order = SmallVec<[usize; 16]>;

impl Policy {
    /// Orders in this way.
    pub const fn new(way: Way) -> Self {
        Self { way, turn: AtomicUsize::new(0) }
    }

    /// Numbers of `count` upstreams in the order in which to try them. `random` gives any number.
    pub fn order(&self, count: usize, random: impl FnMut() -> usize) -> Order {
        let mut order: Order = (0..count).collect();
        match self.way {
            Way::Random => shuffle(&mut order, random),
            Way::RoundRobin if count > 0 => order.rotate_left(self.turn.fetch_add(1, Relaxed) % count),
            Way::RoundRobin | Way::Sequential => {}
        }
        order
    }

    /// Whether any upstream is as good as any other, so that a second one may be asked while the first is slow.
    pub const fn is_indifferent(&self) -> bool {
        !matches!(self.way, Way::Sequential)
    }
}

fn shuffle(order: &mut [usize], mut random: impl FnMut() -> usize) {
    for last in (1..order.len()).rev() {
        order.swap(last, random() % (last + 1));
    }
}

/// The upstreams that one query tries, one after the other, round and round until it may try no more.
#[derive(Debug)]
pub struct Attempts {
    order: Order,
    position: usize,
    /// How many attempts are left; `None` = no limit.
    left: Option<usize>,
}

impl Attempts {
    /// Attempts in this order, at most `most`; 0 = no limit.
    pub fn new(order: Order, most: usize) -> Self {
        Self { order, position: 0, left: (most > 0).then_some(most) }
    }

    /// The next one among those that are `usable`.
    pub fn next(&mut self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        if self.left == Some(0) {
            return None;
        }
        for _ in 0..self.order.len() {
            let index = self.order[self.position % self.order.len()];
            self.position += 1;
            if usable(index) {
                self.left = self.left.map(|left| left - 1);
                return Some(index);
            }
        }
        None
    }

    /// Whether one that is `usable` has not been tried yet, and may be.
    pub fn has_untried(&self, usable: impl Fn(usize) -> bool) -> bool {
        self.left != Some(0) && self.order.iter().skip(self.position).any(|&index| usable(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let list = |order: Order| order.into_vec();
        let sequential = Policy::new(Way::Sequential);
        assert_eq!(list(sequential.order(3, || 0)), [0, 1, 2]);
        let turns = Policy::new(Way::RoundRobin);
        let orders: Vec<_> = (0..4).map(|_| list(turns.order(3, || 0))).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
        let mut numbers = [0, 0].into_iter();
        assert_eq!(list(Policy::new(Way::Random).order(3, || numbers.next().unwrap())), [1, 2, 0]);
        assert!(turns.order(0, || 0).is_empty());
    }

    #[test]
    fn attempts_go_round_and_pass_over_who_is_down() {
        let tried = |most, down: &[usize]| {
            let mut attempts = Attempts::new(Policy::new(Way::Sequential).order(3, || 0), most);
            let mut tried = Vec::new();
            while let Some(index) = attempts.next(|index| !down.contains(&index)) {
                tried.push(index);
                if tried.len() == 7 {
                    break;
                }
            }
            tried
        };
        assert_eq!(tried(4, &[]), [0, 1, 2, 0]);
        assert_eq!(tried(4, &[1]), [0, 2, 0, 2]);
        assert_eq!(tried(0, &[0, 1]), [2; 7]);
        assert!(tried(4, &[0, 1, 2]).is_empty());
        assert!(Attempts::new(Order::new(), 4).next(|_| true).is_none());
    }

    #[test]
    fn a_second_one_is_asked_only_if_it_has_not_been() {
        let mut attempts = Attempts::new(Policy::new(Way::Sequential).order(2, || 0), 0);
        let untried = |attempts: &Attempts| attempts.has_untried(|_| true);
        assert!(untried(&attempts));
        attempts.next(|_| true);
        assert!(untried(&attempts));
        assert!(!attempts.has_untried(|index| index == 0));
        attempts.next(|_| true);
        assert!(!untried(&attempts));
    }
}
