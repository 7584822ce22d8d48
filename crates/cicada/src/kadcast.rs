//! Kadcast: broadcast over Kademlia's buckets, in UDP datagrams, as the published crate `kadcast` 0.8 speaks it.
//!
//! A program written for that crate moves over by changing its `use` lines: [`Peer`], [`NetworkListen`], [`MessageInfo`] and
//! [`config::Config`] have its names and signatures, and the default configuration is the crate's. Its peers and these make one network.
//!
//! ```
//! use cicada::kadcast::{MessageInfo, NetworkListen, Peer, config::Config};
//! use std::sync::mpsc;
//!
//! struct Listener(mpsc::Sender<Vec<u8>>);
//!
//! impl NetworkListen for Listener {
//!     fn on_message(&self, message: Vec<u8>, about: MessageInfo) {
//!         println!("{} bytes from {}", message.len(), about.src());
//!         let _ = self.0.send(message);
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Port 0: any that is free.
//! let config = Config { public_address: "127.0.0.1:0".to_owned(), ..Config::default() };
//! let (received, messages) = mpsc::channel();
//! let first = Peer::new(config.clone(), Listener(received.clone()))?;
//! let second = Peer::new(config, Listener(received))?;
//!
//! second.send(b"hello", first.public_address()).await;
//! assert_eq!(tokio::task::spawn_blocking(move || messages.recv()).await??, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! What happens next is decided in `cicada_proto::kadcast`; here are the clock, the socket, the threads that encode and decode, and
//! the pace at which datagrams go out. Unlike the crate's, a peer ends when it is dropped: its port is free a moment later.

pub mod config;

mod deliveries;
mod driver;
mod error;
mod event;
mod metrics;
mod outgoing;
mod peer;
mod socket;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use error::PeerError;
pub use event::Event;
pub use metrics::Metrics;
pub use peer::{MessageInfo, NetworkListen, Peer};

pub use crate::metrics::MetricsServer;
pub use cicada_proto::kadcast::{Contact, Figures, Removal, SendError};
