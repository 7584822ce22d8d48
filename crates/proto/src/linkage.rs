//! Which links stand: the overlay says which are wanted and what each is worth; this keeps their number within the limits.
//!
//! Half of the room is for links that we dial, the rest for those that dial us. Over the limit the least worthy goes.

use crate::{
    config::Families,
    context::Context,
    links::{DialStart, Link, LinkId},
    outbox::Transmit,
    overlay::{Overlay, Rank},
    peer::Proven,
    step::Step,
    time::Instant,
};
use cicada_wire::{Hash, LinkSide, Refusal, Role, SignedRecord};
use std::{collections::BTreeMap, time::Duration};

/// When to look again, and whom to leave alone for now.
#[derive(Debug, Default)]
pub(crate) struct Linkage {
    next: Option<Instant>,
    /// When wanted links were looked for last.
    looked: Instant,
    pauses: BTreeMap<Hash, Pause>,
    credit: Credit,
}

#[derive(Debug)]
struct Pause {
    since: Instant,
    until: Instant,
    times: u32,
    /// How often it was dialled before the pause was over, since it was essential.
    urgent: u32,
}

impl Linkage {
    /// The tables changed: looks again soon. Several changes at once cost one look. Who has no place yet is waited for.
    pub(crate) fn tables_changed(&mut self, cx: &Context<'_>, is_joined: bool) {
        let paced = if is_joined { self.looked + BETWEEN_LOOKS } else { Instant(0) };
        let soon = (cx.now + SOON).max(paced);
        self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
    }

    /// A link stands or has been proven: makes room if there are too many.
    pub(crate) fn on_link_up(&mut self, cx: &mut Context<'_>, overlay: &Overlay, new: LinkId) {
        let Some(link) = cx.links.link(new) else { return };
        if link.record.record().role != Role::Member {
            let clients = cx.links.iter().filter(|link| link.is_open() && link.record.record().role != Role::Member).count();
            if clients > cx.config.limits.client_links {
                cx.refusals.count(Refusal::TooManyLinks);
                give_up(cx, new, Refusal::TooManyLinks);
            }
            return;
        }
        while let Some(worst) = surplus(cx, overlay, new) {
            let reason = if worst == new { Refusal::TooManyLinks } else { Refusal::MadeRoom };
            cx.refusals.count(reason);
            give_up(cx, worst, reason);
        }
    }

    /// The other end has no room for a link: a handshake costs as much as ten minutes of a link.
    pub(crate) fn on_no_room(&mut self, cx: &Context<'_>, peer: Hash) {
        self.pause(cx, peer);
        // Where everybody looks for links at once there may be room in a moment.
        if let Some(pause) = self.pauses.get_mut(&peer).filter(|pause| pause.times > 2) {
            pause.times = pause.times.max(NO_ROOM_DOUBLINGS);
            pause.until = cx.now + FIRST_PAUSE * 2u32.pow(pause.times.min(MOST_DOUBLINGS));
        }
    }

    /// Members come and go: links do not last, and fewer are worth their handshakes.
    pub(crate) fn on_unrest(&mut self, cx: &Context<'_>) {
        self.credit.shrink(cx);
    }

    /// A link was closed by the other end, or a dial failed: the peer is left alone for a while.
    pub(crate) fn pause(&mut self, cx: &Context<'_>, peer: Hash) {
        if self.pauses.len() >= MAX_PAUSES {
            self.pauses.retain(|_, pause| pause.until > cx.now);
            if self.pauses.len() >= MAX_PAUSES {
                self.pauses.pop_first();
            }
        }
        let pause = self.pauses.entry(peer).or_insert(Pause { since: cx.now, until: cx.now, times: 0, urgent: 0 });
        if cx.now.since(pause.since) > FORGOTTEN {
            (pause.times, pause.urgent) = (0, 0);
        }
        pause.since = cx.now;
        pause.until = cx.now + FIRST_PAUSE * 2u32.pow(pause.times.min(MOST_DOUBLINGS));
        pause.times += 1;
        self.tables_changed(cx, true);
    }

    /// A link to the peer came about after all. It may be closed again at once by a peer that has no room: the next pause is
    /// longer nevertheless.
    pub(crate) fn forgive(&mut self, peer: Hash) {
        if let Some(pause) = self.pauses.get_mut(&peer) {
            pause.until = Instant(0);
        }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, overlay: &Overlay) {
        if self.next.is_none_or(|next| next > cx.now) {
            return;
        }
        self.looked = cx.now;
        let pause = if self.is_quiet(cx) { QUIET.min(cx.config.upkeep.idle_link / 4).max(EVERY) } else { EVERY };
        self.next = (!cx.links.is_empty() || overlay.is_joined()).then(|| cx.now + pause);
        self.open_wanted(cx, overlay);
        close_idle(cx, overlay);
    }

