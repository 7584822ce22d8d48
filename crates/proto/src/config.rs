//! Everything that can be set, with its default; checked once, at the boundary.

pub use crate::rate::Rate;
use crate::{
    lists::{Subnet, Who},
    scope::Scope,
    trusted::Keyring,
};
use cicada_wire::{Address, Capabilities, Hash, IdKind, OverlayKind, PublicKey, Purpose, SignedRecord};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// How a node behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Which overlay. Default: the ring.
    pub overlay: OverlayKind,
    /// What for. Default: a swarm.
    pub purpose: Purpose,
    /// Which kind of id this swarm's members have. Default: of the address.
    pub member_ids: IdKind,
    /// What this node can do.
    pub capabilities: Capabilities,
    /// Which address families this node can send to. Default: both.
    pub families: Families,
    /// Whether the application is asked before a peer enters the tables.
    pub ask_admission: bool,
    /// Whom to have to do with; everybody if empty.
    pub allow: Vec<Who>,
    /// Whom not; wins over `allow`.
    pub deny: Vec<Who>,
    /// Peers with whom keys are agreed: what goes to them is sealed.
    pub trusted: Keyring,
    /// How messages are protected. Default: as well as can be.
    pub security: Security,
    /// How well the key of a message's origin must be known before the message is taken. Default: witnessed.
    pub least_level: KeyLevel,
    /// Keys that the user has chosen, by the ids of their peers: no other key is accepted for these.
    pub pins: BTreeMap<Hash, PublicKey>,
    /// What is bounded.
    pub limits: Limits,
    /// How the overlay is kept.
    pub upkeep: Upkeep,
    /// What this node does wrong, so that others can be tried against it.
    #[doc(hidden)]
    pub faults: Faults,
}

/// How messages are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Security {
    /// Origins prove that messages are theirs, and what is for one peer is sealed for it. What does not prove its origin is refused.
    #[default]
    Full,
    /// Messages prove nothing and are not sealed, unless keys were agreed with their target. For measuring what protection costs.
    Plain,
}

/// How well it is known that a key belongs to an id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyLevel {
    /// Its owner says so.
    Claimed,
    /// Members near the id have proven it, and none of them contradicts.
    Witnessed,
    /// This peer has proven it itself: by an answer from the announced address. An id that is the hash of a key proves itself.
    Proven,
    /// The user has chosen it: keys were agreed in a key file, or the key stands among the known peers.
    Pinned,
}

impl KeyLevel {
    /// In lower case, as in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Witnessed => "witnessed",
            Self::Proven => "proven",
            Self::Pinned => "pinned",
        }
    }
}

/// What a node does wrong on purpose.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// It acknowledges its share of a broadcast, and forgets it.
    pub drops_tasks: bool,
    /// Its streams with broadcasts break off after so many bytes of their payloads.
    pub breaks_streams_after: Option<usize>,
    /// It gives up no stream for being slow, whoever else needs the room.
    pub keeps_slow_streams: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            overlay: OverlayKind::Ring,
            purpose: Purpose::Swarm,
            member_ids: IdKind::Address,
            capabilities: Capabilities::default(),
            families: Families::default(),
            ask_admission: false,
            allow: Vec::new(),
            deny: Vec::new(),
            trusted: Keyring::default(),
            security: Security::default(),
            least_level: KeyLevel::Witnessed,
            pins: BTreeMap::new(),
            limits: Limits::default(),
            upkeep: Upkeep::default(),
            faults: Faults::default(),
        }
    }
}

/// The address families that a socket can send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Default for Families {
    fn default() -> Self {
        Self { v4: true, v6: true }
    }
}

impl Families {
    /// None.
    pub const NONE: Self = Self { v4: false, v6: false };

    /// IPv4.
    pub const V4: Self = Self { v4: true, v6: false };

    /// IPv6.
    pub const V6: Self = Self { v4: false, v6: true };

    /// That of one address.
    #[must_use]
    pub fn of_ip(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Those that a member can send to and be reached in: those of its addresses.
    #[must_use]
    pub fn of(record: &SignedRecord) -> Self {
        let addresses = record.record().addresses.iter();
        addresses.fold(Self::NONE, |families, address| families.and(Self::of_ip(address.ip())))
    }

    /// As a header writes them. Unknown bits are ignored.
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self { v4: bits & 1 != 0, v6: bits & 2 != 0 }
    }

