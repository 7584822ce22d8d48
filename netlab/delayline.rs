//! delayline TAP DELAY_MS [JITTER_MS]: a latency emulator for kernels without
//! netem.  Reads Ethernet frames from a TAP device and writes each one back to
//! the same device DELAY_MS (plus or minus up to JITTER_MS, uniformly) later.
//! losslab redirects every frame that a host sends into that TAP, which is a
//! port of the lab's bridge; what comes back out of it is forwarded as usual.
//!
//! With jitter frames overtake each other, as with netem.  At most LIMIT frames
//! are held; more are dropped, like on a full link.  Build: rustc -O delayline.rs
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

const LIMIT: usize = 400_000;
const O_NONBLOCK: i32 = 0o4000;
const TUNSETIFF: u64 = 0x4004_54ca;
const IFF_TAP_NO_PI: u16 = 0x1002;
const POLLIN: i16 = 1;

#[repr(C)]
struct IfReq {
    name: [u8; 16],
    flags: u16,
    pad: [u8; 22],
}
#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}
#[repr(C)]
struct TimeSpec {
    sec: i64,
    nsec: i64,
}
unsafe extern "C" {
    fn ioctl(fd: i32, request: u64, ...) -> i32;
    fn ppoll(fds: *mut PollFd, n: u64, timeout: *const TimeSpec, mask: *const u8) -> i32;
}

/// A held frame; the order is (due, sequence), so equal delays keep order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    seq: u64,
    frame: Vec<u8>,
}

fn attach(name: &str) -> std::io::Result<File> {
    let tap = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open("/dev/net/tun")?;
    let mut req = IfReq { name: [0; 16], flags: IFF_TAP_NO_PI, pad: [0; 22] };
    req.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: req is a valid, initialised ifreq (40 bytes) for the whole call.
    if unsafe { ioctl(tap.as_raw_fd(), TUNSETIFF, &mut req) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(tap)
}

/// Sleeps until the device is readable or `until` (forever when None).
fn wait(tap: &File, until: Option<Instant>) {
    let mut fd = PollFd { fd: tap.as_raw_fd(), events: POLLIN, revents: 0 };
    let timeout = until.map(|t| {
        let d = t.saturating_duration_since(Instant::now());
        TimeSpec { sec: d.as_secs() as i64, nsec: i64::from(d.subsec_nanos()) }
    });
    let p = timeout.as_ref().map_or(std::ptr::null(), |t| t as *const TimeSpec);
    // SAFETY: one valid pollfd; the timeout is null or outlives the call.
    unsafe { ppoll(&mut fd, 1, p, std::ptr::null()) };
}

fn run(name: &str, delay: f64, jitter: f64) -> std::io::Result<()> {
    let mut tap = attach(name)?;
    println!("READY");
    let mut held: BinaryHeap<Reverse<Held>> = BinaryHeap::new();
    let mut spare: Vec<Vec<u8>> = Vec::new(); // frames to use again
    let mut buf = [0u8; 65_600];
    let mut rng = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    let mut seq = 0;
    loop {
        // Take what has arrived, though never so much that sending starves.
        for _ in 0..64 {
            let n = match tap.read(&mut buf) {
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if held.len() >= LIMIT {
                continue;
            }
            let mut ms = delay;
            if jitter > 0.0 {
                rng ^= rng << 13;
                rng ^= rng >> 7;
                rng ^= rng << 17;
                ms += jitter * ((rng >> 11) as f64 / (1u64 << 52) as f64 - 1.0);
            }
            let due = Instant::now() + Duration::from_secs_f64(ms.max(0.0) / 1e3);
            let mut frame = spare.pop().unwrap_or_default();
            frame.clear();
            frame.extend_from_slice(&buf[..n]);
            held.push(Reverse(Held { due, seq, frame }));
            seq += 1;
        }
        let now = Instant::now();
        while held.peek().is_some_and(|Reverse(h)| h.due <= now) {
            if let Some(Reverse(h)) = held.pop() {
                // A frame the kernel refuses is a frame lost, as on a wire.
                let _ = tap.write(&h.frame);
                if spare.len() < 1024 {
                    spare.push(h.frame);
                }
            }
        }
        wait(&tap, held.peek().map(|Reverse(h)| h.due));
    }
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let num = |i: usize| a.get(i).map_or(Some(0.0), |s| s.parse::<f64>().ok().filter(|x| (0.0..=60_000.0).contains(x)));
    let (Some(delay), Some(jitter), 3..=4) = (num(2), num(3), a.len()) else {
        eprintln!("usage: delayline TAP DELAY_MS [JITTER_MS]");
        std::process::exit(2);
    };
    if a[1].len() > 15 {
        eprintln!("delayline: interface name too long");
        std::process::exit(2);
    }
    if let Err(e) = run(&a[1], delay, jitter) {
        eprintln!("delayline: {}: {e}", a[1]);
        std::process::exit(1);
    }
}
