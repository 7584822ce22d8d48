//! Key files: peers with which keys were exchanged beforehand, as in the documents of the original Cicada.
//!
//! ```json
//! {
//!   "trusted_hosts": [{
//!     "peer": "24355304810235874286134060455083535315455785472150272366747243996307578662525",
//!     "address": "75.23.66.101:7000",
//!     "outbound_key": "outbound_encryption_key",
//!     "inbound_key": "  inbound_encryption_key"
//!   }, {
//!   }]
//! }
//! ```

mod file;

use crate::{error::ResolveError, target::HostPort};
use cicada_proto::Keyring;
use cicada_wire::{Address, Hash, MIN_SECRET_BYTES, PairKeys};
use file::{Entry, Fault, Field, Key};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Peers that are trusted, each with the two keys that were exchanged with it beforehand.
///
/// An entry names its peer by `peer` (the id, in decimal or hexadecimal), by `address` (`host:port`, or a host alone where one peer is
/// known there), or by both, which then must agree. `outbound_key` seals what goes to the peer, `inbound_key` opens what comes from it;
/// the peer's own file has the two the other way round. Keys are used as they are written, blanks included. An empty entry is ignored,
/// and so is an empty `peer` or `address` beside the other.
///
/// What is trusted is an id. A peer that announces another address has another id: these keys are not for it, and both sides need new
/// entries.
///
/// The keys are wiped from memory when this is dropped, and neither printed nor quoted in errors.
pub struct TrustedKeys {
    path: Option<PathBuf>,
    peers: Vec<TrustedPeer>,
    warnings: Vec<KeyWarning>,
}

