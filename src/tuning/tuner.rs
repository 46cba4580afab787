//! Training some slices of a model and nothing else.
//!
//! **Law.** An element outside the trained slices keeps its bits, whatever the rule, its momentum
//! or its decay: an update reads and writes the elements of slices alone. If everything is trained,
//! it is plain training, bit for bit, because rules work element by element. Each slice has an
//! optimizer of its own.

use super::objective::Objective;
use super::slices::{Cells, Slice, Slices};
use crate::error::Result;
use crate::named::named;
use crate::nn::{Optimizer, PartSum, Rule, clip_factor, squared_norm};
use crate::simd::Element;
use crate::tape::{BackwardPlan, Var, Window};
use std::collections::BTreeMap;
use std::mem::take;

named! {
    /// Whether optimizer state survives while a slice is frozen.
    Leaving {
        /// No: a slice that is trained again starts with zero moments and its own first step.
        #[default]
        Forget = "forget",
        /// Yes: a slice that is trained again continues where it was. Memory grows to that of all
        /// slices that were ever trained.
        Keep = "keep",
    }
}

/// Tokens to learn from: see [`Objective::set`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// `[B, T]`, the input tokens.
    pub inputs: Vec<u32>,
    /// `[B, T]`, the next tokens.
    pub targets: Vec<u32>,
    /// `[B, T]`, the weight of each prediction.
    pub weights: Vec<f32>,
    /// The pairs of tokens that should be equally likely: the row in `B T`, and both tokens.
    pub gaps: Vec<(u32, [u32; 2])>,
    /// The weight of the gaps.
    pub beta: f64,
}

/// A model with its loss and its trained slices.
///
/// ```
/// use edgegrad::nn::{Rule, stream::Sum, transformer::{Config, Model}};
/// use edgegrad::tuning::{Batch, Leaving, Objective, Slices, Tuner};
/// let config = Config { vocab: 10, vocab_out: 10, context: 8, layers: 1, d_model: 12, heads: 3,
///     kv_heads: 3, d_head: 4, d_mlp: 16, ..Config::gpt2_small() };
/// let mut objective = Objective::<f32>::record(&config, 1, 3, 0, &mut Sum::default());
/// objective.set_weights(&Model::random(&config, 0).weights);
/// let rule = Rule::Sgd { momentum: 0.9, weight_decay: 0.1 };
/// let mut tuner = Tuner::new(objective, vec![], rule, Leaving::Forget);
/// let before = tuner.values();
/// tuner.train(Slices::named(&config, |name| name == "blocks.0.attn.W_O"));
/// let inputs = vec![1, 2, 3];
/// let batch =
///     Batch { inputs, targets: vec![2, 3, 4], weights: vec![1.0 / 3.0; 3], ..Batch::default() };
/// tuner.step(&[batch], 0.1, None);
/// let changed: Vec<bool> = before.iter().zip(tuner.values()).map(|(a, b)| *a != b).collect();
/// let names = config.parameters().into_iter().map(|p| p.name);
/// assert!(names.zip(changed).all(|(name, changed)| changed == (name == "blocks.0.attn.W_O")));
/// ```
pub struct Tuner<T> {
    objective: Objective<T>,
    /// The parameters, then the leaves of adapters.
    leaves: Vec<Var>,
    shapes: Vec<[usize; 2]>,
    /// Which of them can have gradients of windows.
    divided: Vec<bool>,
    rule: Rule,
    leaving: Leaving,
    slices: Vec<Located>,
    /// Parameters whose gradients are computed even if they are not trained.
    watched: Vec<usize>,
    /// Leaves with a gradient: those of slices, and those that are watched.
    trained: Vec<Var>,
    count: usize,
    /// The reverse pass of a part of a batch.
    plan: Option<BackwardPlan>,
    /// The parts of the batch at hand.
    sum: PartSum<T>,
    states: BTreeMap<Slice, Optimizer<T>>,
    /// The elements of a slice made contiguous, and their gradient.
    hand: [Vec<T>; 2],
}

/// A slice, and its position in its parameter's gradient.
struct Located {
    slice: Slice,
    leaf: Var,
    /// Elements in a row of the parameter.
    columns: usize,
    /// The window of the gradient that holds it, and the elements before that window.
    window: Window,
    before: usize,
}

impl Located {
    /// Contiguous runs: the first element of each in the parameter and in its gradient, and its
    /// length.
    fn runs(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let (whole, columns) = (&self.window, self.columns);
        let at = move |i: usize, j: usize| {
            let (row, column) = (i - whole.rows.start, j - whole.columns.start);
            self.before + row * whole.columns.len() + column
        };
        let (rows, places): (_, &[u32]) = match &self.slice.cells {
            Cells::Window(w) => (Some(w), &[]),
            Cells::Scattered(places) => (None, places),
        };
        let rows = rows.into_iter().flat_map(move |w| {
            let (first, n) = (w.columns.start, w.columns.len());
            w.rows.clone().map(move |i| (i * columns + first, at(i, first), n))
        });
        let single = move |&place: &u32| {
            let place = place as usize;
            (place, at(place / columns, place % columns), 1)
        };
        rows.chain(places.iter().map(single))
    }
}

