//! The program as its users meet it: real processes, real sockets, loopback only.

mod demo;
mod harness;
mod identities;
mod kadcast;
mod keys;
mod operating;
mod pair;
mod refusals;
mod settings;
mod sim;
mod staying;
mod trusted;
mod usage;
