//! What the application wants, and leaving.

use super::{Machines, Phase};
use crate::{
    context::Context,
    event::{ConnectError, Event, LookupError, SendError},
    input::{Command, Input, Operation},
    linkage,
    links::LinkId,
    outbox::Transmit,
    route::{Map, Outgoing},
    step::{Finder, Step},
};
use cicada_wire::{Frame, Hash, Purpose, Refusal};
use std::time::Duration;

impl Machines {
    pub(super) fn on_command(&mut self, cx: &mut Context<'_>, command: Command) {
        if self.phase != Phase::Running {
            return refuse_command(cx, &command);
        }
        match command {
            Command::Connect { operation, addresses, timeout } => self.joins.start(cx, operation, addresses, timeout),
            Command::Send { operation, target, address, payload, options } => {
                let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
                let outgoing = Outgoing { operation, target, address, payload, options };
                self.router.send(cx, &map, &mut self.deliveries, outgoing);
            }
            Command::Broadcast { operation, payload, excluded } => {
                if self.budgets.own_broadcast(cx, payload.len()) {
                    self.broadcaster.send(cx, &self.overlay, &self.sessions, operation, payload, excluded);
                } else {
                    cx.out.event(Event::BroadcastFailed { operation, error: SendError::Full });
                }
            }
            Command::Lookup { operation, target } => {
                cx.step(Step::Find { target, seeds: Vec::new(), finder: Finder::Application(operation) });
            }
            Command::Opaque { to, payload } => {
                let link = cx.links.to_peer(to).filter(|link| link.is_open()).map(|link| link.id);
                match link {
                    Some(link) if cx.config.purpose == Purpose::Bare => cx.out.frame(link, Frame::Opaque(payload)),
                    Some(_) | None => cx.refuse(Some(to), Refusal::NoRoute),
                }
            }
            Command::Disconnect { peer } => {
                if let Some(link) = cx.links.to_peer(peer).map(|link| link.id) {
                    self.linkage.pause(cx, peer);
                    linkage::close(cx, link, Refusal::Closing);
                }
            }
            Command::Leave { operation } => self.leave(cx, operation),
            Command::Ban { who, span } => self.ban(cx, who, span),
            Command::Unban { who } => self.unban(cx, &who),
            Command::Consumed { deliveries } => self.deliveries.consumed(cx, deliveries),
        }
    }

    fn leave(&mut self, cx: &mut Context<'_>, operation: Operation) {
        self.joins.abort(cx);
        self.phase = Phase::Flushing { operation, deadline: cx.now + FLUSH };
        self.go_on_leaving(cx);
    }

    /// Takes the next step of leaving if its time has come.
    pub(super) fn go_on_leaving(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Running | Phase::Left => {}
            Phase::Flushing { operation, deadline } => {
                let busy = self.router.is_busy() || self.broadcaster.is_busy();
                if !busy || cx.now >= deadline {
                    self.phase = Phase::Leaving { operation };
                    self.say_goodbye(cx);
                    self.go_on_leaving(cx);
                }
            }
            Phase::Leaving { operation } => {
                if cx.links.is_empty() {
                    self.phase = Phase::Left;
                    self.router.abort(cx);
                    cx.out.event(Event::Left { operation });
                }
            }
        }
    }

    fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        let links: Vec<(LinkId, Option<Hash>)> = cx
            .links
            .iter()
            .filter(|link| link.is_open())
            .map(|link| (link.id, link.proven.as_ref().map(crate::peer::Proven::id)))
            .collect();
        for (link, member) in links {
            if let Some(member) = member {
                cx.out.frame(link, self.overlay.goodbye(member));
            }
            linkage::close(cx, link, Refusal::Closing);
        }
    }

    /// Whoever has left answers nothing any more, but leaves no wish of its application unanswered and no link open.
    pub(super) fn on_input_after_leaving(&mut self, cx: &mut Context<'_>, input: Input) {
        match input {
            Input::Command(command) => refuse_command(cx, &command),
            Input::LinkUp(up) => cx.out.transmits.push_back(Transmit::Close { link: up.link, reason: Refusal::Closing }),
            Input::Arriving { body, .. } | Input::Broken { body, .. } => cx.out.transmits.push_back(Transmit::Discard { body }),
            Input::LinkDown { .. }
            | Input::DialFailed { .. }
            | Input::Frame { .. }
            | Input::Arrived { .. }
            | Input::Crowded { .. }
            | Input::Streamed { .. }
            | Input::Datagram { .. }
            | Input::JobDone { .. }
            | Input::Wake
            | Input::Clock(_) => {}
        }
    }
}

/// Ends a command that comes too late.
fn refuse_command(cx: &mut Context<'_>, command: &Command) {
    let event = match *command {
        Command::Connect { operation, .. } => Event::ConnectFailed { operation, error: ConnectError::Closing },
        Command::Send { operation, .. } => Event::SendFailed { operation, error: SendError::Closing },
        Command::Broadcast { operation, .. } => Event::BroadcastFailed { operation, error: SendError::Closing },
        Command::Lookup { operation, .. } => Event::LookedUp { operation, result: Err(LookupError::Closing) },
        Command::Leave { operation } => Event::Left { operation },
        Command::Opaque { to, .. } => Event::Refused { from: Some(to), reason: Refusal::Closing },
        Command::Disconnect { .. } | Command::Ban { .. } | Command::Unban { .. } | Command::Consumed { .. } => return,
    };
    cx.out.event(event);
}

/// For the bodies of a swarm's purpose in an overlay of bare nodes, and the reverse.
pub(super) fn is_for_purpose(frame: &Frame, purpose: Purpose) -> bool {
    let of_swarm = match frame {
        Frame::Data(..) | Frame::HopVerdict(_) | Frame::Task(..) | Frame::TaskVerdict(_) | Frame::Digest(_) | Frame::Pull(_) => true,
        Frame::Opaque(_) => false,
        Frame::Query(..)
        | Frame::Reply(..)
        | Frame::Changed(_)
        | Frame::Hint(_)
        | Frame::Introduce(_)
        | Frame::Unify(_)
        | Frame::Alarm
        | Frame::Drain(_)
        | Frame::Drained
        | Frame::Goodbye(_) => return true,
    };
    of_swarm == (purpose == Purpose::Swarm)
}

/// The id that a datagram's sender has if it is a member.
pub(super) fn sender_id(from: std::net::SocketAddr) -> Option<Hash> {
    cicada_wire::Address::new(from).ok().map(cicada_wire::Address::id)
}

/// How long leaving waits for what is on its way.
const FLUSH: Duration = Duration::from_secs(3); // guess: several receipts' worth
