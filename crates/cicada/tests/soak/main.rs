//! Hours in minutes: real peers that come, leave, and vanish, while others send to each other and to all; and in the end nothing is
//! missing and nothing is left.
//!
//! Each soak is a process of its own, this test binary once more, so that its memory, tasks and sockets are those of its peers
//! alone. It takes some seconds in the ordinary suite, and ten minutes with `CICADA_FULL`.

mod ledger;
mod life;
mod traffic;
mod watch;

use cicada::OverlayKind;
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// Runs a soak as a child, which fails as a whole if anything is wrong in it.
fn soak(overlay: OverlayKind) {
    let full = std::env::var_os("CICADA_FULL").is_some();
    let seconds = if full { FULL_SECONDS } else { SHORT_SECONDS };
    let output = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", PART, "--nocapture"])
        .env(SETTINGS, format!("{overlay} {seconds}"))
        .envs(ALLOCATOR)
        .stdin(Stdio::null())
        .output()
        .expect("this program");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn mixed_traffic_with_churn_loses_nothing_and_leaves_nothing_on_the_ring() {
    soak(OverlayKind::Ring);
}

#[test]
fn mixed_traffic_with_churn_loses_nothing_and_leaves_nothing_on_the_tree() {
    soak(OverlayKind::Tree);
}

/// In the child the soak; otherwise the control of its checks.
#[test]
fn what_is_kept_by_mistake_is_found_out() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let Ok(settings) = std::env::var(SETTINGS) else { return watch::control(&runtime()) };
    let (overlay, seconds) = settings.split_once(' ').expect("as written above");
    let overlay = if overlay == "tree" { OverlayKind::Tree } else { OverlayKind::Ring };
    runtime().block_on(life::run(overlay, Duration::from_secs(seconds.parse().expect("a number"))));
}

/// The name of the test above.
const PART: &str = "what_is_kept_by_mistake_is_found_out";

/// Set in the child.
const SETTINGS: &str = "CICADA_SOAK";

const SHORT_SECONDS: u64 = 12;

const FULL_SECONDS: u64 = 600;

/// What glibc is told: to give long payloads back to the system when they are freed, and the rest soon. Left alone it keeps what
/// it once had, by threads, and its memory says little of ours. Other allocators do not read this.
const ALLOCATOR: [(&str, &str); 3] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "32768"), ("MALLOC_TRIM_THRESHOLD_", "131072")];
