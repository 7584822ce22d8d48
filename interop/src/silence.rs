//! Whether one broadcast after a long silence sets off a storm: the crate's peers then ask each other who is still there, and each
//! answer sets off the next question.

use crate::{
    casts::{Cast, Patience, cast_all},
    lab::{Kind, Lab, Plan, Result},
    mixed::until_filled,
    traffic::{must_be_ours_alone, traffic, until_calm},
};
use std::{thread, time::Duration};

/// So many peers of ours keep silence, and of the crate's after them, if a control is wanted.
pub fn silence(size: usize, seconds: u64, control: bool) -> Result<bool> {
    must_be_ours_alone()?;
    let ours = after_silence(Kind::Ours, size, seconds)?;
    let holds = ours.delivered == size - 1 && ours.datagrams < size as u64 * CALM;
    if !holds {
        eprintln!("FAILED: at most {} datagrams a peer, and everybody told", CALM);
    }
    if !control {
        return Ok(holds);
    }
    let theirs = after_silence(Kind::Crate, size, seconds)?;
    let is_told_apart = theirs.datagrams >= size as u64 * CALM;
    if !is_told_apart {
        eprintln!("FAILED: the crate's are as calm, so that this shows nothing");
    }
    Ok(holds && is_told_apart)
}

struct Aftermath {
    delivered: usize,
    datagrams: u64,
}

fn after_silence(kind: Kind, size: usize, seconds: u64) -> Result<Aftermath> {
    let mut lab = Lab::start(&Plan::of(kind, size))?;
    until_filled(&mut lab, Duration::from_secs(10))?;
    until_calm()?;
    let before = traffic()?.packets;
    thread::sleep(Duration::from_secs(seconds));
    let silent = traffic()?.packets - before;
    let each = cast_all(&mut lab, &[Cast { by: size / 2, size: 1024, seed: 1 }], PATIENCE)?;
    // What a message sets off shows in its first seconds.
    thread::sleep(Duration::from_secs(5));
    let datagrams = traffic()?.packets - before - silent;
    let delivered = each.iter().map(|both| both[kind as usize].delivered).sum();
    println!("{size} peers of {}: {silent} datagrams in {seconds} s without a message, {datagrams} with one to {delivered}", kind.name());
    Ok(Aftermath { delivered, datagrams })
}

/// Datagrams a peer: the message, as it is spread and asked for, and some seconds of upkeep.
const CALM: u64 = 40;

const PATIENCE: Patience = Patience { each: Duration::from_secs(10), quiet: Duration::from_secs(2) };
