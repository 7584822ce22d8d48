//! How a Kadcast peer is set up: the fields of the crate with their names and defaults, and ours beside them.
//!
//! Every field may be left out when a configuration is deserialised. Times are texts for people, `30s`.

use super::error::PeerError;
use cicada_proto::kadcast::{Limits, Redundancy, Settings};
use cicada_wire::kadcast::{CHUNK_OVERHEAD_BYTES, MAX_OBJECT_BYTES, MAX_UDP_BYTES, MINED_BITS, REQUIRED_BITS, Requirement, Version};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How a peer is set up.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The network: peers of others are refused. `None` is network 0.
    pub kadcast_id: Option<u8>,
    /// The address and port that others reach this peer by, no name. Its id is made of it. With port 0 it is that of the port which
    /// the system gives.
    pub public_address: String,
    /// Where to listen, if not on the public address. `[::]` listens to IPv4 as well.
    pub listen_address: Option<String>,
    /// Peers to begin with, `host:port`; names are resolved each time.
    pub bootstrapping_nodes: Vec<String>,
    /// Whether broadcasts of others are handed on.
    pub auto_propagate: bool,
    /// How many messages wait for the application, and how many of the application's wait to be sent.
    pub channel_size: usize,
    /// Whether peers that others tell of are asked whom they know; else they are only pinged.
    pub recursive_discovery: bool,
    /// The table.
    pub bucket: BucketConfig,
    /// The socket.
    pub network: NetworkConfig,
    /// Forward error correction.
    pub fec: FECConfig,
    /// The application's version, told to others: a semantic version.
    pub version: String,
    /// Which versions of others are accepted, `>=1.2`; all by default.
    pub version_match: String,
    /// What the crate has not.
    pub cicada: CicadaConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kadcast_id: None,
            public_address: "127.0.0.1:9000".to_owned(),
            listen_address: None,
            bootstrapping_nodes: Vec::new(),
            auto_propagate: ENABLE_BROADCAST_PROPAGATION,
            channel_size: DEFAULT_CHANNEL_SIZE,
            recursive_discovery: true,
            bucket: BucketConfig::default(),
            network: NetworkConfig::default(),
            fec: FECConfig::default(),
            version: "0.0.1".to_owned(),
            version_match: "*".to_owned(),
            cicada: CicadaConfig::default(),
        }
    }
}

/// How the table is kept.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketConfig {
    /// A peer that was heard of within this is alive without a check.
    #[serde(with = "humantime_serde")]
    pub node_ttl: Duration,
    /// How long a check of a peer may go unanswered before the peer is put out.
    #[serde(with = "humantime_serde")]
    pub node_evict_after: Duration,
    /// How long a bucket may go without a look for new peers.
    #[serde(with = "humantime_serde")]
    pub bucket_ttl: Duration,
    /// With fewer live peers than this the bootstrapping nodes are asked again.
    pub min_peers: usize,
}

impl Default for BucketConfig {
    fn default() -> Self {
        Self {
            node_ttl: Duration::from_millis(BUCKET_DEFAULT_NODE_TTL_MILLIS),
            node_evict_after: Duration::from_millis(BUCKET_DEFAULT_NODE_EVICT_AFTER_MILLIS),
            bucket_ttl: Duration::from_secs(BUCKET_DEFAULT_TTL_SECS),
            min_peers: DEFAULT_MIN_PEERS_FOR_INTEGRATION,
        }
    }
}

/// How the socket is used.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkConfig {
    /// The receive buffer to ask for, in bytes. The system may grant less, and the peer says how much.
    pub udp_recv_buffer_size: Option<usize>,
    /// The least time between two datagrams to one receiver. `None` leaves it to [`CicadaConfig::receiver_bytes_per_second`].
    #[serde(with = "humantime_serde")]
    pub udp_send_backoff_timeout: Option<Duration>,
    /// No effect here: a socket that takes no more is waited for.
    #[serde(with = "humantime_serde")]
    pub udp_send_retry_interval: Duration,
    /// No effect here, as the one before; not 0.
    pub udp_send_retry_count: u8,
    /// No effect here: whoever is blocked is so at once.
    #[serde(with = "humantime_serde")]
    pub blocklist_refresh_interval: Duration,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            udp_recv_buffer_size: Some(5_000_000),
            udp_send_backoff_timeout: None,
            udp_send_retry_interval: Duration::from_millis(DEFAULT_SEND_RETRY_SLEEP_MILLIS),
            udp_send_retry_count: DEFAULT_SEND_RETRY_COUNT,
            blocklist_refresh_interval: Duration::from_secs(DEFAULT_BLOCKLIST_REFRESH_SECS),
        }
    }
}

