//! Who has had which message. It takes as much memory in the end as at the beginning.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::time::{Duration, Instant};

/// The messages that one peer has had, a bit for each number.
#[derive(Clone)]
pub(crate) struct Had(Arc<[AtomicU64]>);

impl Had {
    pub(crate) fn nothing() -> Self {
        // Written, so that it is in memory from now on.
        let bits = Self(std::iter::repeat_with(|| AtomicU64::new(1)).take(MOST_MESSAGES / 64).collect());
        bits.0.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        bits
    }

    fn has(&self, number: u64) -> bool {
        self.word(number).load(Ordering::Relaxed) & bit(number) != 0
    }

    fn word(&self, number: u64) -> &AtomicU64 {
        &self.0[usize::try_from(number / 64).expect("below the most")]
    }
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

/// Numbers of messages, and what must still arrive.
pub(crate) struct Ledger {
    next: AtomicU64,
    twice: AtomicUsize,
    damaged: AtomicUsize,
    due: Mutex<VecDeque<Due>>,
    pub(crate) kept: AtomicUsize,
}

/// A message that these must have.
struct Due {
    number: u64,
    by: Vec<Had>,
    until: Instant,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
            twice: AtomicUsize::new(0),
            damaged: AtomicUsize::new(0),
            due: Mutex::default(),
            kept: AtomicUsize::new(0),
        }
    }

    /// A payload of this length with a number of its own, in every eighth byte of it.
    pub(crate) fn payload(&self, length: usize) -> (u64, Vec<u8>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(number < MOST_MESSAGES as u64, "more messages than there are bits for");
        let mut payload = number.to_le_bytes().repeat(length.div_ceil(8));
        payload.truncate(length);
        (number, payload)
    }

    /// A message reached an application.
    pub(crate) fn received(&self, had: &Had, data: &[u8]) {
        let number = data.first_chunk().map(|number| u64::from_le_bytes(*number)).filter(|number| *number < MOST_MESSAGES as u64);
        let Some(number) = number.filter(|number| data.chunks(8).all(|chunk| number.to_le_bytes().starts_with(chunk))) else {
            self.damaged.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let before = had.word(number).fetch_or(bit(number), Ordering::Relaxed);
        self.twice.fetch_add(usize::from(before & bit(number) != 0), Ordering::Relaxed);
    }

    /// These must have the message before long.
    pub(crate) fn must_reach(&self, number: u64, by: Vec<Had>) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).push_back(Due { number, by, until: Instant::now() + PATIENCE });
    }

    /// Whether all has arrived that had to; panics if something is late.
    pub(crate) fn is_settled(&self) -> bool {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let before = due.len();
        due.retain(|due| {
            let missing = due.by.iter().filter(|had| !had.has(due.number)).count();
            assert!(missing == 0 || Instant::now() < due.until, "message {} has not reached {missing} of {}", due.number, due.by.len());
            missing > 0
        });
        self.kept.fetch_add(before - due.len(), Ordering::Relaxed);
        due.is_empty()
    }

    /// Nothing may have come twice or damaged.
    pub(crate) fn check(&self) {
        assert_eq!(self.twice.load(Ordering::Relaxed), 0, "messages came twice");
        assert_eq!(self.damaged.load(Ordering::Relaxed), 0, "messages came damaged");
    }
}

/// 64 KiB of bits a peer.
const MOST_MESSAGES: usize = 1 << 19;

/// How late a message may be that is not lost: repair offers for 15 s, and the machine does other things.
const PATIENCE: Duration = Duration::from_secs(30);
