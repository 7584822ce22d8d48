//! Who is known, and how well.

use crate::config::Families;
use cicada_wire::{Address, Credential, Hash, Identity, Origin, PublicKey, SignedRecord};
use std::net::IpAddr;

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
pub struct Proven {
    record: SignedRecord,
    places: Places,
}

impl Proven {
    /// To be called only where the proof has just been checked: a link whose remote address is the one that we would send to,
    /// or an answered challenge.
    pub(crate) fn by_contact(record: SignedRecord) -> Self {
        Self { places: Places::of(&record), record }
    }

    /// A member of this id, for tests of what ids alone decide. Nobody asks there whether its signature holds.
    #[cfg(test)]
    pub(crate) fn of_id(id: Hash) -> Self {
        use cicada_wire::{Capabilities, IdKind, Record, Role, Signature, UnixTime};
        let record = Record {
            key: PublicKey([9; 32]),
            kind: IdKind::Data,
            role: Role::Member,
            addresses: vec!["10.0.0.1:2000".parse().expect("an address")],
            capabilities: Capabilities::default(),
            sequence: 1,
            expires: UnixTime(u64::MAX),
            data: Some(id),
        };
        Self::by_contact(SignedRecord::assemble(record, Signature([0; 64])).expect("it agrees with itself"))
    }

    /// The member's record.
    #[must_use]
    pub fn record(&self) -> &SignedRecord {
        &self.record
    }

    /// Where its record says that it is, in short.
    pub(crate) fn places(&self) -> Places {
        self.places
    }

    /// Where it stands on the circle.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.record.id()
    }
}

/// What is asked of the addresses of many peers at once: records lie far apart in memory, and this beside what leads to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) families: Families,
    /// One bit for each address, which most others do not have.
    marks: u32,
}

impl Places {
    pub(crate) fn of(record: &SignedRecord) -> Self {
        let marks = record.record().addresses.iter().fold(0, |marks, address| marks | mark(*address));
        Self { families: Families::of(record), marks }
    }

    /// Whether `address` may be one of them; if not, it is none.
    pub(crate) fn may_hold(self, address: Address) -> bool {
        self.marks & mark(address) != 0
    }
}

/// One of 32 bits.
fn mark(address: Address) -> u32 {
    let ip = match address.ip() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    };
    let low = (ip ^ (ip >> 64)) as u64 ^ u64::from(address.port()) << 32;
    1 << (low.wrapping_mul(GOLDEN) >> 59)
}

/// 2^64 divided by the golden ratio: it scatters numbers that follow each other (Knuth, volume 3, section 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
