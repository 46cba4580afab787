//! The processes that `mpirun` has started together, and what they tell each other.
//!
//! A process alone is the ordinary case: it is rank 0 of one, and whatever it gathers is its own.
//! With the feature `mpi`, several are ranks of one job. Work that they share is cut into parts
//! that do not depend on how many they are; each part is done by one rank, all ranks [gather] what
//! the parts have come to, and all add it up in the order of the parts. So results have the same
//! bits for any number of ranks.
//!
//! Rank 0 alone prints and writes. A rank that fails says so in place of its part, so that all end
//! together, and rank 0 tells why. One that panics ends the job at once.
#![forbid(unsafe_code)]

#[cfg(feature = "mpi")]
mod world;
#[cfg(not(feature = "mpi"))]
#[path = "nobody.rs"]
mod world;

pub use world::World;

use crate::error::{Error, Result, Signal};
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// What the ranks of a job share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One piece of work.
    Work,
    /// Many pieces, each of which is done by a rank as if it were alone.
    Runs,
    /// A training: every rank does all of it but the gradients of parts of batches.
    Gradients,
}

/// The job, once it has begun.
static JOB: OnceLock<(World, Sharing)> = OnceLock::new();

/// The error that ends the job, once all ranks know it, and the rank whose error it is.
static END: Mutex<Option<(usize, Error)>> = Mutex::new(None);

/// The first of some variables of the environment that is a number.
fn number(names: [&str; 2]) -> Option<usize> {
    names.into_iter().find_map(|name| env::var(name).ok()?.trim().parse().ok())
}

/// Whether this rank does a part of the work by itself.
static APART: AtomicBool = AtomicBool::new(false);

/// How many processes were started together, as Open MPI or the interface of MPICH and Slurm has
/// it.
fn started() -> usize {
    number(["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]).unwrap_or(1)
}

/// Whether this process is the one that prints: alone, or the first of several.
pub fn speaks() -> bool {
    started() <= 1 || number(["OMPI_COMM_WORLD_RANK", "PMI_RANK"]).unwrap_or(0) == 0
}

/// Leaves the word to the process that [speaks]. `mpirun` ends all others once one has failed, and
/// this one must not be the first.
pub fn keep_silent() {
    if !speaks() {
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Joins the other processes that `mpirun` has started, if there are any. `identity` is what has to
/// be the same in all of them.
///
/// # Errors
/// If there are several, and this command shares nothing, this build knows no MPI, or they are not
/// the same.
pub fn begin(
    sharing: Option<Sharing>,
    identity: impl FnOnce() -> Result<Vec<(String, String)>>,
) -> Result<()> {
    let count = started();
    if count <= 1 {
        return Ok(());
    }
    let place = format!("{count} processes of mpirun");
    let Some(sharing) = sharing else {
        let message = "this command shares no work between processes";
        return Err(Error::input(place, message, "run it without mpirun"));
    };
    let world = World::join(&place)?;
    if JOB.set((world, sharing)).is_err() {
        return Ok(());
    }
    agree(&identity()?)
}

/// The job, if this process is one of several.
fn job() -> Option<&'static World> {
    JOB.get().map(|(world, _)| world)
}

/// The other ranks, if they share one piece of work.
fn team() -> Option<&'static World> {
    JOB.get().filter(|(_, sharing)| *sharing == Sharing::Work).map(|(world, _)| world)
}

/// Does a part of the work as if this rank were alone: the others do not do it.
pub fn apart<R>(part: impl FnOnce() -> R) -> R {
    APART.store(true, Ordering::Relaxed);
    let done = part();
    APART.store(false, Ordering::Relaxed);
    done
}

/// Whether this is in a part that other ranks do not do.
pub fn is_apart() -> bool {
    APART.load(Ordering::Relaxed)
}

/// The other ranks, if they do many pieces of work.
pub fn runs() -> Option<&'static World> {
    JOB.get().filter(|(_, sharing)| *sharing == Sharing::Runs).map(|(world, _)| world)
}

/// The other ranks, if they do one thing together, whatever they share of it.
fn fellows() -> Option<&'static World> {
    JOB.get().filter(|(_, sharing)| *sharing != Sharing::Runs).map(|(world, _)| world)
}

/// Whether other ranks come to the same points of one thing that they do together.
pub fn together() -> bool {
    fellows().is_some_and(|world| world.count() > 1)
}

/// Which of the ranks this is that share the gradients of a training, and how many they are;
/// `(0, 1)` alone.
pub fn learner() -> (usize, usize) {
    let job = JOB.get().filter(|(_, sharing)| *sharing == Sharing::Gradients);
    job.map_or((0, 1), |(world, _)| (world.rank(), world.count()))
}

/// Which of the ranks this is that share a piece of work; 0 alone.
pub fn rank() -> usize {
    team().filter(|_| !is_apart()).map_or(0, World::rank)
}

/// How many ranks share the work that is done now; 1 alone.
pub fn count() -> usize {
    team().filter(|_| !is_apart()).map_or(1, World::count)
}

/// Whether this process writes the result of the work that it does.
pub fn writes() -> bool {
    fellows().map_or(0, World::rank) == 0
}

/// Whether this process is no part of a job.
pub fn alone() -> bool {
    job().is_none()
}

/// How many processes of the job are on this machine.
pub fn beside() -> usize {
    job().map_or(1, World::beside)
}

/// What every rank gives, in their order: the same list in all of them.
///
/// # Errors
/// If a rank has failed.
pub fn gather(own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
    match fellows().filter(|_| !is_apart()) {
        None => Ok(vec![own]),
        Some(world) => exchange(world, Ok(own)),
    }
}

