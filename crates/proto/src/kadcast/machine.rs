//! The machine itself: what each input leads to.

use super::{
    api::{Contact, Figures, Identity, Input, Job, JobId, Outbox},
    settings::{Settings, SettingsError},
};
use crate::{
    refusals::Refusals,
    time::{Instant, Wake},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{collections::BTreeMap, net::SocketAddr};

/// A Kadcast peer.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    me: Identity,
    rng: ChaCha8Rng,
    refusals: Refusals,
    figures: Figures,
    started: bool,
    jobs: u64,
}

impl Machine {
    /// A peer that knows nobody. Its first input is [`Input::Wake`].
    ///
    /// # Errors
    /// When the settings cannot be.
    pub fn new(settings: Settings, me: Identity, seed: u64) -> Result<Self, SettingsError> {
        settings.check()?;
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Ok(Self { settings, me, rng, refusals: Refusals::default(), figures: Figures::default(), started: false, jobs: 0 })
    }

    /// Takes an input.
    pub fn handle(&mut self, _now: Instant, input: Input, out: &mut Outbox) {
        if matches!(input, Input::Wake) && !self.started {
            self.started = true;
            self.jobs += 1;
            out.jobs.push_back((JobId(self.jobs), Job::Resolve));
        }
    }

    /// When [`Input::Wake`] is wanted next, and why.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Instant, Wake)> {
        None
    }

    /// Who this peer is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.me
    }

    /// What it is set to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The table: the peers of each non-empty bucket, least recently heard of first.
    #[must_use]
    pub fn table(&self, _now: Instant) -> BTreeMap<u8, Vec<Contact>> {
        BTreeMap::new()
    }

    /// Up to `limit` peers heard of within `node_ttl`, drawn at random.
    pub fn alive(&mut self, _now: Instant, _limit: usize) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// What it has refused, by reason.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What it has done and holds.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }
}
