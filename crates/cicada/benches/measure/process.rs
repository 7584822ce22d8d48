//! What this process uses, as the kernel counts it. Linux only: elsewhere nothing is known, and figures made of it are left out.

use std::{
    fs,
    ops::Sub,
    time::{Duration, Instant},
};

/// Counters at one moment, or what was added to them between two.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) elapsed: Duration,
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Bytes of IP packets over the loopback interface.
    pub(crate) wire_bytes: u64,
    /// Datagrams that found a socket's buffer full.
    pub(crate) dropped: u64,
}

impl Usage {
    /// The counters since `start`.
    pub(crate) fn since(start: Instant) -> Self {
        Self {
            elapsed: start.elapsed(),
            cpu: cpu().unwrap_or_default(),
            wire_bytes: wire_bytes().unwrap_or_default(),
            dropped: dropped().unwrap_or_default(),
        }
    }

    /// The same without what an idle swarm would have used in the time, going by what it used in another one.
    pub(crate) fn without_idle(self, idle: &Self) -> Self {
        let share = self.elapsed.as_secs_f64() / idle.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        Self {
            elapsed: self.elapsed,
            cpu: self.cpu.saturating_sub(idle.cpu.mul_f64(share)),
            wire_bytes: self.wire_bytes.saturating_sub((idle.wire_bytes as f64 * share) as u64),
            dropped: self.dropped,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            elapsed: self.elapsed.saturating_sub(earlier.elapsed),
            cpu: self.cpu.saturating_sub(earlier.cpu),
            wire_bytes: self.wire_bytes.saturating_sub(earlier.wire_bytes),
            dropped: self.dropped.saturating_sub(earlier.dropped),
        }
    }
}

/// Whether the loopback interface belongs to this process alone and carries one packet for each packet: `netlab/in-a-box` says so.
pub(crate) fn is_alone() -> bool {
    std::env::var("NETLAB_BOX").is_ok_and(|value| value == "yes") && wire_bytes().is_some()
}

/// Memory that is in RAM, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

/// The most that was in RAM, in bytes, since [`forget_peak`].
pub(crate) fn peak_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

pub(crate) fn forget_peak() {
    // Where it cannot be forgotten, the peak is that of all its life.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn status_bytes(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// To the nanosecond; `getrusage` would do but needs code that the compiler cannot check. Threads that ended are not counted:
/// take care that none ends between two readings.
fn cpu() -> Option<Duration> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let nanoseconds = threads.filter_map(|thread| {
        let statistics = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        statistics.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanoseconds.sum()))
}

/// Of this process's network namespace, which /sys might not show.
fn wire_bytes() -> Option<u64> {
    let interfaces = fs::read_to_string("/proc/self/net/dev").ok()?;
    let loopback = interfaces.lines().find_map(|line| line.trim().strip_prefix("lo:"))?;
    loopback.split_whitespace().next()?.parse().ok()
}

fn dropped() -> Option<u64> {
    let counters = fs::read_to_string("/proc/self/net/snmp").ok()?;
    let mut udp = counters.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let column = udp.next()?.split_whitespace().position(|name| name == "RcvbufErrors")?;
    udp.next()?.split_whitespace().nth(column)?.parse().ok()
}
