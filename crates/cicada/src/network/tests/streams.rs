//! Long frames that are given up.

use super::*;
use crate::link::{Source, Stream};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_stream_that_is_abandoned_half_way_is_given_up_and_its_link_stands() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, _to_a) = a.link(&mut b).await;
    let body = Arc::new(Body::new(LONG));
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
    let body = Arc::new(Body::new(LONG));
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

/// A payload that is handed on while it arrives.
const LONG: usize = 200_000;

fn stream_to(link: &Link, id: u64, body: &Arc<Body>) -> watch::Sender<bool> {
    let (abandon, abandoned) = watch::channel(false);
    let stream = Stream {
        id: StreamId(id),
        head: data(LONG).with_payload(Bytes::new()),
        payload: Source::Arriving(Arc::clone(body)),
        offset: 0,
        breaks_after: None,
        abandoned,
    };
    assert_eq!(link.handle.stream(stream), Queued::Yes);
    abandon
}
