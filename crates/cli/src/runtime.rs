//! What the commands of a script do, on a peer that has joined its swarm (or is the first of one).

use std::time::Duration;

use cicada::{BroadcastOptions, Message, SendError, SendOptions, SwarmPeer};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Failure;
use crate::output;
use crate::script::{Command, Line};

/// Runs scripts. Holds what one line leaves for the next.
pub(crate) struct Runtime<'a> {
    peer: &'a SwarmPeer,
    /// The name of the script, as the user gave it.
    script: &'a str,
    as_json: bool,
    /// Further copies of what is sent from here on.
    duplicates: u8,
    /// The line being run.
    line: usize,
}

impl<'a> Runtime<'a> {
    pub(crate) fn new(peer: &'a SwarmPeer, script: &'a str, as_json: bool) -> Self {
        Self { peer, script, as_json, duplicates: 0, line: 0 }
    }

    /// Runs the lines to the end, or to the first that fails.
    pub(crate) async fn run(&mut self, lines: &[Line]) -> Result<(), Failure> {
        for Line { number, command } in lines {
            self.line = *number;
            let done = self.perform(command).await;
            done.map_err(|what| Failure::Script { at: self.position(), what, started: true })?;
        }
        Ok(())
    }

    /// `file:line` of what is being done.
    pub(crate) fn position(&self) -> String {
        format!("{}:{}", self.script, self.line)
    }

    async fn perform(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Send { host, port, data } => self.send(host, *port, data.clone()).await,
            Command::Receive { count } => self.receive(*count).await,
            Command::Broadcast { data } => {
                let sent = self.peer.broadcast(data.clone(), &BroadcastOptions::default()).await;
                let sent = sent.map_err(|error| format!("BCAST: {error}"))?;
                if sent.delegates == 0 {
                    tracing::warn!(at = self.position(), "nobody is there to hear the broadcast");
                }
                Ok(())
            }
            Command::Duplicates(copies) => {
                self.duplicates = *copies;
                Ok(())
            }
            Command::Wait { at_most } => self.wait(*at_most).await,
        }
    }

    /// Sends until the receipt is there. A target that nobody knows may be on its way into the
    /// swarm: it is asked for again until the time is over. What may have arrived is not sent
    /// again, since it would arrive twice.
    async fn send(&self, host: &str, port: u16, data: bytes::Bytes) -> Result<(), String> {
        let deadline = Instant::now() + SEND_PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let options = SendOptions::default().with_duplicates(self.duplicates).with_timeout(left);
            let error = match self.peer.send_with((host, port), data.clone(), &options).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if !worth_another_try(&error) || Instant::now() + SEND_PAUSE > deadline {
                return Err(format!("SEND to {host}:{port}: {error}"));
            }
            sleep(SEND_PAUSE).await;
        }
    }

    async fn receive(&self, count: u64) -> Result<(), String> {
        for index in 1..=count {
            let message = self.peer.recv().await.map_err(|error| error.to_string())?;
            print(&message, index, Some(count), self.as_json).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn wait(&self, at_most: Option<Duration>) -> Result<(), String> {
        // A peer that is there already counts, also for `WAIT 0`: the future is looked at before the clock.
        let waited = match at_most {
            None => Ok(self.peer.wait_for_peers(1).await),
            Some(time) => timeout(time, self.peer.wait_for_peers(1)).await,
        };
        match waited {
            Ok(Ok(())) => Ok(()),
            Ok(Err(closed)) => Err(format!("WAIT: {closed}")),
            Err(_) => Err(format!("WAIT: no peer came within {} s", at_most.unwrap_or_default().as_secs_f64())),
        }
    }
}

/// Whether the target may still come, or take the message later, and the message has certainly not arrived.
fn worth_another_try(error: &SendError) -> bool {
    error.never_arrived()
        && matches!(error, SendError::NoRoute { .. } | SendError::NoSuchPeer { .. } | SendError::Busy { .. } | SendError::Full)
}

/// Prints a message: `index/count -- ip:port: data`.
pub(crate) fn print(message: &Message, index: u64, count: Option<u64>, as_json: bool) -> Result<(), output::OutputClosed> {
    let source = message.source;
    if as_json {
        let (key, data) = output::data_field(&message.data);
        let mut object = json!({
            "event": "message",
            "index": index,
            "count": count,
            "from": source.to_string(),
            "id": source.id().to_string(),
            "broadcast": message.broadcast,
            "level": message.level.name(),
        });
        object[key] = data;
        return output::line(&object.to_string());
    }
    let data = output::printable(&message.data);
    match count {
        Some(count) => output::line(&format!("{index}/{count} -- {source}: {data}")),
        None => output::line(&format!("{index} -- {source}: {data}")),
    }
}

/// How long a SEND waits for its target to be known and for the receipt. Guess: the documented
/// time that joining waits.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// Between two attempts at a target that nobody knows. Guess: shorter than people notice.
const SEND_PAUSE: Duration = Duration::from_millis(200);
