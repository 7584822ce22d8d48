use super::*;

fn socket() -> (Arc<SharedSocket>, mpsc::Receiver<Received>) {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let (socket, datagrams, _) = SharedSocket::new(socket).expect("a fresh socket");
    (socket, datagrams)
}

fn meta(len: usize, stride: usize) -> RecvMeta {
    RecvMeta { addr: SocketAddr::from(([127, 0, 0, 1], 9)), len, stride, ..RecvMeta::default() }
}

fn segments(kinds: &[u8], stride: usize, last: usize) -> Vec<u8> {
    let mut buffer: Vec<u8> = kinds.iter().flat_map(|kind| vec![*kind; stride]).collect();
    buffer.truncate(buffer.len() - stride + last);
    buffer
}

#[tokio::test]
async fn a_buffer_that_mixes_both_kinds_is_sorted_segment_by_segment() {
    for kinds in [&[0xc0][..], &[0x0c], &[0xc0, 0x0c], &[0x0c, 0x41], &[0x42, 0x0c, 0x43, 0x0d, 0x44], &[0x0c, 0x0d, 0x45]] {
        for last in [1, 7, 10] {
            let (socket, mut datagrams) = socket();
            let mut buffer = segments(kinds, 10, last);
            let length = |index: usize| if index + 1 == kinds.len() { last } else { 10 };
            let part = |index: usize, kind: u8| vec![kind; length(index)];
            let is_quic = |kind: u8| kind & 0x40 != 0;
            let wanted: Vec<u8> =
                kinds.iter().enumerate().filter(|(_, kind)| is_quic(**kind)).flat_map(|(index, kind)| part(index, *kind)).collect();

            let mut meta = meta(buffer.len(), 10);
            socket.take_ours(&mut meta, &mut buffer);

            assert_eq!(&buffer[..meta.len], wanted, "{kinds:?} {last}");
            for (index, kind) in kinds.iter().enumerate().filter(|(_, kind)| !is_quic(**kind)) {
                assert_eq!(datagrams.try_recv().expect("ours").bytes, part(index, *kind));
            }
            assert!(datagrams.try_recv().is_err(), "nothing else is ours");
        }
    }
}

#[tokio::test]
async fn datagrams_beyond_the_queue_are_lost_and_nothing_else() {
    let (socket, mut datagrams) = socket();
    for _ in 0..2 * DATAGRAMS {
        socket.take_ours(&mut meta(4, 4), &mut [0x0c; 4]);
    }
    let mut taken = 0;
    while datagrams.try_recv().is_ok() {
        taken += 1;
    }
    assert_eq!(taken, DATAGRAMS);
    let mut quic = meta(4, 4);
    socket.take_ours(&mut quic, &mut [0xc0; 4]);
    assert_eq!(quic.len, 4);
}

#[tokio::test]
async fn only_what_is_no_handshake_and_comes_from_a_dialled_address_is_foreign() {
    let handshake: &[u8] = &[0xc0, 0, 0, 0, 1, 9, 9];
    let negotiation: &[u8] = &[0xf3, 0, 0, 0, 0, 9, 9];
    let cases: [(&[&[u8]], bool); 7] = [
        (&[], false),
        (&[b"what?"], true),
        (&[b"220 mail.example ready"], true),
        (&[handshake], false),
        (&[negotiation], false),
        (&[b"late packet of another link", handshake], false),
        (&[&[DATAGRAM_TAG, 1, 2, 3]], false),
    ];
    for (packets, foreign) in cases {
        let (socket, _datagrams) = socket();
        let other = socket.watch(SocketAddr::from(([127, 0, 0, 1], 10)));
        let watched = socket.watch(SocketAddr::from(([127, 0, 0, 1], 9)));
        for packet in packets {
            socket.take_ours(&mut meta(packet.len(), packet.len()), &mut packet.to_vec());
        }
        assert_eq!(watched.signs().are_foreign(), foreign, "{packets:?}");
        assert!(!other.signs().are_foreign(), "that came from another port");
    }
}
