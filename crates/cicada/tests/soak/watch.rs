//! What a process holds: memory, tasks, sockets.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::{Handle, Runtime},
    time::{Instant, sleep},
};

/// Tasks of this runtime and sockets of this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    tasks: usize,
    sockets: usize,
}

impl Held {
    pub(crate) fn now() -> Self {
        // Where the system does not tell of its sockets there are none.
        let files = fs::read_dir("/proc/self/fd").into_iter().flatten();
        let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        let sockets = links.filter(|link| link.to_string_lossy().starts_with("socket:")).count();
        Self { tasks: Handle::current().metrics().num_alive_tasks(), sockets }
    }

    /// Waits until there is no more than at this time before.
    pub(crate) async fn is_back(self) -> Result<(), String> {
        let deadline = Instant::now() + FREED;
        loop {
            let now = Self::now();
            if now == self {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{now:?} are left of which {self:?} were there before"));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Memory that is in RAM, in KiB, time after time.
#[derive(Default)]
pub(crate) struct Memory(Vec<u64>);

impl Memory {
    pub(crate) fn sample(&mut self) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        // Where the system does not tell it never grows.
        self.0.push(value.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default());
    }

    /// The medians of the first and of the last quarter after a fifth of warming up; an error if the last is the larger one by more
    /// than the margin, and by more than what may still be growing.
    pub(crate) fn has_grown(&self, growing_kib: u64) -> Result<[u64; 2], String> {
        let warm = &self.0[self.0.len() / 5..];
        let quarter = warm.len() / 4;
        let median = |samples: &[u64]| {
            let mut samples = samples.to_vec();
            samples.sort_unstable();
            samples[samples.len() / 2]
        };
        let (first, last) = (median(&warm[..quarter]), median(&warm[warm.len() - quarter..]));
        let margin = growing_kib + MARGIN_KIB + first / MARGIN_SHARE;
        if last <= first + margin {
            Ok([first, last])
        } else {
            Err(format!("{last} KiB in the last quarter, {first} KiB in the first, {margin} KiB more would be allowed"))
        }
    }
}

/// What is held on purpose is seen, and only that.
pub(crate) fn control(runtime: &Runtime) {
    runtime.block_on(async {
        let before = Held::now();
        let quiet = tokio::spawn(async {});
        quiet.await.expect("no panic");
        before.is_back().await.expect("a task that has ended is none");
        let forgotten = tokio::spawn(std::future::pending::<()>());
        assert_ne!(Held::now(), before, "a task that was forgotten");
        forgotten.abort();
        before.is_back().await.expect("it was ended");
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        if cfg!(target_os = "linux") {
            assert_ne!(Held::now(), before, "a socket that was forgotten");
        }
        drop(socket);
        before.is_back().await.expect("it was closed");

        let (mut steady, mut growing) = (Memory::default(), Memory::default());
        for _ in 0..SAMPLES {
            drop(Arc::new(Mutex::new(vec![1_u8; LEAK_BYTES])));
            steady.sample();
        }
        let kept = Mutex::new(Vec::new());
        for _ in 0..SAMPLES {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(vec![1_u8; LEAK_BYTES]);
            growing.sample();
        }
        steady.has_grown(0).expect("what is freed is not held");
        if cfg!(target_os = "linux") {
            growing.has_grown(0).expect_err("what is kept is held");
        }
    });
}

/// How long it may take until what was closed is freed.
const FREED: Duration = Duration::from_secs(10);

/// What the last quarter may hold beyond the first: how many peers there are and how long the messages were that they keep
/// differs from one moment to the next.
const MARGIN_KIB: u64 = 8 * 1024; // guess
const MARGIN_SHARE: u64 = 10; // guess

/// For the control: a megabyte each time.
const LEAK_BYTES: usize = 1 << 20;
const SAMPLES: usize = 60;