    /// See [`Self::from_bits`].
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.v4) | (u8::from(self.v6) << 1)
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { v4: self.v4 || other.v4, v6: self.v6 || other.v6 }
    }

    /// These without those.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self { v4: self.v4 && !other.v4, v6: self.v6 && !other.v6 }
    }

    /// Whether one of these is one of those.
    #[must_use]
    pub fn meet(self, other: Self) -> bool {
        (self.v4 && other.v4) || (self.v6 && other.v6)
    }

    /// Whether these are both.
    #[must_use]
    pub fn are_both(self) -> bool {
        self.v4 && self.v6
    }

    /// Where a peer can be sent to: at the address that it announces, or, if that is of another family, at the first listed one
    /// that is of ours. A peer without one is nobody's candidate here; messages reach it over peers that have both families.
    #[must_use]
    pub fn address(self, record: &SignedRecord) -> Option<Address> {
        record.record().addresses.iter().copied().find(|address| self.meet(Self::of_ip(address.ip())))
    }

    /// Whether a peer can be sent to.
    #[must_use]
    pub fn reach(self, record: &SignedRecord) -> bool {
        self.address(record).is_some()
    }
}

/// What is bounded, and at how much. What is refused for it is counted, see [`crate::Refusals`].
///
/// Bounds of one IP address and of one subnet (a /24 of v4, a /48 of v6) hold for all but the exempt ones.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Links to members, both directions counted.
    pub links: usize,
    /// Links to clients and leaves, in addition.
    pub client_links: usize,
    /// Links and handshakes that came from one IP address.
    pub links_per_ip: usize,
    /// Links and handshakes that came from one subnet.
    pub links_per_subnet: usize,
    /// Whether loopback and private addresses are exempt from the bounds of one address and one subnet.
    pub exempt_local: bool,
    /// Further ranges that are exempt.
    pub exempt: Vec<Subnet>,
    /// Handshakes of others under way at once. From half of it on, those who knock must prove their address first (QUIC's Retry).
    pub half_open: usize,
    /// Handshakes of others that begin, in all.
    pub handshakes: Rate,
    /// The same from one IP address.
    pub handshakes_per_ip: Rate,
    /// Dials under way at once.
    pub dials: usize,
    /// Proofs and questions sent to addresses that are not those of members, in all. Each is up to three datagrams of 400 bytes.
    pub probes: Rate,
    /// The same towards one IP address.
    pub probes_per_ip: Rate,
    /// Addresses never heard of that one peer may tell of; more are passed over.
    pub addresses_per_informer: Rate,
    /// Records that one peer may tell of, known or not; more are passed over.
    pub records_per_informer: Rate,
    /// Frames with messages that one link may bring.
    pub messages_per_peer: Rate,
    /// Bytes of such frames.
    pub bytes_per_peer: Rate,
    /// Unicasts of one origin that are taken, for this peer or for others.
    pub messages_per_origin: Rate,
    /// Bytes of those.
    pub bytes_per_origin: Rate,
    /// Broadcasts of one origin that are taken. This peer's own are held back a little earlier, so that others need not refuse any.
    pub broadcasts_per_origin: Rate,
    /// Bytes of those.
    pub broadcast_bytes_per_origin: Rate,
    /// Broadcasts that one link may offer by digest, each time it names one.
    pub offers_per_peer: Rate,
    /// Broadcasts that one link may ask for.
    pub pulls_per_peer: Rate,
    /// Questions that one link may bring.
    pub questions_per_peer: Rate,
    /// Questions by datagram that are answered, those of members not counted.
    pub questions: Rate,
    /// The same from one IP address; of a member: its own.
    pub questions_per_ip: Rate,
    /// Proofs of our address that are signed, in all.
    pub proofs: Rate,
    /// The same for half a minute after a broadcast of ours, whose hearers ask for one before they hand it on, unless they know us.
    pub proofs_for_hearers: Rate,
    /// Bans remembered.
    pub bans: usize,
    /// Members remembered from one start to the next, see `Builder::state`.
    pub known_members: usize,
    /// The longest payload, in bytes; at most 1 GiB. `in_flight_bytes` and the bursts of bytes must hold one such.
    pub message_bytes: usize,
    /// Deliveries that the application has not taken yet.
    pub deliveries: usize,
    /// Bytes of those, from which on nothing more is taken: the last may go beyond.
    pub delivery_bytes: usize,
    /// Messages of this node and of others that wait for a verdict, a receipt or a link.
    pub in_flight: usize,
    /// Bytes of payload that those hold. What one link has announced and not brought yet takes half of them at most, or one message
    /// of the longest, and what all have announced seven eighths. When those are full, slow streams of whoever holds more than an
    /// equal share are given up for one who holds less, so that nobody fills them with promises.
    pub in_flight_bytes: usize,
    /// Message numbers remembered.
    pub seen: usize,
    /// Lookups under way at once.
    pub lookups: usize,
    /// Members in the tables from one IP address. Loopback and private addresses are exempt.
    pub members_per_ip: usize,
    /// Members in the tables from one /24 (v4) or /48 (v6). Loopback and private addresses are exempt.
    pub members_per_subnet: usize,
    /// Candidates remembered.
    pub candidates: usize,
    /// Challenges open at once.
    pub challenges: usize,
    /// Lost peers remembered.
    pub lost: usize,
    /// Clients and leaves attached.
    pub attachments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            links: 48,        // architecture: enough at N = 10 000
            client_links: 64, // guess
            links_per_ip: 8,  // guess: a household
            links_per_subnet: 16,
            exempt_local: true,
            exempt: Vec::new(),
            half_open: 64,                                            // guess: 3 s each at worst, so 20 a second go on
            handshakes: Rate::new(100, 200),                          // measured: 0.15 ms of CPU each, so 1.5 % of a core
            handshakes_per_ip: Rate::new(5, 20),                      // guess
            dials: 16,                                                // guess
            probes: Rate::new(500, 4000),                             // guess: 16 lookups a second among strangers
            probes_per_ip: Rate::new(5, 40),                          // guess: 6 KB/s at most towards whoever is named
            addresses_per_informer: Rate::new(16, 256),               // guess: a dozen full answers at once
            records_per_informer: Rate::new(500, 4000),               // guess
            messages_per_peer: Rate::new(50_000, 100_000),            // guess: above what one core handles
            bytes_per_peer: Rate::new(4 << 30, 4 << 30),              // guess: above what one core encrypts
            messages_per_origin: Rate::new(20_000, 40_000),           // guess: half of what one core handles
            bytes_per_origin: Rate::new(2 << 30, 2 << 30),            // guess: above what a relay passes on
            broadcasts_per_origin: Rate::new(200, 1000),              // guess: each is up to 16 copies at every peer
            broadcast_bytes_per_origin: Rate::new(64 << 20, 1 << 30), // guess: the longest message at once
            offers_per_peer: Rate::new(1000, 8192),                   // guess: 200 broadcasts a second, each offered five times
            pulls_per_peer: Rate::new(500, 4096),                     // guess: all bodies that a peer keeps, at once
            questions_per_peer: Rate::new(500, 1000),                 // guess: 64 lookups at once
            questions: Rate::new(2000, 4000),                         // guess: 5 % of a core
            questions_per_ip: Rate::new(100, 400),                    // guess
            proofs: Rate::new(500, 1000),                             // measured: 0.1 ms each, so 5 % of a core
            proofs_for_hearers: Rate::new(5000, 10_000),              // half a core, while somebody waits for each
            bans: 4096,                                               // guess
            known_members: 256,                                       // guess: some of them are still there after months
            message_bytes: 16 * 1024 * 1024,
            deliveries: 1024,                  // guess
            delivery_bytes: 64 * 1024 * 1024,  // guess
            in_flight: 4096,                   // guess
            in_flight_bytes: 64 * 1024 * 1024, // guess
            seen: 65_536,                      // 500 messages/s for the window of 2 minutes
            lookups: 64,                       // guess
            members_per_ip: 3,                 // guess; S/Kademlia leaves it open
            members_per_subnet: 10,            // Kademlia's common implementations: 10 of a /24 in a table
            candidates: 512,                   // guess
            challenges: 64,                    // guess
            lost: 64,                          // guess
            attachments: 64,                   // guess
        }
    }
}

