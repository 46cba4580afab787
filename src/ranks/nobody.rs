//! A build without MPI: there is no other rank.

use crate::error::{Error, Result};

/// The ranks of a job; there are none.
#[derive(Debug)]
pub enum World {}

#[expect(missing_docs, reason = "those of the build with MPI")]
impl World {
    pub(super) fn join(place: &str) -> Result<World> {
        let message = "each would do all of the work, as this build has no `mpi`";
        let help = "build it with `cargo build --release --features mpi`, or run it without mpirun";
        Err(Error::input(place, message, help))
    }

    pub fn rank(&self) -> usize {
        match *self {}
    }

    pub fn count(&self) -> usize {
        match *self {}
    }

    pub(super) fn beside(&self) -> usize {
        match *self {}
    }

    pub(super) fn all_gather(&self, _: &[u8], _: bool, _: &mut Vec<u8>) -> Vec<(usize, bool)> {
        match *self {}
    }

    pub fn ask(&self, _: &[u8]) -> Vec<u8> {
        match *self {}
    }

    pub fn answer(&self, _: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        match *self {}
    }

    pub(super) fn leave(&self) {
        match *self {}
    }

    pub(super) fn abort(&self) {
        match *self {}
    }
}