impl TrustedKeys {
    /// Reads a key file. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be read, or is wrong; then the error has its path, and the line and the field that are wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        let path = path.as_ref();
        let failed = |source| KeyFileError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let readable = readable_by_others(&file).map_err(failed)?;
        // Room for all of it at once: what grows leaves what it outgrew in memory.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_FILE_BYTES + 1));
        let limit = u64::try_from(LONGEST_FILE_BYTES).unwrap_or(u64::MAX);
        file.by_ref().take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > LONGEST_FILE_BYTES {
            return Err(failed(io::Error::other(format!("longer than {LONGEST_FILE_BYTES} bytes: no key file"))));
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            KeyFileError::wrong(Some(path), Fault { line, field: None, what: "not UTF-8".to_owned() })
        })?;
        let mut keys = Self::read(Some(path), text)?;
        keys.warnings.extend(readable.map(|mode| KeyWarning::ReadableByOthers { path: path.to_owned(), mode }));
        Ok(keys)
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// When it is wrong; the error has the line and the field.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        Self::read(None, text)
    }

    fn read(path: Option<&Path>, text: &str) -> Result<Self, KeyFileError> {
        // RFC 8259 lets a reader pass over the mark that some editors set before a text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let entries = file::parse(text).map_err(|fault| KeyFileError::wrong(path, fault))?;
        let peers: Vec<_> = entries.into_iter().map(TrustedPeer).collect();
        let short = |key: &Key, field: Field| {
            let is_short = key.text.len() < MIN_SECRET_BYTES;
            is_short.then(|| KeyWarning::ShortKey { path: path.map(Path::to_owned), line: key.line, field: field.name() })
        };
        let warnings = peers.iter().flat_map(|TrustedPeer(entry)| {
            [short(&entry.outbound, Field::OutboundKey), short(&entry.inbound, Field::InboundKey)].into_iter().flatten()
        });
        let warnings = warnings.collect();
        Ok(Self { path: path.map(Path::to_owned), peers, warnings })
    }

    /// The peers, in the order of the file.
    #[must_use]
    pub fn peers(&self) -> &[TrustedPeer] {
        &self.peers
    }

    /// What the user should know, although the file is used.
    #[must_use]
    pub fn warnings(&self) -> &[KeyWarning] {
        &self.warnings
    }

    /// Whom each entry means, in the order of the file: names of hosts are resolved. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// When a name cannot be resolved, none of its addresses is that of the `peer` beside it, or two entries mean the same peer.
    pub async fn resolve(&self) -> Result<Vec<(TrustedWhom, &TrustedPeer)>, KeyFileError> {
        let mut found = Vec::with_capacity(self.peers.len());
        let mut owners: BTreeMap<Place, usize> = BTreeMap::new();
        for (at, peer) in self.peers.iter().enumerate() {
            let whom = self.whom(peer).await?;
            // A name may have one address several times.
            if let Some(before) = whom.places().filter_map(|place| owners.insert(place, at)).find(|before| *before != at) {
                let what = format!("names the same peer as the entry on line {}", self.peers[before].line());
                return Err(self.wrong_address(peer, what));
            }
            found.push((whom, peer));
        }
        Ok(found)
    }

    async fn whom(&self, peer: &TrustedPeer) -> Result<TrustedWhom, KeyFileError> {
        match (peer.peer(), peer.address()) {
            (None, Some(TrustedAddress::Place(place))) => Ok(TrustedWhom::Ids(self.resolved(peer, &place).await?)),
            (Some(id), Some(TrustedAddress::Place(place))) if !self.resolved(peer, &place).await?.contains(&id) => {
                Err(self.wrong_address(peer, "not that of `peer`: the two name two peers".to_owned()))
            }
            (None, Some(TrustedAddress::Host(host))) => {
                // Any port will do: it is not kept.
                let addresses = HostPort::from((host, 1)).resolve_peer().await;
                let addresses = addresses.map_err(|source| self.unresolved(peer, source))?;
                Ok(TrustedWhom::At(addresses.iter().map(|address| address.ip()).collect()))
            }
            (id, _) => Ok(TrustedWhom::Ids(id.into_iter().collect())),
        }
    }

    async fn resolved(&self, peer: &TrustedPeer, place: &HostPort) -> Result<Vec<Hash>, KeyFileError> {
        let addresses = place.resolve_peer().await.map_err(|source| self.unresolved(peer, source))?;
        Ok(addresses.iter().map(|address| address.id()).collect())
    }

    /// The keys of the peer with the id `me`, which knows members at `known`.
    pub(crate) async fn keyring(&self, me: Hash, known: &[Address]) -> Result<Keyring, KeyFileError> {
        let mut keyring = Keyring::default();
        for (whom, peer) in self.resolve().await? {
            let ids = match whom {
                TrustedWhom::Ids(ids) => ids,
                TrustedWhom::At(hosts) => {
                    let there: Vec<Hash> =
                        known.iter().filter(|address| hosts.contains(&address.ip())).map(|address| address.id()).collect();
                    if there.len() != 1 {
                        let what = format!("has no port, and {} peers are known there: write host:port", there.len());
                        return Err(self.wrong_address(peer, what));
                    }
                    there
                }
            };
            for id in ids {
                if id == me {
                    return Err(self.wrong_address(peer, "names this peer itself".to_owned()));
                }
                keyring.trust(id, peer.keys(me, id));
            }
        }
        Ok(keyring)
    }

    fn unresolved(&self, peer: &TrustedPeer, source: ResolveError) -> KeyFileError {
        KeyFileError::Resolve { path: self.path.clone(), line: peer.address_line(), source }
    }

    fn wrong_address(&self, peer: &TrustedPeer, what: String) -> KeyFileError {
        KeyFileError::wrong(self.path.as_deref(), Fault { line: peer.address_line(), field: Some(Field::Address), what })
    }
}

/// Keys are never printed.
impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedKeys").field("path", &self.path).field("peers", &self.peers).finish_non_exhaustive()
    }
}

/// A peer with which keys were exchanged beforehand.
pub struct TrustedPeer(Entry);

impl TrustedPeer {
    /// The id that `peer` gives.
    #[must_use]
    pub fn peer(&self) -> Option<Hash> {
        self.0.peer
    }

    /// The peer's id, where no name has to be resolved for it: that of `peer`, or that of the IP address and port in `address`.
    #[must_use]
    pub fn id(&self) -> Option<Hash> {
        self.0.id()
    }

    /// What `address` names.
    #[must_use]
    pub fn address(&self) -> Option<TrustedAddress> {
        let place = self.0.address.as_ref()?;
        Some(match place.port {
            Some(port) => TrustedAddress::Place(HostPort::Host(place.host.clone(), port)),
            None => TrustedAddress::Host(place.host.clone()),
        })
    }

    /// What seals messages to the peer, as it is written.
    #[must_use]
    pub fn outbound(&self) -> &str {
        &self.0.outbound.text
    }

