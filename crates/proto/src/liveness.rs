//! Who is still there: one outstanding check a peer, checks further apart while all is quiet, at once on suspicion.
//!
//! Whatever is heard of a peer puts its next check off. The end that dialled checks first, and the other end, which hears that,
//! needs to only if the first has ended; so a quiet link is checked once and not twice. An answer never sets off a check, so two
//! peers cannot keep each other busy.

use crate::{
    context::Context,
    links::{Link, LinkId},
    overlay::{Overlay, Rank},
    step::{Effort, Step},
    time::Instant,
};
use cicada_wire::{Churn, Frame, Hash, LinkSide, SignedRecord};
use rand::seq::SliceRandom;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// All peers under watch: those linked, and those suspected.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    watched: Watched,
    /// No rest ends earlier: found anew by each wake, so that nobody need look at all of them after every input.
    next: Option<Instant>,
    /// When a link fell silent last.
    silent: Option<Instant>,
    /// When links fell silent lately, the last one last; at most [`MANY`].
    silences: VecDeque<Instant>,
    /// When links fell silent in the last while, the last one last; at most [`MOST_LATELY`].
    lately: VecDeque<Instant>,
    /// Until then the others have been told.
    told: Instant,
    /// Until then we have been told by one of them.
    heeded: Instant,
}

/// Those under watch, with who rests until when beside them: a wake-up concerns one or two of them.
#[derive(Debug, Default)]
struct Watched {
    all: BTreeMap<Hash, Watch>,
    resting: BTreeSet<(Instant, Hash)>,
}

impl Watched {
    fn get(&self, peer: Hash) -> Option<&Watch> {
        self.all.get(&peer)
    }

    fn insert(&mut self, peer: Hash, watch: Watch) {
        self.remove(peer);
        self.resting.extend(watch.rests_until().map(|until| (until, peer)));
        self.all.insert(peer, watch);
    }

    fn remove(&mut self, peer: Hash) {
        if let Some(until) = self.all.remove(&peer).and_then(|watch| watch.rests_until()) {
            self.resting.remove(&(until, peer));
        }
    }

    fn change<R>(&mut self, peer: Hash, change: impl FnOnce(&mut Watch) -> R) -> Option<R> {
        let watch = self.all.get_mut(&peer)?;
        let before = watch.rests_until();
        let result = change(watch);
        let after = watch.rests_until();
        if before != after {
            before.map(|until| self.resting.remove(&(until, peer)));
            self.resting.extend(after.map(|until| (until, peer)));
        }
        Some(result)
    }

    /// Whose rest has ended, in the order of their ids.
    fn rested(&self, now: Instant) -> Vec<Hash> {
        let mut rested: Vec<Hash> = self.resting.iter().take_while(|(until, _)| *until <= now).map(|(_, peer)| *peer).collect();
        rested.sort_unstable();
        rested
    }

    fn next(&self) -> Option<Instant> {
        self.resting.first().map(|(until, _)| *until)
    }
}

#[derive(Debug)]
struct Watch {
    record: SignedRecord,
    state: State,
    /// Quiet rounds since the last change.
    quiet: u32,
    /// Somebody else was silent: what was heard of this one before does not count.
    hurried: bool,
    /// How many more misses than usual it may have: it lives at the end of a path that loses much, as was seen before.
    lossy: u32,
    linked: bool,
}

#[derive(Debug)]
enum State {
    Resting { until: Instant },
    Checking { misses: u32, since: Instant },
}

/// How often useful links are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// Few fall silent.
    Easy,
    /// Many do.
    Brisk,
    /// All members go before long: whoever has gone is found out by those who need it.
    Sparing,
}

impl Liveness {
    /// A link to a member stands.
    pub(crate) fn on_link_up(&mut self, cx: &Context<'_>, record: &SignedRecord) {
        let until = cx.now + cx.config.upkeep.liveness;
        self.watched.insert(record.id(), Watch::new(record.clone(), until, true));
        self.rests_until(until);
    }

    fn rests_until(&mut self, until: Instant) {
        self.next = Some(self.next.map_or(until, |next| next.min(until)));
    }

