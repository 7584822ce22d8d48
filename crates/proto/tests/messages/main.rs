//! What a node does with messages, seen from its links.

mod broadcast;
mod desk;
mod draining;
mod genuine;
mod long;
mod neighbours;
mod repair;
mod trusted;
mod unicast;