    /// What opens messages from the peer, as it is written.
    #[must_use]
    pub fn inbound(&self) -> &str {
        &self.0.inbound.text
    }

    /// The line of the file on which its entry begins, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The keys that the peer with the id `me` has in common with this one, whose id is `peer`.
    #[must_use]
    pub fn keys(&self, me: Hash, peer: Hash) -> PairKeys {
        PairKeys::derive(me, peer, self.outbound(), self.inbound())
    }

    fn address_line(&self) -> usize {
        self.0.address.as_ref().map_or(self.0.line, |place| place.line)
    }
}

/// Keys are never printed.
impl fmt::Debug for TrustedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedPeer").field("peer", &self.peer()).field("address", &self.address()).finish_non_exhaustive()
    }
}

/// What an entry's `address` names.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TrustedAddress {
    /// A host and a port.
    Place(HostPort),
    /// A host alone, by name or IP: the one peer that is known there.
    Host(String),
}

/// Whom an entry means, its host's name being resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TrustedWhom {
    /// The peer with one of these ids; several where a name has several addresses, v4 first.
    Ids(Vec<Hash>),
    /// The one peer that is known at one of these addresses, at any port.
    At(Vec<IpAddr>),
}

impl TrustedWhom {
    fn places(&self) -> impl Iterator<Item = Place> {
        let (ids, hosts) = match self {
            Self::Ids(ids) => (ids.as_slice(), &[][..]),
            Self::At(hosts) => (&[][..], hosts.as_slice()),
        };
        ids.iter().map(|id| Place::Id(*id)).chain(hosts.iter().map(|ip| Place::Host(*ip)))
    }
}

/// What only one entry may mean.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Id(Hash),
    Host(IpAddr),
}

/// Why a key file is of no use. Nothing was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("the key file {}: {source}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What stands in it is wrong.
    #[error("{}{line}: {}{what}", before(.path.as_deref()), .field.map(|field| format!("{field}: ")).unwrap_or_default())]
    Wrong {
        /// Which file, unless a text was given.
        path: Option<PathBuf>,
        /// The line, from 1.
        line: usize,
        /// The field, if it is about one.
        field: Option<&'static str>,
        /// What is wrong, in one line. Says nothing of any key.
        what: String,
    },
    /// The name of a host has no address, today.
    #[error("{}{line}: address: {source}", before(.path.as_deref()))]
    Resolve {
        /// Which file, unless a text was given.
        path: Option<PathBuf>,
        /// The line, from 1.
        line: usize,
        /// Which name, and why.
        source: ResolveError,
    },
}

impl KeyFileError {
    fn wrong(path: Option<&Path>, fault: Fault) -> Self {
        let Fault { line, field, what } = fault;
        Self::Wrong { path: path.map(Path::to_owned), line, field: field.map(Field::name), what }
    }
}

/// What is weak about keys that are used all the same.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum KeyWarning {
    /// A key could be guessed.
    ShortKey {
        /// Which file, unless a text was given.
        path: Option<PathBuf>,
        /// The line, from 1.
        line: usize,
        /// Which of the two keys.
        field: &'static str,
    },
    /// Others on this machine may read the keys.
    ReadableByOthers {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortKey { path, line, field } => {
                let before = before(path.as_deref());
                write!(
                    f,
                    "{before}{line}: {field}: shorter than {MIN_SECRET_BYTES} bytes, it could be guessed; `cicada keygen --pair` makes strong ones"
                )
            }
            Self::ReadableByOthers { path, mode } => {
                write!(f, "{}: others may read this key file (mode {:03o}); chmod 600 would keep them out", path.display(), mode & 0o777)
            }
        }
    }
}

/// `keylist.json:`, as compilers write it; `line ` where there is no file.
fn before(path: Option<&Path>) -> String {
    path.map_or_else(|| "line ".to_owned(), |path| format!("{}:", path.display()))
}

/// The permissions of a file that others may read; pipes are nobody else's.
#[cfg(unix)]
fn readable_by_others(file: &File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode();
    Ok((metadata.is_file() && mode & 0o077 != 0).then_some(mode))
}

#[cfg(not(unix))]
fn readable_by_others(_file: &File) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Guess: some thousand peers.
const LONGEST_FILE_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