/// Forward error correction, both ways.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FECConfig {
    /// Of what is sent.
    pub encoder: TransportEncoderConfig,
    /// Of what comes.
    pub decoder: TransportDecoderConfig,
}

/// How payloads become datagrams.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct TransportEncoderConfig {
    /// At least so many repair symbols for each block; [`CicadaConfig::loss`] may ask for more.
    pub min_repair_packets_per_block: u32,
    /// Bytes of a symbol, rounded down to a multiple of 8. Datagrams have 79 more.
    pub mtu: u16,
    /// Repair symbols as a part of the source symbols; [`CicadaConfig::loss`] may ask for more.
    pub fec_redundancy: f32,
}

impl Default for TransportEncoderConfig {
    fn default() -> Self {
        Self { min_repair_packets_per_block: 5, mtu: 1300, fec_redundancy: 0.15 }
    }
}

/// How datagrams become payloads.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct TransportDecoderConfig {
    /// How long a message may take to arrive. It is known again for ten times as long, and not delivered a second time.
    #[serde(with = "humantime_serde")]
    pub cache_ttl: Duration,
    /// No effect here: what is over is forgotten when its time comes.
    #[serde(with = "humantime_serde")]
    pub cache_prune_every: Duration,
    /// Payloads have fewer bytes than this.
    pub max_udp_len: u64,
}

impl Default for TransportDecoderConfig {
    fn default() -> Self {
        Self { cache_ttl: Duration::from_secs(60), cache_prune_every: Duration::from_secs(30), max_udp_len: MAX_UDP_LEN }
    }
}

/// What the crate fixes when it is compiled, or does not have.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct CicadaConfig {
    /// How many peers a bucket of the table holds.
    pub k: usize,
    /// How many questions of a lookup are open at once.
    pub alpha: usize,
    /// To how many peers of each bucket a broadcast goes.
    pub beta: usize,
    /// The loss of datagrams, as a part of them, that repair symbols are to make up for, in all but one case of ten thousand. With 0
    /// there are as many as [`TransportEncoderConfig`] says, and no more.
    pub loss: f32,
    /// Bits of work that the peer's nonce shows. Each peer insists on 8; the crate makes 20, which takes some tenths of a second.
    pub work_bits: u32,
    /// Whether peers of ours share symbols out and fetch missing ones from each other. The crate's peers do not notice.
    pub extensions: bool,
    /// How fast symbols are sent to one receiver, whose buffer they must not overrun.
    pub receiver_bytes_per_second: u64,
    /// How fast symbols are sent in all.
    pub line_bytes_per_second: u64,
}

impl Default for CicadaConfig {
    fn default() -> Self {
        Self {
            k: 20,
            alpha: 3,
            beta: 3,
            loss: 0.12, // what the Kadcast paper (Rohrer and Tschorsch 2019) designs for
            work_bits: MINED_BITS,
            extensions: true,
            receiver_bytes_per_second: 32_000_000, // guess: a quarter of a line
            line_bytes_per_second: 125_000_000,    // a gigabit
        }
    }
}

/// What a configuration comes to.
pub(crate) struct Checked {
    pub(crate) public: SocketAddr,
    pub(crate) listen: SocketAddr,
    pub(crate) settings: Settings,
}

impl Config {
    /// Whether a peer can be set up so.
    ///
    /// # Errors
    /// Names the field that it cannot be set up with.
    pub fn check(&self) -> Result<(), PeerError> {
        self.checked().map(|_| ())
    }

    pub(crate) fn checked(&self) -> Result<Checked, PeerError> {
        let public = address("public_address", &self.public_address)?;
        check_public(public)?;
        let listen = self.listen_address.as_deref().map(|text| address("listen_address", text)).transpose()?;
        let listen = listen.unwrap_or(public);
        check_listen(listen, public)?;
        if public.port() == 0 && listen.port() != 0 {
            return Err(PeerError::config("public_address", "port 0 goes only with a listening port that the system chooses"));
        }
        for (number, node) in self.bootstrapping_nodes.iter().enumerate() {
            check_node(node).map_err(|why| PeerError::config("bootstrapping_nodes", format!("entry {number}, {node:?}, {why}")))?;
        }
        self.check_sizes()?;
        let settings = self.settings()?;
        Ok(Checked { public, listen, settings })
    }

