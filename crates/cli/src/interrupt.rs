//! Ctrl-C, and what a service manager sends.

use crate::failure::Failure;

/// Notes from its making on that the program is asked to end: what is asked before anybody waits for it is not lost.
#[cfg(unix)]
pub(crate) struct Interrupt {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Interrupt {
    pub(crate) fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen to signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Completes when the program is asked to end; once for each time.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Notes that the program is asked to end.
#[cfg(not(unix))]
pub(crate) struct Interrupt;

#[cfg(not(unix))]
impl Interrupt {
    #[expect(clippy::unnecessary_wraps, reason = "the same shape on every system")]
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self)
    }

    /// Completes when the program is asked to end; once for each time.
    pub(crate) async fn asked(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the signal ends the program in its own way.
            std::future::pending::<()>().await;
        }
    }
}
