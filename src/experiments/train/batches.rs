//! Which rows each step learns from.

use crate::rng::{Rng, RngState};
use serde::{Deserialize, Serialize};

/// An endless stream of row numbers: one pass over all rows after another, each in a random order
/// or all in the order of the file, cut into batches that may straddle two passes.
#[derive(Clone, Debug)]
pub struct Batches {
    order: Vec<u32>,
    /// Where the next batch starts in the current pass.
    at: usize,
    shuffle: Option<Rng>,
    /// The generator before it shuffled the current pass.
    before_pass: Option<RngState>,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchesState {
    at: usize,
    before_pass: Option<RngState>,
}

impl Batches {
    /// A stream over `rows` rows, shuffled by `shuffle` if given.
    pub fn new(rows: usize, shuffle: Option<Rng>) -> Batches {
        let mut stream = Batches { order: vec![0; rows], at: 0, shuffle, before_pass: None };
        stream.begin_pass();
        stream
    }

    /// The stream that stands where `state` says, over the same rows.
    pub fn resume(rows: usize, state: BatchesState) -> Batches {
        let shuffle = state.before_pass.map(|s| Rng::from_state(&s));
        let mut stream = Batches::new(rows, shuffle);
        stream.at = state.at.min(rows);
        stream
    }

    /// Where the stream stands.
    pub fn state(&self) -> BatchesState {
        BatchesState { at: self.at, before_pass: self.before_pass }
    }

    fn begin_pass(&mut self) {
        self.at = 0;
        for (i, row) in self.order.iter_mut().enumerate() {
            *row = i as u32;
        }
        self.before_pass = self.shuffle.as_ref().map(Rng::state);
        if let Some(rng) = &mut self.shuffle {
            rng.shuffle(&mut self.order);
        }
    }

    /// Fills `batch` with the next row numbers.
    pub(crate) fn next_into(&mut self, batch: &mut [u32]) {
        let mut filled = 0;
        while filled < batch.len() {
            if self.at == self.order.len() {
                self.begin_pass();
            }
            let take = (batch.len() - filled).min(self.order.len() - self.at);
            batch[filled..filled + take].copy_from_slice(&self.order[self.at..self.at + take]);
            filled += take;
            self.at += take;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn take(stream: &mut Batches, n: usize) -> Vec<u32> {
        let mut batch = vec![0; n];
        stream.next_into(&mut batch);
        batch
    }

    #[test]
    fn without_shuffling_batch_s_takes_rows_from_s_times_batch() {
        let mut stream = Batches::new(5, None);
        assert_eq!(take(&mut stream, 3), [0, 1, 2]);
        assert_eq!(take(&mut stream, 3), [3, 4, 0]);
        assert_eq!(take(&mut stream, 12), [1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]);
    }

    #[test]
    fn every_pass_has_each_row_once_in_another_order() {
        let mut stream = Batches::new(50, Some(Rng::new(1, Purpose::Shuffle, 0)));
        let (one, two) = (take(&mut stream, 50), take(&mut stream, 50));
        assert_ne!(one, two);
        for mut pass in [one, two] {
            pass.sort_unstable();
            assert_eq!(pass, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_resumed_stream_goes_on() {
        for shuffled in [false, true] {
            let rng = shuffled.then(|| Rng::new(1, Purpose::Shuffle, 0));
            let mut stream = Batches::new(7, rng);
            for _ in 0..10 {
                let mut again = Batches::resume(7, stream.state());
                assert_eq!(take(&mut again, 9), take(&mut stream.clone(), 9));
                take(&mut stream, 3);
            }
        }
    }
}
