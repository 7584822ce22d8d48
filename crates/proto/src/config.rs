//! Everything that can be set, with its default; checked once, at the boundary.

use cicada_wire::{Capabilities, IdKind, OverlayKind, Purpose};
use std::time::Duration;

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
    /// Whether the application is asked before a peer enters the tables.
    pub ask_admission: bool,
    /// What is bounded.
    pub limits: Limits,
    /// How the overlay is kept.
    pub upkeep: Upkeep,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            overlay: OverlayKind::Ring,
            purpose: Purpose::Swarm,
            member_ids: IdKind::Address,
            capabilities: Capabilities::default(),
            ask_admission: false,
            limits: Limits::default(),
            upkeep: Upkeep::default(),
        }
    }
}

/// What is bounded, and at how much.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Links to members, both directions counted.
    pub links: usize,
    /// Links to clients and leaves, in addition.
    pub client_links: usize,
    /// Dials under way at once.
    pub dials: usize,
    /// The longest payload, in bytes.
    pub message_bytes: usize,
    /// Deliveries that the application has not taken yet.
    pub deliveries: usize,
    /// Messages of this node and of others that wait for a verdict, a receipt or a link.
    pub in_flight: usize,
    /// Bytes of payload that those hold.
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
            dials: 16,        // guess
            message_bytes: 256 * 1024,
            deliveries: 1024,                  // guess
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
    /// Between two liveness checks of a quiet neighbour; twice as long for each quiet round, up to eight times.
    pub liveness: Duration,
    /// How long a record of ours is worth something; a new one is made at half of that.
    pub record_lifetime: Duration,
    /// A link that nobody needs is closed after this long.
    pub idle_link: Duration,
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
        }
    }
}

impl Config {
    /// Checks what must agree.
    ///
    /// # Errors
    /// Names the field and what it should be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let at_least = |field, value: usize, least| if value < least { Err(ConfigError { field, least }) } else { Ok(()) };
        at_least("limits.links", self.limits.links, 4)?;
        at_least("limits.dials", self.limits.dials, 1)?;
        at_least("limits.message_bytes", self.limits.message_bytes, 1)?;
        at_least("limits.deliveries", self.limits.deliveries, 1)?;
        at_least("limits.in_flight", self.limits.in_flight, 1)?;
        at_least("upkeep.successors", self.upkeep.successors, 2)?;
        at_least("upkeep.bucket", self.upkeep.bucket, 2)?;
        at_least("upkeep.alpha", self.upkeep.alpha, 1)?;
        at_least("upkeep.disjoint_paths", self.upkeep.disjoint_paths, 1)
    }
}

/// A setting is below what works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be at least {least}")]
#[non_exhaustive]
pub struct ConfigError {
    /// Which setting.
    pub field: &'static str,
    /// The least that works.
    pub least: usize,
}
