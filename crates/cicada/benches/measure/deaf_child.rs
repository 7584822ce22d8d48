//! A member that takes its shares of broadcasts over, keeps its link alive, and reads their payloads only when it is told to.

use crate::attacker::{self, Attacker, Honest, Served};
use cicada::{Hash, OverlayKind, SwarmPeer};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

pub(crate) struct DeafChild {
    me: Attacker,
    reads: watch::Sender<bool>,
    whole: Arc<AtomicUsize>,
    listening: Option<JoinHandle<()>>,
}

impl DeafChild {
    pub(crate) fn new(overlay: OverlayKind) -> Self {
        let mut me = Attacker::at([127, 0, 0, 1]);
        me.overlay = overlay;
        Self { me, reads: watch::Sender::new(true), whole: Arc::default(), listening: None }
    }

    pub(crate) fn id(&self) -> Hash {
        self.me.id()
    }

    /// Joins by a link to this peer alone: it answers nobody else.
    pub(crate) async fn join(mut self, peer: &SwarmPeer) -> Result<Self, Box<dyn Error>> {
        let link = self.me.link(peer.listener()).await.serve(Honest).await;
        self.listening = Some(tokio::spawn(listen(link, self.reads.subscribe(), Arc::clone(&self.whole))));
        Ok(self)
    }

    pub(crate) fn read(&self, reads: bool) {
        self.reads.send_replace(reads);
    }

    /// How many payloads it has read to their ends.
    pub(crate) fn whole(&self) -> usize {
        self.whole.load(Ordering::Relaxed)
    }
}

impl Drop for DeafChild {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn listen(link: Served, reads: watch::Receiver<bool>, whole: Arc<AtomicUsize>) {
    let mut reading = JoinSet::new();
    while let Ok(mut stream) = link.connection.accept_uni().await {
        while reading.try_join_next().is_some() {}
        let Some((task, length)) = attacker::read_task(&mut stream).await else { continue };
        link.acknowledge(task.ticket).await;
        let (mut reads, whole) = (reads.clone(), Arc::clone(&whole));
        reading.spawn(async move {
            // The sender of this lives as long as the child.
            let _ = reads.wait_for(|reads| *reads).await;
            // What the other end gave up ends early.
            let rest = stream.read_to_end(usize::MAX).await;
            whole.fetch_add(usize::from(rest.is_ok_and(|rest| !rest.is_empty() || length == 0)), Ordering::Relaxed);
        });
    }
}
