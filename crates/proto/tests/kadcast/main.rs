//! A Kadcast peer alone among peers that the tests speak for. What the published crate gets wrong is tried here one by one; each test
//! fails on what that crate does.
//!
//! Rows of the list that need a socket (a taken port, shutdown, pacing) are tried where the sockets are.

mod desk;
mod discovery;
mod hostile;
mod messages;
mod relaying;
