//! Who is known, and how well.

use cicada_wire::{Credential, Hash, Identity, Origin, PublicKey, SignedRecord};

/// The peer that this machine is.
#[derive(Clone, Debug)]
pub struct Me {
    /// Its own signed record.
    pub record: SignedRecord,
    /// Drawn anew at each start.
    pub boot: u64,
    /// What others need to seal to it, signed by its identity. Without it nobody can; then no unicast is protected either way.
    pub credential: Option<Credential>,
}

impl Me {
    /// Where it stands on the circle.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.record.id()
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.record.key()
    }

    /// Itself as the origin of a message.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::of_record(&self.record)
    }

    /// Whether `identity` is the one that signed the record.
    #[must_use]
    pub fn is(&self, identity: &Identity) -> bool {
        identity.public() == self.key()
    }
}

/// A member that answered with its key from its announced address, or, where that is of a family that we do not see, from the
/// listed one of ours. Only links and the prover make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven(SignedRecord);

impl Proven {
    /// To be called only where the proof has just been checked: a link whose remote address is the one that we would send to,
    /// or an answered challenge.
    pub(crate) fn by_contact(record: SignedRecord) -> Self {
        Self(record)
    }

    /// The member's record.
    #[must_use]
    pub fn record(&self) -> &SignedRecord {
        &self.0
    }

    /// Where it stands on the circle.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.0.id()
    }
}
