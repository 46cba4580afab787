//! Seeded random numbers: a seed gives the same numbers on every platform and thread count.
//!
//! The generator is ChaCha with 8 rounds, because it is specified and seekable. Its 64-bit stream
//! number splits a seed into independent generators, one for each purpose and stage. So a change in
//! how one of them is used (more dropout, another test row) does not affect the others.
#![forbid(unsafe_code)]

use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What a generator is for; each purpose has a stream of its own.
///
/// The values are part of what a seed means: add new ones at the end, never renumber, and never use
/// 7 again, which drew bootstrap samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// Initial weights.
    Init = 0,
    /// The rows of a data set.
    Data = 1,
    /// The order in which a training loop visits them.
    Shuffle = 2,
    /// Which activations are dropped.
    Dropout = 3,
    /// Learned or random masks over edges.
    Mask = 4,
    /// Random directions and samples of an estimate (gradient checks, orders of Shapley values).
    Sample = 5,
    /// The pairs on which a training run scores its circuits.
    Probe = 6,
    /// Random circuits, as controls.
    Null = 8,
    /// The masks that edge pruning samples, and the order of its pairs.
    Prune = 9,
    /// Batches of the mixture of generated text, one stage each.
    Mixture = 10,
    /// Initial values of low-rank adapters, one stage for each matrix.
    Adapter = 11,
    /// The sizes of circuits that a learned ranking looks at, and the order of its pairs.
    Ranking = 12,
    /// Labels that no rule gives.
    Label = 13,
    /// Chains and directions of what is measured along a training.
    Measure = 14,
}

/// A seeded generator whose state can be saved and restored.
///
/// ```
/// use edgegrad::rng::{Purpose, Rng};
/// let mut rng = Rng::new(0, Purpose::Shuffle, 0);
/// rng.normal();
/// let mut later = Rng::from_state(&rng.state());
/// assert_eq!(rng.normal().to_bits(), later.normal().to_bits());
/// ```
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    chacha: ChaCha8Rng,
}

/// The state of a generator: all that determines its next values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RngState {
    /// The seed of the run.
    pub seed: u64,
    /// Purpose and stage, as ChaCha's stream number.
    pub stream: u64,
    /// The number of 32-bit words already used.
    pub position: u64,
}

impl Rng {
    /// The generator of one `purpose` in one `stage` of the run seeded with `seed`.
    pub fn new(seed: u64, purpose: Purpose, stage: u32) -> Rng {
        let stream = u64::from(stage) << 8 | purpose as u64;
        Rng::from_state(&RngState { seed, stream, position: 0 })
    }

    /// The generator in the given state.
    pub fn from_state(state: &RngState) -> Rng {
        // The key is the seed itself, not a hash of it that a later version might compute
        // differently; ChaCha's rounds do the mixing.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&state.seed.to_le_bytes());
        let mut chacha = ChaCha8Rng::from_seed(key);
        chacha.set_stream(state.stream);
        chacha.set_word_pos(u128::from(state.position));
        Rng { seed: state.seed, chacha }
    }

    /// The state of the generator.
    pub fn state(&self) -> RngState {
        // The position has 68 bits; at a value every nanosecond the low 64 last for centuries.
        let position = self.chacha.get_word_pos() as u64;
        RngState { seed: self.seed, stream: self.chacha.get_stream(), position }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.chacha.next_u64()
    }

