//! Messages on their way to the application, in the order in which they came.

use super::peer::{MessageInfo, NetworkListen};
use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::mpsc;

/// Messages that wait for the listener.
pub(super) struct Deliveries {
    queue: mpsc::Sender<(Bytes, MessageInfo)>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// Where a listener's task takes them.
pub(super) struct Inbox {
    queue: mpsc::Receiver<(Bytes, MessageInfo)>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// A queue of so many messages, and of [`DELIVERY_BYTES`].
pub(super) fn queue(most: usize) -> (Deliveries, Inbox) {
    let (sender, receiver) = mpsc::channel(most);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    (Deliveries { queue: sender, waiting_bytes: Arc::clone(&waiting_bytes) }, Inbox { queue: receiver, waiting_bytes })
}

impl Deliveries {
    /// Hands a message over; false if there is no room.
    pub(super) fn push(&self, payload: Bytes, about: MessageInfo) -> bool {
        let bytes = payload.len();
        // Only this side adds, so what is read is never less than what waits. One message always fits.
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > DELIVERY_BYTES {
            return false;
        }
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = self.queue.try_send((payload, about)).is_ok();
        if !taken {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }
}

impl Inbox {
    /// Calls the listener with each message, until the peer has ended and all are told.
    pub(super) async fn tell(mut self, listener: impl NetworkListen) {
        while let Some((payload, about)) = self.queue.recv().await {
            self.waiting_bytes.fetch_sub(payload.len(), Ordering::Relaxed);
            listener.on_message(payload.into(), about);
        }
    }
}

/// Messages that wait for a listener: six of the longest.
const DELIVERY_BYTES: usize = 64 << 20; // guess

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_does_not_come_costs_a_bounded_number_of_messages_and_bytes() {
        let about = MessageInfo { src: ([127, 0, 0, 1], 9000).into(), height: 0, ray_id: [0; 32] };
        let (deliveries, _inbox) = queue(2);
        let pushed: Vec<bool> = (0..3).map(|_| deliveries.push(Bytes::from_static(b"short"), about)).collect();
        assert_eq!(pushed, [true, true, false], "by number");

        let (deliveries, _inbox) = queue(1000);
        let long = Bytes::from(vec![0; 10 << 20]);
        let taken = (0..20).filter(|_| deliveries.push(long.clone(), about)).count();
        assert_eq!(taken, DELIVERY_BYTES / long.len(), "by size");
    }
}
