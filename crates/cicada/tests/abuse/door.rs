//! Those who knock and knock: half-open connections, and floods of whole ones.

use crate::{GROWTH_KIB, PATIENCE, attacker::Attacker, loopback, no_exemptions, peer_at, traffic::Traffic, until, victim::Victim};
use cicada::{Limits, SwarmPeer};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// The first packets of as many connections, none of which has a second.
async fn initials(count: usize) -> Vec<Vec<u8>> {
    let sink = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    // As they are all sent at once, a small buffer would lose many.
    socket2::SockRef::from(&sink).set_recv_buffer_size(1 << 20).expect("a socket");
    sink.set_nonblocking(true).expect("a socket");
    let sink = tokio::net::UdpSocket::from_std(sink).expect("a socket");
    let (to, attacker) = (sink.local_addr().expect("bound"), Attacker::at([127, 0, 0, 1]));
    let mut packets: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut buffer = [0; 2048];
    while packets.len() < count {
        let dials: Vec<_> = (0..50).filter_map(|_| attacker.dial(to).ok()).collect();
        let wanted = (packets.len() + dials.len()).min(count);
        while packets.len() < wanted {
            let received = timeout(PATIENCE, sink.recv(&mut buffer)).await.expect("they are sent").expect("a socket");
            // RFC 9000, section 17.2: after the version, the destination's id with its length before it.
            let id = buffer[6..6 + usize::from(buffer[5])].to_vec();
            packets.entry(id).or_insert_with(|| buffer[..received].to_vec());
        }
    }
    packets.into_values().take(count).collect()
}

/// What came back to those who sent the first packets.
#[derive(Default, Debug)]
struct Echo {
    bytes_out: usize,
    bytes_in: usize,
    retries: usize,
}

impl Echo {
    fn note(&mut self, socket: &UdpSocket) {
        let mut buffer = [0; 2048];
        while let Ok(received) = socket.recv(&mut buffer) {
            self.bytes_in += received;
            // RFC 9000, section 17.2.5.
            self.retries += usize::from(buffer[0] & 0xf0 == 0xf0);
        }
    }
}