    /// A link to a member is gone.
    pub(crate) fn on_link_down(&mut self, peer: Hash) {
        self.watched.change(peer, |watch| watch.linked = false);
        if self.watched.get(peer).is_some_and(|watch| watch.rests_until().is_some()) {
            self.watched.remove(peer);
        }
    }

    /// Somebody has reason to doubt that this member is alive.
    pub(crate) fn suspect(&mut self, cx: &mut Context<'_>, overlay: &Overlay, peer: Hash) {
        let known = overlay.member(peer).map(|member| member.record().clone());
        let known = known.or_else(|| cx.links.to_peer(peer).map(|link| link.record.clone()));
        let Some(record) = known else { return };
        let linked = cx.links.to_peer(peer).is_some();
        if self.watched.get(peer).is_none() {
            self.watched.insert(peer, Watch::new(record, cx.now, linked));
        }
        self.watched.change(peer, |watch| {
            if watch.rests_until().is_some() {
                watch.state = State::Checking { misses: 0, since: cx.now };
                watch.ask(cx, Effort::Knock);
            }
        });
    }

    /// A check was answered (`true`) or not.
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, overlay: &Overlay, peer: Hash, answered: bool) {
        let Some(watch) = self.watched.get(peer) else { return };
        let (State::Checking { misses, since }, linked, hurried) = (&watch.state, watch.linked, watch.hurried) else { return };
        // Whoever says anything lives; its answer may be behind other things.
        let heard = cx.links.to_peer(peer).is_some_and(|link| link.heard > *since);
        let misses = *misses + u32::from(!answered && !heard);
        let allowed = if linked { MISSES_LINKED + watch.lossy } else { MISSES };
        if (answered || heard) && !linked {
            self.watched.remove(peer);
        } else if answered || heard {
            let pace = self.pace(cx, overlay);
            let until = self.watched.change(peer, |watch| watch.has_answered(cx, overlay, peer, misses, pace));
            until.into_iter().for_each(|until| self.rests_until(until));
        } else if misses < allowed {
            self.watched.change(peer, |watch| watch.has_missed(cx, misses));
            // A tap may have been lost. A link loses nothing: where one end is silent, others may be, and all are found out
            // at once.
            if linked && misses + 1 == allowed {
                self.fell_silent(cx, hurried);
            }
        } else {
            self.watched.remove(peer);
            cx.step(Step::Gone { peer, politely: false });
        }
    }

    /// It is gone for certain, or back under another record.
    pub(crate) fn forget(&mut self, peer: Hash) {
        self.watched.remove(peer);
    }

    /// One link more is silent. Whether others are is looked at all after a calm; where members come and go now and then, at a few, and if
    /// so at all; where they do all the time, only if several are. When many are, something has happened that others will want to look into
    /// as well, who may not have noticed: they check their links seldom while all is quiet.
    fn fell_silent(&mut self, cx: &mut Context<'_>, hurried: bool) {
        self.lately.push_back(cx.now);
        if self.lately.len() > MOST_LATELY {
            self.lately.pop_front();
        }
        let is_usual = self.is_usual(cx);
        // Whoever looks finds some: that is no news.
        if hurried && is_usual {
            return;
        }
        self.silences.retain(|since| cx.now.since(*since) < AT_ONCE);
        self.silences.push_back(cx.now);
        let calm = self.silent.is_none_or(|silent| cx.now.since(silent) > CALM);
        self.silent = Some(cx.now);
        let (some, several, many) = if is_usual { (0, SEVERAL + 1, MANY + 1) } else { (SOME, SEVERAL, MANY) };
        self.hurry(cx, if calm || self.silences.len() >= several { usize::MAX } else { some });
        if self.silences.len() < many {
            return;
        }
        self.silences.pop_front();
        if self.told <= cx.now {
            self.told = cx.now + ALARMED;
            let links: Vec<LinkId> = cx.links.members().map(|link| link.id).collect();
            for link in links {
                cx.out.frame(link, Frame::Alarm);
            }
        }
    }

    /// How often links are looked at that routes can do without: the more of them fall silent, the more often, so that few of them
    /// are dead at any time.
    fn pace(&self, cx: &Context<'_>, overlay: &Overlay) -> Pace {
        if overlay.churn_expected(cx.now) == Churn::Heavy {
            return Pace::Sparing;
        }
        let lately = self.lately.iter().filter(|since| cx.now.since(**since) < LATELY).count();
        // Mostly none: then links need not be counted.
        if lately > 0 && lately * FEW_OF > cx.links.members().count() { Pace::Brisk } else { Pace::Easy }
    }

    /// Whether links fall silent all the time: many did before this moment.
    fn is_usual(&self, cx: &Context<'_>) -> bool {
        let before = self.lately.iter().filter(|since| (THIS_MOMENT..LATELY).contains(&cx.now.since(**since))).count();
        before * FEW_OF > cx.links.members().count()
    }

    /// A peer's links fell silent.
    pub(crate) fn on_alarm(&mut self, cx: &mut Context<'_>) {
        // Who is told by many looks once, and who looks often anyway need not be told.
        if self.heeded <= cx.now && !self.is_usual(cx) {
            self.heeded = cx.now + ALARMED;
            self.hurry(cx, usize::MAX);
        }
    }

    /// Where one died, others may have: `some`, whoever they are, are checked soon.
    fn hurry(&mut self, cx: &mut Context<'_>, some: usize) {
        if some == 0 {
            return;
        }
        let soon = cx.now + cx.config.upkeep.liveness / 20;
        let mut peers: Vec<Hash> = self.watched.all.keys().copied().collect();
        if some < peers.len() {
            peers.shuffle(cx.rng);
        }
        for peer in peers.into_iter().take(some) {
            self.watched.change(peer, |watch| watch.hurry(soon));
        }
        self.rests_until(soon);
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, overlay: &Overlay) {
        if self.next.is_none_or(|next| next > cx.now) {
            return;
        }
        let pace = self.pace(cx, overlay);
        // Whoever has been heard of since rests on. That is seen together of all whose turn comes soon, so that there are fewer wake-ups.
        for peer in self.watched.rested(cx.now + cx.config.upkeep.liveness / TOGETHER) {
            self.watched.change(peer, |watch| {
                if watch.rest(cx, overlay, peer, pace) <= cx.now {
                    watch.check(cx);
                }
            });
        }
        self.next = self.watched.next();
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next
    }
}

