//! What crosses the loopback interface. It wants one of its own, netlab/in-a-box, for the count to mean anything.

use crate::lab::Result;
use std::time::{Duration, Instant};

/// Datagrams and their bytes on the loopback interface so far, heads of IP included.
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

/// Fails where others use the interface, too.
pub fn must_be_ours_alone() -> Result<()> {
    if std::env::var_os("NETLAB_BOX").is_none() { Err("this wants a network of its own: netlab/in-a-box".into()) } else { Ok(()) }
}

/// Waits until hardly anything crosses the interface any more.
pub fn until_calm() -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut last = traffic()?.packets;
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(500));
        let now = traffic()?.packets;
        if now - last < 20 {
            return Ok(());
        }
        last = now;
    }
    Ok(())
}

pub fn traffic() -> Result<Traffic> {
    let text = std::fs::read_to_string("/proc/net/dev")?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("lo:")).ok_or("no loopback interface")?;
    // Bytes and packets received come first (proc(5)). The kernel counts 14 bytes of link head for each packet.
    let numbers: Vec<u64> = line.split_whitespace().take(2).map(str::parse).collect::<std::result::Result<_, _>>()?;
    let [bytes, packets] = numbers[..] else { return Err("no counts of the loopback interface".into()) };
    Ok(Traffic { packets, bytes: bytes - 14 * packets })
}