/// Waits until something has come back, but not for long: some packets are answered by nothing.
async fn answered(socket: &UdpSocket) {
    let began = Instant::now();
    while socket.peek(&mut [0]).is_err() && began.elapsed() < Duration::from_millis(100) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What fits into the victim's socket at once, so that what is not answered was not lost there.
const BURST: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_connections_keep_nobody_out() {
    let packets = initials(10_000).await;
    let mut victim = Victim::start(&[("exempt_local", 0)]).await;
    let (a, b) = (loopback().await, loopback().await);
    for peer in [&a, &b] {
        peer.connect(victim.address).await.expect("a member");
    }
    let before = victim.resident();
    victim.forget_peak();
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    let (started, mut echo, mut most, mut joiners) = (Instant::now(), Echo::default(), 0, Vec::new());
    for (round, packets) in packets.chunks(500).enumerate() {
        let sockets: Vec<UdpSocket> = (0..packets.len())
            .map(|at| {
                let ip = Ipv4Addr::new(127, 1 + round as u8, (at / 250) as u8, 1 + (at % 250) as u8);
                let socket = UdpSocket::bind((ip, 0)).expect("all of 127.0.0.0/8 is ours");
                socket.set_nonblocking(true).expect("a socket");
                socket
            })
            .collect();
        for (sockets, packets) in sockets.chunks(BURST).zip(packets.chunks(BURST)) {
            for (socket, packet) in sockets.iter().zip(packets) {
                echo.bytes_out += socket.send_to(packet, victim.address).expect("loopback");
            }
            answered(&sockets[sockets.len() - 1]).await;
        }
        most = most.max(victim.figures().await.of("half_open"));
        if round % 5 == 2 {
            let joiner = peer_at([127, 0, 0, 1]).await;
            joiner.connect(victim.address).await.expect("an honest joiner");
            joiners.push(joiner);
        }
        sockets.iter().for_each(|socket| echo.note(socket));
    }
    println!("{:?}: {echo:?}, at most {most} half-open, {} joined meanwhile", started.elapsed(), joiners.len());
    let growth = victim.peak().saturating_sub(before);
    println!("memory: {before} KiB and {growth} KiB more");
    traffic.end().await;
    // From half of the places on, only those get one who have proven their address.
    let half = Limits::default().half_open as u64 / 2;
    assert!(most <= half + joiners.len() as u64, "{most} half-open");
    assert!(echo.retries > packets.len() / 2, "{echo:?}");
    assert!(echo.bytes_in <= 3 * echo.bytes_out, "no amplifier: {echo:?}");
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    until("their places are free again", async || victim.figures().await.of("half_open") == 0).await;
    close([a, b].into_iter().chain(joiners)).await;
    victim.end().await;
}

/// Connects again and again for a while; half of the connections say nothing until they are thrown out. Returns how many stood.
async fn flood(ip: [u8; 4], to: SocketAddr, span: Duration) -> usize {
    let attacker = Attacker::at(ip);
    let (until, mut tasks) = (Instant::now() + span, JoinSet::new());
    for task in 0..8 {
        let attacker = attacker.clone();
        tasks.spawn(async move {
            let mut stood = 0;
            while Instant::now() < until {
                let Ok(connection) = attacker.connect(to).await else { continue };
                stood += 1;
                if task % 2 == 0 {
                    // Silent, until it is closed from there.
                    let _ = timeout(until.saturating_duration_since(Instant::now()), connection.closed()).await;
                }
                connection.close(0u32.into(), b"");
            }
            stood
        });
    }
    tasks.join_all().await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_is_held_to_its_share_by_address_and_subnet() {
    let mut victim = Victim::start(&[("exempt_local", 0)]).await;
    let (a, b) = (loopback().await, loopback().await);
    for peer in [&a, &b] {
        peer.connect(victim.address).await.expect("a member");
    }
    let before = victim.resident();
    victim.forget_peak();
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    let span = Duration::from_secs(4);
    let started = Instant::now();
    let mut floods = JoinSet::new();
    // Two subnets of two addresses each.
    for ip in [[127, 7, 1, 1], [127, 7, 1, 2], [127, 7, 2, 1], [127, 7, 2, 2]] {
        let to = victim.address;
        floods.spawn(async move { flood(ip, to, span).await });
    }
    let (mut most, mut joiners) = (0, Vec::new());
    while started.elapsed() < span {
        most = most.max(victim.figures().await.of("half_open"));
        if joiners.len() < 4 {
            let joiner = peer_at([127, 0, 0, 1]).await;
            joiner.connect(victim.address).await.expect("an honest joiner");
            joiners.push(joiner);
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let took = started.elapsed();
    let stood = floods.join_all().await;
    let growth = victim.peak().saturating_sub(before);
    println!("{took:?}: {stood:?} connections stood, at most {most} half-open; {growth} KiB more");
    traffic.end().await;
    let rate = no_exemptions().handshakes_per_ip;
    let seconds = took.as_secs() + 2;
    for stood in stood {
        assert!(stood as u64 <= rate.burst + rate.per_second * seconds, "{stood} of one address in {took:?}");
        assert!(stood > 0, "control");
    }
    let figures = victim.figures().await;
    assert!(figures.of("over_budget") + figures.of("too_many_links") > 0, "somebody was sent away");
    // Eight of each address, sixteen of each subnet; and a joiner at a time.
    assert!(most <= 2 * no_exemptions().links_per_subnet as u64 + 1, "{most} half-open");
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    until("their places are free again", async || victim.figures().await.of("half_open") == 0).await;
    close([a, b].into_iter().chain(joiners)).await;
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_of_everybody_together_begin_no_faster_than_allowed() {
    let victim = Victim::start(&[]).await;
    let span = Duration::from_secs(3);
    let started = Instant::now();
    let stood = {
        let mut floods = JoinSet::new();
        for ip in [[127, 8, 1, 1], [127, 8, 2, 1]] {
            let to = victim.address;
            floods.spawn(async move { flood(ip, to, span).await });
        }
        floods.join_all().await.into_iter().sum::<usize>()
    };
    let rate = Limits::default().handshakes;
    println!("{stood} connections stood in {:?}", started.elapsed());
    assert!(stood as u64 <= rate.burst + rate.per_second * (started.elapsed().as_secs() + 2), "{stood}");
    let late = loopback().await;
    late.connect(victim.address).await.expect("once the flood is over");
    close([late]).await;
    victim.end().await;
}

async fn close(peers: impl IntoIterator<Item = SwarmPeer>) {
    for peer in peers {
        peer.close().await;
    }
}
