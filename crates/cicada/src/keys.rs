//! The secrets of a running peer.

use crate::{error::BindError, random};
use cicada_proto::Me;
use cicada_wire::{Credential, Identity, SealingSecret, SignedRecord};

/// What a peer signs with, and what others seal to.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) identity: Identity,
    /// Drawn anew at each start, and kept nowhere: who steals it learns what was sealed to this start.
    pub(crate) sealing: SealingSecret,
}

impl Keys {
    /// Those of a start of this identity.
    pub(crate) fn of(identity: Identity) -> Result<Self, BindError> {
        Ok(Self { identity, sealing: SealingSecret::from_seed(&random::bytes()?) })
    }

    /// This start of the peer with this record.
    pub(crate) fn me(&self, record: SignedRecord) -> Result<Me, BindError> {
        let boot = u64::from_be_bytes(random::bytes()?);
        Ok(Me { record, boot, credential: Some(self.credential(boot)) })
    }

    /// What others need to seal to this start.
    fn credential(&self, boot: u64) -> Credential {
        let (key, seal) = (self.identity.public(), self.sealing.public());
        let signature = Credential::hash(key, seal, boot).sign(&self.identity);
        Credential { key, seal, boot, signature }
    }
}