    fn check_sizes(&self) -> Result<(), PeerError> {
        let encoder = &self.fec.encoder;
        within("channel_size", self.channel_size as u64, 1, MAX_CHANNEL)?;
        within("network.udp_send_retry_count", self.network.udp_send_retry_count.into(), 1, u8::MAX.into())?;
        let buffer = self.network.udp_recv_buffer_size.map_or(MIN_BUFFER, |bytes| bytes as u64);
        within("network.udp_recv_buffer_size", buffer, MIN_BUFFER, i32::MAX as u64)?;
        within("fec.encoder.min_repair_packets_per_block", encoder.min_repair_packets_per_block.into(), 0, MAX_REPAIR)?;
        within("fec.encoder.mtu", encoder.mtu.into(), MIN_SYMBOL, MAX_SYMBOL)?;
        within("fec.decoder.max_udp_len", self.fec.decoder.max_udp_len, 2, MAX_UDP_LEN)?;
        within("cicada.work_bits", self.cicada.work_bits.into(), REQUIRED_BITS.into(), MAX_WORK_BITS)?;
        within("cicada.receiver_bytes_per_second", self.cicada.receiver_bytes_per_second, MIN_RATE, u64::MAX)?;
        within("cicada.line_bytes_per_second", self.cicada.line_bytes_per_second, MIN_RATE, u64::MAX)?;
        if !(0.0..=4.0).contains(&encoder.fec_redundancy) {
            return Err(PeerError::config("fec.encoder.fec_redundancy", format!("{} is not between 0 and 4", encoder.fec_redundancy)));
        }
        if !(0.0..=0.5).contains(&self.cicada.loss) {
            return Err(PeerError::config("cicada.loss", format!("{} is not between 0 and 0.5", self.cicada.loss)));
        }
        if self.fec.decoder.cache_ttl < Duration::from_millis(100) {
            return Err(PeerError::config("fec.decoder.cache_ttl", "no message arrives in less than 100 ms"));
        }
        Ok(())
    }

    fn settings(&self) -> Result<Settings, PeerError> {
        let version: Version = self.version.parse().map_err(|error| PeerError::config("version", format!("{error}")))?;
        let accepts: Requirement = self.version_match.parse().map_err(|error| PeerError::config("version_match", format!("{error}")))?;
        let decoder = &self.fec.decoder;
        let object_bytes = usize::try_from(decoder.max_udp_len - 1).unwrap_or(MAX_OBJECT_BYTES).min(MAX_OBJECT_BYTES);
        let settings = Settings {
            network: self.kadcast_id.unwrap_or_default(),
            version,
            accepts,
            relay: self.auto_propagate,
            recursive_discovery: self.recursive_discovery,
            extensions: self.cicada.extensions,
            bucket_size: self.cicada.k,
            lookup_width: self.cicada.alpha,
            delegates: self.cicada.beta,
            min_peers: self.bucket.min_peers,
            node_ttl: self.bucket.node_ttl,
            evict_after: self.bucket.node_evict_after,
            bucket_ttl: self.bucket.bucket_ttl,
            symbol_bytes: self.fec.encoder.mtu,
            redundancy: self.redundancy(),
            remember: decoder.cache_ttl.saturating_mul(REMEMBERED_FOR),
            limits: Limits { object_bytes, object_time: decoder.cache_ttl, ..Limits::default() },
            ..Settings::default()
        };
        settings.check().map_err(|error| PeerError::config(path_of(error.field), error.why))?;
        Ok(settings)
    }

    fn redundancy(&self) -> Redundancy {
        let encoder = &self.fec.encoder;
        Redundancy::Larger { loss: self.cicada.loss, share: encoder.fec_redundancy, least: encoder.min_repair_packets_per_block as usize }
    }
}

/// The path in a configuration of a field of the machine's settings.
fn path_of(field: &'static str) -> &'static str {
    match field {
        "bucket_size" => "cicada.k",
        "lookup_width" => "cicada.alpha",
        "delegates" => "cicada.beta",
        "node_ttl" => "bucket.node_ttl",
        "evict_after" => "bucket.node_evict_after",
        "bucket_ttl" => "bucket.bucket_ttl",
        "symbol_bytes" => "fec.encoder.mtu",
        "redundancy" => "fec.encoder.fec_redundancy",
        "remember" => "fec.decoder.cache_ttl",
        "limits.object_bytes" => "fec.decoder.max_udp_len",
        other => other,
    }
}

fn within(field: &'static str, value: u64, least: u64, most: u64) -> Result<(), PeerError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(PeerError::config(field, format!("{value} is not between {least} and {most}")))
    }
}