/// The same one after the other in `all`, whose memory is used again; the bytes of each rank.
///
/// # Errors
/// If a rank has failed.
pub fn gather_into(own: &[u8], all: &mut Vec<u8>) -> Result<Vec<usize>> {
    match fellows().filter(|_| !is_apart()) {
        None => {
            all.clear();
            all.extend_from_slice(own);
            Ok(vec![own.len()])
        }
        Some(world) => exchange_into(world, Ok(own), all),
    }
}

/// What rank 0 gives; the others are not asked.
///
/// # Errors
/// If a rank has failed.
pub fn of_first(own: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>> {
    Ok(gather(if writes() { own() } else { vec![] })?.swap_remove(0))
}

/// Checks that what a result depends on, names with values or hashes, is the same in every rank of
/// the job.
///
/// # Errors
/// If it is not, in all ranks.
pub fn agree(inputs: &[(String, String)]) -> Result<()> {
    let Some(world) = job() else { return Ok(()) };
    let lines = inputs.iter().map(|(name, value)| format!("{name}\t{value}\n"));
    let all = exchange(world, Ok(lines.collect::<String>().into_bytes()))?;
    let first = String::from_utf8_lossy(&all[0]);
    let mut others = all.iter().enumerate();
    let Some((rank, other)) = others.find(|(_, other)| **other != all[0]) else { return Ok(()) };
    let other = String::from_utf8_lossy(other);
    let differs = first.lines().zip(other.lines()).find(|(ours, theirs)| ours != theirs);
    let name = differs.and_then(|(ours, _)| ours.split('\t').next()).unwrap_or("the options");
    let message = format!("`{name}` is not what rank 0 has");
    let help = "give all processes of mpirun the same program, files and options";
    Err(Error::input(format!("rank {rank}"), message, help))
}

/// What all ranks give, unless one of them gives an error, which then ends the job in all.
fn exchange(world: &World, own: Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    let mut all = vec![];
    let own = own.as_ref().map(Vec::as_slice).map_err(Error::clone);
    let lengths = exchange_into(world, own, &mut all)?;
    let mut rest = &all[..];
    let mut next = |length| {
        let (own, after) = rest.split_at(length);
        rest = after;
        own.to_vec()
    };
    Ok(lengths.into_iter().map(&mut next).collect())
}

/// The same one after the other; the bytes of each rank.
fn exchange_into(world: &World, own: Result<&[u8]>, all: &mut Vec<u8>) -> Result<Vec<usize>> {
    let mut end = END.lock().expect("nobody panics with the lock");
    if let Some((_, e)) = &*end {
        return Err(e.clone());
    }
    let ranks = match own {
        Ok(own) => world.all_gather(own, false, all),
        Err(e) => world.all_gather(&written(&e), true, all),
    };
    let mut start = 0;
    for (rank, &(length, failed)) in ranks.iter().enumerate() {
        if failed {
            let e = read(&all[start..start + length]);
            *end = Some((rank, e.clone()));
            return Err(e);
        }
        start += length;
    }
    Ok(ranks.into_iter().map(|(length, _)| length).collect())
}

/// Ends what the ranks do together: the result of the job, an error of any of them.
///
/// # Errors
/// The error of the first rank that has any.
pub fn end(result: Result<()>) -> Result<()> {
    let Some(world) = job() else { return result };
    let result = exchange(world, result.map(|()| vec![]));
    let end = END.lock().expect("nobody panics with the lock");
    match &*end {
        Some((rank, e)) if *rank > 0 => Err(e.clone().within(format!("rank {rank}"))),
        _ => result.map(drop),
    }
}

/// Waits until all ranks have come here, and takes leave of them: nothing may be told after it.
pub fn leave() {
    match job() {
        Some(world) => world.leave(),
        None => keep_silent(),
    }
}

/// Ends all ranks of the job, if there are several: this one cannot go on.
pub fn abort() {
    if let Some(world) = job() {
        world.abort();
    }
}

/// This rank, for a message; nothing alone.
pub fn name() -> String {
    job().map_or(String::new(), |world| format!("rank {}: ", world.rank()))
}

/// An error as bytes; each of its texts is one line.
fn written(e: &Error) -> Vec<u8> {
    let (Error::Input { place, .. } | Error::Failed { place, .. } | Error::Stopped { place, .. }) =
        e;
    format!("{}\n{place}\n{}\n{}", e.exit_code(), e.message(), e.help()).into_bytes()
}

/// The error of these bytes.
fn read(bytes: &[u8]) -> Error {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let code = lines.next().and_then(|code| code.parse::<u8>().ok()).unwrap_or(1);
    let [place, message, help] = [(); 3].map(|()| lines.next().unwrap_or_default());
    match Signal::ALL.into_iter().find(|signal| signal.exit_code() == code) {
        Some(signal) => Error::stopped(signal, place, message, help),
        None if code == 2 => Error::input(place, message, help),
        None => Error::failed(place, message, help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_everything_is_ones_own() {
        assert_eq!((rank(), count(), beside()), (0, 1, 1));
        assert!(speaks() && writes() && runs().is_none());
        assert_eq!(gather(vec![3, 4]).unwrap(), [[3, 4]]);
        assert_eq!(of_first(|| vec![5]).unwrap(), [5]);
        agree(&[("model".into(), "a".into())]).unwrap();
        let e = Error::failed("step 5", "the loss is NaN", "lower the rate");
        assert_eq!(end(Err(e.clone())), Err(e));
    }

    #[test]
    fn errors_pass_between_processes() {
        for e in [
            Error::input("c.toml", "must be at least 2", "write `p = 2`"),
            Error::failed("disk", "is full", "free some space"),
            Error::stopped(Signal::Terminate, "run", "at step 5", "go on with --resume"),
        ] {
            assert_eq!(read(&written(&e)), e);
        }
    }
}
