//! A whole peer as one machine, composed of the others.

use crate::{
    config::{Config, ConfigError},
    context::{Context, Numbers},
    input::Input,
    links::Links,
    outbox::Outbox,
    overlay::Overlay,
    peer::Me,
    step::Step,
    time::{Instant, Wake},
};
use cicada_wire::UnixTime;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;

/// A peer.
#[derive(Debug)]
pub struct Node {
    me: Me,
    config: Config,
    clock: UnixTime,
    links: Links,
    overlay: Overlay,
    rng: ChaCha8Rng,
    numbers: Numbers,
    steps: VecDeque<Step>,
}

impl Node {
    /// A peer that knows nobody yet.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(me: Me, config: Config, seed: [u8; 32], clock: UnixTime) -> Result<Self, ConfigError> {
        config.check()?;
        let overlay = Overlay::new(config.overlay, &me.record);
        Ok(Self {
            me,
            config,
            clock,
            links: Links::default(),
            overlay,
            rng: ChaCha8Rng::from_seed(seed),
            numbers: Numbers::default(),
            steps: VecDeque::new(),
        })
    }

    /// Takes one input in; what follows from it is in `out`.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) {
        if let Input::Clock(clock) = input {
            self.clock = clock;
            return;
        }
        let mut cx = Context {
            now,
            clock: self.clock,
            me: &self.me,
            config: &self.config,
            links: &mut self.links,
            rng: &mut self.rng,
            numbers: &mut self.numbers,
            steps: &mut self.steps,
            out,
        };
        self.overlay.on_wake(&mut cx);
    }

    /// When the node wants a [`Input::Wake`], and why.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Instant, Wake)> {
        None
    }

    /// Who this node is.
    #[must_use]
    pub fn me(&self) -> &Me {
        &self.me
    }

    /// The node's links.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The node's tables.
    #[must_use]
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }
}
