//! A link over a path that loses packets.

use super::*;
use std::sync::atomic::AtomicBool;
use tokio::net::UdpSocket;

/// A path to an end: what is sent to its near address comes there after a while, and answers come back; or nothing goes out.
struct Path {
    near: SocketAddr,
    is_lossy: Arc<AtomicBool>,
    _carrying: JoinSet<()>,
}

impl Path {
    async fn to(far: SocketAddr) -> Self {
        let [near, beyond] = [bound().await, bound().await];
        beyond.connect(far).await.expect("loopback");
        let is_lossy = Arc::new(AtomicBool::new(false));
        let address = near.local_addr().expect("bound");
        let mut carrying = JoinSet::new();
        carrying.spawn(carry(near, beyond, Arc::clone(&is_lossy)));
        Self { near: address, is_lossy, _carrying: carrying }
    }
}

async fn bound() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port")
}

async fn carry(near: UdpSocket, beyond: UdpSocket, is_lossy: Arc<AtomicBool>) {
    let (near, beyond) = (Arc::new(near), Arc::new(beyond));
    let (mut out, mut back) = ([0; 2048], [0; 2048]);
    let mut dialler = None;
    let mut travelling = JoinSet::new();
    loop {
        // An error says that nobody is there any more, as at the end of the test.
        tokio::select! {
            Ok((length, from)) = near.recv_from(&mut out) => {
                dialler = Some(from);
                if !is_lossy.load(Ordering::Relaxed) {
                    let (beyond, bytes) = (Arc::clone(&beyond), out[..length].to_vec());
                    travelling.spawn(async move {
                        tokio::time::sleep(ONE_WAY).await;
                        let _ = beyond.send(&bytes).await;
                    });
                }
            }
            Ok(length) = beyond.recv(&mut back) => {
                if let Some(dialler) = dialler {
                    let (near, bytes) = (Arc::clone(&near), back[..length].to_vec());
                    travelling.spawn(async move {
                        tokio::time::sleep(ONE_WAY).await;
                        let _ = near.send_to(&bytes, dialler).await;
                    });
                }
            }
            Some(_) = travelling.join_next() => {}
        }
    }
}

#[tokio::test]
async fn what_was_queued_before_a_close_arrives_although_nothing_does_for_most_of_the_time() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let path = Path::to(b.address().socket()).await;
    a.dial_address(path.near, None);
    let (to_b, _to_a) = (a.up().await, b.up().await);
    for number in 0..LEARNT {
        to_b.send(ping(number));
        assert_eq!(b.frame().await, ping(number));
    }
    path.is_lossy.store(true, Ordering::Relaxed);
    to_b.send(ping(LEARNT));
    to_b.handle.close(Refusal::MadeRoom);
    tokio::time::sleep(OUTAGE).await;
    path.is_lossy.store(false, Ordering::Relaxed);
    assert_eq!(b.frame().await, ping(LEARNT));
}

const ONE_WAY: Duration = Duration::from_millis(30);

/// After so many answers QUIC knows how long the path is: it sends again after some 90 ms, and then 3, 7, 15 and 31 times as much.
const LEARNT: u64 = 30;

/// That ends between two of these, and the later one is too late: a closing link has two seconds.
const OUTAGE: Duration = Duration::from_millis(1500);