impl Limits {
    /// Whether the bounds of one address and one subnet do not hold for `ip`.
    #[must_use]
    pub fn is_exempt(&self, ip: IpAddr) -> bool {
        (self.exempt_local && Scope::of(ip) != Scope::Public) || self.exempt.iter().any(|subnet| subnet.contains(ip))
    }

    /// Bytes of payload that one link may have announced and not brought yet.
    #[must_use]
    pub fn announced_bytes(&self) -> usize {
        (self.in_flight_bytes / 2).max(self.message_bytes)
    }

    /// Bytes of payload that all links together may have announced and not brought yet: of broadcasts, and as many of unicasts. The
    /// rest of `in_flight_bytes` is for what is here and waits for a verdict.
    #[must_use]
    pub fn arriving_bytes(&self) -> usize {
        (self.in_flight_bytes / 8 * 7).max(self.message_bytes)
    }

    /// Rates by name: each must let something through.
    fn rates(&self) -> [(&'static str, Rate); 19] {
        [
            ("limits.handshakes", self.handshakes),
            ("limits.handshakes_per_ip", self.handshakes_per_ip),
            ("limits.probes", self.probes),
            ("limits.probes_per_ip", self.probes_per_ip),
            ("limits.addresses_per_informer", self.addresses_per_informer),
            ("limits.records_per_informer", self.records_per_informer),
            ("limits.messages_per_peer", self.messages_per_peer),
            ("limits.bytes_per_peer", self.bytes_per_peer),
            ("limits.messages_per_origin", self.messages_per_origin),
            ("limits.bytes_per_origin", self.bytes_per_origin),
            ("limits.broadcasts_per_origin", self.broadcasts_per_origin),
            ("limits.broadcast_bytes_per_origin", self.broadcast_bytes_per_origin),
            ("limits.offers_per_peer", self.offers_per_peer),
            ("limits.pulls_per_peer", self.pulls_per_peer),
            ("limits.questions_per_peer", self.questions_per_peer),
            ("limits.questions", self.questions),
            ("limits.questions_per_ip", self.questions_per_ip),
            ("limits.proofs", self.proofs),
            ("limits.proofs_for_hearers", self.proofs_for_hearers),
        ]
    }
}

/// How the overlay is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Upkeep {
    /// Length of the successor list (Zave's r), and of the tree's neighbourhood.
    pub successors: usize,
    /// Contacts in a bucket (Kademlia's k).
    pub bucket: usize,
    /// Questions of a lookup under way at once (Kademlia's alpha).
    pub alpha: usize,
    /// Disjoint paths of a lookup.
    pub disjoint_paths: usize,
    /// Between two stabilisations of a quiet ring.
    pub stabilise: Duration,
    /// From a change to the next stabilisation.
    pub stabilise_after_change: Duration,
    /// Between two refreshes of a cell.
    pub refresh: Duration,
    /// List changes are gathered for this long before they are told.
    pub batch: Duration,
    /// The longest wait for an answer to a small question.
    pub answer_timeout: Duration,
    /// Between two liveness checks of a quiet neighbour; twice as long while all is quiet; eight times for
    /// a link that is only useful, sixteen times for a spare one.
    pub liveness: Duration,
    /// How long a record of ours is worth something; a new one is made at half of that.
    pub record_lifetime: Duration,
    /// A link that nobody needs is closed after this long.
    pub idle_link: Duration,
    /// Whether this peer tells others which broadcasts it has, so that they fetch what they missed.
    pub repair: bool,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            successors: 16, // modelled: 16 or 20 are affordable with deltas, 8 is not enough
            bucket: 20,     // Maymounkov and Mazieres 2002, section 2.4
            alpha: 3,       // the same
            disjoint_paths: 1,
            stabilise: Duration::from_secs(5),                  // modelled
            stabilise_after_change: Duration::from_secs(1),     // modelled
            refresh: Duration::from_secs(60),                   // modelled: 60 to 120 s is plenty
            batch: Duration::from_millis(50),                   // modelled
            answer_timeout: Duration::from_millis(500),         // modelled
            liveness: Duration::from_secs(2),                   // guess
            record_lifetime: Duration::from_secs(24 * 60 * 60), // guess
            idle_link: Duration::from_secs(60),                 // guess
            repair: true,
        }
    }
}

