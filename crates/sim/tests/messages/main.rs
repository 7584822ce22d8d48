//! Messages in a world: unicasts with their receipts, and broadcasts.

mod broadcast;
mod clients;
mod repair;
mod swarm;
mod unicast;
