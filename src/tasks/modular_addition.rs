//! Sparse modular addition: the sum of the first k of L tokens modulo p.
//!
//! `x` is uniform in {0..p-1}^L; `y = (x_1 + ... + x_k) mod p`. The other L - k positions carry no
//! information on y, so a model must find the relevant positions before it can add. This is the
//! task of "Easing Optimization Paths" (arXiv 2501.02362) and of "Clustering Head" (arXiv
//! 2410.24050).

use super::{Dataset, MAX_TOKENS, Split};
use crate::error::{Error, Result};
use crate::files::safetensors::Tensors;
use crate::rng::Rng;
use std::collections::HashSet;
use std::path::Path;

/// The largest modulus.
pub const MAX_P: usize = 1 << 24;

/// The task with its three parameters: 2 <= p <= [`MAX_P`] and 1 <= k <= seq_len.
///
/// ```
/// use edgegrad::rng::{Purpose, Rng};
/// use edgegrad::tasks::modular_addition::ModularAddition;
/// let task = ModularAddition { p: 4, seq_len: 12, k: 5 };
/// let split = task.generate(2048, 128, false, &mut Rng::new(0, Purpose::Data, 0))?;
/// assert_eq!(split.train.targets[0], task.label(split.train.row(0)));
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModularAddition {
    /// The modulus: tokens and targets lie in 0..p.
    pub p: usize,
    /// L, the length of a row.
    pub seq_len: usize,
    /// How many leading positions are added.
    pub k: usize,
}

impl ModularAddition {
    /// `(x_1 + ... + x_k) mod p` of a row `[seq_len]`.
    ///
    /// # Panics
    /// If `row` has fewer than k tokens.
    #[track_caller]
    pub fn label(&self, row: &[u32]) -> u32 {
        let sum: u64 = row[..self.k].iter().map(|&x| u64::from(x)).sum();
        (sum % self.p as u64) as u32
    }

    /// Draws `train` rows, then `test` rows, from one generator; no test set if `test` is 0.
    ///
    /// Training rows are drawn with replacement, as the papers' authors draw them. With `overlap`,
    /// so are test rows, and for p = 2 and L = 12 some 39 % of them are training rows too. Without
    /// it, a test row is drawn from the sequences that are not in the training set.
    ///
    /// # Errors
    /// If the training set holds every possible sequence, so that none is left for the test set.
    ///
    /// # Panics
    /// If p, seq_len, k or a size is out of bounds; configurations are checked before.
    #[track_caller]
    pub fn generate(
        &self,
        train: usize,
        test: usize,
        overlap: bool,
        rng: &mut Rng,
    ) -> Result<Split> {
        let Self { p, seq_len, k } = *self;
        assert!((2..=MAX_P).contains(&p) && 1 <= k && k <= seq_len, "{self:?}");
        let fits = |n: usize| n.checked_mul(seq_len).is_some_and(|x| x <= MAX_TOKENS);
        assert!(fits(train) && fits(test), "{train} + {test} rows of {seq_len} tokens");

        let train = self.dataset(train, |row| self.draw(row, rng));
        let test = match (test, overlap) {
            (0, _) => None,
            (n, true) => Some(self.dataset(n, |row| self.draw(row, rng))),
            (n, false) => Some(self.outside(&train, n, rng)?),
        };
        Ok(Split { train, test })
    }

    fn draw(&self, row: &mut [u32], rng: &mut Rng) {
        row.fill_with(|| rng.below(self.p as u64) as u32);
    }

    fn dataset(&self, n: usize, mut fill: impl FnMut(&mut [u32])) -> Dataset {
        let mut tokens = vec![0; n * self.seq_len];
        tokens.chunks_exact_mut(self.seq_len).for_each(&mut fill);
        let targets = tokens.chunks_exact(self.seq_len).map(|row| self.label(row)).collect();
        Dataset { tokens, targets, n, seq_len: self.seq_len }
    }

    /// `n` rows drawn from the sequences that are not in `train`.
    fn outside(&self, train: &Dataset, n: usize, rng: &mut Rng) -> Result<Dataset> {
        let seen: HashSet<&[u32]> = train.rows().collect();
        let exponent = u32::try_from(self.seq_len).unwrap_or(u32::MAX);
        let space = (self.p as u128).saturating_pow(exponent);
        if space > 2 * seen.len() as u128 {
            // More than half of all draws are kept, so rejection sampling ends soon.
            return Ok(self.dataset(n, |row| {
                self.draw(row, rng);
                while seen.contains(&*row) {
                    self.draw(row, rng);
                }
            }));
        }
        // Few sequences are left, but the whole space is at most twice the training set: list them.
        let mut left: Vec<Vec<u32>> = Vec::new();
        let mut row = vec![0; self.seq_len];
        for _ in 0..space {
            if !seen.contains(row.as_slice()) {
                left.push(row.clone());
            }
            self.count_up(&mut row);
        }
        if left.is_empty() {
            return Err(Error::input(
                "task.test",
                format_args!(
                    "no sequence is left for the test set: the {} train rows hold all {space} \
                     sequences of p = {} and seq_len = {}",
                    train.n, self.p, self.seq_len
                ),
                "lower `train`, raise `p` or `seq_len`, set `test = 0`, or allow `overlap = true`",
            ));
        }
        Ok(self.dataset(n, |row| row.copy_from_slice(&left[rng.below(left.len() as u64) as usize])))
    }