impl Config {
    /// Checks what must agree.
    ///
    /// # Errors
    /// Names the field and what it should be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let at_least = |field, value: usize, least| {
            let bound = Bound::AtLeast(least);
            if value < least { Err(ConfigError { field, bound }) } else { Ok(()) }
        };
        at_least("limits.links", self.limits.links, 4)?;
        at_least("limits.dials", self.limits.dials, 1)?;
        at_least("limits.half_open", self.limits.half_open, 2)?;
        at_least("limits.links_per_ip", self.limits.links_per_ip, 1)?;
        at_least("limits.links_per_subnet", self.limits.links_per_subnet, 1)?;
        at_least("limits.delivery_bytes", self.limits.delivery_bytes, 1)?;
        for (field, rate) in self.limits.rates() {
            at_least(field, usize::from(rate.per_second.min(rate.burst) > 0), 1)?;
        }
        at_least("limits.message_bytes", self.limits.message_bytes, 1)?;
        if self.limits.message_bytes > MOST_MESSAGE_BYTES {
            return Err(ConfigError { field: "limits.message_bytes", bound: Bound::AtMost(MOST_MESSAGE_BYTES) });
        }
        // Else the longest message could never be sent.
        at_least("limits.in_flight_bytes", self.limits.in_flight_bytes, self.limits.message_bytes)?;
        for (field, rate) in [
            ("limits.bytes_per_peer", self.limits.bytes_per_peer),
            ("limits.bytes_per_origin", self.limits.bytes_per_origin),
            ("limits.broadcast_bytes_per_origin", self.limits.broadcast_bytes_per_origin),
        ] {
            at_least(field, usize::try_from(rate.burst).unwrap_or(usize::MAX), self.limits.message_bytes)?;
        }
        at_least("limits.deliveries", self.limits.deliveries, 1)?;
        at_least("limits.in_flight", self.limits.in_flight, 1)?;
        at_least("upkeep.successors", self.upkeep.successors, 2)?;
        at_least("upkeep.bucket", self.upkeep.bucket, 2)?;
        at_least("upkeep.alpha", self.upkeep.alpha, 1)?;
        at_least("upkeep.disjoint_paths", self.upkeep.disjoint_paths, 1)
    }
}

