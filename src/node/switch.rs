use std::time::Duration;

use super::{
    Backend, IptablesError, NftError, iptables,
    nft::{Changes, Nft, PREFIX},
    rules::Filled,
};

/// How long changes may gather before the iptables programs are asked.
const SETTLING: Duration = Duration::from_millis(200);

/// What sends pods to the node cache: the packet rules, held by one of the backends.
pub(super) struct Switch {
    holder: Holder,
    rules: Vec<Filled>,
    changes: Option<Changes>,
}

enum Holder {
    Nft(Nft),
    Iptables,
    Nobody,
}

/// Why the rules are not in place.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The kernel's own tables.
    #[error("packet rules: {0}")]
    Nft(#[from] NftError),
    /// The programs.
    #[error("packet rules: {0}")]
    Iptables(#[from] IptablesError),
    /// The programs were not waited for.
    #[error("packet rules: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl RulesError {
    /// Whether no later attempt can succeed either.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Nft(NftError::Forbidden(_)))
    }

    /// Whether another program holds the lock.
    pub(super) const fn is_lock(&self) -> bool {
        matches!(self, Self::Iptables(IptablesError::Lock(_)))
    }
}

impl Switch {
    /// Chooses who holds the rules: where the kernel lacks what the default needs, the iptables programs do.
    pub(super) fn new(backend: Backend, rules: Vec<Filled>) -> Result<Self, NftError> {
        let holder = match backend {
            Backend::Nft => match Nft::open() {
                Ok(nft) => Holder::Nft(nft),
                Err(error @ NftError::Lacking(_)) => fall_back(&error),
                Err(error) => return Err(error),
            },
            Backend::Iptables => Holder::Iptables,
            Backend::None => Holder::Nobody,
        };
        // The iptables programs of today write to nftables too.
        let names = match &holder {
            Holder::Nft(_) => &[PREFIX][..],
            Holder::Iptables => &[PREFIX, "raw", "filter"],
            Holder::Nobody => &[],
        };
        let changes = if names.is_empty() { None } else { Changes::listen(names).ok() };
        Ok(Self { holder, rules, changes })
    }

    /// Puts in what is missing; says whether anything was.
    pub(super) async fn ensure(&mut self) -> Result<bool, RulesError> {
        match &self.holder {
            Holder::Nft(nft) => match nft.ensure(&self.rules) {
                Err(error @ NftError::Lacking(_)) => {
                    self.holder = fall_back(&error);
                    self.with_programs(iptables::ensure).await
                }
                outcome => Ok(outcome?),
            },
            Holder::Iptables => self.with_programs(iptables::ensure).await,
            Holder::Nobody => Ok(false),
        }
    }

    /// Takes out the rules of this process, and unless another instance is `left`, those that all share.
    pub(super) async fn remove(&self, left: bool) -> Result<(), RulesError> {
        match &self.holder {
            Holder::Nft(nft) => Ok(nft.remove()?),
            Holder::Iptables if left => Ok(()),
            Holder::Iptables => self.with_programs(iptables::remove).await,
            Holder::Nobody => Ok(()),
        }
    }

    /// Chains of others that let in only what they know, and that our rules cannot overrule.
    pub(super) fn closed_chains(&self) -> Result<Vec<String>, NftError> {
        match &self.holder {
            Holder::Nft(nft) => nft.closed_chains(),
            // A rule at the head of their own chain lets queries in.
            Holder::Iptables | Holder::Nobody => Ok(Vec::new()),
        }
    }

    /// Waits until somebody has changed something; for ever if nobody tells.
    pub(super) async fn changed(&mut self) {
        let Some(changes) = &mut self.changes else { return std::future::pending().await };
        changes.next().await;
        if matches!(self.holder, Holder::Iptables) {
            // A look starts two dozen programs, and kube-proxy changes the same tables all the time.
            tokio::time::sleep(SETTLING).await;
        }
    }

    /// The programs may wait for a lock: not on a thread that others need.
    async fn with_programs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&[Filled]) -> Result<T, IptablesError> + Send + 'static,
    ) -> Result<T, RulesError> {
        let rules = self.rules.clone();
        Ok(tokio::task::spawn_blocking(move || work(&rules)).await??)
    }
}

fn fall_back(error: &NftError) -> Holder {
    tracing::warn!("{error}: the packet rules are put in with iptables, and stay if this process is killed");
    Holder::Iptables
}
