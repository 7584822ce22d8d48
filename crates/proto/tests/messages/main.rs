//! What a node does with messages, seen from its links.

mod broadcast;
mod desk;
mod repair;
mod unicast;
