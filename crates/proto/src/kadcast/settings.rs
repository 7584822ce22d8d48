//! What a Kadcast peer is set to: public fields with defaults, checked once.

use crate::{config::Rate, fec::LEAST_SYMBOL_BYTES};
use cicada_wire::kadcast::{CHUNK_OVERHEAD_BYTES, MAX_OBJECT_BYTES, MAX_SYMBOL_BYTES, Requirement, SYMBOL_ALIGNMENT, Version};
use std::time::Duration;

/// How a Kadcast peer behaves. The defaults are those of the crate wherever it has them.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The network: peers of others are refused.
    pub network: u8,
    /// The application's version, told to others.
    pub version: Version,
    /// Which versions of others are accepted.
    pub accepts: Requirement,
    /// Whether broadcasts of others are handed on.
    pub relay: bool,
    /// Whether peers of whom others tell are asked whom they know, or only pinged.
    pub recursive_discovery: bool,
    /// Whether our mark is carried and what only our peers understand is used: symbols shared out among delegates, and pulls.
    pub extensions: bool,
    /// How many peers a bucket holds; k. 20 to 100.
    pub bucket_size: usize,
    /// How many questions of a lookup are open at once; alpha.
    pub lookup_width: usize,
    /// To how many peers of each bucket a broadcast goes; beta.
    pub delegates: usize,
    /// With fewer live peers than this the bootstrap peers are asked again.
    pub min_peers: usize,
    /// A peer that is silent for this long is checked; one that has answered many checks less often, up to eight times as seldom.
    pub node_ttl: Duration,
    /// How long a check of a peer may go unanswered before the peer is put out, retries included.
    pub evict_after: Duration,
    /// How long a bucket may go without a look for new peers.
    pub bucket_ttl: Duration,
    /// The bootstrap peers are asked again after this, then after twice as long, and so on.
    pub retry_first: Duration,
    /// At most after this.
    pub retry_most: Duration,
    /// The most bytes of a symbol, rounded down to a multiple of 8. The crate calls it mtu; a datagram has 79 bytes more.
    pub symbol_bytes: u16,
    /// How many symbols are sent beyond those that the payload is cut into.
    pub redundancy: Redundancy,
    /// For how long a message is known again, and not delivered or handed on a second time; at most [`Limits::remembered`] of them.
    pub remember: Duration,
    /// What peers may cost.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: 0,
            version: Version { major: 0, minor: 0, patch: 1 },
            accepts: Requirement::any(),
            relay: true,
            recursive_discovery: true,
            extensions: true,
            bucket_size: 20,
            lookup_width: 3,
            delegates: 3,
            min_peers: 3,
            node_ttl: Duration::from_secs(30),
            evict_after: Duration::from_secs(5),
            bucket_ttl: Duration::from_secs(3600),
            retry_first: Duration::from_millis(500),
            retry_most: Duration::from_secs(30),
            symbol_bytes: 1300,
            redundancy: Redundancy::default(),
            remember: Duration::from_secs(600), // guess: long after the last relay has fallen silent
            limits: Limits::default(),
        }
    }
}

/// How many repair symbols follow the source symbols of each block.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Redundancy {
    /// So many that a receiver that loses each datagram with this chance, for itself, fails to decode once in ten thousand times.
    ForLoss(f32),
    /// This part of the source symbols, and at least so many: the crate's way (0.15 and 5).
    Share {
        /// Of the source symbols.
        share: f32,
        /// At least.
        least: usize,
    },
    /// The larger of both.
    Larger {
        /// As of `ForLoss`.
        loss: f32,
        /// As of `Share`.
        share: f32,
        /// As of `Share`.
        least: usize,
    },
}

impl Default for Redundancy {
    fn default() -> Self {
        Self::ForLoss(0.12) // the loss for which the Kadcast paper (Rohrer and Tschorsch 2019) designs
    }
}

impl Redundancy {
    /// The number of repair symbols for a block of so many source symbols.
    #[must_use]
    pub fn repair_symbols(self, source_symbols: usize) -> usize {
        let count = source_symbols as f64;
        match self {
            // The normal approximation of the binomial: of (K + z sqrt(K p)) / (1 - p) symbols K arrive but once in ten thousand
            // times. 27 for K = 80, 157 for K = 810 at 12 %. Two more make up for what the code itself needs.
            Self::ForLoss(0.0) => 0,
            Self::ForLoss(loss) => {
                let loss = f64::from(loss);
                let needed = (count + QUANTILE * (count * loss).sqrt()) / (1.0 - loss);
                (needed - count).ceil() as usize + CODE_OVERHEAD
            }
            Self::Share { share, least } => ((count * f64::from(share)) as usize).max(least),
            Self::Larger { loss, share, least } => {
                let for_loss = Self::ForLoss(loss).repair_symbols(source_symbols);
                Self::Share { share, least }.repair_symbols(source_symbols).max(for_loss)
            }
        }
    }
}