    /// Whether time alone changes nothing but that links become idle: changes of tables and links are told.
    fn is_quiet(&self, cx: &Context<'_>) -> bool {
        cx.links.dialling() == 0 && self.pauses.values().all(|pause| pause.until <= cx.now)
    }

    fn open_wanted(&mut self, cx: &mut Context<'_>, overlay: &Overlay) {
        if cx.me.record.record().role != Role::Member {
            return;
        }
        let mut paused = self.paused(cx, overlay);
        let mut dialling = Vec::new();
        for (peer, since) in dialled(cx, overlay) {
            // Who does not answer at once may be dead: another should be tried meanwhile.
            if cx.now < since + DIAL_PATIENCE {
                dialling.push(peer);
                self.next = self.next.map(|next| next.min(since + DIAL_PATIENCE));
            } else {
                paused.push(peer);
            }
        }
        let bridges = bridge(cx, overlay, &paused);
        let linked = || cx.links.member_peers().into_iter().chain(dialling.iter().copied()).collect();
        let wanted = overlay.wanted_links(cx.now, linked, &paused, |peer| cx.links.is_linked(peer));
        let mut credit = self.credit;
        if !bridges.is_empty() || !wanted.is_empty() {
            self.dial_wanted(cx, overlay, &paused, dialling, bridges.iter().chain(wanted), &mut credit);
        }
        self.credit = credit;
        self.next = self.next.map(|next| credit.next(cx, overlay.pace()).map_or(next, |credit| next.min(credit)));
    }

    /// Dials those of `whom` that may be dialled now, in this order. Links that are being made count as those that stand: who is the first
    /// of a cell is dialled whatever it costs, and the second is not.
    fn dial_wanted<'a>(
        &mut self,
        cx: &mut Context<'_>,
        overlay: &Overlay,
        left_alone: &[Hash],
        dialling: Vec<Hash>,
        whom: impl Iterator<Item = &'a SignedRecord>,
        credit: &mut Credit,
    ) {
        let limit = cx.config.limits.links;
        let standing = cx.links.member_peers();
        let linked = standing.len();
        let mut others = [standing, dialling].concat();
        let made = cx.links.members().filter(|link| link.side == LinkSide::Dialler).count();
        let some_are_bridges = is_bridge(cx, overlay.seen());
        for wanted in whom {
            let peer = wanted.id();
            if left_alone.contains(&peer) || others.contains(&peer) || cx.links.is_linked(peer) {
                continue;
            }
            let ours = made + cx.links.dialling();
            let all = linked + cx.links.dialling();
            let room = ours < limit / 2 && all < limit - limit / 8;
            let leads_over = some_are_bridges && is_bridge(cx, Families::of(wanted));
            let is_needed = leads_over || overlay.is_needed(cx.now, peer, &others);
            let is_spared = overlay.are_enough(cx.now, others.len());
            let is_dialled = is_needed || (room && !is_spared && credit.take(cx, overlay.pace()));
            if !is_dialled {
                continue;
            }
            if let Some(pause) = self.pauses.get_mut(&peer).filter(|pause| pause.until > cx.now) {
                pause.urgent += 1;
            }
            self.dial(cx, wanted);
            others.push(peer);
        }
    }

    /// Whom to leave alone now. Who has become essential since is not left alone for long, however often it had no room before.
    fn paused(&self, cx: &Context<'_>, overlay: &Overlay) -> Vec<Hash> {
        if self.pauses.is_empty() {
            return Vec::new();
        }
        let is_paused = |peer: Hash, pause: &Pause| {
            let short = pause.until.min(pause.since + FIRST_PAUSE * 2u32.pow((pause.urgent + 1).min(URGENT_DOUBLINGS)));
            let others = || cx.links.members().map(Link::peer);
            short > cx.now || (pause.until > cx.now && overlay.rank(peer, others()) != Rank::Essential)
        };
        self.pauses.iter().filter(|(peer, pause)| is_paused(**peer, pause)).map(|(peer, _)| *peer).collect()
    }

    fn dial(&mut self, cx: &mut Context<'_>, wanted: &SignedRecord) {
        let Some(address) = cx.address(wanted) else { return };
        match cx.dial(address, Some(wanted.key())) {
            DialStart::Dialling(_) => self.next = Some(self.next.map_or(cx.now + DIAL_PATIENCE, |next| next.min(cx.now + DIAL_PATIENCE))),
            DialStart::Linked(_) => {}
            DialStart::Refused(_) => self.pause(cx, wanted.id()),
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next
    }
}

