//! Circuit-tuning (arXiv 2502.06106): find the circuit of a behaviour, train only its parameters,
//! find it again.
//!
//! ```text
//! for step in 0..steps:
//!     every K steps:  scores  = attribution of all edges on fresh pairs      (Finder)
//!                     circuit = selection from the scores
//!                     plan a reverse pass to the slices the circuit names    (Tuner::train)
//!     gradient of the loss by these slices; update them alone                (Tuner::step)
//! ```
//!
//! The circuit selects the trained parameters and masks nothing: the loss is that of the whole
//! model. All methods that it is compared with (random controls, named parts, the largest
//! gradients, adapters) are other [policies](Policy) in the same loop, and differ in nothing but
//! the slices they ask for.

use super::choose::{Finder, Found};
use super::control::{Control, Drawn, Moved};
use super::slices::{Extras, Slices, Union};
use super::tuner::{Batch, Tuner};
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::pairs::Pairs;
use crate::interrupt;
use crate::nn::Schedule;
use crate::nn::transformer::{Config, Model};
use crate::rng::Rng;
use crate::simd::Element;
use crate::tensor::Buffer;

/// The task of a tuning run.
pub trait Task {
    /// The batch of an update, in parts that fit the recording and whose losses add up.
    fn batch(&self, step: usize) -> Vec<Batch>;

    /// Pairs that show the behaviour, for the discovery before an update.
    ///
    /// # Errors
    /// If there are none.
    fn pairs(&self, step: usize) -> Result<Pairs>;
}

/// Decides which slices are trained.
pub trait Policy<T: Element> {
    /// Called before the gradient of update `step`.
    ///
    /// # Errors
    /// If no decision is possible.
    fn before(&mut self, step: usize, tuner: &mut Tuner<T>, task: &dyn Task) -> Result<()>;

    /// Called after the gradient of update `step` and before the update.
    fn between(&mut self, _step: usize, _tuner: &mut Tuner<T>) {}

    /// The circuit that is trained now, if there is one.
    fn circuit(&self) -> Option<&Found> {
        None
    }
}

/// Trains a fixed set of slices.
pub struct Fixed(pub Slices);

impl<T: Element> Policy<T> for Fixed {
    fn before(&mut self, step: usize, tuner: &mut Tuner<T>, _task: &dyn Task) -> Result<()> {
        if step == 0 {
            tuner.train(self.0.clone());
        }
        Ok(())
    }
}

/// Trains all parameters of some layers, drawn anew every so many updates, and those outside the
/// layers (LISA, Pan et al. 2024, arXiv 2403.17919).
pub struct RandomLayers<'a> {
    /// The model's shape.
    pub config: &'a Config,
    /// How many layers are trained at a time.
    pub count: usize,
    /// Updates between two draws.
    pub every: usize,
    /// Draws them.
    pub rng: Rng,
}

impl<T: Element> Policy<T> for RandomLayers<'_> {
    fn before(&mut self, step: usize, tuner: &mut Tuner<T>, _task: &dyn Task) -> Result<()> {
        if step.is_multiple_of(self.every) {
            let mut order: Vec<usize> = (0..self.config.layers).collect();
            self.rng.shuffle(&mut order);
            let frozen: Vec<String> =
                order.iter().skip(self.count).map(|layer| format!("blocks.{layer}.")).collect();
            let is = |name: &str| !frozen.iter().any(|layer| name.starts_with(layer));
            tuner.train(Slices::named(self.config, is));
        }
        Ok(())
    }
}

/// Trains a fixed circuit.
pub struct Given {
    /// The circuit.
    pub found: Found,
    /// The slices it trains.
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

/// Trains the circuit of the behaviour.
pub struct Circuit<'a> {
    /// The model's shape.
    pub config: &'a Config,
    /// Finds it.
    pub finder: Finder,
    /// Updates between two discoveries (K); `None` for a single one.
    pub every: Option<usize>,
    /// What is trained in addition to what its ends own.
    pub extras: Extras,
    /// What is trained in its place.
    pub control: Option<Control>,
    /// Where a control that is drawn once is.
    pub moved: Option<Moved>,
    /// The latest circuit.
    pub found: Option<Found>,
}

impl Circuit<'_> {
    /// Whether it is found before update `step`.
    pub(crate) fn due(&self, step: usize) -> bool {
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
        match self.control {
            None => {}
            Some(Control::Complement) => found = self.finder.complement(&found)?,
            Some(Control::Random(drawn)) => {
                if drawn != Drawn::Redrawn && self.moved.is_none() {
                    self.moved = Some(self.finder.draw());
                }
                found = self.finder.matched(&found, self.moved.as_ref());
            }
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

/// The schedule of a tuning run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Learning rates, and the number of updates.
    pub schedule: Schedule,
    /// The norm that gradients are clipped to.
    pub clip: Option<f64>,
    /// A loss that is NaN or exceeds the first one by this factor ends the run.
    pub diverged: f64,
    /// Updates between two calls of the observer.
    pub look: usize,
}

/// The state of a run that an observer is shown.
pub struct Observed<'a, T> {
    /// Updates done.
    pub step: usize,
    /// The loss of the batch before the last update; NaN before the first.
    pub loss: f64,
    /// The number of elements trained now.
    pub trained: usize,
    /// The model.
    pub tuner: &'a mut Tuner<T>,
    /// The circuit.
    pub circuit: Option<&'a Found>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The circuit before the first update.
    pub first_circuit: Option<Found>,
    /// Updates done.
    pub steps: usize,
    /// The update at which the run diverged, if it did: the model is then as it was when last
    /// observed.
    pub diverged: Option<usize>,
    /// The number of elements trained, on average over updates.
    pub mean_trained: f64,
    /// The number of elements that were ever trained.
    pub ever_trained: usize,
    /// Seconds of updates and discoveries, without the observer.
    pub seconds: f64,
    /// The most bytes of gradients and optimizer state of trained slices.
    pub bytes: usize,
}

/// Tunes a model; `look` observes it before the first update, every `plan.look` updates and after
/// the last one.
///
/// # Errors
/// Those of the policy and of `look`.
pub fn tune<T: Element>(
    tuner: &mut Tuner<T>,
    task: &dyn Task,
    policy: &mut dyn Policy<T>,
    plan: &Plan,
    look: &mut dyn FnMut(Observed<'_, T>) -> Result<()>,
) -> Result<Outcome> {
    let steps = plan.schedule.steps;
    let (mut union, mut good) = (Union::new(tuner.shapes()), tuner.values());
    let mut outcome = Outcome {
        first_circuit: None,
        steps: 0,
        diverged: None,
        mean_trained: 0.0,
        ever_trained: 0,
        seconds: 0.0,
        bytes: 0,
    };
    let (mut first, mut loss) = (None, f64::NAN);
    look(Observed { step: 0, loss, trained: 0, tuner, circuit: None })?;
    for step in 0..steps {
        let help = "go on with the same command; finished runs are kept";
        interrupt::check("tuning", format!("at update {step} of {steps}"), help)?;
        let start = std::time::Instant::now();
        let batch = task.batch(step);
        policy.before(step, tuner, task)?;
        if step == 0 {
            outcome.first_circuit = policy.circuit().cloned();
        }
        loss = tuner.shared_gradient(&batch)?;
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
            look(Observed { step: done, loss, trained, tuner, circuit: policy.circuit() })?;
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
