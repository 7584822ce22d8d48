//! Hooks run on a thread of their own: an application that does not keep up skips what it would have been shown, and nothing
//! waits for it.

use crate::{hooks::Hooks, node::RemoteNode};
use bytes::Bytes;
use cicada_proto::JobId;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{mpsc, oneshot};

/// Something for the hooks.
enum Shown {
    Send(RemoteNode, Bytes),
    Recv(RemoteNode, Bytes),
    NewPeer(RemoteNode),
    Admit(RemoteNode, JobId),
}

/// What the hooks say of a peer that may enter the tables.
pub(crate) type Verdict = (JobId, bool);

/// The way to the thread, which ends when the last of these is dropped.
#[derive(Clone)]
pub(crate) struct HookThread {
    shown: mpsc::Sender<Shown>,
    behind: Arc<AtomicBool>,
}

impl HookThread {
    /// Starts the thread. The second value yields verdicts, the third ends with the thread.
    pub(crate) fn start(hooks: Arc<dyn Hooks>) -> std::io::Result<(Self, mpsc::UnboundedReceiver<Verdict>, oneshot::Receiver<()>)> {
        let (shown, queue) = mpsc::channel(SHOWN);
        // As many as there are questions, which the queue bounds.
        let (verdicts, answers) = mpsc::unbounded_channel();
        let (alive, ended) = oneshot::channel();
        std::thread::Builder::new().name("cicada-hooks".to_owned()).spawn(move || run(&*hooks, queue, &verdicts, alive))?;
        Ok((Self { shown, behind: Arc::new(AtomicBool::new(false)) }, answers, ended))
    }

    pub(crate) fn send(&self, to: RemoteNode, frame: Bytes) {
        self.show(Shown::Send(to, frame));
    }

    pub(crate) fn recv(&self, from: RemoteNode, data: Bytes) {
        self.show(Shown::Recv(from, data));
    }

    pub(crate) fn new_peer(&self, peer: RemoteNode) {
        self.show(Shown::NewPeer(peer));
    }

    /// Whether the question was put; otherwise no verdict will come.
    pub(crate) fn admit(&self, peer: RemoteNode, job: JobId) -> bool {
        self.show(Shown::Admit(peer, job))
    }

    fn show(&self, shown: Shown) -> bool {
        let taken = self.shown.try_send(shown).is_ok();
        // Once for each time that they fall behind.
        if self.behind.swap(!taken, Ordering::Relaxed) == taken && !taken {
            tracing::warn!("the hooks do not keep up: some calls are skipped");
        }
        taken
    }
}

fn run(hooks: &dyn Hooks, mut queue: mpsc::Receiver<Shown>, verdicts: &mpsc::UnboundedSender<Verdict>, alive: oneshot::Sender<()>) {
    while let Some(shown) = queue.blocking_recv() {
        match shown {
            Shown::Send(to, frame) => hooks.send(&to, &frame),
            Shown::Recv(from, data) => hooks.recv(&from, &data),
            Shown::NewPeer(peer) => hooks.new_peer(&peer),
            Shown::Admit(peer, job) => {
                // The peer may be gone.
                let _ = verdicts.send((job, hooks.admit(&peer)));
            }
        }
    }
    drop(alive);
}

/// Calls that wait for the application's hooks.
const SHOWN: usize = 4096; // guess