impl Watch {
    fn new(record: SignedRecord, until: Instant, linked: bool) -> Self {
        Self { record, state: State::Resting { until }, quiet: 0, hurried: false, lossy: 0, linked }
    }

    fn rests_until(&self) -> Option<Instant> {
        match self.state {
            State::Resting { until } => Some(until),
            State::Checking { .. } => None,
        }
    }

    /// A check was answered, after so many misses; says until when it rests.
    fn has_answered(&mut self, cx: &Context<'_>, overlay: &Overlay, peer: Hash, misses: u32, pace: Pace) -> Instant {
        self.lossy = if misses > 0 { (self.lossy + 2).min(MOST_LOSSY) } else { self.lossy.saturating_sub(1) };
        self.quiet += 1;
        self.hurried = false;
        self.rest(cx, overlay, peer, pace)
    }

    /// A check was not answered, and one more may be.
    fn has_missed(&mut self, cx: &mut Context<'_>, so_many: u32) {
        if let State::Checking { misses, .. } = &mut self.state {
            *misses = so_many;
        }
        self.ask(cx, Effort::Knock);
    }

    /// It is checked soon.
    fn hurry(&mut self, soon: Instant) {
        self.quiet = 0;
        self.hurried = true;
        if let State::Resting { until } = &mut self.state {
            *until = soon.min(*until);
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) {
        self.state = State::Checking { misses: 0, since: cx.now };
        self.ask(cx, Effort::Tap);
    }

    fn ask(&self, cx: &mut Context<'_>, effort: Effort) {
        cx.step(Step::Check { to: self.record.clone(), effort });
    }

    /// Waits until it has not been heard of for long enough; not at all if it is so already. Says until when.
    fn rest(&mut self, cx: &Context<'_>, overlay: &Overlay, peer: Hash, pace: Pace) -> Instant {
        let link = cx.links.to_peer(peer);
        let heard = link.map_or(Instant(0), |link| link.heard);
        let patience = match link {
            Some(_) if self.hurried => cx.config.upkeep.liveness / 4,
            Some(link) => self.patience(cx, overlay, link, pace),
            None => Duration::ZERO,
        };
        let until = heard + patience;
        self.state = State::Resting { until };
        until
    }

    /// How long the other end of a link may be silent.
    fn patience(&self, cx: &Context<'_>, overlay: &Overlay, link: &Link, pace: Pace) -> Duration {
        // Beside the other links: alone, every link would be the only one of its bucket.
        let peer = link.peer();
        let others = cx.links.members().map(Link::peer).filter(|other| *other != peer);
        let (least, most) = match (overlay.rank(peer, others), pace) {
            // Neighbours are never left alone for long: the overlay stands on them.
            (Rank::Essential, Pace::Sparing) => (0, ESSENTIAL_DOUBLINGS + 1),
            (Rank::Essential, Pace::Easy | Pace::Brisk) => (0, ESSENTIAL_DOUBLINGS),
            // Messages go over these too: few of them should be dead.
            (Rank::Useful(_), Pace::Brisk) => (0, BRISK_DOUBLINGS),
            (Rank::Useful(_), Pace::Easy) => (0, USEFUL_DOUBLINGS),
            (Rank::Useful(_), Pace::Sparing) => (SPARING_DOUBLINGS, USEFUL_DOUBLINGS),
            (Rank::Spare(_), Pace::Easy | Pace::Brisk) => (0, SPARE_DOUBLINGS),
            (Rank::Spare(_), Pace::Sparing) => (SPARING_DOUBLINGS, SPARE_DOUBLINGS),
        };
        let pause = cx.config.upkeep.liveness * 2u32.pow((self.quiet + least).min(most));
        match link.side {
            LinkSide::Dialler => pause,
            LinkSide::Listener => pause * 3 / 2,
        }
    }
}

/// Unanswered checks in a row until a peer is taken for dead. Each is sent twice, since datagrams carry it.
const MISSES: u32 = 2; // guess: 1 s in all, which a busy machine survives

/// The same over a link, which loses nothing: there it takes as long.
const MISSES_LINKED: u32 = 3; // guess: 750 ms at the least; a machine that stops for less is not dead

/// Of a peer that answered late before: 1.75 s at the least.
const MOST_LOSSY: u32 = 4; // guess: twice as long as usual, and a bit

/// How many others are checked when one link is silent.
const SOME: usize = 4; // guess: a quarter of all dead is found out by nearly everybody

/// After so long without a silent link one is news.
const CALM: Duration = Duration::from_secs(60); // guess: with 48 links and sessions of ten minutes one falls silent every 18 s

/// So many silent links within [`AT_ONCE`] are seldom a coincidence: where members come and go one falls silent now and then.
const SEVERAL: usize = 2; // measured: with sessions of ten minutes in a thousand members, half of all checks were made for one death

/// So many silent links within [`AT_ONCE`] are no coincidence.
const MANY: usize = 3; // guess: with 48 links and sessions of ten minutes one falls silent every 18 s

/// How long it counts that a link fell silent.
const LATELY: Duration = Duration::from_secs(60); // guess: some links are looked at in vain by then

/// What follows when many died at once is over by then.
const THIS_MOMENT: Duration = Duration::from_secs(10); // guess

/// One in so many links that fall silent within [`LATELY`] are few: each lasts for eight minutes then, so that one in sixty is dead at any
/// time while they are looked at every 16 s.
const FEW_OF: usize = 8; // guess

/// More are not remembered.
const MOST_LATELY: usize = 64; // guess: all links and a few

const AT_ONCE: Duration = Duration::from_secs(2); // guess: what is found in a hurry is found within it

/// From one alarm to the next.
const ALARMED: Duration = Duration::from_secs(5); // guess: a round of checks is done

/// The part of the shortest pause within which links are looked at together.
const TOGETHER: u32 = 4; // measured: wake-ups for links that had been heard of were a third of what happens in a young swarm

/// How often the pause between two checks doubles while all is quiet.
const ESSENTIAL_DOUBLINGS: u32 = 1;
const USEFUL_DOUBLINGS: u32 = 3;
const BRISK_DOUBLINGS: u32 = 2;
const SPARE_DOUBLINGS: u32 = 4;

/// From how many doublings on links are looked at that are few minutes old when they end.
const SPARING_DOUBLINGS: u32 = 2; // measured: with none a thousand members with sessions of 84 s send 30 B/s each more
