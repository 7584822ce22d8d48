//! Whom a peer has to do with: lists of those it allows and denies, and bans that end.
//!
//! An entry is an address, a subnet or a key. Deny and ban win over allow. An empty allow list allows everybody; one that is not
//! admits those whom any of its entries names, by address or by key.

use crate::time::Instant;
use cicada_wire::{Address, PublicKey, Refusal, SignedRecord};
use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr, time::Duration};

/// A range of IP addresses, as in `10.0.0.0/8` or `2001:db8::/32`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subnet {
    network: IpAddr,
    length: u8,
}

impl Subnet {
    /// The addresses that share their first `length` bits with `ip`.
    ///
    /// # Errors
    /// When `length` is longer than an address of that family.
    pub fn new(ip: IpAddr, length: u8) -> Result<Self, WhoError> {
        let ip = ip.to_canonical();
        let longest = bits_of(ip).1;
        if length > longest {
            return Err(WhoError::Length { text: format!("{ip}/{length}"), longest });
        }
        Ok(Self { network: masked(ip, length), length })
    }

    /// The /24 (v4) or /48 (v6) around `ip`: what one customer commonly has.
    #[must_use]
    pub fn around(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let length = if ip.is_ipv4() { 24 } else { 48 };
        Self { network: masked(ip, length), length }
    }

    /// Whether `ip` lies in it. v4-mapped addresses count as v4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.network.is_ipv4() && masked(ip, self.length) == self.network
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// `address/length`. Bits beyond the length are refused, since they hint at a mistake.
impl FromStr for Subnet {
    type Err = WhoError;

    fn from_str(text: &str) -> Result<Self, WhoError> {
        let shape = || WhoError::Shape { text: text.to_owned() };
        let (ip, length) = text.split_once('/').ok_or_else(shape)?;
        let ip: IpAddr = ip.parse().map_err(|_| shape())?;
        let longest = bits_of(ip).1;
        let digits = !length.is_empty() && length.len() <= 3 && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse::<u8>().ok().filter(|length| digits && *length <= longest);
        let length = length.ok_or_else(|| WhoError::Length { text: text.to_owned(), longest })?;
        let network = masked(ip, length);
        if network != ip {
            return Err(WhoError::HostBits { text: text.to_owned(), network, length });
        }
        Self::new(ip, length)
    }
}

/// An address as a number, and how many bits it has.
fn bits_of(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

fn masked(ip: IpAddr, length: u8) -> IpAddr {
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    let bits = bits_of(ip).0 & mask;
    match ip {
        // The upper 32 bits: nothing is cut off.
        IpAddr::V4(_) => IpAddr::V4(((bits >> 96) as u32).into()),
        IpAddr::V6(_) => IpAddr::V6(bits.into()),
    }
}

/// Whom an entry of a list names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// Everybody at this address.
    Ip(IpAddr),
    /// Everybody in this range.
    Subnet(Subnet),
    /// Whoever has this key, wherever.
    Key(PublicKey),
}

impl Who {
    fn names(&self, ip: Option<IpAddr>, key: Option<PublicKey>) -> bool {
        match self {
            Self::Ip(own) => ip.is_some_and(|ip| ip.to_canonical() == own.to_canonical()),
            Self::Subnet(subnet) => ip.is_some_and(|ip| subnet.contains(ip)),
            Self::Key(own) => key == Some(*own),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Subnet(subnet) => subnet.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

impl From<IpAddr> for Who {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }
}

impl From<Subnet> for Who {
    fn from(subnet: Subnet) -> Self {
        Self::Subnet(subnet)
    }
}

impl From<PublicKey> for Who {
    fn from(key: PublicKey) -> Self {
        Self::Key(key)
    }
}

/// An IP address, a subnet as `address/length`, or a public key as 64 hexadecimal digits.
impl FromStr for Who {
    type Err = WhoError;

    fn from_str(text: &str) -> Result<Self, WhoError> {
        let text = text.trim();
        if text.contains('/') {
            return text.parse().map(Self::Subnet);
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        key(text).map(Self::Key)
    }
}

fn key(text: &str) -> Result<PublicKey, WhoError> {
    let hexadecimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hexadecimal {
        return Err(WhoError::Shape { text: text.to_owned() });
    }
    let wrong = || WhoError::KeyLength { text: text.to_owned(), digits: text.len() };
    if text.len() != 64 {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        // Checked above: 64 hexadecimal digits.
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(PublicKey(bytes))
}

/// A text that names nobody.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhoError {
    /// Neither of the three shapes.
    #[error("{text:?} names nobody: expected an IP address, a subnet such as 10.0.0.0/8, or a key of 64 hexadecimal digits")]
    Shape {
        /// What was given.
        text: String,
    },
    /// A prefix length that is none.
    #[error("{text:?}: the length after the slash must be a number from 0 to {longest}")]
    Length {
        /// What was given.
        text: String,
        /// The longest of this family.
        longest: u8,
    },
    /// An address that is not the beginning of its subnet.
    #[error("{text:?}: the address has bits beyond the length; the subnet is {network}/{length}")]
    HostBits {
        /// What was given.
        text: String,
        /// What was probably meant.
        network: IpAddr,
        /// Its length.
        length: u8,
    },
    /// Hexadecimal, but too short or too long for a key.
    #[error("{text:?}: a key has 64 hexadecimal digits, this has {digits}")]
    KeyLength {
        /// What was given.
        text: String,
        /// How many digits.
        digits: usize,
    },
}

/// A ban.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ban {
    /// Of whom.
    pub who: Who,
    /// For how much longer; `None`: until it is lifted.
    pub left: Option<Duration>,
}

/// The lists of one peer.
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    allow: Vec<Who>,
    deny: Vec<Who>,
    /// With their ends.
    bans: BTreeMap<Who, Option<Instant>>,
}

impl AccessList {
    /// Lists without bans.
    #[must_use]
    pub fn new(allow: Vec<Who>, deny: Vec<Who>) -> Self {
        Self { allow, deny, bans: BTreeMap::new() }
    }

