use super::*;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const LENGTH: usize = 4 * 1024 * 1024;
const PIECE: usize = 32 * 1024;

fn piece(number: usize) -> Bytes {
    Bytes::from(vec![u8::try_from(number % 251).expect("below 251"); PIECE])
}

/// Writes as the link does: no more than there is room for. Returns how many pieces were taken.
async fn write_all(body: Arc<Body>) -> usize {
    for number in 0..LENGTH / PIECE {
        match body.room().await {
            Room::Some => body.write(&[piece(number)]),
            Room::Unneeded => return number,
        }
    }
    LENGTH / PIECE
}

async fn read_all(body: Arc<Body>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match body.after(all.len()).await {
            Piece::Bytes(bytes) => all.extend_from_slice(&bytes),
            Piece::End => return Some(all),
            Piece::Broken => return None,
        }
        body.read(all.len());
    }
}

fn everything() -> Vec<u8> {
    (0..LENGTH / PIECE).flat_map(|number| piece(number).to_vec()).collect()
}

#[tokio::test]
async fn what_is_collected_is_whole_in_the_end_and_can_be_read_from_its_beginning() {
    let body = Arc::new(Body::new(LENGTH));
    body.collect();
    let reading = [1, 2].map(|_| tokio::spawn(read_all(Arc::clone(&body))));
    assert_eq!(write_all(Arc::clone(&body)).await, LENGTH / PIECE);
    assert_eq!(body.whole().expect("all is here"), everything());
    for reader in reading {
        assert_eq!(reader.await.expect("no panic"), Some(everything()));
    }
    assert_eq!(read_all(Arc::clone(&body)).await, Some(everything()), "also afterwards");
}

#[tokio::test]
async fn what_passes_through_waits_for_its_reader_and_holds_little() {
    let body = Arc::new(Body::new(LENGTH));
    let writing = tokio::spawn(write_all(Arc::clone(&body)));
    while body.written() < AHEAD_BYTES {
        tokio::task::yield_now().await;
    }
    // The control: nobody reads, so nothing more is taken.
    assert!(timeout(Duration::from_millis(50), body.room()).await.is_err());
    assert_eq!(body.written(), AHEAD_BYTES);
    let mut read = 0;
    loop {
        match body.after(read).await {
            Piece::Bytes(bytes) => read += bytes.len(),
            Piece::End => break,
            Piece::Broken => panic!("it breaks off at {read}"),
        }
        body.read(read);
        let held = match &body.state().here {
            Here::Pieces { pieces, .. } => pieces.iter().map(Bytes::len).sum::<usize>(),
            Here::Growing(_) | Here::Whole(_) => panic!("nobody wants all of it"),
        };
        assert!(held <= AHEAD_BYTES + KEPT_BYTES + PIECE, "{held}");
    }
    assert_eq!((read, writing.await.expect("no panic")), (LENGTH, LENGTH / PIECE));
    assert!(body.whole().is_none(), "it was not kept");
    assert!(matches!(body.after(0).await, Piece::Broken), "its beginning is gone");
}

#[tokio::test]
async fn a_second_reader_can_begin_anew_before_the_first_has_come_far() {
    let body = Arc::new(Body::new(LENGTH));
    let writing = tokio::spawn(write_all(Arc::clone(&body)));
    while body.written() < AHEAD_BYTES {
        tokio::task::yield_now().await;
    }
    body.read(AHEAD_BYTES / 2);
    assert_eq!(read_all(Arc::clone(&body)).await, Some(everything()));
    writing.await.expect("no panic");
}

#[tokio::test]
async fn readers_of_what_breaks_off_are_told_and_so_is_the_writer_of_what_nobody_needs() {
    let body = Arc::new(Body::new(LENGTH));
    body.collect();
    let reading = tokio::spawn(read_all(Arc::clone(&body)));
    body.write(&[piece(0)]);
    body.fail();
    assert_eq!(reading.await.expect("no panic"), None);
    assert!(body.whole().is_none());

    let body = Arc::new(Body::new(LENGTH));
    let waiting = tokio::spawn({
        let body = Arc::clone(&body);
        async move { body.unneeded().await }
    });
    body.discard();
    waiting.await.expect("no panic");
    assert_eq!(body.room().await, Room::Unneeded);
}
