//! The tasks that quinn spawns, so that they can be ended when the peer ends.
//!
//! Left alone, a closed connection drains for three probe timeouts (RFC 9000, section 10.2) and holds the socket meanwhile:
//! seconds on a busy machine. The other ends have been told by then.

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::task::JoinSet;

/// A runtime for quinn that knows its tasks. A lock, since quinn spawns from anywhere; held for one insertion.
#[derive(Debug, Default)]
pub(crate) struct QuinnTasks(Mutex<JoinSet<()>>);

impl QuinnTasks {
    /// Ends them all; they are gone when this returns.
    pub(crate) async fn end(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl Runtime for QuinnTasks {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Forgets those that have ended.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}