impl<T: Element> Tuner<T> {
    /// A tuner that trains nothing yet. `adapters` are leaves that can be trained like parameters.
    pub fn new(
        objective: Objective<T>,
        adapters: Vec<Var>,
        rule: Rule,
        leaving: Leaving,
    ) -> Tuner<T> {
        let mut leaves = objective.transformer.parameters.clone();
        leaves.extend(adapters);
        let matrix = |&x: &Var| {
            let shape = objective.program.shape(x);
            [shape.rows(), shape.last()]
        };
        let divided = |&x: &Var| objective.program.refuses_windows(x).is_none();
        Tuner {
            shapes: leaves.iter().map(matrix).collect(),
            divided: leaves.iter().map(divided).collect(),
            leaves,
            objective,
            rule,
            leaving,
            slices: vec![],
            watched: vec![],
            trained: vec![],
            count: 0,
            plan: None,
            sum: PartSum::default(),
            states: BTreeMap::new(),
            hand: [vec![], vec![]],
        }
    }

    /// The shapes of everything that can be trained, as matrices.
    pub fn shapes(&self) -> &[[usize; 2]] {
        &self.shapes
    }

    /// The model with its loss.
    pub fn objective(&mut self) -> &mut Objective<T> {
        &mut self.objective
    }

    /// From the next [`train`](Self::train) on, also computes the whole gradient of these
    /// parameters: for policies that read gradients of frozen slices.
    pub fn watch(&mut self, parameters: Vec<usize>) {
        self.watched = parameters;
    }

    /// Selects `slices` as the only trained ones, and plans a reverse pass to them alone.
    ///
    /// # Panics
    /// If one is not in the model.
    pub fn train(&mut self, slices: Slices) {
        if self.plan.is_some() && self.slices.iter().map(|s| &s.slice).eq(slices.iter()) {
            return;
        }
        let divided = |p: usize| self.divided[p] && !self.watched.contains(&p);
        let by_parameter = slices.by_parameter(&self.shapes, divided);
        self.slices.clear();
        self.count = slices.count();
        for slice in slices.iter() {
            let (_, windows) = by_parameter
                .iter()
                .find(|(parameter, _)| *parameter == slice.parameter)
                .expect("every parameter of a slice is listed");
            let holds = |w: &Window| match &slice.cells {
                Cells::Window(of_slice) => w.contains(of_slice),
                Cells::Scattered(_) => true, // In the whole.
            };
            let at = windows.iter().position(holds).expect("every slice lies in a window");
            self.slices.push(Located {
                slice: slice.clone(),
                leaf: self.leaves[slice.parameter],
                columns: self.shapes[slice.parameter][1],
                window: windows[at].clone(),
                before: windows[..at].iter().map(Window::len).sum(),
            });
        }
        let mut wanted: Vec<usize> = by_parameter.iter().map(|(parameter, _)| *parameter).collect();
        wanted.extend(self.watched.iter().filter(|p| by_parameter.iter().all(|(q, _)| q != *p)));
        self.trained = wanted.iter().map(|&parameter| self.leaves[parameter]).collect();
        let divided = |(parameter, windows): &(usize, Vec<Window>)| {
            let [rows, columns] = self.shapes[*parameter];
            let whole = windows[..] == [Window::whole(rows, columns)];
            (!whole).then(|| (self.leaves[*parameter], windows.clone().into()))
        };
        let within: Vec<_> = by_parameter.iter().filter_map(divided).collect();
        let program = &mut self.objective.program;
        program.forget_plans();
        let plan = program.plan_backward_within(self.objective.loss, &self.trained, &within);
        self.plan = Some(plan);
        if self.leaving == Leaving::Forget {
            let now = &self.slices;
            self.states.retain(|slice, _| now.iter().any(|s| s.slice == *slice));
        }
    }

    /// The trained slices.
    pub fn slices(&self) -> Slices {
        Slices::new(self.slices.iter().map(|s| s.slice.clone()).collect())
    }

    /// The number of trained elements.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the gradients and of the optimizer state of the trained slices.
    pub fn bytes(&self) -> usize {
        let gradients: usize =
            self.trained.iter().map(|&x| self.objective.program.grad(x).len()).sum();
        let numbers = |s: &Slice, o: &Optimizer<T>| o.moments(0).len() * s.len();
        let states: usize = self.states.iter().map(|(s, o)| numbers(s, o)).sum();
        size_of::<T>() * (gradients + states)
    }

