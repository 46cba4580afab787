//! The [goals](super::Goal) of tuning as batches and pairs.

use super::goal::Goal;
use super::settings::Settings;
use super::subject::Material;
use crate::error::Result;
use crate::formats::pairs::{Bounds, Pairs};
use crate::nn::transformer::Config;
use crate::patching::behaviour::Baseline;
use crate::rng::{Purpose, Rng};
use crate::tasks::language;
use crate::tasks::language::vocabulary::PAD;
use crate::tasks::language::{Example, Part};
use crate::tuning;
use crate::tuning::Task;

/// Generators of a run's batches and pairs are numbered behind those of pre-training.
const BATCHES: u32 = 1 << 30;
const PAIRS: u32 = 1 << 31;

/// The batches and pairs of one run.
#[derive(Clone)]
pub struct LanguageTask<'a> {
    settings: &'a Settings,
    config: &'a Config,
    seed: u64,
    /// Tokens in a row.
    length: usize,
}

impl<'a> LanguageTask<'a> {
    /// The batches of a run, the same for every method; each is drawn when it is asked for, and
    /// once here, for the longest example.
    ///
    /// # Panics
    /// If the goal is not generated.
    pub fn new(settings: &'a Settings, config: &'a Config, seed: u64) -> LanguageTask<'a> {
        let mut task = LanguageTask { settings, config, seed, length: 0 };
        let longest =
            |step| task.examples(step).iter().map(|e| e.tokens.len() - 1).max().unwrap_or(0);
        task.length = (0..settings.steps).map(longest).max().expect("a run has updates");
        task
    }

    /// The examples of an update.
    fn examples(&self, step: usize) -> Vec<Example> {
        let source = self.settings.task.source(Part::Train);
        let mut rng = Rng::new(self.seed, Purpose::Mixture, BATCHES + step as u32);
        let mut examples = source.examples(self.settings.batch, &mut rng);
        if self.settings.shuffled {
            permute_answers(&mut examples, &mut rng);
        }
        examples
    }

    /// One part of a batch of `all` examples whose weights are divided by `total`.
    fn part(&self, examples: &[Example], total: f32, all: usize) -> tuning::Batch {
        let s = self.settings;
        let counted = self.counted(examples);
        let mut batch = tuning::Batch {
            inputs: counted.inputs,
            targets: counted.targets,
            weights: counted.weights,
            ..tuning::Batch::default()
        };
        batch.weights.iter_mut().for_each(|w| *w /= total);
        let missing = self.rows() - examples.len();
        // Rows that count nothing, so that every part fits the recording.
        let fill = missing * self.length;
        batch.inputs.extend(vec![PAD; fill]);
        batch.targets.extend(vec![PAD; fill]);
        batch.weights.extend(vec![0.0; fill]);
        if s.beta > 0.0 {
            let gap = |row: usize| {
                let asked = examples.get(row).filter(|e| e.labels.explicit == Some(false));
                match asked.and_then(|e| e.asked.first()) {
                    Some(a) => ((row * self.length + a.at - 1) as u32, [a.answer, a.rival]),
                    // The gap between a token and itself is 0.
                    None => (0, [PAD, PAD]),
                }
            };
            batch.gaps = (0..self.rows()).map(gap).collect();
            // The penalty is a mean over the rows of a part, and is to be one over the batch.
            batch.beta = s.beta * self.rows() as f64 / all as f64;
        }
        batch
    }

    /// Rows whose weights are what `counted` says, and more for tokens that are asked.
    fn counted(&self, examples: &[Example]) -> language::Batch {
        let mut batch = language::Batch::new(examples, self.settings.counted, self.length);
        batch.weigh_asked(examples, |_| self.settings.asked_weight as f32);
        batch
    }
}

/// Gives every asked token the answer of another.
fn permute_answers(examples: &mut [Example], rng: &mut Rng) {
    let mut answers: Vec<u32> =
        examples.iter().flat_map(|e| e.asked.iter().map(|asked| asked.answer)).collect();
    rng.shuffle(&mut answers);
    let mut next = answers.into_iter();
    for example in examples {
        for asked in &mut example.asked {
            asked.answer = next.next().expect("an answer for each");
            example.tokens[asked.at] = asked.answer;
        }
    }
}