/// What peers may cost. At each bound what exceeds it is refused and counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest payload, sent or received. The crate's decoders take no more than the default.
    pub object_bytes: usize,
    /// How long an object may take to arrive.
    pub object_time: Duration,
    /// How many objects may be arriving at once.
    pub objects: usize,
    /// Bytes of symbols held of all objects that are arriving.
    pub held_bytes: usize,
    /// Of those, what one sender may have brought.
    pub held_bytes_per_sender: usize,
    /// Bytes of finished objects that are kept for peers that lack symbols of them.
    pub kept_bytes: usize,
    /// For how long.
    pub kept_time: Duration,
    /// How many messages are known again.
    pub remembered: usize,
    /// How often an object whose symbols do not fit together may be tried.
    pub attempts: u32,
    /// Bytes that one address may send: all that it sends beyond is dropped unread.
    pub bytes_per_sender: Rate,
    /// Pings and questions of one IP address that are answered.
    pub questions_per_ip: Rate,
    /// And of all together.
    pub questions: Rate,
    /// Peers that one peer may tell us of.
    pub entries_per_informer: Rate,
    /// Probes towards one IP address. Private and loopback addresses are exempt.
    pub probes_per_ip: Rate,
    /// Probes towards all.
    pub probes: Rate,
    /// Symbols that one peer may pull.
    pub pulled_symbols_per_peer: Rate,
    /// Peers of one IP address in the table. Private and loopback addresses are exempt.
    pub peers_per_ip: usize,
    /// Blocked addresses.
    pub blocked: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes: MAX_OBJECT_BYTES,
            object_time: Duration::from_secs(60),               // the crate's cache_ttl
            objects: 1024,                                      // guess: with the bytes below some 64 KiB each
            held_bytes: 64 << 20,                               // guess: four of the longest objects with all their repair
            held_bytes_per_sender: 24 << 20,                    // guess: one of the longest and a half
            kept_bytes: 32 << 20,                               // guess: three of the longest
            kept_time: Duration::from_secs(10),                 // guess: pulls come within a second
            remembered: 65_536,                                 // guess: 8 MiB
            attempts: 24,                                       // guess: one sender at a time, then a piece at a time
            bytes_per_sender: Rate::new(128 << 20, 64 << 20),   // guess: a gigabit
            questions_per_ip: Rate::new(50, 200),               // guess: a lookup's questions come in threes
            questions: Rate::new(2000, 4000),                   // guess
            entries_per_informer: Rate::new(50, 200),           // guess: ten answers at once
            probes_per_ip: Rate::new(1, 16),                    // guess: as many as an IP address may have in the table
            probes: Rate::new(200, 400),                        // guess
            pulled_symbols_per_peer: Rate::new(20_000, 20_000), // guess: 25 MiB
            peers_per_ip: 16,                                   // guess: a few behind one NAT
            blocked: 4096,                                      // guess
        }
    }
}

/// Why settings cannot be.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{field}: {why}")]
#[non_exhaustive]
pub struct SettingsError {
    /// Which field.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Settings {
    /// Whether these can be.
    ///
    /// # Errors
    /// Names the first field that cannot.
    pub fn check(&self) -> Result<(), SettingsError> {
        let within = |field, value: usize, least: usize, most: usize| {
            let why = || format!("{value} is not between {least} and {most}");
            if (least..=most).contains(&value) { Ok(()) } else { Err(SettingsError { field, why: why() }) }
        };
        within("bucket_size", self.bucket_size, 1, 100)?;
        within("lookup_width", self.lookup_width, 1, 32)?;
        within("delegates", self.delegates, 1, self.bucket_size.min(MAX_DELEGATES))?;
        within("symbol_bytes", self.symbol_bytes.into(), LEAST_SYMBOL_BYTES.into(), MAX_SYMBOL_BYTES)?;
        within("limits.object_bytes", self.limits.object_bytes, 1, MAX_OBJECT_BYTES)?;
        within("limits.objects", self.limits.objects, 1, 1 << 20)?;
        within("limits.remembered", self.limits.remembered, 1, 1 << 24)?;
        let share = match self.redundancy {
            Redundancy::ForLoss(loss) if (0.0..=0.5).contains(&loss) => Ok(()),
            Redundancy::Share { share, least } if (0.0..=4.0).contains(&share) && least <= 256 => Ok(()),
            Redundancy::Larger { loss, share, least } if (0.0..=0.5).contains(&loss) && (0.0..=4.0).contains(&share) && least <= 256 => {
                Ok(())
            }
            Redundancy::ForLoss(_) | Redundancy::Share { .. } | Redundancy::Larger { .. } => {
                Err("a loss up to 0.5, or a share up to 4 and at least 256")
            }
        };
        share.map_err(|why| SettingsError { field: "redundancy", why: why.to_owned() })?;
        for (field, span) in [("node_ttl", self.node_ttl), ("bucket_ttl", self.bucket_ttl), ("retry_first", self.retry_first)] {
            if span < Duration::from_millis(10) {
                return Err(SettingsError { field, why: format!("{span:?} is too short") });
            }
        }
        Ok(())
    }

    /// The bytes of the datagrams that carry symbols, but for the last ones of short messages.
    #[must_use]
    pub fn datagram_bytes(&self) -> usize {
        CHUNK_OVERHEAD_BYTES + usize::from(self.symbol_bytes) / SYMBOL_ALIGNMENT * SYMBOL_ALIGNMENT
    }
}

/// Of the normal distribution, for one failure in ten thousand, and a bit.
const QUANTILE: f64 = 4.0;

/// RFC 6330 codes decode from two more symbols than source symbols but for one time in a million (section 1 of RFC 6330).
const CODE_OVERHEAD: usize = 2;

/// More copies of a message than anybody wants.
const MAX_DELEGATES: usize = 16; // guess
