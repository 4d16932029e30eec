//! Which names stand for a question that a search list has made, in the order of the list. Pure.

use std::sync::Arc;

use crate::wire::Name;

/// The names that a client's resolver would ask one after the other, the one that it has asked first.
#[derive(Debug, Clone)]
pub(super) struct Candidates {
    question: Name,
    /// How many labels of the question are what the program asked for.
    base: usize,
    /// Labels of the question left of the cluster's zone; `None` if the list alone counts.
    above: Option<usize>,
    /// The search list, or what follows the cluster's part of it.
    list: Arc<[Name]>,
    next: usize,
}

impl Candidates {
    /// For a list that all clients have: the question is below its first element.
    pub(super) fn of_list(question: &Name, list: &Arc<[Name]>) -> Option<Self> {
        let base = question.labels_above(list.first()?).filter(|&base| base > 0)?;
        Some(Self { question: *question, base, above: None, list: Arc::clone(list), next: 0 })
    }

    /// For pods, whose list begins with `NAMESPACE.svc.ZONE svc.ZONE ZONE`: the question is below `NAMESPACE.svc.ZONE`,
    /// and `is_client` says that the asker is a pod of that namespace. `rest` is the list of the pod's node.
    pub(super) fn of_pod(
        question: &Name,
        zone: &Name,
        rest: &Arc<[Name]>,
        is_client: impl FnOnce(&[u8]) -> bool,
    ) -> Option<Self> {
        let above = question.labels_above(zone)?;
        let base = above.checked_sub(2).filter(|&base| base > 0)?;
        let mut labels = question.labels().skip(base);
        let (namespace, svc) = (labels.next()?, labels.next()?);
        let is_pods = svc.eq_ignore_ascii_case(b"svc") && is_client(namespace);
        is_pods.then(|| Self { question: *question, base, above: Some(above), list: Arc::clone(rest), next: 0 })
    }

    fn tail(&self, at: usize) -> Option<Name> {
        let at = match (self.above, at) {
            (Some(above), 0..=2) => return Some(self.question.parent([above - 2, above - 1, above][at])),
            (Some(_), at) => at - 3,
            (None, at) => at,
        };
        // Behind the list the name is asked as it is.
        if at == self.list.len() { Some(Name::root()) } else { self.list.get(at).copied() }
    }
}

impl Iterator for Candidates {
    type Item = Name;

    fn next(&mut self) -> Option<Name> {
        loop {
            let tail = self.tail(self.next)?;
            self.next += 1;
            // A name that grows too long does not exist.
            if let Ok(name) = Name::under(self.question.labels().take(self.base), &tail) {
                return Some(name);
            }
        }
    }
}
