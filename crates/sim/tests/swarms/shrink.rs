//! A plan that fails is made smaller for as long as it fails in the same respect.

use crate::{
    plan::{Act, Plan, Weather},
    run::{Failure, perform},
};
use cicada_sim::TraceLevel;

/// The smallest plan found that fails as `failure` says, trying at most `tries` worlds, and how that one fails.
pub(crate) fn shrink(plan: Plan, failure: Failure, tries: usize) -> (Plan, Failure) {
    shrink_with(plan, failure, tries, |plan| perform(plan, TraceLevel::Off).err())
}

/// The same of what `fails` says.
pub(crate) fn shrink_with(
    mut plan: Plan,
    mut failure: Failure,
    mut tries: usize,
    mut fails: impl FnMut(&Plan) -> Option<Failure>,
) -> (Plan, Failure) {
    'again: loop {
        for smaller in smaller(&plan) {
            if tries == 0 {
                return (plan, failure);
            }
            tries -= 1;
            if let Some(still) = fails(&smaller).filter(|still| still.claim == failure.claim) {
                (plan, failure) = (smaller, still);
                continue 'again;
            }
        }
        return (plan, failure);
    }
}

/// Plans that are a little smaller: those that leave out most come first.
fn smaller(plan: &Plan) -> Vec<Plan> {
    let mut found = Vec::new();
    let mut with = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        if changed != *plan {
            found.push(changed);
        }
    };
    let count = plan.acts.len();
    let mut chunk = count.div_ceil(2);
    while chunk > 0 {
        for from in (0..count).step_by(chunk) {
            with(&|plan| drop(plan.acts.drain(from..count.min(from + chunk))));
        }
        chunk /= 2;
    }
    with(&|plan| plan.bad.clear());
    (0..plan.bad.len()).for_each(|place| with(&|plan| _ = plan.bad.remove(place)));
    for members in [plan.members / 2, plan.members.saturating_sub(1)] {
        with(&|plan| keep_members(plan, members.max(2)));
    }
    with(&|plan| plan.weather = Weather { least: 20, most: 20, ..Weather::default() });
    with(&|plan| plan.weather = Weather { least: plan.weather.least, most: plan.weather.most, ..Weather::default() });
    with(&|plan| plan.weather.jitter = 0);
    with(&|plan| plan.weather.lost = 0);
    with(&|plan| plan.weather.bursts = 0);
    with(&|plan| plan.weather.held = 0);
    with(&|plan| plan.weather.doubled = 0);
    with(&|plan| plan.span = plan.acts.last().map_or(1, |(at, _)| at + 1));
    found
}

/// Fewer members: the last ones, and what befalls them, are left out.
fn keep_members(plan: &mut Plan, members: usize) {
    let gone = members..plan.members;
    plan.members = members;
    plan.bad.retain(|(who, _)| !gone.contains(who));
    plan.acts.retain(|(_, act)| match act {
        Act::Crash(who)
        | Act::Restart(who, _)
        | Act::Leave(who)
        | Act::Pause(who)
        | Act::Resume(who)
        | Act::Lookup(who)
        | Act::Cast(who) => !gone.contains(who),
        Act::Send(who, to) => !gone.contains(who) && !gone.contains(to),
        Act::Split(_) | Act::Heal | Act::Churn(_) | Act::Join => true,
    });
    for (_, act) in &mut plan.acts {
        if let Act::Split(side) = act {
            side.retain(|who| !gone.contains(who));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::failure;
    use cicada_wire::OverlayKind;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let matters = |plan: &Plan| plan.acts.iter().any(|(_, act)| matches!(act, Act::Crash(_))) && plan.members >= 3;
        let plan = (0..).map(|seed| Plan::draw(OverlayKind::Ring, seed)).find(matters).expect("some plan has a crash");
        let fails = |plan: &Plan| matters(plan).then(|| failure("a claim", "it fails"));
        let (small, _) = shrink_with(plan.clone(), failure("a claim", ""), 1000, fails);
        let [(_, Act::Crash(who))] = small.acts[..] else { panic!("of\n{plan}this is left:\n{small}") };
        assert_eq!((small.members, small.bad.len()), (3.max(who + 1), 0), "of\n{plan}this is left:\n{small}");
        let fails = |_: &Plan| Some(failure("another claim", ""));
        assert_eq!(shrink_with(plan.clone(), failure("a claim", ""), 1000, fails).0, plan, "another failure is none of it");
    }
}
