//! Why a Kadcast peer is not made.

use std::{io, net::SocketAddr};

/// Why a peer was not made.
///
/// Where the crate gives `AddrParseError`, this says more; `?` and `unwrap` work the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A field of the configuration cannot be used.
    #[error("{field}: {why}")]
    Config {
        /// Which, by its path.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Another program has the port. Nothing was sent.
    #[error("port in use: another program listens on {address}")]
    InUse {
        /// Where to listen.
        address: SocketAddr,
    },
    /// The system does not give the address. Nothing was sent.
    #[error("cannot listen on {address}: {source}")]
    System {
        /// Where to listen.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A peer lives in a runtime of tokio, and there is none here.
    #[error("a peer needs a runtime of tokio around it")]
    NoRuntime,
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[source] io::Error),
}

impl PeerError {
    pub(super) fn config(field: &'static str, why: impl Into<String>) -> Self {
        Self::Config { field, why: why.into() }
    }
}