/// A setting is outside of what works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {bound}")]
#[non_exhaustive]
pub struct ConfigError {
    /// Which setting.
    pub field: &'static str,
    /// What works.
    pub bound: Bound,
}

/// What works for a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// This or more.
    AtLeast(usize),
    /// This or less.
    AtMost(usize),
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

/// The most that [`Limits::message_bytes`] can be.
const MOST_MESSAGE_BYTES: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_a_limit_that_lets_nothing_through_is_refused_by_its_name() {
        assert_eq!(Config::default().check(), Ok(()));
        type Change = (&'static str, fn(&mut Limits));
        let changes: [Change; 8] = [
            ("limits.links", |limits| limits.links = 0),
            ("limits.half_open", |limits| limits.half_open = 1),
            ("limits.delivery_bytes", |limits| limits.delivery_bytes = 0),
            ("limits.message_bytes", |limits| limits.message_bytes = (1 << 30) + 1),
            ("limits.in_flight_bytes", |limits| limits.message_bytes = 65 << 20),
            ("limits.broadcast_bytes_per_origin", |limits| limits.broadcast_bytes_per_origin = Rate::new(1000, 1000)),
            ("limits.proofs", |limits| limits.proofs = Rate::new(0, 10)),
            ("limits.bytes_per_peer", |limits| limits.bytes_per_peer = Rate::new(10, 0)),
        ];
        for (field, change) in changes {
            let mut config = Config::default();
            change(&mut config.limits);
            let error = config.check().expect_err(field);
            assert_eq!(error.field, field);
        }
    }
}
