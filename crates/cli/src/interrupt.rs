//! Ctrl-C, and what a service manager sends.

/// Completes when the program is asked to end. Each call waits for the next request.
#[cfg(unix)]
pub(crate) async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        // Without a handler the signals end the program in their own way.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Completes when the program is asked to end. Each call waits for the next request.
#[cfg(not(unix))]
pub(crate) async fn asked_to_end() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the signal ends the program in its own way.
        std::future::pending::<()>().await;
    }
}