    /// The loss of a batch in parts, whose losses add up, and its gradient, the sum of the parts'
    /// in their order.
    ///
    /// # Panics
    /// If no slices were ever selected, or a part has other sizes than the recording.
    pub fn gradient(&mut self, parts: &[Batch]) -> f64 {
        self.sum.begin_alone(parts.len());
        self.add_up(parts).expect("no other process can fail")
    }

    /// The same bits, computed by all processes that learn together.
    pub(crate) fn shared_gradient(&mut self, parts: &[Batch]) -> Result<f64> {
        self.sum.begin_shared(parts.len());
        self.add_up(parts)
    }

    fn add_up(&mut self, parts: &[Batch]) -> Result<f64> {
        let plan = self.plan.as_ref().expect("what is trained was chosen");
        for (i, part) in parts.iter().enumerate() {
            if !self.sum.is_mine(i) {
                continue;
            }
            let weights: Vec<T> = part.weights.iter().map(|&w| T::from_f64(w.into())).collect();
            self.objective.set(&part.inputs, &part.targets, &weights);
            if self.objective.gap.is_some() {
                let (rows, tokens): (Vec<u32>, Vec<[u32; 2]>) = part.gaps.iter().copied().unzip();
                self.objective.set_gaps(&rows, &tokens, part.beta);
            }
            self.objective.program.forward();
            if !self.trained.is_empty() {
                self.objective.program.backward(plan);
            }
            self.sum.add(&self.objective.program, &self.trained, self.objective.loss());
        }
        self.sum.finish(&mut self.objective.program, &self.trained)
    }

    /// The norm of the gradient of the trained slices.
    pub(crate) fn gradient_norm(&self) -> f64 {
        let squares = |&x: &Var| -> f64 {
            let gradient = self.objective.program.grad(x);
            let of_leaf = || self.slices.iter().filter(|s| s.leaf == x);
            if of_leaf().map(|s| s.slice.len()).sum::<usize>() == gradient.len() {
                return squared_norm(gradient);
            }
            // The gradient holds more than the trained elements.
            let runs = of_leaf().flat_map(Located::runs);
            runs.map(|(_, g, n)| squared_norm(&gradient[g..g + n])).sum()
        };
        self.trained.iter().map(squares).sum::<f64>().sqrt()
    }

    /// Updates the trained slices by the gradient, after clipping its norm.
    pub fn update(&mut self, lr: f64, clip: Option<f64>) {
        let factor = clip.map_or(1.0, |limit| clip_factor(self.gradient_norm(), limit));
        let factor = (factor < 1.0).then(|| T::from_f64(factor));
        let [mut numbers, mut gradient] = take(&mut self.hand);
        for located in &self.slices {
            let (values, gradients) = self.objective.program.value_and_grad_mut(located.leaf);
            numbers.clear();
            gradient.clear();
            for (x, g, n) in located.runs() {
                numbers.extend_from_slice(&values[x..x + n]);
                gradient.extend_from_slice(&gradients[g..g + n]);
            }
            if let Some(factor) = factor {
                gradient.iter_mut().for_each(|g| *g = *g * factor);
            }
            let fresh = || Optimizer::new(self.rule, [numbers.len()]);
            let state = self.states.entry(located.slice.clone()).or_insert_with(fresh);
            state.begin_step();
            state.update(0, lr, &mut numbers, &gradient);
            let mut rest = &numbers[..];
            for (x, _, n) in located.runs() {
                let (run, after) = rest.split_at(n);
                values[x..x + n].copy_from_slice(run);
                rest = after;
            }
        }
        self.hand = [numbers, gradient];
    }

    /// A training step: the gradient, and the update by it. Returns the loss before the update.
    ///
    /// # Panics
    /// As [`gradient`](Self::gradient).
    pub fn step(&mut self, parts: &[Batch], lr: f64, clip: Option<f64>) -> f64 {
        let loss = self.gradient(parts);
        self.update(lr, clip);
        loss
    }

    /// Sets all parameters, then those of adapters, each in row-major order.
    ///
    /// # Panics
    /// If their number or sizes differ.
    pub(crate) fn set_values(&mut self, values: &[Vec<T>]) {
        assert_eq!(values.len(), self.leaves.len(), "parameters");
        for (&x, numbers) in self.leaves.iter().zip(values) {
            self.objective.program.set(x, numbers);
        }
    }

    /// All parameters, then those of adapters, each in row-major order.
    pub fn values(&self) -> Vec<Vec<T>> {
        self.leaves.iter().map(|&x| self.objective.program.value(x).to_vec()).collect()
    }
}
