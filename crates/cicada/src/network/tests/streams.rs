//! Frames of every size, and long ones that are given up or altered.

use super::*;
use crate::{
    body::Piece,
    link::{Source, Stream},
};
use cicada_proto::LONG_BYTES;
use cicada_wire::{MAX_HEADER_BYTES, PIECE_BYTES, PieceDigests};
use std::collections::BTreeSet;

#[tokio::test]
async fn frames_of_every_size_arrive_whole_and_control_frames_in_order() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, to_a) = a.link(&mut b).await;
    let sizes = [0, 1, 4096, 4097, LONG_BYTES, LONG_BYTES + 1, 100_000, 256 * 1024];
    let mut kept = Vec::new();
    for size in sizes {
        if size <= LONG_BYTES {
            assert_eq!(to_b.send(data(size)), Queued::Yes);
        } else {
            let Frame::Data(_, payload) = data(size) else { unreachable!("made so") };
            kept.push(stream(&to_b, size as u64, data(size).with_payload(Bytes::new()), Source::Whole(payload)));
        }
    }
    for number in 0..50 {
        assert_eq!(to_a.send(ping(number)), Queued::Yes);
    }
    let mut arrived = Vec::new();
    for _ in sizes {
        arrived.push(b.frame().await);
    }
    arrived.sort_by_key(|frame| frame.payload().map(Bytes::len));
    assert!(arrived == sizes.map(data), "as they were sent");
    for number in 0..50 {
        assert_eq!(a.frame().await, ping(number));
    }
}

#[tokio::test]
async fn a_stream_that_is_abandoned_half_way_is_given_up_and_its_link_stands() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, _to_a) = a.link(&mut b).await;
    let body = sevens();
    let abandon = stream_to(&to_b, 1, &body);
    body.write(&[vec![7; LONG / 2].into()]);
    let News::Arriving { number, .. } = b.news().await else { panic!("its head arrives") };
    abandon.send_replace(true);
    assert!(matches!(a.news().await, News::Streamed { stream: StreamId(1), complete: false, .. }));
    assert!(matches!(b.news().await, News::Ended(ended, false) if ended == number), "not as if it were all");
    assert_eq!(to_b.send(ping(1)), Queued::Yes);
    assert_eq!(b.frame().await, ping(1));
}

#[tokio::test]
async fn streams_that_wait_for_a_place_are_let_go_when_they_are_abandoned() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, _to_a) = a.link(&mut b).await;
    let body = sevens();
    body.write(&[vec![7; LONG / 2].into()]);
    // All places are taken by the first, whose payloads do not come.
    let mut abandons: Vec<_> = (0..20).map(|id| stream_to(&to_b, id, &body)).collect();
    for abandon in abandons.split_off(10) {
        abandon.send_replace(true);
    }
    assert_eq!(to_b.send(ping(1)), Queued::Yes);
    let mut ended = BTreeSet::new();
    while ended.len() < 10 {
        match a.news().await {
            News::Streamed { stream, complete: false, sent: 0 } => ended.insert(stream.0),
            other => panic!("{}", name(&other)),
        };
    }
    assert_eq!(ended, (10..20).collect());
}

#[tokio::test]
async fn what_was_altered_on_the_way_is_seen_by_nobody_and_costs_its_link() {
    let altered = |at: usize| {
        let mut payload = vec![7; LONG];
        payload[at] = 8;
        payload
    };
    for (place, before) in [(0, 0), (PIECE_BYTES - 1, 0), (PIECE_BYTES, PIECE_BYTES), (LONG - 1, LONG / PIECE_BYTES * PIECE_BYTES)] {
        let (mut a, mut b) = (End::new(1), End::new(2));
        let (to_b, to_a) = a.link(&mut b).await;
        let (body, payload) = (sevens(), Bytes::from(altered(place)));
        let _abandon = stream_to(&to_b, 1, &body);
        body.write(&[payload.slice(..place.max(MAX_HEADER_BYTES))]);
        let News::Arriving { body: arriving, number, .. } = b.news().await else { panic!("its head arrives") };
        arriving.collect();
        body.write(&[payload.slice(place.max(MAX_HEADER_BYTES)..)]);
        // What came before it is kept, and true.
        assert!(matches!(b.news().await, News::Ended(ended, false) if ended == number));
        assert_eq!(arriving.paused().unwrap_or(0), before);
        if before > 0 {
            let Piece::Bytes(first) = arriving.after(0).await else { panic!("it is here") };
            assert!(first.iter().all(|byte| *byte == 7));
        }
        assert!(matches!(b.news().await, News::Down(link, Refusal::Altered) if link == to_a.up.link), "byte {place}");
    }
}

#[tokio::test]
async fn digests_of_another_payload_are_not_taken() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, to_a) = a.link(&mut b).await;
    let body = Arc::new(Body::new(LONG));
    body.know(PieceDigests::of(&[8; LONG]).expect("several pieces"));
    let _abandon = stream_to(&to_b, 1, &body);
    body.write(&[vec![8; LONG].into()]);
    let News::Arriving { body: arriving, number, .. } = b.news().await else { panic!("its head arrives") };
    arriving.collect();
    assert!(matches!(b.news().await, News::Ended(ended, false) if ended == number));
    assert_eq!(arriving.written(), 0);
    assert!(matches!(b.news().await, News::Down(link, Refusal::Altered) if link == to_a.up.link));
}

/// A payload that is handed on while it arrives.
const LONG: usize = 200_000;

/// The payload of [`data`], before anything of it is here.
fn sevens() -> Arc<Body> {
    let body = Body::new(LONG);
    body.know(PieceDigests::of(&[7; LONG]).expect("several pieces"));
    Arc::new(body)
}

fn stream_to(link: &Link, id: u64, body: &Arc<Body>) -> watch::Sender<bool> {
    stream(link, id, data(LONG).with_payload(Bytes::new()), Source::Arriving(Arc::clone(body)))
}

/// Sends a payload after its head. It is abandoned when what this returns is dropped.
fn stream(link: &Link, id: u64, head: Frame, payload: Source) -> watch::Sender<bool> {
    let (abandon, abandoned) = watch::channel(false);
    let stream = Stream { id: StreamId(id), head, payload, offset: 0, breaks_after: None, abandoned };
    assert_eq!(link.handle.stream(stream), Queued::Yes);
    abandon
}
