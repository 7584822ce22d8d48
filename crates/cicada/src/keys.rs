//! The secrets of a running peer.

use cicada_wire::{Credential, Identity, SealingSecret};

/// What a peer signs with, and what others seal to.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) identity: Identity,
    /// Drawn anew at each start, and kept nowhere: who steals it learns what was sealed to this start.
    pub(crate) sealing: SealingSecret,
}

impl Keys {
    /// What others need to seal to this start.
    pub(crate) fn credential(&self, boot: u64) -> Credential {
        let (key, seal) = (self.identity.public(), self.sealing.public());
        let signature = Credential::hash(key, seal, boot).sign(&self.identity);
        Credential { key, seal, boot, signature }
    }
}
