//! Circuit-tuning (arXiv 2502.06106): find the circuit of a behaviour, train only what it names, find
//! it again.
//!
//! ```text
//! for step in 0..steps:
//!     every K steps:  scores  = attribution of all edges on fresh pairs      (Finder)
//!                     circuit = selection from the scores
//!                     plan a reverse pass to the slices the circuit names    (Tuner::train)
//!     gradient of the loss by these slices; update them alone                (Tuner::step)
//! ```
//!
//! The circuit decides what is trained and masks nothing: the loss is that of the whole model.
//! Everything else that is compared with it is another [`Policy`] in the same loop.

use super::choose::{Finder, Found};
use super::slices::{Extras, Slices, Union};
use super::tuner::{Batch, Tuner};
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::pairs::Pairs;
use crate::nn::Schedule;
use crate::nn::transformer::{Config, Model};
use crate::simd::Element;
use crate::tensor::Buffer;

/// What a model is tuned for.
pub trait Task {
    /// The batch of an update, in parts that fit the recording and whose losses add up.
    fn batch(&self, step: usize) -> Vec<Batch>;

    /// Pairs that show the behaviour, for the discovery before an update.
    ///
    /// # Errors
    /// If there are none.
    fn pairs(&self, step: usize) -> Result<Pairs>;
}

/// Who decides what is trained.
pub trait Policy<T: Element> {
    /// Before the gradient of update `step`.
    ///
    /// # Errors
    /// If nothing can be decided.
    fn before(&mut self, step: usize, tuner: &mut Tuner<T>, task: &dyn Task) -> Result<()>;

    /// After the gradient of update `step` and before the update.
    fn between(&mut self, _step: usize, _tuner: &mut Tuner<T>) {}

    /// The circuit that is trained now, if there is one.
    fn circuit(&self) -> Option<&Found> {
        None
    }
}

/// Always the same.
pub struct Fixed(pub Slices);

impl<T: Element> Policy<T> for Fixed {
    fn before(&mut self, step: usize, tuner: &mut Tuner<T>, _task: &dyn Task) -> Result<()> {
        if step == 0 {
            tuner.train(self.0.clone());
        }
        Ok(())
    }
}

/// Always the same circuit.
pub struct Given {
    /// The circuit.
    pub found: Found,
    /// What it trains.
    pub slices: Slices,
}

impl<T: Element> Policy<T> for Given {
    fn before(&mut self, step: usize, tuner: &mut Tuner<T>, _task: &dyn Task) -> Result<()> {
        if step == 0 {
            tuner.train(self.slices.clone());
        }
        Ok(())
    }

    fn circuit(&self) -> Option<&Found> {
        Some(&self.found)
    }
}

/// The circuit of the behaviour.
pub struct Circuit<'a> {
    /// The model's shape.
    pub config: &'a Config,
    /// How it is found.
    pub finder: Finder,
    /// It is found again every so many updates (K); never, if `None`.
    pub every: Option<usize>,
    /// What is trained beside what its ends own.
    pub extras: Extras,
    /// Whether random ends of the same types are trained instead: the control.
    pub random: bool,
    /// What was found last.
    pub found: Option<Found>,
}

impl Circuit<'_> {
    /// Whether it is found before update `step`.
    pub fn due(&self, step: usize) -> bool {
        self.every.map_or(step == 0, |every| step.is_multiple_of(every))
    }

    fn find<T: Element>(
        &mut self,
        step: usize,
        tuner: &Tuner<T>,
        task: &dyn Task,
    ) -> Result<Slices> {
        let model = AnyModel::Transformer(tuner.model(self.config));
        let pairs = task.pairs(step)?;
        let mut found = self.finder.find(&model, self.config.vocab_out, &pairs, step)?;
        if self.random {
            found.ends = self.finder.matched(&found.ends);
        }
        let graph = self.finder.graph();
        let slices = Slices::of_ends(graph, self.config, &found.ends, self.extras);
        self.found = Some(found);
        Ok(slices)
    }
}