/// Handshakes for links that routes can do without: as many as we dial at all, one by one, while nobody goes; where members come and go, one now and
/// then, so that what links cost is bounded however short their lives are.
#[derive(Clone, Copy, Debug, Default)]
struct Credit {
    /// All dials so far are paid for by then.
    paid: Instant,
    /// The last was then.
    last: Instant,
}

impl Credit {
    /// When it is time for the next, if two are so far apart.
    fn ready(self, cx: &Context<'_>, apart: Duration) -> Instant {
        let burst = u32::try_from(cx.config.limits.links / 2).unwrap_or(u32::MAX).saturating_sub(1);
        // Whether members come and go shows in some seconds.
        let spaced = self.last + apart;
        spaced.max(Instant(self.paid.0.saturating_sub(micros(CREDIT * burst))))
    }

    fn take(&mut self, cx: &Context<'_>, apart: Duration) -> bool {
        let is_ready = self.ready(cx, apart) <= cx.now;
        if is_ready {
            self.last = cx.now;
            self.paid = self.paid.max(cx.now) + CREDIT;
        }
        is_ready
    }

    fn shrink(&mut self, cx: &Context<'_>) {
        let burst = u32::try_from(cx.config.limits.links / 2).unwrap_or(u32::MAX).saturating_sub(LEFT);
        self.paid = self.paid.max(cx.now + CREDIT * burst);
    }

