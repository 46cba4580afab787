//! The ranks of a job, over MPI.

use crate::error::{Error, Result};
use mpi::datatype::PartitionMut;
use mpi::environment::{Threading, Universe, initialize_with_threading};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Source};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

/// The ranks of a job.
#[derive(Debug)]
pub struct World {
    rank: usize,
    count: usize,
    beside: usize,
    /// Held while this process waits for an answer: there is one question at a time.
    asking: Mutex<()>,
}

/// What MPI is ended by.
static MPI: Mutex<Option<Universe>> = Mutex::new(None);

/// How often is looked for what may take long to come. MPI's own waits take a whole core.
const PAUSE: Duration = Duration::from_micros(200);

/// The bytes that all ranks together pass at once; MPI counts them in 31 bits.
const AT_ONCE: usize = 1 << 30;

/// Questions to rank 0, and its answers.
const QUESTION: i32 = 1;
const ANSWER: i32 = 2;

impl World {
    pub(super) fn join(place: &str) -> Result<World> {
        let failed = |message| Error::failed(place, message, "check the installation of MPI");
        let (universe, threading) = initialize_with_threading(Threading::Multiple)
            .ok_or_else(|| failed("MPI has begun already"))?;
        let world = universe.world();
        let (rank, count) = (world.rank() as usize, world.size() as usize);
        let beside = world.split_shared(world.rank()).size() as usize;
        *MPI.lock().expect("nobody panics with the lock") = Some(universe);
        if threading < Threading::Multiple {
            return Err(failed("this MPI takes calls of one thread alone"));
        }
        Ok(World { rank, count, beside, asking: Mutex::new(()) })
    }

    /// Which of them this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(super) fn beside(&self) -> usize {
        self.beside
    }

    /// What each rank gives, one after the other in `all`: the bytes of each, and whether it has
    /// failed.
    pub(super) fn all_gather(
        &self,
        own: &[u8],
        failed: bool,
        all: &mut Vec<u8>,
    ) -> Vec<(usize, bool)> {
        self.meet();
        let world = SimpleCommunicator::world();
        let mut heads = vec![0u64; 2 * self.count];
        world.all_gather_into(&[own.len() as u64, failed.into()][..], &mut heads[..]);
        let lengths: Vec<usize> = heads.chunks(2).map(|head| head[0] as usize).collect();
        all.resize(lengths.iter().sum(), 0);
        let piece = AT_ONCE / self.count;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        match longest {
            // MPI refuses to pass nothing.
            0 => {}
            n if n <= piece => gather(own, &lengths, all),
            _ => self.in_pieces(own, &lengths, all),
        }
        lengths.into_iter().zip(heads.chunks(2).map(|head| head[1] > 0)).collect()
    }

    /// The same where MPI cannot count all bytes at once.
    fn in_pieces(&self, own: &[u8], lengths: &[usize], all: &mut [u8]) {
        let piece = AT_ONCE / self.count;
        let mut bytes = vec![];
        for from in (0..lengths.iter().copied().max().unwrap_or(0)).step_by(piece) {
            let part = |&length: &usize| length.saturating_sub(from).min(piece);
            let parts: Vec<usize> = lengths.iter().map(part).collect();
            bytes.resize(parts.iter().sum(), 0);
            gather(&own[from.min(own.len())..][..parts[self.rank]], &parts, &mut bytes);
            let (mut start, mut rest) = (0, &bytes[..]);
            for (length, &part) in lengths.iter().zip(&parts) {
                let (of_rank, after) = rest.split_at(part);
                if part > 0 {
                    all[start + from..][..part].copy_from_slice(of_rank);
                }
                (start, rest) = (start + length, after);
            }
        }
    }

    /// Asks rank 0, and waits for its answer.
    pub fn ask(&self, question: &[u8]) -> Vec<u8> {
        let _one = self.asking.lock().expect("nobody panics with the lock");
        let world = SimpleCommunicator::world();
        let first = world.process_at_rank(0);
        first.send_with_tag(question, QUESTION);
        first.receive_vec_with_tag(ANSWER).0
    }

    /// Answers the questions of the other ranks until each has asked one without an answer.
    pub fn answer(&self, mut to: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        let world = SimpleCommunicator::world();
        let mut left = self.count - 1;
        while left > 0 {
            let Some(found) = world.any_process().immediate_probe_with_tag(QUESTION) else {
                sleep(PAUSE);
                continue;
            };
            let asker = world.process_at_rank(found.source_rank());
            let (question, _) = asker.receive_vec_with_tag::<u8>(QUESTION);
            let answer = to(&question);
            left -= usize::from(answer.is_none());
            asker.send_with_tag(&answer.unwrap_or_default()[..], ANSWER);
        }
    }

    /// Waits for all others without taking a core.
    fn meet(&self) {
        let mut waiting = SimpleCommunicator::world().immediate_barrier();
        while let Err(still) = waiting.test() {
            waiting = still;
            sleep(PAUSE);
        }
    }

    pub(super) fn leave(&self) {
        self.meet();
        // Dropped, it ends MPI.
        drop(MPI.lock().expect("nobody panics with the lock").take());
    }

    pub(super) fn abort(&self) {
        SimpleCommunicator::world().abort(1);
    }
}

/// What ranks give, so many bytes each, one after the other.
fn gather(own: &[u8], lengths: &[usize], all: &mut [u8]) {
    let counts: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
    let starts = counts.iter().scan(0, |sum, &count| {
        *sum += count;
        Some(*sum - count)
    });
    let starts: Vec<i32> = starts.collect();
    let mut to = PartitionMut::new(all, &counts[..], &starts[..]);
    SimpleCommunicator::world().all_gather_varcount_into(own, &mut to);
}