    /// Bans for `span`, or until it is lifted. Of more than `limit` bans the one that ends first goes; those without an end
    /// stay longest.
    pub fn ban(&mut self, now: Instant, who: Who, span: Option<Duration>, limit: usize) {
        self.bans.insert(who, span.map(|span| now + span));
        self.forget_old(now);
        while self.bans.len() > limit.max(1) {
            let ends = |end: &Option<Instant>| end.unwrap_or(Instant(u64::MAX));
            let first = self.bans.iter().filter(|(other, _)| **other != who).min_by_key(|(_, end)| ends(end)).map(|(who, _)| *who);
            let Some(first) = first else { return };
            self.bans.remove(&first);
        }
    }

    /// Lifts a ban; returns whether there was one.
    pub fn unban(&mut self, now: Instant, who: &Who) -> bool {
        self.forget_old(now);
        self.bans.remove(who).is_some()
    }

    /// The bans in force.
    #[must_use]
    pub fn banned(&self, now: Instant) -> Vec<Ban> {
        let in_force = self.bans.iter().filter(|(_, end)| end.is_none_or(|end| end > now));
        in_force.map(|(who, end)| Ban { who: *who, left: end.map(|end| end.since(now)) }).collect()
    }

    fn forget_old(&mut self, now: Instant) {
        self.bans.retain(|_, end| end.is_none_or(|end| end > now));
    }

    /// Whether nobody is listed, as for most peers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty() && self.bans.is_empty()
    }

    fn denies(&self, now: Instant, ip: Option<IpAddr>, key: Option<PublicKey>) -> bool {
        let banned = |(who, end): (&Who, &Option<Instant>)| end.is_none_or(|end| end > now) && who.names(ip, key);
        self.deny.iter().any(|who| who.names(ip, key)) || self.bans.iter().any(banned)
    }

    /// Whether somebody at `ip` may knock. Who may come by a key is not known yet.
    #[must_use]
    pub fn may_knock(&self, now: Instant, ip: IpAddr) -> bool {
        let by_key = |who: &Who| matches!(who, Who::Key(_));
        !self.denies(now, Some(ip), None)
            && (self.allow.is_empty() || self.allow.iter().any(|who| by_key(who) || who.names(Some(ip), None)))
    }

    /// Whether to have to do with who has this key at this address.
    #[must_use]
    pub fn admits(&self, now: Instant, ip: Option<IpAddr>, key: PublicKey) -> bool {
        !self.denies(now, ip, Some(key)) && (self.allow.is_empty() || self.allow.iter().any(|who| who.names(ip, Some(key))))
    }

    /// The same of a record and its announced address.
    ///
    /// # Errors
    /// [`Refusal::Denied`] if not.
    pub fn check(&self, now: Instant, record: &SignedRecord) -> Result<(), Refusal> {
        let admitted = self.is_empty() || self.admits(now, record.announced().map(Address::ip), record.key());
        if admitted { Ok(()) } else { Err(Refusal::Denied) }
    }
}

#[cfg(test)]
mod tests;