    /// When it may be time for the next dial, if not now.
    fn next(self, cx: &Context<'_>, apart: Duration) -> Option<Instant> {
        Some(self.ready(cx, apart)).filter(|ready| *ready > cx.now)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Whether who reaches these families reaches one that we do not.
fn is_bridge(cx: &Context<'_>, families: Families) -> bool {
    families.without(cx.config.families) != Families::NONE
}

/// Whether this is one of the few links between a member of one family and one of both.
fn joins_families(cx: &Context<'_>, link: &Link, open: &[&Link]) -> bool {
    let theirs = link.places().families;
    let alike = || open.iter().filter(|other| other.places().families == theirs).count();
    theirs.are_both() != cx.config.families.are_both() && alike() <= BRIDGES
}

/// Who could be a bridge to the members of the other family, if too few links lead to such: any will do, so those next to us.
fn bridge(cx: &Context<'_>, overlay: &Overlay, paused: &[Hash]) -> Vec<SignedRecord> {
    if !is_bridge(cx, overlay.seen()) {
        return Vec::new();
    }
    let standing = cx.links.members().filter(|link| is_bridge(cx, link.places().families)).count();
    if standing >= BRIDGES {
        return Vec::new();
    }
    let (geometry, me) = (overlay.geometry(), cx.me.id());
    let bridges = overlay.members_that(|member| is_bridge(cx, member.places().families));
    let mut members: Vec<SignedRecord> = bridges.iter().map(|member| member.record().clone()).collect();
    members.retain(|member| cx.links.to_peer(member.id()).is_none() && !paused.contains(&member.id()));
    members.sort_by_key(|member| geometry.offset(me, member.id()));
    members.truncate(BRIDGES - standing);
    members
}

/// The known members that are being dialled, and since when.
fn dialled(cx: &Context<'_>, overlay: &Overlay) -> Vec<(Hash, Instant)> {
    let dials = cx.links.dials();
    if dials.is_empty() {
        return Vec::new();
    }
    let since = |member: &Proven| {
        dials.iter().find(|(to, _)| member.places().may_hold(*to))?;
        let address = cx.address(member.record())?;
        dials.iter().find(|(to, _)| *to == address).map(|(_, since)| *since)
    };
    let dialled = overlay.members_that(|member| since(member).is_some());
    dialled.iter().filter_map(|member| Some((member.id(), since(member)?))).collect()
}

/// The least worthy link if there are more than the limit allows; a link in use counts for more than an idle one of its rank.
fn surplus(cx: &Context<'_>, overlay: &Overlay, new: LinkId) -> Option<LinkId> {
    let open: Vec<_> = cx.links.iter().filter(|link| link.is_open() && link.record.record().role == Role::Member).collect();
    if open.len() <= cx.config.limits.links {
        return None;
    }
    let worth = |link: &Link| {
        let peer = link.peer();
        let others = open.iter().map(|link| link.peer()).filter(|other| *other != peer);
        let rank = if joins_families(cx, link, &open) { Rank::Essential } else { overlay.rank(peer, others) };
        let rank = if cx.links.is_needed(cx.now, link) { rank.max(Rank::Useful(u16::MAX)) } else { rank };
        // At equal rank those that dialled us stay, who know what they need the link for; then the newcomer goes, so that no two
        // peers push each other out for ever.
        (rank, link.side == LinkSide::Listener, link.id != new, link.used)
    };
    open.iter().min_by_key(|link| worth(link)).map(|link| link.id)
}

/// Closes links that we dialled, nobody has used for long, and the overlay does not want. The listener leaves that to the
/// dialler, who knows what the link is for.
fn close_idle(cx: &mut Context<'_>, overlay: &Overlay) {
    let span = cx.config.upkeep.idle_link;
    let others = || cx.links.members().map(Link::peer);
    let idle: Vec<LinkId> = cx
        .links
        .iter()
        .filter(|link| link.is_open() && link.side == LinkSide::Dialler && cx.now.since(link.used) > span)
        .filter(|link| cx.me.record.record().role == Role::Member && link.record.record().role == Role::Member)
        .filter(|link| matches!(overlay.rank(link.peer(), others()), Rank::Spare(_)) && !is_bridge(cx, link.places().families))
        .map(|link| link.id)
        .collect();
    for link in idle {
        give_up(cx, link, Refusal::Idle);
    }
}

/// Closes a link at once: what the other end says meanwhile is lost.
pub(crate) fn close(cx: &mut Context<'_>, link: LinkId, reason: Refusal) {
    if mark_closing(cx, link, reason) {
        finish(cx, link);
    }
}

/// Closes a link once nothing is on its way over it any more (`drains`).
pub(crate) fn give_up(cx: &mut Context<'_>, link: LinkId, reason: Refusal) {
    if mark_closing(cx, link, reason) {
        cx.step(Step::GivenUp { link, reason });
    }
}

/// Nothing new is sent over a link from now on. Whether it was open.
pub(crate) fn mark_closing(cx: &mut Context<'_>, link: LinkId, reason: Refusal) -> bool {
    let Some(open) = cx.links.link_mut(link).filter(|link| link.is_open()) else { return false };
    open.closing = Some(reason);
    cx.step(Step::TablesChanged);
    true
}

/// Closes a link that is marked.
pub(crate) fn finish(cx: &mut Context<'_>, link: LinkId) {
    if let Some(reason) = cx.links.link(link).and_then(|link| link.closing) {
        cx.out.transmits.push_back(Transmit::Close { link, reason });
    }
}

/// Changes within this time cost one look.
const SOON: Duration = Duration::from_millis(10); // guess

/// From one look to the next, however much changes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100); // measured: with 10 ms a join costs a quarter more

const EVERY: Duration = Duration::from_secs(1); // guess

/// From one look to the next while nobody is dialled or left alone.
const QUIET: Duration = Duration::from_secs(8); // guess: idle links may stand a little longer

/// Links that a member of one address family keeps to members of both.
const BRIDGES: usize = 3; // guess: two may be gone, or have had the copy already

const FIRST_PAUSE: Duration = Duration::from_secs(1); // guess

/// One link that is not essential for each such time. A handshake is 4 KB, so that is 70 B/s.
const CREDIT: Duration = Duration::from_secs(60); // guess

/// So many may be dialled at once when somebody has gone.
const LEFT: u32 = 1; // guess

/// A dial that takes longer does not keep another from being made.
const DIAL_PATIENCE: Duration = Duration::from_millis(300); // guess: two round trips of the internet

/// The longest pause is 256 s.
const MOST_DOUBLINGS: u32 = 8;

/// For a peer that is essential it is 2 s at first and 16 s in the end.
const URGENT_DOUBLINGS: u32 = 4; // guess: with eight links for fourteen members, all essential, every 2 s were 14 kB/s

/// Who had no room three times is tried again after 32 s, doubled each time.
const NO_ROOM_DOUBLINGS: u32 = 5; // measured: of a thousand members on a ring every second link was dialled in vain

/// After that long without trouble a peer's pauses start anew.
const FORGOTTEN: Duration = Duration::from_secs(600); // guess: above the longest pause, 256 s

const MAX_PAUSES: usize = 1024; // guess