impl<T: Element> Policy<T> for Circuit<'_> {
    fn before(&mut self, step: usize, tuner: &mut Tuner<T>, task: &dyn Task) -> Result<()> {
        if self.due(step) {
            let slices = self.find(step, tuner, task)?;
            tuner.train(slices);
        }
        Ok(())
    }

    fn circuit(&self) -> Option<&Found> {
        self.found.as_ref()
    }
}

/// How a model is tuned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Learning rates, and how many updates.
    pub schedule: Schedule,
    /// The norm that gradients are clipped to.
    pub clip: Option<f64>,
    /// A loss that is larger than the first one by this factor, or no number, ends the run.
    pub diverged: f64,
    /// Updates between two looks at the model.
    pub look: usize,
}

/// A look at a run under way.
pub struct Look<'a, T> {
    /// Updates done.
    pub step: usize,
    /// The loss of the batch before the last update; of none yet, no number.
    pub loss: f64,
    /// Numbers trained at the moment.
    pub trained: usize,
    /// The model.
    pub tuner: &'a mut Tuner<T>,
    /// The circuit.
    pub circuit: Option<&'a Found>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Updates done.
    pub steps: usize,
    /// The update before which the loss was no longer a sensible number, if there was one: then the
    /// model is as it was at the last look.
    pub diverged: Option<usize>,
    /// Numbers trained, on average over updates.
    pub mean_trained: f64,
    /// Numbers that were ever trained.
    pub ever_trained: usize,
    /// Seconds of updates and discoveries, without looks.
    pub seconds: f64,
    /// The most bytes of gradients and of optimiser state of what was trained.
    pub bytes: usize,
}

/// Tunes a model; `look` sees it before the first update, every so many and after the last one.
///
/// # Errors
/// Those of the policy and of `look`.
pub fn tune<T: Element>(
    tuner: &mut Tuner<T>,
    task: &dyn Task,
    policy: &mut dyn Policy<T>,
    plan: &Plan,
    look: &mut dyn FnMut(Look<'_, T>) -> Result<()>,
) -> Result<Outcome> {
    let steps = plan.schedule.steps;
    let (mut union, mut good) = (Union::new(tuner.shapes()), tuner.values());
    let mut outcome = Outcome {
        steps: 0,
        diverged: None,
        mean_trained: 0.0,
        ever_trained: 0,
        seconds: 0.0,
        bytes: 0,
    };
    let (mut first, mut loss) = (None, f64::NAN);
    look(Look { step: 0, loss, trained: 0, tuner, circuit: None })?;
    for step in 0..steps {
        let start = std::time::Instant::now();
        let batch = task.batch(step);
        policy.before(step, tuner, task)?;
        loss = tuner.gradient(&batch);
        let limit = plan.diverged * *first.get_or_insert(loss);
        if loss.is_nan() || loss > limit {
            tuner.set_values(&good);
            outcome.diverged = Some(step);
            break;
        }
        policy.between(step, tuner);
        tuner.update(plan.schedule.at(step), plan.clip);
        outcome.seconds += start.elapsed().as_secs_f64();
        outcome.steps += 1;
        outcome.mean_trained += tuner.count() as f64;
        outcome.bytes = outcome.bytes.max(tuner.bytes());
        union.add(&tuner.slices());
        let done = step + 1;
        if done.is_multiple_of(plan.look) || done == steps {
            let values = tuner.values();
            if values.iter().flatten().any(|x| !x.to_f64().is_finite()) {
                tuner.set_values(&good);
                outcome.diverged = Some(step);
                break;
            }
            good = values;
            let trained = tuner.count();
            look(Look { step: done, loss, trained, tuner, circuit: policy.circuit() })?;
        }
    }
    outcome.mean_trained /= outcome.steps.max(1) as f64;
    outcome.ever_trained = union.count();
    Ok(outcome)
}

impl<T: Element> Tuner<T> {
    /// The model, of this shape, without adapters.
    pub fn model(&self, config: &Config) -> Model<T> {
        let count = config.parameters().len();
        let weights = self.values()[..count].iter().map(|w| Buffer::from(&w[..]).share()).collect();
        Model { config: config.clone(), weights }
    }
}
