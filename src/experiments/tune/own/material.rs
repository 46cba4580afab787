//! Batches and pairs of a run on somebody's own pairs.

use super::super::settings::Settings;
use super::super::subject::Material;
use crate::error::{Error, Result};
use crate::formats::pairs::{Asked, Pairs};
use crate::rng::{Purpose, Rng};
use crate::tasks::language::Counted;
use crate::tuning::{Batch, Task};

/// The pairs that one run learns from, in an order of its own in every pass over them.
pub(super) struct OwnMaterial<'a> {
    settings: &'a Settings,
    train: &'a Pairs,
    dev: &'a Pairs,
    seed: u64,
    /// Tokens in a row: up to the last position that is asked.
    length: usize,
}

/// Generators of discoveries' pairs are numbered behind those of targets.
const DISCOVERIES: u32 = 1 << 31;

impl<'a> OwnMaterial<'a> {
    /// # Errors
    /// If a setting is of generated tasks alone.
    pub(super) fn new(
        settings: &'a Settings,
        train: &'a Pairs,
        dev: &'a Pairs,
        seed: u64,
    ) -> Result<OwnMaterial<'a>> {
        let generated = [
            ("counted", settings.counted == Counted::All),
            ("asked_weight", settings.asked_weight == 1.0),
            ("circuit_of", settings.circuit_of.is_none()),
        ];
        if let Some((key, _)) = generated.iter().find(|(_, usual)| !usual) {
            let message = "is of generated tasks alone, and these are pairs of a file";
            return Err(Error::input(*key, message, "leave it out"));
        }
        let asked = train.iter().flat_map(|pair| pair.positions());
        let length = 1 + asked.max().expect("at least one pair");
        Ok(OwnMaterial { settings, train, dev, seed, length })
    }

    /// The pairs of an update: the next of a pass over all, each pass in another order.
    fn chosen(&self, step: usize) -> Vec<usize> {
        let (n, batch) = (self.train.len(), self.settings.batch);
        let (mut pass, mut order) = (usize::MAX, vec![]);
        let mut next = |i: usize| {
            if i / n != pass {
                pass = i / n;
                order = (0..n).collect();
                Rng::new(self.seed, Purpose::Shuffle, pass as u32).shuffle(&mut order);
            }
            order[i % n]
        };
        (step * batch..(step + 1) * batch).map(&mut next).collect()
    }

    /// The pair whose answer each of the `chosen` has: its own unless answers are shuffled.
    fn answering(&self, chosen: &[usize], rng: &mut Rng) -> Vec<usize> {
        let mut answering = chosen.to_vec();
        if self.settings.shuffled {
            rng.shuffle(&mut answering);
        }
        answering
    }

    /// Rows of pairs with the answers of others or their own, each with its weight in the loss of a
    /// batch of `all`, then rows without any.
    fn part(&self, chosen: &[[usize; 2]], all: usize, rng: &mut Rng) -> Batch {
        let size = self.rows() * self.length;
        let (inputs, targets, weights) = (vec![0; size], vec![0; size], vec![0.0; size]);
        let mut batch = Batch { inputs, targets, weights, ..Batch::default() };
        for (row, &[i, other]) in chosen.iter().enumerate() {
            let pair = &self.train[i];
            let asked = [&pair.asked, &self.train[other].asked];
            let [Asked::Tokens { position, .. }, Asked::Tokens { answer, .. }] = asked else {
                panic!("{}: asks for no token", self.train.place_of(pair))
            };
            let (first, last) = (row * self.length, row * self.length + position);
            batch.inputs[first..=last].copy_from_slice(&pair.clean[..=*position]);
            // Of several answers another each time: the loss is the mean over them.
            batch.targets[last] = answer[rng.below(answer.len() as u64) as usize];
            batch.weights[last] = 1.0 / all as f32;
        }
        batch
    }
}

impl Task for OwnMaterial<'_> {
    fn batch(&self, step: usize) -> Vec<Batch> {
        let mut rng = Rng::new(self.seed, Purpose::Sample, step as u32);
        let chosen = self.chosen(step);
        let answering = self.answering(&chosen, &mut rng);
        let chosen: Vec<[usize; 2]> =
            chosen.into_iter().zip(answering).map(<[usize; 2]>::from).collect();
        chosen.chunks(self.rows()).map(|part| self.part(part, chosen.len(), &mut rng)).collect()
    }

    fn pairs(&self, step: usize) -> Result<Pairs> {
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        let mut rng = Rng::new(self.seed, Purpose::Sample, DISCOVERIES + step as u32);
        rng.shuffle(&mut order);
        order.truncate(self.settings.pairs);
        Ok(self.train.subset(order))
    }
}

impl Material for OwnMaterial<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn rows(&self) -> usize {
        self.settings.part.min(self.settings.batch)
    }

    fn unseen(&self, n: usize) -> Result<Pairs> {
        Ok(self.dev.subset((0..self.dev.len().min(n)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pairs::Bounds;

    /// Every pass shows each pair once, at the position that is asked, and the weights of a batch
    /// add up to 1.
    #[test]
    fn a_pass_shows_each_pair_once() {
        let text: String = (0..6)
            .map(|i| {
                let end = if i == 2 { ", 4" } else { "" };
                let (clean, corrupted) = (format!("[{i}, 7{end}]"), format!("[9, 7{end}]"));
                format!(r#"{{"clean": {clean}, "corrupted": {corrupted}, "answer": [8, 9]}}"#)
                    + "\n"
            })
            .collect();
        let bounds = Bounds { vocab: 10, vocab_out: 10, context: 4 };
        let pairs = Pairs::parse("p", text.as_bytes(), &bounds, None, None).expect("pairs");
        let settings = Settings { batch: 3, part: 2, pairs: 4, ..Settings::default() };
        let material = OwnMaterial::new(&settings, &pairs, &pairs, 5).expect("material");
        assert_eq!((material.length(), material.rows()), (3, 2));
        for pass in 0..4 {
            let parts: Vec<Batch> = [2 * pass, 2 * pass + 1].map(|s| material.batch(s)).concat();
            let mut seen: Vec<u32> = vec![];
            for part in &parts {
                for (t, _) in part.weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                    seen.push(part.inputs[t / 3 * 3]);
                    assert!([8, 9].contains(&part.targets[t]));
                    assert_eq!(t % 3, if seen.ends_with(&[2]) { 2 } else { 1 });
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
            let total: f32 = parts[..2].iter().flat_map(|part| &part.weights).sum();
            assert!((total - 1.0).abs() < 1e-6, "{total}");
        }
        assert_ne!(material.chosen(0), material.chosen(2), "another order");
        let found = material.pairs(0).expect("pairs");
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|pair| found.index(pair) < 4), "in the order of the file");
    }
}
