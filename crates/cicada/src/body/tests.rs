use super::*;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const LENGTH: usize = 4 * 1024 * 1024;
const PIECE: usize = 32 * 1024;

fn arriving() -> Body {
    let body = Body::new(LENGTH);
    body.know(PieceDigests::of(&everything()).expect("several pieces"));
    body
}

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
    let body = Arc::new(arriving());
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
            Here::Growing(_) | Here::Whole(_) | Here::Elsewhere { .. } => panic!("nobody wants all of it"),
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
    let body = Arc::new(arriving());
    body.collect();
    let reading = tokio::spawn(read_all(Arc::clone(&body)));
    body.fail();
    assert_eq!(reading.await.expect("no panic"), None, "it never began");
    assert!(body.whole().is_none());
    let passing = Body::new(LENGTH);
    passing.write(&[piece(0)]);
    passing.fail();
    assert!(matches!(passing.after(0).await, Piece::Broken), "what only passes through is not kept");
    assert_eq!(passing.paused(), None);

    let body = Arc::new(Body::new(LENGTH));
    let waiting = tokio::spawn({
        let body = Arc::clone(&body);
        async move { body.unneeded().await }
    });
    body.discard();
    waiting.await.expect("no panic");
    assert_eq!(body.room().await, Room::Unneeded);
}

/// A collected body of which the first `pieces` have come.
fn begun(pieces: usize) -> Arc<Body> {
    let body = Arc::new(arriving());
    body.collect();
    (0..pieces).for_each(|number| body.write(&[piece(number)]));
    body
}

/// The rest of the whole, from the piece `from` on, as it comes on another stream.
fn rest(from: usize) -> Arc<Body> {
    Arc::new(Body::new(LENGTH - from * PIECE))
}

#[tokio::test]
async fn what_was_collected_pauses_when_it_breaks_off_and_its_readers_notice_nothing_when_it_goes_on() {
    let body = begun(10);
    let reading = tokio::spawn(read_all(Arc::clone(&body)));
    body.fail();
    assert_eq!(body.paused(), Some(10 * PIECE));
    assert_eq!(body.room().await, Room::Unneeded, "nothing more from the first");
    body.write(&[piece(99)]);
    assert_eq!(body.written(), 10 * PIECE, "nor is it taken");
    assert!(timeout(Duration::from_millis(50), body.after(10 * PIECE)).await.is_err(), "readers wait");
    assert!(matches!(body.after(0).await, Piece::Bytes(_)), "for what is not here only");
    // It begins two pieces before the end of what is here.
    let tail = rest(8);
    tail.write(&[piece(8)]);
    assert!(body.join(8 * PIECE, &tail));
    for number in 9..LENGTH / PIECE {
        assert_eq!(tail.room().await, Room::Some);
        tail.write(&[piece(number)]);
        assert_eq!(body.written(), (number + 1).max(10) * PIECE);
    }
    assert_eq!(body.whole().expect("all is here"), everything());
    assert_eq!(reading.await.expect("no panic"), Some(everything()));
    assert!(matches!(tail.state().here, Here::Elsewhere { .. }), "no byte is held twice");
}

#[tokio::test]
async fn a_rest_that_breaks_off_too_pauses_it_again_and_a_short_one_may_come_in_one_piece() {
    let body = begun(10);
    body.fail();
    let tail = rest(10);
    assert!(body.join(10 * PIECE, &tail));
    tail.write(&[piece(10)]);
    tail.fail();
    body.fail();
    assert_eq!(body.paused(), Some(11 * PIECE));
    tail.write(&[piece(11)]);
    assert_eq!(body.written(), 11 * PIECE, "what gave up writes no more");
    assert_eq!(body.end_with(5 * PIECE, &Bytes::from(everything()).slice(5 * PIECE..)), Rest::Joined);
    assert_eq!(body.whole().expect("all is here"), everything());
}

#[tokio::test]
async fn a_stream_that_was_given_up_writes_nothing_more_even_when_its_payload_goes_on_from_elsewhere() {
    let body = begun(10);
    body.give_up();
    assert_eq!((body.paused(), body.room().await), (Some(10 * PIECE), Room::Unneeded));
    assert!(body.join(10 * PIECE, &rest(10)));
    body.write(&[Bytes::from(vec![1; PIECE])]);
    assert_eq!((body.written(), body.room().await), (10 * PIECE, Room::Unneeded), "its writer had not noticed");
    timeout(Duration::from_secs(5), body.unneeded()).await.expect("and notices it now");
    body.fail();
    assert_eq!(body.end_with(10 * PIECE, &Bytes::from(everything()).slice(10 * PIECE..)), Rest::Joined);
    assert_eq!(body.whole().expect("all is here"), everything());
    let passing = Arc::new(Body::new(LENGTH));
    passing.write(&[piece(0)]);
    passing.give_up();
    assert_eq!(passing.paused(), None, "what only passes through is not kept");
    assert_eq!(read_all(passing).await, None);
}

#[tokio::test]
async fn what_does_not_fit_is_not_joined() {
    let body = begun(10);
    assert!(!body.join(10 * PIECE, &rest(10)), "it has not broken off");
    body.fail();
    assert!(!body.join(11 * PIECE, &rest(11)), "a gap");
    assert!(!body.join(9 * PIECE, &rest(10)), "too short");
    assert!(!body.join(10 * PIECE, &rest(9)), "too long");
    assert!(!body.join(usize::MAX, &rest(9)), "beyond all");
    assert_eq!(body.end_with(10 * PIECE, &piece(10)), Rest::Altered, "too short");
    assert_eq!(body.end_with(11 * PIECE, &Bytes::from(everything()).slice(11 * PIECE..)), Rest::Unneeded, "a gap");
    let mut altered = everything().split_off(10 * PIECE);
    *altered.last_mut().expect("there is more") ^= 1;
    assert_eq!(body.end_with(10 * PIECE, &altered.into()), Rest::Altered, "something else");
    let middle = Bytes::from(everything()).slice(10 * PIECE - 1..);
    assert_eq!(body.end_with(10 * PIECE - 1, &middle), Rest::Altered, "from the middle of a piece on");
    assert_eq!(body.paused(), Some(10 * PIECE), "and it waits still");
    assert!(body.join(10 * PIECE, &rest(10)), "the control");
    let over = rest(10);
    let broken = rest(10);
    broken.fail();
    body.fail();
    assert!(!body.join(10 * PIECE, &broken), "what has broken off itself");
    body.fail();
    assert!(body.join(10 * PIECE, &over));
    over.write(&[Bytes::from(vec![1; LENGTH])]);
    assert_eq!(body.whole().map(|whole| whole.len()), Some(LENGTH), "no more than it has room for");
}

#[tokio::test]
async fn what_is_paused_can_be_let_go() {
    let body = begun(10);
    let reading = tokio::spawn(read_all(Arc::clone(&body)));
    body.fail();
    let tail = rest(10);
    assert!(body.join(10 * PIECE, &tail));
    body.discard();
    assert_eq!(reading.await.expect("no panic"), None);
    tail.write(&[piece(10)]);
    assert!(matches!(body.state().here, Here::Pieces { ref pieces, .. } if pieces.is_empty()), "nothing is kept");
    assert!(!body.join(10 * PIECE, &rest(10)));
}
