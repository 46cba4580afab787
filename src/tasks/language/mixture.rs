//! The pre-training distribution of the base model.

use super::{Domain, Example, Part, Source, Variant};
use crate::rng::{Purpose, Rng};

/// Batches over all domains. Batch `index` is a function of the seed and of `index`, so a resumed
/// run continues as it would have without the interruption.
///
/// ```
/// use edgegrad::tasks::language::Mixture;
/// let mixture = Mixture::new(0);
/// assert_eq!(mixture.examples(7, 64), mixture.examples(7, 64));
/// assert_ne!(mixture.examples(7, 64), mixture.examples(8, 64));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixture {
    /// The seed of all batches.
    pub seed: u64,
    /// The shares of the domains; an example is of one with probability share / sum.
    pub shares: [(Domain, u32); 6],
}

impl Mixture {
    /// Of 100 examples, 10 of agreement, 10 of occupations, 40 of arithmetic, 15 of logic, 20 of
    /// look-up and 5 of filler. What takes longest to learn is shown most.
    pub fn new(seed: u64) -> Mixture {
        let shares = [
            (Domain::Agreement, 10),
            (Domain::Occupation, 10),
            (Domain::Arithmetic, 40),
            (Domain::Logic, 15),
            (Domain::Lookup, 20),
            (Domain::Filler, 5),
        ];
        Mixture { seed, shares }
    }

    /// The `n` examples of batch `index`, all of [`Variant::Pretrain`] and [`Part::Train`].
    ///
    /// # Panics
    /// If all shares are 0.
    #[track_caller]
    pub fn examples(&self, index: u32, n: usize) -> Vec<Example> {
        // A generator for each batch: earlier batches need not be drawn to reach it.
        let mut rng = Rng::new(self.seed, Purpose::Mixture, index);
        (0..n).map(|_| self.source(&mut rng).example(&mut rng)).collect()
    }

    fn source(&self, rng: &mut Rng) -> Source {
        let sum = self.shares.iter().map(|(_, parts)| u64::from(*parts)).sum();
        let mut left = rng.below(sum);
        let mut domain = self.shares[0].0;
        for (this, parts) in self.shares {
            domain = this;
            match left.checked_sub(u64::from(parts)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        Source { domain, variant: Variant::Pretrain, part: Part::Train }
    }
}
