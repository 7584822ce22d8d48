use super::*;
use std::net::Ipv4Addr;
use tokio::time::{Duration, timeout};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn open(listen: &str) -> Socket {
    Socket::open(listen.parse().unwrap(), LOOPBACK, Some(5_000_000)).unwrap()
}

async fn send(socket: &Socket, to: SocketAddr, bytes: &[u8], stride: usize) {
    while let Err(error) = socket.send(to, bytes, stride) {
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        timeout(Duration::from_secs(10), socket.writable()).await.expect("the system takes more").unwrap();
    }
}

/// Reads until so many bytes have come; gives each datagram, and who sent it.
async fn receive(socket: &mut Socket, bytes: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut datagrams = Vec::new();
    let mut came = 0;
    while came < bytes {
        timeout(Duration::from_secs(10), socket.readable()).await.expect("something comes").unwrap();
        let mut received = Vec::new();
        match socket.receive(&mut received) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        for Received { from, bytes, stride } in received {
            came += bytes.len();
            datagrams.extend(bytes.chunks(stride).map(|datagram| (from, datagram.to_vec())));
        }
    }
    datagrams
}

#[tokio::test]
async fn datagrams_that_are_sent_in_one_call_come_one_by_one_with_their_boundaries() {
    let (sender, mut receiver) = (open("127.0.0.1:0"), open("127.0.0.1:0"));
    let amount = sender.granted().segments.min(16);
    let sent: Vec<Vec<u8>> = (0..amount).map(|number| vec![number as u8; 1375]).collect();
    send(&sender, receiver.local(), &sent.concat(), 1375).await;
    send(&sender, receiver.local(), b"short", 5).await;
    let came = receive(&mut receiver, amount * 1375 + 5).await;
    assert!(came.iter().all(|(from, _)| *from == sender.local()));
    let came: Vec<Vec<u8>> = came.into_iter().map(|(_, datagram)| datagram).collect();
    assert_eq!(came[..amount], sent);
    assert_eq!(came[amount], b"short");
}

#[tokio::test]
async fn the_longest_datagram_and_one_wider_than_the_path_pass() {
    let (sender, mut receiver) = (open("127.0.0.1:0"), open("127.0.0.1:0"));
    for length in [8192 + 79, 65_507] {
        send(&sender, receiver.local(), &vec![7; length], length).await;
        assert_eq!(receive(&mut receiver, length).await.len(), 1);
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_so() {
    let first = open("127.0.0.1:0");
    let Err(error) = Socket::open(first.local(), LOOPBACK, None) else { panic!("two sockets on one port") };
    assert!(matches!(error, PeerError::InUse { address } if address == first.local()), "{error}");
    assert!(error.to_string().starts_with("port in use"), "{error}");
    // The control: it is free once the first is gone.
    let place = first.local();
    drop(first);
    Socket::open(place, LOOPBACK, None).unwrap();
}

#[tokio::test]
async fn listening_to_both_families_shows_senders_of_v4_as_such_and_reaches_them() {
    let Ok(mut both) = Socket::open("[::]:0".parse().unwrap(), LOOPBACK, None) else {
        println!("this system has no IPv6");
        return;
    };
    let mut v4 = open("127.0.0.1:0");
    send(&v4, SocketAddr::new(LOOPBACK, both.local().port()), b"to both", 7).await;
    let came = receive(&mut both, 7).await;
    assert_eq!(came[0].0, v4.local(), "not ::ffff:127.0.0.1");
    send(&both, v4.local(), b"back", 4).await;
    let back = receive(&mut v4, 4).await;
    assert_eq!(back[0].0, SocketAddr::new(LOOPBACK, both.local().port()), "from the public address");
}

#[tokio::test]
async fn what_is_sent_comes_from_the_public_address_although_all_are_bound() {
    let public = IpAddr::V4(Ipv4Addr::new(127, 7, 7, 7));
    let everywhere = Socket::open("0.0.0.0:0".parse().unwrap(), public, None).unwrap();
    let mut receiver = open("127.0.0.1:0");
    send(&everywhere, receiver.local(), b"hello", 5).await;
    let came = receive(&mut receiver, 5).await;
    assert_eq!(came[0].0.ip(), public);
}

#[tokio::test]
async fn the_receive_buffer_that_the_system_grants_is_told() {
    let small = Socket::open("127.0.0.1:0".parse().unwrap(), LOOPBACK, Some(131_072)).unwrap();
    let large = open("127.0.0.1:0");
    assert!(small.granted().receive_bytes >= 131_072);
    assert!(large.granted().receive_bytes > small.granted().receive_bytes);
    assert_eq!(large.granted().asked_bytes, Some(5_000_000));
}