    /// The next sequence, as a number in base p.
    fn count_up(&self, row: &mut [u32]) {
        for x in row.iter_mut().rev() {
            *x += 1;
            if (*x as usize) < self.p {
                return;
            }
            *x = 0;
        }
    }

    /// Reads `tokens [N, seq_len]` and `targets [N]`, and `test_tokens` and `test_targets` if the
    /// file has them. The file's targets are not checked against the sums: they may hold noise on
    /// purpose.
    ///
    /// # Errors
    /// If the file cannot be read, a tensor is missing or has another shape, or an id is not in
    /// 0..p; the error then names the tensor, the row and the id.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Split> {
        self.from_tensors(&Tensors::read(path)?)
    }

    /// The same from tensors in memory.
    ///
    /// # Errors
    /// As [`read`](ModularAddition::read).
    pub fn from_tensors(&self, file: &Tensors) -> Result<Split> {
        let train = self.read_set(file, "tokens", "targets")?;
        let has_test = file.contains("test_tokens") || file.contains("test_targets");
        let test = has_test.then(|| self.read_set(file, "test_tokens", "test_targets"));
        Ok(Split { train, test: test.transpose()? })
    }

    fn read_set(&self, file: &Tensors, tokens: &str, targets: &str) -> Result<Dataset> {
        let (shape, ids) = file.get_ids(tokens)?;
        let n = match shape[..] {
            [n, seq_len] if n > 0 && seq_len == self.seq_len => n,
            _ => {
                let message =
                    format!("expected shape [N, {}] with N >= 1, got {shape:?}", self.seq_len);
                return Err(file.error(tokens, message, "set `task.seq_len` to the row length"));
            }
        };
        let (target_shape, target_ids) = file.get_ids(targets)?;
        if target_shape != [n] {
            let message = format!("expected shape [{n}] as `{tokens}` has, got {target_shape:?}");
            return Err(file.error(targets, message, "give one target for each row of tokens"));
        }
        let tokens = self.checked(file, tokens, &ids, self.seq_len)?;
        let targets = self.checked(file, targets, &target_ids, 1)?;
        Ok(Dataset { tokens, targets, n, seq_len: self.seq_len })
    }

    fn checked(&self, file: &Tensors, name: &str, ids: &[i64], width: usize) -> Result<Vec<u32>> {
        let good = |id: i64| usize::try_from(id).is_ok_and(|id| id < self.p);
        if let Some(i) = ids.iter().position(|&id| !good(id)) {
            let message = format!("row {}: id {} is not in 0..{} (p)", i / width, ids[i], self.p);
            return Err(file.error(name, message, "raise `task.p`, or correct the file"));
        }
        Ok(ids.iter().map(|&id| id as u32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::safetensors::{Tensor, write};
    use crate::rng::Purpose;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const PAPER: ModularAddition = ModularAddition { p: 2, seq_len: 12, k: 5 };

    fn rng(seed: u64) -> Rng {
        Rng::new(seed, Purpose::Data, 0)
    }

    fn common(split: &Split) -> usize {
        let seen: HashSet<&[u32]> = split.train.rows().collect();
        split.test.iter().flat_map(Dataset::rows).filter(|row| seen.contains(row)).count()
    }

    #[test]
    fn sizes() {
        let split = PAPER.generate(2048, 100, false, &mut rng(0)).unwrap();
        let test = split.test.unwrap();
        assert_eq!((split.train.n, split.train.tokens.len()), (2048, 2048 * 12));
        assert_eq!((test.n, test.tokens.len(), test.targets.len()), (100, 1200, 100));
        assert_eq!(PAPER.generate(10, 0, false, &mut rng(0)).unwrap().test, None);
    }

    /// With replacement a sequence is missed by all n training rows with probability (1 - 2^-12)^n,
    /// so 1 - e^(-1/2) = 39.3 % of the test rows are training rows; five standard deviations are
    /// 5.4 %.
    #[test]
    fn overlap_is_as_large_as_the_authors_have_it() {
        let split = PAPER.generate(2048, 2048, true, &mut rng(0)).unwrap();
        let share = common(&split) as f64 / 2048.0;
        assert!((share - 0.393).abs() < 0.054, "{share}");
    }

    #[test]
    fn the_train_set_does_not_depend_on_the_test_set() {
        let a = PAPER.generate(50, 7, false, &mut rng(3)).unwrap();
        let b = PAPER.generate(50, 90, true, &mut rng(3)).unwrap();
        assert_eq!(a.train, b.train);
        assert_ne!(a.train, PAPER.generate(50, 0, true, &mut rng(4)).unwrap().train);
    }

    #[test]
    fn a_space_that_is_too_small() {
        let task = ModularAddition { p: 2, seq_len: 3, k: 2 };
        let e = task.generate(1000, 5, false, &mut rng(0)).unwrap_err();
        for key in ["train", "test", "p = 2", "seq_len = 3"] {
            assert!(e.to_string().contains(key), "{e}");
        }
        assert_eq!(e.exit_code(), 2);
        assert!(task.generate(1000, 5, true, &mut rng(0)).is_ok());
    }

    proptest! {
        #[test]
        fn labels_are_right_and_sets_are_apart(
            p in 2usize..6, seq_len in 1usize..7, k in 1usize..7, train in 1usize..300, seed: u64,
        ) {
            let task = ModularAddition { p, seq_len, k: k.min(seq_len) };
            let Ok(split) = task.generate(train, 40, false, &mut rng(seed)) else {
                // The only reason to refuse: the training set holds every possible sequence.
                let split = task.generate(train, 0, false, &mut rng(seed)).unwrap();
                let different: HashSet<_> = split.train.rows().collect();
                prop_assert_eq!(different.len(), p.pow(seq_len as u32));
                return Ok(());
            };
            prop_assert_eq!(common(&split), 0);
            for set in [&split.train, split.test.as_ref().unwrap()] {
                for (row, &y) in set.rows().zip(&set.targets) {
                    let sum: u32 = row[..task.k].iter().sum();
                    prop_assert_eq!(sum % p as u32, y);
                    prop_assert!(row.iter().all(|&x| (x as usize) < p));
                }
            }
        }
    }

    fn tensors(parts: &[(&str, &[usize], &[i64])]) -> Tensors {
        let t = tempfile::tempdir().unwrap();
        let parts: Vec<_> = parts.iter().map(|(n, s, v)| Tensor::ids(*n, s, v)).collect();
        let path = t.path().join("d.safetensors");
        write(&path, &parts, &Default::default()).unwrap();
        Tensors::from_bytes("d.safetensors", std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn a_file_of_examples() {
        let task = ModularAddition { p: 3, seq_len: 2, k: 1 };
        let (x, y): (&[i64], &[i64]) = (&[0, 1, 2, 2], &[0, 2]);
        let train = ("tokens", &[2usize, 2][..], x);
        let only = task.from_tensors(&tensors(&[train, ("targets", &[2], y)])).unwrap();
        assert_eq!((only.train.tokens, only.train.targets), (vec![0, 1, 2, 2], vec![0, 2]));
        assert_eq!(only.test, None);
        let test = [("test_tokens", &[1usize, 2][..], &x[..2]), ("test_targets", &[1], &y[..1])];
        let both = tensors(&[train, ("targets", &[2], y), test[0], test[1]]);
        assert_eq!(task.from_tensors(&both).unwrap().test.unwrap().n, 1);

        type Parts<'a> = &'a [(&'a str, &'a [usize], &'a [i64])];
        let bad: [(Parts<'_>, &str); 6] = [
            (&[train], "tensor `targets`: is missing"),
            (&[train, ("targets", &[2], &[0, 3])], "tensor `targets`: row 1: id 3 is not in 0..3"),
            (&[train, ("targets", &[1], &[0])], "tensor `targets`: expected shape [2]"),
            (
                &[("tokens", &[2, 2], &[0, 0, 0, -1]), ("targets", &[2], y)],
                "tensor `tokens`: row 1: id -1 is not in 0..3",
            ),
            (
                &[("tokens", &[4, 1], x), ("targets", &[4], x)],
                "tensor `tokens`: expected shape [N, 2] with N >= 1, got [4, 1]",
            ),
            (&[train, ("targets", &[2], y), test[0]], "tensor `test_targets`: is missing"),
        ];
        for (parts, message) in bad {
            let e = task.from_tensors(&tensors(parts)).unwrap_err().to_string();
            assert!(e.starts_with("d.safetensors: ") && e.contains(message), "{e}");
        }
    }
}