impl Task for LanguageTask<'_> {
    fn batch(&self, step: usize) -> Vec<tuning::Batch> {
        let examples = self.examples(step);
        let total: f32 = self.counted(&examples).weights.iter().sum();
        examples.chunks(self.rows()).map(|part| self.part(part, total, examples.len())).collect()
    }

    fn pairs(&self, step: usize) -> Result<Pairs> {
        let Settings { task, circuit_of, pairs, .. } = *self.settings;
        self.some(circuit_of.unwrap_or(task), pairs, step)
    }
}

impl Material for LanguageTask<'_> {
    /// That of the longest example, without its last token.
    fn length(&self) -> usize {
        self.length
    }

    fn rows(&self) -> usize {
        self.settings.part.min(self.settings.batch)
    }

    fn gaps(&self) -> usize {
        if self.settings.beta > 0.0 { self.rows() } else { 0 }
    }

    fn unseen(&self, n: usize) -> Result<Pairs> {
        self.some(self.settings.task, n, self.settings.steps)
    }
}

impl LanguageTask<'_> {
    /// `n` pairs of a goal for the discovery before an update.
    fn some(&self, goal: Goal, n: usize, step: usize) -> Result<Pairs> {
        let s = self.settings;
        let mut rng = Rng::new(self.seed, Purpose::Mixture, PAIRS + step as u32);
        let mut pairs = goal.source(Part::Train).pairs(n, &mut rng);
        // One recording serves sequences of one length, and a causal model sees nothing of what
        // follows. A mean over positions would.
        if !matches!(s.baseline, Baseline::Mean | Baseline::MeanPerPosition) {
            let longest = pairs.iter().map(|p| p.clean.len()).max().unwrap_or(0);
            for pair in &mut pairs {
                pair.clean.resize(longest, PAD);
                pair.corrupted.resize(longest, PAD);
            }
        }
        let &Config { vocab, vocab_out, context, .. } = self.config;
        let bounds = Bounds { vocab, vocab_out, context };
        Pairs::parse("pairs", language::jsonl(&pairs).as_bytes(), &bounds, None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::tune::Goal;

    /// The answers of a batch are the same in another order, and all else stays.
    #[test]
    fn shuffled_answers_are_those_of_other_examples() {
        let settings = Settings { steps: 2, batch: 40, task: Goal::Logic, ..Settings::default() };
        let shuffled = Settings { shuffled: true, ..settings.clone() };
        let config = Config::gpt2_small();
        let [plain, other] =
            [&settings, &shuffled].map(|s| LanguageTask::new(s, &config, 3).examples(1));
        let answers = |examples: &[Example]| -> Vec<u32> {
            examples.iter().flat_map(|e| e.asked.iter().map(|a| e.tokens[a.at])).collect()
        };
        let (mut a, mut b) = (answers(&plain), answers(&other));
        assert_ne!(a, b);
        a.sort_unstable();
        b.sort_unstable();
        assert_eq!(a, b);
        for (a, b) in plain.iter().zip(&other) {
            let asked = |t: usize| a.asked.iter().any(|asked| asked.at == t);
            assert!((0..a.tokens.len()).all(|t| asked(t) || a.tokens[t] == b.tokens[t]));
        }
    }

    /// Batches are not kept: one is a function of the seed and the update.
    #[test]
    fn a_batch_is_the_same_whenever_it_is_asked_for() {
        let settings = Settings {
            steps: 6,
            batch: 5,
            part: 2,
            task: Goal::Disagreement,
            ..Settings::default()
        };
        let config = Config::gpt2_small();
        let task = LanguageTask::new(&settings, &config, 3);
        let again = LanguageTask::new(&settings, &config, 3);
        let late = again.batch(4);
        assert_eq!((task.batch(0), task.batch(4)), (again.batch(0), late));
        assert_ne!(task.batch(0), task.batch(4));
        let rows = task.rows() * task.length();
        assert!(task.batch(5).iter().all(|part| part.inputs.len() == rows));
    }
}
