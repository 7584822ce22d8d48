//! A peer in the world: its node, and what a shell around it would hold.

use crate::{adversary::Adversary, cost::Cost, faults::Remembered, links::LinkKey, passage::Access};
use cicada_proto::{Config, Input, Instant, Me, Node, event::Delivery};
use cicada_wire::{
    Address, Answer, Challenge, Credential, Hash, IdKind, Identity, PublicKey, Record, Refusal, Role, SealingKey, Session, SessionId,
    Share, Signature, SignedRecord, StatementHash, Terms, UnixTime,
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

/// Numbers a peer of a world, in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerIndex(pub usize);

impl PeerIndex {
    /// The same for all that concerns this peer alone, and for nothing else.
    pub(crate) fn class(self) -> u64 {
        u64::MAX - self.0 as u64
    }
}

/// What the members of a swarm share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Swarm {
    /// Its name.
    pub name: String,
    /// Its secret, if it has one. In this world it is compared, not proven.
    pub secret: Option<String>,
}

impl Default for Swarm {
    fn default() -> Self {
        Self { name: "cicada".into(), secret: None }
    }
}

/// How a peer is made.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Its name in traces; by default `p` and its number.
    pub name: Option<String>,
    /// Its socket's address; by default `10.x.y.z:7000`, made of its number. The private range is exempt from caps.
    pub socket: Option<SocketAddr>,
    /// Its socket's address in the other family, if it sees both IPv4 and IPv6; by default it sees only that of its first.
    pub other: Option<SocketAddr>,
    /// What it says its address is; by default its socket's.
    pub announced: Option<Address>,
    /// An id of the test's choice. The kind of id is then `Data`, and the swarm's must be too.
    pub id: Option<Hash>,
    /// What it does in the swarm.
    pub role: Role,
    /// Its swarm.
    pub swarm: Swarm,
    /// How it behaves; by default as the world says.
    pub config: Option<Config>,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self { name: None, socket: None, other: None, announced: None, id: None, role: Role::Member, swarm: Swarm::default(), config: None }
    }
}

impl PeerOptions {
    /// A member with this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }
}

/// A peer and what the world knows of it.
#[derive(Debug)]
pub(crate) struct SimPeer {
    pub(crate) name: String,
    pub(crate) swarm: Swarm,
    pub(crate) config: Arc<Config>,
    /// What its key is made of: its name, until it starts again without its identity.
    pub(crate) key_name: String,
    pub(crate) record: SignedRecord,
    /// Counts its starts; what was under way for an earlier one is void.
    pub(crate) start: u32,
    /// `None` while it is crashed or gone.
    pub(crate) node: Option<Node>,
    /// The wake-up that counts; earlier and later ones still in the queue are void.
    pub(crate) wake: Option<Instant>,
    /// When its node wants to be woken.
    pub(crate) due: Option<Instant>,
    pub(crate) spins: u32,
    /// Its machine has time for it only every so often.
    pub(crate) stall: Option<std::time::Duration>,
    /// Since when its process stands still, if it does.
    pub(crate) paused: Option<Instant>,
    /// What waits until it goes on, or has time.
    pub(crate) waiting: VecDeque<Input>,
    /// Its links, those being made and those of which something is still under way among them.
    pub(crate) links: Vec<LinkKey>,
    pub(crate) access: Access,
    pub(crate) adversary: Vec<Adversary>,
    /// What it knew when it stopped last.
    pub(crate) remembered: Option<Box<Remembered>>,
    /// Whether its application takes deliveries at once.
    pub(crate) reads: bool,
    /// What its application says when asked to admit a peer.
    pub(crate) admits: bool,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) lagged: u64,
    pub(crate) refused: BTreeMap<Refusal, u64>,
    pub(crate) cost: Cost,
}

/// Where a peer is: all that is asked of those to whom and from whom something travels, side by side and apart from the rest, which is
/// far more than a processor's cache holds.
#[derive(Debug)]
pub(crate) struct Spot {
    pub(crate) socket: SocketAddr,
    pub(crate) other: Option<SocketAddr>,
    /// What its place on the latency matrix is drawn from.
    pub(crate) place: u64,
    /// Peers hear each other when their islands are the same.
    pub(crate) island: usize,
    /// Numbers its swarm.
    pub(crate) swarm: usize,
}

impl Spot {
    /// Where it is on the network of one family, if it is there at all.
    pub(crate) fn socket_beside(&self, other: SocketAddr) -> Option<SocketAddr> {
        [Some(self.socket), self.other].into_iter().flatten().find(|socket| socket.is_ipv4() == other.is_ipv4())
    }
}

impl SimPeer {
    pub(crate) fn me(&self, seed: u64) -> Me {
        let boot = self.boot(seed);
        let (key, seal) = (self.record.key(), self.sealing_key());
        let signature = message_signature(key, Credential::hash(key, seal, boot));
        Me { record: self.record.clone(), boot, credential: Some(Credential { key, seal, boot, signature }) }
    }

    /// Others seal to this. No secret belongs to it: see [`opened`].
    pub(crate) fn sealing_key(&self) -> SealingKey {
        SealingKey(Hash::of(format!("seal {} {}", self.key_name, self.start)).to_bytes())
    }

    /// The number of this start.
    pub(crate) fn boot(&self, seed: u64) -> u64 {
        let boot = Hash::of(format!("boot {seed} {} {}", self.name, self.start)).to_bytes();
        u64::from_be_bytes(boot[..8].try_into().expect("8 of 32 bytes"))
    }

