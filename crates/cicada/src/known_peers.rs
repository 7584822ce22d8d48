//! Known-peers files: keys of peers that a user chose to rely on, as `known_hosts` is for ssh.
//!
//! A line names a peer by its address or its id, and then its public key, in the forms in which both are shown everywhere:
//!
//! ```text
//! # the machine in the cellar
//! 75.23.66.101:7000  3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29
//! ```

use cicada_wire::{Address, AddressError, Hash, HashError, PublicKey};
use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

/// The keys of peers that a user relies on, from a file of their own.
///
/// A peer is named by `ip:port` (an IPv6 address in brackets) or by its id, in decimal or in hexadecimal. Blank lines and what begins
/// with `#` are kept as they are, and mean nothing.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct KnownPeers {
    lines: Vec<Line>,
    /// The place of each peer in `lines`.
    places: BTreeMap<Hash, usize>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Line {
    /// Nothing, or a comment.
    Other(String),
    Peer(KnownPeer, PublicKey),
}

/// How a line names a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum KnownPeer {
    /// By the address that it announces.
    Address(Address),
    /// By its id.
    Id(Hash),
}

impl KnownPeer {
    /// The peer's id.
    #[must_use]
    pub fn id(self) -> Hash {
        match self {
            Self::Address(address) => address.id(),
            Self::Id(id) => id,
        }
    }
}

/// As it stands in the file.
impl fmt::Display for KnownPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl From<Address> for KnownPeer {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<Hash> for KnownPeer {
    fn from(id: Hash) -> Self {
        Self::Id(id)
    }
}

impl KnownPeers {
    /// Reads a file. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be read, or a line of it is wrong; the error has its path.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, KnownPeersError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| KnownPeersError::Read { path: path.to_owned(), source })?;
        Self::read(Some(path), &text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// When a line of it is wrong.
    pub fn parse(text: &str) -> Result<Self, KnownPeersError> {
        Self::read(None, text)
    }

    fn read(path: Option<&Path>, text: &str) -> Result<Self, KnownPeersError> {
        let mut known = Self::default();
        for (at, line) in text.lines().enumerate() {
            let wrong = |what| KnownPeersError::Wrong { path: path.map(Path::to_owned), line: at + 1, what };
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                known.lines.push(Line::Other(line.to_owned()));
                continue;
            }
            let (peer, key) = entry(trimmed).map_err(wrong)?;
            if let Some(before) = known.places.insert(peer.id(), at) {
                return Err(wrong(WrongLine::Twice { before: before + 1 }));
            }
            known.lines.push(Line::Peer(peer, key));
        }
        Ok(known)
    }

    /// The text of the file. Reading it gives the same again.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = self.lines.iter().map(|line| match line {
            Line::Other(text) => format!("{text}\n"),
            Line::Peer(peer, key) => format!("{peer} {key}\n"),
        });
        lines.collect()
    }

    /// The key of the peer that has this address or this id; `None` for one that is not known.
    #[must_use]
    pub fn key(&self, peer: impl Into<KnownPeer>) -> Option<PublicKey> {
        let place = *self.places.get(&peer.into().id())?;
        match &self.lines[place] {
            Line::Peer(_, key) => Some(*key),
            Line::Other(_) => None,
        }
    }

    /// Relies on this key for this peer from now on, and gives the one that it had before.
    pub fn insert(&mut self, peer: impl Into<KnownPeer>, key: PublicKey) -> Option<PublicKey> {
        let peer = peer.into();
        let before = self.key(peer);
        match self.places.get(&peer.id()) {
            Some(place) => self.lines[*place] = Line::Peer(peer, key),
            None => {
                self.places.insert(peer.id(), self.lines.len());
                self.lines.push(Line::Peer(peer, key));
            }
        }
        before
    }

    /// Every peer with its key, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (KnownPeer, PublicKey)> {
        self.lines.iter().filter_map(|line| match line {
            Line::Peer(peer, key) => Some((*peer, *key)),
            Line::Other(_) => None,
        })
    }

    /// How many peers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no peer is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

fn entry(line: &str) -> Result<(KnownPeer, PublicKey), WrongLine> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [peer, key] = words[..] else { return Err(WrongLine::Words) };
    let peer = match peer.contains(':') {
        true => KnownPeer::Address(peer.parse().map_err(WrongLine::Address)?),
        false => KnownPeer::Id(Hash::from_hashed(peer).map_err(WrongLine::Id)?),
    };
    if key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(WrongLine::Key);
    }
    // 64 hexadecimal digits are read in the same way, whatever they mean.
    let key = Hash::from_hashed(key).map_err(|_| WrongLine::Key)?;
    Ok((peer, PublicKey(key.to_bytes())))
}

/// Why a known-peers file is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnownPeersError {
    /// It cannot be read.
    #[error("the known-peers file {}: {source}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{}{line}: {what}", .path.as_ref().map_or("line ".to_owned(), |path| format!("{}:", path.display())))]
    Wrong {
        /// Which file, unless a text was given.
        path: Option<PathBuf>,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: WrongLine,
    },
}

/// What is wrong with a line of a known-peers file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrongLine {
    /// Not two words.
    #[error("wanted: an address or an id, a blank, and a key")]
    Words,
    /// Something with a colon that is no address.
    #[error(transparent)]
    Address(AddressError),
    /// Something without a colon that is no id.
    #[error(transparent)]
    Id(HashError),
    /// Not a key.
    #[error("not a key: wanted are 64 hexadecimal digits")]
    Key,
    /// A peer that a line above names already.
    #[error("names the same peer as line {before}")]
    Twice {
        /// The line above.
        before: usize,
    },
}

#[cfg(test)]
mod tests;