fn address(field: &'static str, text: &str) -> Result<SocketAddr, PeerError> {
    let wrong = || PeerError::config(field, format!("{text:?} is not an IP address and a port, 192.0.2.1:9000 or [2001:db8::1]:9000"));
    let address: SocketAddr = text.parse().map_err(|_| wrong())?;
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Others are told this one.
fn check_public(public: SocketAddr) -> Result<(), PeerError> {
    let wrong = |why: &str| Err(PeerError::config("public_address", format!("{public}: {why}")));
    match public.ip() {
        ip if ip.is_unspecified() => wrong("nobody can be reached by the unspecified address; it may stand in listen_address"),
        ip if ip.is_multicast() => wrong("a peer has no multicast address"),
        IpAddr::V4(ip) if ip.octets()[0] == 0 => wrong("Kadcast has no way to write addresses that begin with 0"),
        IpAddr::V4(ip) if ip.is_broadcast() => wrong("a peer has no broadcast address"),
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(()),
    }
}

/// What is sent must leave from the public address, so it must be of the socket's family.
fn check_listen(listen: SocketAddr, public: SocketAddr) -> Result<(), PeerError> {
    let both_families = listen.ip() == IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED);
    if both_families || listen.is_ipv4() == public.is_ipv4() {
        return Ok(());
    }
    let why = format!("{listen} cannot serve the public address {public} of the other family; [::] can");
    Err(PeerError::config("listen_address", why))
}

fn check_node(node: &str) -> Result<(), &'static str> {
    const WANTED: &str = "is not host:port, an IPv6 address in brackets";
    let (host, port) = node.rsplit_once(':').ok_or(WANTED)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let bracketed = host.starts_with('[') && host.ends_with(']');
    match port.parse::<u16>() {
        _ if host.is_empty() || (bare.contains(':') && !bracketed) => Err(WANTED),
        Ok(0) => Err("has port 0"),
        Ok(_) => Ok(()),
        Err(_) => Err(WANTED),
    }
}

/// The default of [`BucketConfig::node_ttl`], in milliseconds.
pub const BUCKET_DEFAULT_NODE_TTL_MILLIS: u64 = 30_000;

/// The default of [`BucketConfig::node_evict_after`], in milliseconds.
pub const BUCKET_DEFAULT_NODE_EVICT_AFTER_MILLIS: u64 = 5000;

/// The default of [`BucketConfig::bucket_ttl`], in seconds.
pub const BUCKET_DEFAULT_TTL_SECS: u64 = 3600;

/// The default of [`Config::auto_propagate`].
pub const ENABLE_BROADCAST_PROPAGATION: bool = true;

/// The default of [`Config::channel_size`].
pub const DEFAULT_CHANNEL_SIZE: usize = 1000;

/// The default of [`NetworkConfig::udp_send_retry_count`].
pub const DEFAULT_SEND_RETRY_COUNT: u8 = 3;

/// The default of [`NetworkConfig::udp_send_retry_interval`], in milliseconds.
pub const DEFAULT_SEND_RETRY_SLEEP_MILLIS: u64 = 5;

/// The default of [`NetworkConfig::blocklist_refresh_interval`], in seconds.
pub const DEFAULT_BLOCKLIST_REFRESH_SECS: u64 = 10;

/// The default of [`BucketConfig::min_peers`].
pub const DEFAULT_MIN_PEERS_FOR_INTEGRATION: usize = 3;

/// Decoders of the crate take no more (the specification, section 4).
const MAX_UDP_LEN: u64 = 10 << 20;

/// Of [`TransportDecoderConfig::cache_ttl`]: late copies come within seconds, replays of an attacker whenever it likes.
const REMEMBERED_FOR: u32 = 10; // guess

/// Places are made when they are needed; this keeps a slip of the pen from asking for all memory.
const MAX_CHANNEL: u64 = 1 << 20; // guess

/// The longest datagram, twice, as Linux counts it.
const MIN_BUFFER: u64 = 2 * MAX_UDP_BYTES as u64;

/// More than there are source symbols in a block of usual size.
const MAX_REPAIR: u64 = 256; // guess

/// Symbols that the crate's decoders were seen to take (the specification, section 13), within a datagram.
const MIN_SYMBOL: u64 = 64;
const MAX_SYMBOL: u64 = 8192;
const _: () = assert!(MAX_SYMBOL as usize + CHUNK_OVERHEAD_BYTES <= MAX_UDP_BYTES);

/// A minute's work; nonces of 32 bits may not reach more.
const MAX_WORK_BITS: u64 = 26; // guess

/// A modem of 1994; less would keep a message for minutes.
const MIN_RATE: u64 = 1000; // guess

#[cfg(test)]
mod tests;