    pub(crate) fn node_seed(&self, seed: u64) -> [u8; 32] {
        Hash::of(format!("node {seed} {} {}", self.name, self.start)).to_bytes()
    }

    /// What a listener finds wrong with a dialler's hello, or a dialler with a listener's: the checks that the shell's
    /// handshake makes, in its order. Signatures hold: the world itself has made them.
    pub(crate) fn objection(&self, other: &Self, now: UnixTime) -> Option<Refusal> {
        let theirs = other.record.record();
        let checks = [
            (self.swarm.name == other.swarm.name, Refusal::OtherSwarm),
            (self.config.overlay == other.config.overlay && self.config.purpose == other.config.purpose, Refusal::OtherOverlay),
            (self.swarm.secret == other.swarm.secret, Refusal::OtherSecret),
            (self.config.member_ids == other.config.member_ids, Refusal::OtherIdKind),
            (theirs.role != Role::Member || theirs.kind == self.config.member_ids, Refusal::OtherIdKind),
            (other.record.is_current(now), Refusal::ExpiredRecord),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map(|(_, refusal)| refusal)
    }
}

/// The identity of the peer with this name.
pub(crate) fn identity_of(name: &str) -> Identity {
    Identity::from_seed(&Hash::of(format!("key of {name}")).to_bytes())
}

/// The record of a peer made with `options`. Its signature is a real one: it is made once, and machines may check it.
pub(crate) fn record_of(options: &PeerOptions, name: &str, socket: SocketAddr, config: &Config, made: UnixTime) -> SignedRecord {
    let identity = identity_of(name);
    let unicast = |socket| Address::new(socket).expect("the world gives unicast addresses");
    let address = options.announced.unwrap_or_else(|| unicast(socket));
    let addresses = [Some(address), options.other.map(unicast)].into_iter().flatten();
    let member = options.role == Role::Member;
    let kind = match (options.id, member) {
        (Some(_), _) => IdKind::Data,
        (None, true) => config.member_ids,
        (None, false) => IdKind::Key,
    };
    let record = Record {
        key: identity.public(),
        kind,
        role: options.role,
        addresses: addresses.filter(|_| member).collect(),
        capabilities: config.capabilities,
        sequence: 1,
        expires: UnixTime(made.0 + config.upkeep.record_lifetime.as_millis() as u64),
        data: options.id,
    };
    SignedRecord::sign(record, &identity).expect("the options describe a record that agrees with itself")
}

/// The same peer's next record.
pub(crate) fn renewed(record: &SignedRecord, name: &str) -> SignedRecord {
    let mut next = record.record().clone();
    next.sequence += 1;
    SignedRecord::sign(next, &identity_of(name)).expect("the record agreed with itself before")
}

/// The record of another peer at the same address.
pub(crate) fn rekeyed(record: &SignedRecord, key_name: &str) -> SignedRecord {
    let identity = identity_of(key_name);
    let next = Record { key: identity.public(), sequence: 1, ..record.record().clone() };
    SignedRecord::sign(next, &identity).expect("the record agreed with itself before")
}

/// A record that a peer made anew itself.
pub(crate) fn sign(name: &str, record: Record) -> SignedRecord {
    SignedRecord::sign(record, &identity_of(name)).expect("a node agrees with itself")
}

/// Answers are many, so their signature is only a token.
pub(crate) fn answer(challenge: Challenge, record: SignedRecord) -> Answer {
    let signature = token(record.key(), challenge);
    Answer { challenge, record, signature }
}

/// Whether an answer is signed by its record's key. The record's own signature is checked unless it is the `expected` one.
pub(crate) fn answer_holds(answer: &Answer, expected: Option<&SignedRecord>) -> bool {
    let honest = expected == Some(&answer.record) || answer.record.verify();
    honest && answer.signature == token(answer.record.key(), answer.challenge)
}

/// The same for messages.
pub(crate) fn message_signature(key: PublicKey, hash: StatementHash) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&key.0);
    bytes[32..].copy_from_slice(&hash.0);
    Signature(bytes)
}

/// The session that the owner of `from` opens with that of `to`. Its secrets follow from what both know: in this world the
/// adversaries are those of a list, and none of them computes secrets.
pub(crate) fn opened(from: SealingKey, to: SealingKey, terms: &Terms, random: [u8; 32]) -> (Share, Session) {
    let share = Share(random);
    let [there, back] = session_secrets(from, to, terms, share);
    (share, Session::from_secrets(SessionId::of(share, from, to), there, back))
}

/// The other end of [`opened`].
pub(crate) fn accepted(from: SealingKey, to: SealingKey, terms: &Terms, share: Share) -> Session {
    let [there, back] = session_secrets(from, to, terms, share);
    Session::from_secrets(SessionId::of(share, from, to), back, there)
}

fn session_secrets(from: SealingKey, to: SealingKey, terms: &Terms, share: Share) -> [[u8; 32]; 2] {
    let both = [from.0.as_slice(), &to.0, &share.0, terms.as_bytes()].concat();
    [b"there".as_slice(), b"back"].map(|direction| Hash::of([direction, &both].concat()).to_bytes())
}

/// Stands for "this challenge, signed by `key`".
fn token(key: PublicKey, challenge: Challenge) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&key.0);
    bytes[32..48].copy_from_slice(&challenge.0);
    Signature(bytes)
}