    /// A uniform value in [0, 1): a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A value of the standard normal distribution.
    ///
    /// The Box-Muller transform without its second half: every call takes two uniform values, so
    /// nothing has to be kept between calls and saved with the state.
    pub fn normal(&mut self) -> f64 {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// A uniform whole number in 0..n.
    ///
    /// # Panics
    /// If `n` is 0.
    #[track_caller]
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below(0): there is no number to choose");
        // Lemire's multiplication: the high word is the result. Low words under 2^64 mod n would
        // make some results more likely than others and are drawn again.
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Shuffles `items`, all orders equally likely (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Rng};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use rand::Rng as _;

    /// Values from an independent implementation, written from ChaCha's specification: a change of
    /// any of them changes what every seed means.
    #[test]
    fn golden() {
        let mut rng = Rng::new(0, Purpose::Init, 0);
        let bits = [rng.bits(), rng.bits()];
        assert_eq!(bits, [0xd640_5f89_2fef_003e, 0xa1a5_091f_e8b8_5b7f]);
        let mut rng = Rng::new(42, Purpose::Shuffle, 3);
        assert_eq!(rng.uniform(), 0.13099487795389686);
        assert_eq!(rng.normal(), -1.3956249994833965);
        assert_eq!(rng.below(1000), 730);
        let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
        rng.shuffle(&mut order);
        assert_eq!(order, [4, 2, 7, 6, 1, 3, 0, 5]);
    }

    #[test]
    fn purposes_stages_and_seeds_differ() {
        use Purpose::*;
        let mut seen = std::collections::HashSet::new();
        for seed in [0, 1, u64::MAX] {
            for purpose in
                [Init, Data, Shuffle, Dropout, Mask, Sample, Probe, Prune, Mixture, Adapter]
            {
                for stage in [0, 1, u32::MAX] {
                    assert!(seen.insert(Rng::new(seed, purpose, stage).bits()));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_saved_state_continues(seed: u64, stage: u32, words in 0usize..100) {
            let mut rng = Rng::new(seed, Purpose::Dropout, stage);
            for _ in 0..words {
                rng.chacha.next_u32();
            }
            let text = serde_json::to_string(&rng.state()).unwrap();
            let mut again = Rng::from_state(&serde_json::from_str(&text).unwrap());
            for _ in 0..50 {
                prop_assert_eq!(rng.bits(), again.bits());
            }
            prop_assert_eq!(rng.state(), again.state());
        }

        #[test]
        fn below_stays_below_and_shuffle_keeps_the_items(seed: u64, n in 1..u64::MAX) {
            let mut rng = Rng::new(seed, Purpose::Data, 0);
            prop_assert!(rng.below(n) < n);
            let mut items: Vec<u64> = (0..n % 50).collect();
            rng.shuffle(&mut items);
            items.sort_unstable();
            prop_assert_eq!(items, (0..n % 50).collect::<Vec<_>>());
        }
    }

    /// By Hoeffding's inequality a count of `n` independent trials deviates from its mean by `t` or
    /// more with probability at most 2 exp(-2 t^2 / n); `t` makes that 1e-9 over all `bins`.
    fn allowed(n: usize, bins: usize) -> f64 {
        (n as f64 * (2.0 * bins as f64 / 1e-9).ln() / 2.0).sqrt()
    }

    fn assert_even(counts: &[usize]) {
        let n: usize = counts.iter().sum();
        let mean = n as f64 / counts.len() as f64;
        for &c in counts {
            assert!((c as f64 - mean).abs() < allowed(n, counts.len()), "{counts:?}");
        }
    }

    #[test]
    fn numbers_are_even() {
        const N: usize = 100_000;
        let mut rng = Rng::new(7, Purpose::Data, 0);
        let (mut uniform, mut below, mut first) = ([0; 10], [0; 7], [0; 5]);
        for _ in 0..N {
            uniform[(rng.uniform() * 10.0) as usize] += 1;
            below[rng.below(7) as usize] += 1;
            let mut items = [0, 1, 2, 3, 4];
            rng.shuffle(&mut items);
            first[items[0]] += 1;
        }
        assert_even(&uniform);
        assert_even(&below);
        assert_even(&first);
    }

    #[test]
    fn normal_numbers_follow_their_distribution() {
        const N: usize = 100_000;
        let mut rng = Rng::new(7, Purpose::Init, 0);
        let drawn: Vec<f64> = (0..N).map(|_| rng.normal()).collect();
        let points = [-2.0, -1.0, -0.3, 0.0, 0.5, 1.0, 2.5];
        for x in points {
            let count = drawn.iter().filter(|&&y| y <= x).count() as f64;
            let expected = N as f64 * 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
            assert!((count - expected).abs() < allowed(N, points.len()), "{x}: {count} {expected}");
        }
    }
}
