//! A behaviour recorded for batches of pairs of one length and layout: runs of the model, its
//! masks, ablation values and outputs. Every method drives one.

use super::behaviour::{Baseline, Behaviour};
use super::measured::Measured;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::pairs::Pair;
use crate::graph::pooled as pooled_graph;
use crate::graph::pooled::Pooled;
use crate::graph::{BANK, Graph, MaskShape, Output, Recorded, Recorder};
use crate::memory;
use crate::nn::Unembedding;
use crate::nn::transformer::{Config, Transformer};
use crate::ops;
use crate::simd::Element;
use crate::tape::{BackwardPlan, ForwardPlan, Ids, Program, Rules, Tape, Var};
use crate::tensor::Buffer;
use std::ops::Range;

/// A recording of a behaviour for batches of pairs of one length and, in a graph of spans, one
/// layout.
pub struct Probe<T> {
    /// The model and the metric.
    pub program: Program<T>,
    /// Its edges.
    pub recorded: Recorded,
    /// The metric.
    pub measured: Measured,
    /// Pairs in a batch.
    pub batch: usize,
    tokens: Ids,
    /// Rows of masks: B if each example has its own, 1 if all share them, 0 without masks.
    mask_rows: usize,
    /// The clean and corrupted runs as one batch, for few rows.
    both: Option<Both<T>>,
    /// The reverse pass to [`Recorded::wanted`], or to the masks; none of a recording for forward
    /// passes.
    plan: Option<BackwardPlan>,
}

/// Up to this many rows a pass takes as long as reading the weights, so the two runs are faster as
/// one batch.
const FEW_ROWS: usize = 64;

/// The model on the clean and then on the corrupted sequences of a batch.
struct Both<T> {
    program: Program<T>,
    tokens: Ids,
    /// The metric of both, unless it compares with a clean run that is still to be.
    measured: Option<Measured>,
    /// The outputs of the parts.
    outputs: Vec<Var>,
    /// Whether the probe has its memory.
    lent: bool,
}

impl<T: Element> Both<T> {
    fn record(behaviour: &Behaviour<'_, T>, batch: usize, time: usize) -> Option<Self> {
        let AnyModel::Transformer(model) = behaviour.model else { return None };
        if behaviour.baseline != Baseline::Resample || batch * time > FEW_ROWS {
            return None;
        }
        let mut tape = Tape::new();
        let mut recorder = Recorder::new(&behaviour.graph, None);
        let t = Transformer::record(&mut tape, &model.config, 2 * batch, time, &mut recorder);
        let outputs = recorder.outputs.iter().map(|o| o.var()).collect();
        let record = |question| Measured::record(&mut tape, question, t.last, t.unembedding());
        let alone = Some(behaviour.question).filter(|q| !q.metric().needs_reference());
        let measured = alone.map(record);
        t.give_weights(&mut tape, &model.weights);
        let program = tape.finish();
        Some(Both { program, tokens: t.tokens, measured, outputs, lent: false })
    }

    /// Runs both lists of tokens, each `[B, T]`; the metric of the clean and of the corrupted
    /// sequences of `pairs`, which fill a batch.
    fn run(&mut self, tokens: [Vec<u32>; 2], pairs: &[&Pair]) -> Option<[Vec<f64>; 2]> {
        self.program.set_ids(self.tokens, &tokens.concat());
        if let Some(measured) = &self.measured {
            let both = [pairs, pairs].concat();
            measured.set_pairs(&mut self.program, &both, &vec![1.0; both.len()]);
        }
        self.program.forward();
        let measured = self.measured.as_ref()?;
        let (clean, corrupted) = measured.each(&self.program).split_at(pairs.len());
        Some([clean, corrupted].map(|half| half.iter().map(|x| x.to_f64()).collect()))
    }
}

/// Bytes of a recording's values beside its weights, which are allocated already.
pub(super) fn beside_weights<T: Element>(tape: &Tape<T>, parameters: &[Var]) -> u128 {
    let weights: u128 = parameters.iter().map(|&x| tape.shape(x).len() as u128).sum();
    tape.bytes() - weights * size_of::<T>() as u128
}

/// Lets values share memory that neither the reverse pass from `output` to `wanted` nor scores
/// read; the bytes of what they read beside the values: gradients, and what parts put out beyond
/// their baselines.
fn keep_whole<T: Element>(
    tape: &mut Tape<T>,
    recorded: &Recorded,
    (output, wanted): (Var, &[Var]),
    rules: Rules,
    keep: &[Var],
) -> u128 {
    // Where a norm stands after heads, what they write with is computed.
    let outputs = recorded.outputs.iter().flat_map(|o| match *o {
        Output::Whole(o) => vec![o],
        Output::Parts { z, w } => vec![z, w],
    });
    let read = recorded.readings.iter().map(|r| r.x);
    let keep: Vec<Var> = outputs.chain(read).chain(keep.iter().copied()).collect();
    tape.keep_for(output, wanted, rules, &keep);
    let len = |x: Var| tape.shape(x).len() as u128;
    let beyond = recorded.outputs.iter().map(|o| len(o.var()));
    // With masks, the gradient of what a writer adds begins at its last reader, so that at the
    // first layers those of all writers are there.
    let deltas = recorded.deltas.iter().copied().map(len);
    let requested: u128 = wanted.iter().copied().map(len).chain(beyond).chain(deltas).sum();
    // As many gradients as an operation and the stream have in hand, and banks of writers and
    // readers.
    let largest = recorded.readings.iter().map(|r| len(r.y)).max().unwrap_or(0);
    let stream = recorded.readings.iter().map(|r| len(r.x)).max().unwrap_or(0);
    let banks = 2 * (stream * recorded.graph.writers.len() as u128).min(BANK as u128);
    (requested + 4 * largest + banks) * size_of::<T>() as u128
}

/// What a recording is used for.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    /// Passes that start anywhere, without masks or with masks of these shapes.
    Any(Option<MaskShape>),
    /// [Whole](Probe::whole) passes: edge attribution patching.
    Whole,
    /// [Whole passes with masks](Probe::masked), with the reverse pass by these rules: learned
    /// masks.
    Masked(MaskShape, Rules),
    /// [Forward passes](Probe::forward) alone: sets of edges.
    Forward(Option<MaskShape>),
    /// [Forward passes](Probe::steps), also of what depends on a group of readers: activation
    /// patching.
    Steps(MaskShape),
}

impl Use {
    fn masks(self) -> Option<MaskShape> {
        match self {
            Use::Any(masks) | Use::Forward(masks) => masks,
            Use::Whole => None,
            Use::Masked(shape, _) | Use::Steps(shape) => Some(shape),
        }
    }
}

/// Lets values share memory that forward passes and their results, with `keep`, do not read; with
/// `steps` also passes from the masks of one group. The bytes of copies of what parts put out.
fn keep_forward<T: Element>(
    tape: &mut Tape<T>,
    recorded: &Recorded,
    steps: bool,
    keep: &[Var],
) -> u128 {
    let outputs = recorded.outputs.iter().map(|o| o.var());
    let copies: usize = outputs.clone().map(|x| tape.shape(x).len()).sum();
    let keep: Vec<Var> = outputs.chain(keep.iter().copied()).collect();
    match steps {
        true => tape.keep_from(&masks_of(recorded), &keep),
        false => tape.keep_only(&keep),
    }
    (copies * size_of::<T>()) as u128
}

/// The masks of all groups of readers.
fn masks_of(recorded: &Recorded) -> Vec<Var> {
    recorded.readings.iter().filter_map(|r| r.mask).collect()
}

/// About the bytes that a transformer takes beside its weights for one pair of `time` tokens in
/// precision `T`, with gradients.
pub fn bytes_of<T: Element>(config: &Config, graph: &Graph, time: usize, used: Use) -> u128 {
    let mut tape = Tape::<T>::new();
    let mut recorder = Recorder::new(graph, used.masks());
    let t = Transformer::record(&mut tape, config, 1, time, &mut recorder);
    let total = ops::sum(&mut tape, t.last);
    match used {
        Use::Any(_) => 2 * beside_weights(&tape, &t.parameters),
        Use::Forward(_) | Use::Steps(_) => {
            let recorded = Recorded::from(recorder);
            let steps = matches!(used, Use::Steps(_));
            let more = keep_forward(&mut tape, &recorded, steps, &[total, t.last]);
            beside_weights(&tape, &t.parameters) + more
        }
        Use::Whole | Use::Masked(..) => {
            let recorded = Recorded::from(recorder);
            let masks = masks_of(&recorded);
            let wanted = if masks.is_empty() { recorded.wanted() } else { masks };
            let more = keep_whole(&mut tape, &recorded, (total, &wanted), Rules::Plain, &[]);
            beside_weights(&tape, &t.parameters) + more
        }
    }
}

impl<T: Element> Probe<T> {
    /// Records `behaviour` for `batch` pairs as long as `like`, with the same spans.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(
        behaviour: &Behaviour<'_, T>,
        batch: usize,
        like: &Pair,
        masks: Option<MaskShape>,
    ) -> Result<Self> {
        Probe::record(behaviour, batch, like, Use::Any(masks))
    }

    /// The same without masks, for whole passes alone: forward, and the reverse pass by the
    /// behaviour's rules. Results are the same to the bit; values that neither the reverse pass nor
    /// scores read share memory.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn whole(behaviour: &Behaviour<'_, T>, batch: usize, like: &Pair) -> Result<Self> {
        // Few rows are run beside their ablation values, which needs all memory in its place.
        let few = batch * like.clean.len() <= FEW_ROWS;
        Probe::record(behaviour, batch, like, if few { Use::Any(None) } else { Use::Whole })
    }

    /// The same with masks: forward, and the reverse pass by `rules` from the metric of each pair
    /// to the masks.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn masked(
        behaviour: &Behaviour<'_, T>,
        batch: usize,
        like: &Pair,
        shape: MaskShape,
        rules: Rules,
    ) -> Result<Self> {
        Probe::record(behaviour, batch, like, Use::Masked(shape, rules))
    }

    /// The same for whole forward passes alone, whose results are the metric and what parts put
    /// out.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn forward(
        behaviour: &Behaviour<'_, T>,
        batch: usize,
        like: &Pair,
        masks: Option<MaskShape>,
    ) -> Result<Self> {
        Probe::record(behaviour, batch, like, Use::Forward(masks))
    }

    /// The same with masks, and also for passes by [`plan_for`](Self::plan_for).
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn steps(
        behaviour: &Behaviour<'_, T>,
        batch: usize,
        like: &Pair,
        shape: MaskShape,
    ) -> Result<Self> {
        Probe::record(behaviour, batch, like, Use::Steps(shape))
    }

    fn record(behaviour: &Behaviour<'_, T>, batch: usize, like: &Pair, used: Use) -> Result<Self> {
        let time = like.clean.len();
        let graph = behaviour.graph_of(like);
        let mut tape = Tape::new();
        let mut recorder = Recorder::new(&graph, used.masks());
        let (parameters, tokens, last, unembedding, weights) = match behaviour.model {
            AnyModel::Transformer(model) => {
                let t = Transformer::record(&mut tape, &model.config, batch, time, &mut recorder);
                let unembedding = t.unembedding();
                (t.parameters, t.tokens, t.last, unembedding, model.weights.clone())
            }
            AnyModel::Pooled { config, weights } => {
                let p = Pooled::record(&mut tape, config, batch, &mut recorder);
                let unembedding = Unembedding { w: p.unembedding, bias: None, cap: None };
                let numbers: Vec<&[T]> = weights.iter().map(|w| &**w).collect();
                let weights = pooled_graph::fused(config, &numbers);
                let weights = weights.iter().map(|w| Buffer::from(&w[..])).collect();
                (p.parameters, p.tokens, p.last, unembedding, weights)
            }
        };
        let measured = Measured::record(&mut tape, behaviour.question, last, unembedding);
        let recorded = Recorded::from(recorder);
        let masks = masks_of(&recorded);
        let masked = !masks.is_empty();
        let wanted = if masked { masks.clone() } else { recorded.wanted() };
        let (output, rules) = match used {
            Use::Masked(_, rules) => (measured.per_example, rules),
            _ => (measured.total, behaviour.rules),
        };
        // Gradients that are kept take about as much as all values.
        let needed = match used {
            Use::Any(_) => 2 * beside_weights(&tape, &parameters),
            Use::Forward(_) | Use::Steps(_) => {
                let steps = matches!(used, Use::Steps(_));
                let more = keep_forward(&mut tape, &recorded, steps, &measured.results());
                more + beside_weights(&tape, &parameters)
            }
            Use::Whole | Use::Masked(..) => {
                let keep = measured.results();
                let more = keep_whole(&mut tape, &recorded, (output, &wanted), rules, &keep);
                more + beside_weights(&tape, &parameters)
            }
        };
        let help = || {
            // Half of the free memory: other allocations grow a little too.
            let share = memory::free().map_or(0.0, |free| free as f64 / (2 * needed) as f64);
            match (batch as f64 * share) as usize {
                0 => "give shorter sequences, or a coarser graph".into(),
                fits => format!("compute less at a time: with --rows {}", fits * time),
            }
        };
        memory::check(&format!("{batch} x {time} tokens"), needed, help)?;
        for (&x, numbers) in parameters.iter().zip(weights) {
            tape.give(x, numbers);
        }
        let mut program = tape.finish();
        for &x in &masks {
            program.value_mut(x).fill(T::ONE);
        }
        let forward = matches!(used, Use::Forward(_) | Use::Steps(_));
        let plan = (!forward).then(|| program.plan_backward(output, &wanted).by(rules));
        let both = if masked || forward { None } else { Both::record(behaviour, batch, time) };
        let mask_rows = used.masks().map_or(0, |shape| if shape.per_example { batch } else { 1 });
        Ok(Probe { program, recorded, measured, batch, tokens, mask_rows, both, plan })
    }

    /// The masks of all groups of readers.
    pub fn masks(&self) -> impl Iterator<Item = Var> + '_ {
        self.recorded.readings.iter().filter_map(|r| r.mask)
    }

    /// The masks of a group of readers: `[rows, edges of the group]`.
    fn mask(&self, group: usize) -> Var {
        self.recorded.readings[group].mask.expect("recorded with masks")
    }

    /// Sets all masks of all examples to `mask`.
    pub fn set_masks(&mut self, mask: T) {
        for x in self.masks().collect::<Vec<_>>() {
            self.program.value_mut(x).fill(mask);
        }
    }

    /// Sets the mask of edge `edge` for example `example`, which is 0 if all examples share their
    /// masks. Nothing is computed: [`plan_for`](Self::plan_for) plans what depends on it.
    ///
    /// # Panics
    /// If there is no such edge or example, or the recording has no masks.
    pub fn set_mask(&mut self, example: usize, edge: usize, mask: T) {
        let (group, ..) = self.recorded.graph.place(edge);
        let edges = self.recorded.graph.groups[group].edges();
        let x = self.mask(group);
        self.program.value_mut(x)[example * edges.len() + (edge - edges.start)] = mask;
    }

    /// Sets the masks of the first `examples` examples to `mask(example, edge)`.
    ///
    /// # Panics
    /// If fewer examples have masks of their own, or the recording has no masks.
    pub(crate) fn set_masks_by(&mut self, examples: usize, mask: impl Fn(usize, usize) -> T) {
        assert!(examples <= self.mask_rows, "masks of {examples} examples");
        for g in 0..self.recorded.graph.groups.len() {
            let (x, edges) = (self.mask(g), self.recorded.graph.groups[g].edges());
            let rows = self.program.value_mut(x).chunks_exact_mut(edges.len().max(1));
            for (example, row) in rows.enumerate().take(examples) {
                for (to, e) in row.iter_mut().zip(edges.clone()) {
                    *to = mask(example, e);
                }
            }
        }
    }

    /// The operations that depend on the masks of a group of readers.
    ///
    /// # Panics
    /// If there is no such group, or the recording has no masks.
    pub fn plan_for(&self, group: usize) -> ForwardPlan {
        self.program.plan_forward(&[self.mask(group)])
    }

    /// Sets the metric to `pairs`; only the reference that the metric needs is computed. If there
    /// are fewer pairs than the batch holds, the first is repeated with weight 0.
    pub fn ask(&mut self, behaviour: &Behaviour<'_, T>, pairs: &[&Pair]) {
        let weights = vec![behaviour.weight(); pairs.len()];
        self.measured.set_pairs(&mut self.program, pairs, &weights);
        if behaviour.question.metric().needs_reference() {
            self.run_clean(pairs);
            self.measured.capture_reference(&mut self.program);
        }
    }

    fn run(&mut self, pairs: &[&Pair], tokens: fn(&Pair) -> &[u32]) {
        let list = self.list(pairs, tokens);
        self.program.set_ids(self.tokens, &list);
        self.program.forward();
    }

    /// The pairs of a whole batch: if there are fewer, the first is repeated.
    fn filled<'p>(&self, pairs: &[&'p Pair]) -> impl Iterator<Item = &'p Pair> {
        (0..self.batch).map(move |i| *pairs.get(i).unwrap_or(&pairs[0]))
    }

    /// The tokens of a whole batch, `[B, T]`; if there are fewer pairs, the first is repeated.
    pub fn list(&self, pairs: &[&Pair], tokens: fn(&Pair) -> &[u32]) -> Vec<u32> {
        self.filled(pairs).flat_map(tokens).copied().collect()
    }

    /// Runs the model on the clean sequences; returns the ablation values of all parts like
    /// [`baselines`](Self::baselines).
    pub(crate) fn run_clean_beside_baselines(
        &mut self,
        behaviour: &Behaviour<'_, T>,
        pairs: &[&Pair],
    ) -> Vec<Vec<T>> {
        let Some(mut both) = self.both.take() else {
            let baselines = self.baselines(behaviour, pairs);
            let resampled = behaviour.baseline == Baseline::Resample;
            let corrupted = resampled.then(|| self.results(pairs.len()));
            self.run_clean(pairs);
            if let Some(corrupted) = corrupted {
                behaviour.saw(pairs, [&self.results(pairs.len()), &corrupted]);
            }
            return baselines;
        };
        if both.lent {
            self.program.exchange(&mut both.program);
        }
        let clean = self.list(pairs, |p| &p.clean);
        let corrupted = self.list(pairs, |p| &p.corrupted);
        let filled: Vec<&Pair> = self.filled(pairs).collect();
        if let Some([clean, corrupted]) = both.run([clean.clone(), corrupted], &filled) {
            behaviour.saw(pairs, [&clean, &corrupted]);
        }
        let values = both.outputs.iter().map(|&x| both.program.value(x));
        let baselines = values.map(|x| x[x.len() / 2..].to_vec()).collect();
        self.program.set_ids(self.tokens, &clean);
        self.program.continue_from(&mut both.program);
        both.lent = true;
        self.both = Some(both);
        baselines
    }

    /// Runs the model on the clean sequences.
    pub fn run_clean(&mut self, pairs: &[&Pair]) {
        self.run(pairs, |p| &p.clean);
    }

    /// Runs the model on the corrupted sequences.
    pub(crate) fn run_corrupted(&mut self, pairs: &[&Pair]) {
        self.run(pairs, |p| &p.corrupted);
    }

    /// The metric of the first `n` examples.
    pub fn results(&self, n: usize) -> Vec<f64> {
        self.measured.each(&self.program)[..n].iter().map(|x| x.to_f64()).collect()
    }

    /// The weighted sum of the metrics.
    pub fn total(&self) -> f64 {
        self.program.value(self.measured.total)[0].to_f64()
    }

    /// The outputs of all parts, in the order of the graph's sources.
    pub fn outputs(&self) -> Vec<Vec<T>> {
        let outputs = self.recorded.outputs.iter();
        outputs.map(|o| self.program.value(o.var()).to_vec()).collect()
    }

    /// What all parts put out beyond the `baselines`, which are overwritten.
    pub(crate) fn beyond(&self, mut baselines: Vec<Vec<T>>) -> Vec<Vec<T>> {
        for (output, baseline) in self.recorded.outputs.iter().zip(&mut baselines) {
            let values = self.program.value(output.var());
            baseline.iter_mut().zip(values).for_each(|(b, &x)| *b = x - *b);
        }
        baselines
    }

    /// The ablation values of all parts. For [`Baseline::Resample`] this runs the model on the
    /// corrupted sequences; otherwise nothing is computed.
    pub fn baselines(&mut self, behaviour: &Behaviour<'_, T>, pairs: &[&Pair]) -> Vec<Vec<T>> {
        if behaviour.baseline == Baseline::Resample {
            self.run_corrupted(pairs);
            return self.outputs();
        }
        let shapes = self.recorded.outputs.iter().map(|o| self.program.shape(o.var()));
        shapes
            .enumerate()
            .map(|(i, shape)| match behaviour.baseline {
                Baseline::Zero | Baseline::Resample => vec![T::ZERO; shape.len()],
                Baseline::Mean | Baseline::Constant | Baseline::Optimal => {
                    let row = &behaviour.fixed[i];
                    row.iter().copied().cycle().take(shape.len()).collect()
                }
                Baseline::MeanPerPosition => {
                    let one = &behaviour.fixed[i][..shape.len() / shape.dims()[0]];
                    one.iter().copied().cycle().take(shape.len()).collect()
                }
            })
            .collect()
    }

    /// Sets the output of source `w` to its baseline plus `alpha` times `beyond`: a point on the
    /// path to the clean output. What depends on it is not recomputed.
    pub fn lead(&mut self, w: usize, alpha: f64, baselines: &[Vec<T>], beyond: &[Vec<T>]) {
        let x = self.recorded.outputs[w].var();
        let led = self.program.value_mut(x).iter_mut().zip(&baselines[w]).zip(&beyond[w]);
        led.for_each(|((x, &b), &d)| *x = T::from_f64(alpha).mul_add(d, b));
    }

    /// Computes all ablation values into the recording's leaves, and then the clean run with its
    /// masks.
    pub fn set_baselines(&mut self, behaviour: &Behaviour<'_, T>, pairs: &[&Pair]) {
        let numbers = self.baselines(behaviour, pairs);
        for (i, numbers) in numbers.iter().enumerate() {
            let x = self.recorded.baselines[i];
            self.program.set(x, numbers);
        }
        self.run_clean(pairs);
    }

    /// The reverse pass from the weighted sum of the metrics, by the behaviour's rules: to what
    /// readers read or, in a recording with masks, to the masks.
    ///
    /// # Panics
    /// If it was recorded for forward passes alone.
    #[track_caller]
    pub fn backward(&mut self) {
        let plan = self.plan.as_ref().expect(FORWARD_ONLY);
        if plan.starts_at(&self.program, self.measured.total) {
            self.program.backward(plan);
        } else {
            let weights = self.measured.weights(&self.program).to_vec();
            self.program.backward_from(plan, &weights);
        }
    }

    /// The reverse pass that the recording was made with.
    #[track_caller]
    pub(super) fn plan(&self) -> &BackwardPlan {
        self.plan.as_ref().expect(FORWARD_ONLY)
    }

    /// The gradients of the masks of one example, or of the shared ones: for each group of readers
    /// the range of its edges and a gradient for each.
    pub(crate) fn mask_gradients_of(
        &self,
        example: usize,
    ) -> impl Iterator<Item = (Range<usize>, &[T])> {
        self.recorded.graph.groups.iter().zip(self.masks()).map(move |(group, x)| {
            let edges = group.edges();
            let row = &self.program.grad(x)[example * edges.len()..][..edges.len()];
            (edges, row)
        })
    }

    /// The gradients `[E]` of all masks, summed over examples with masks of their own.
    pub fn mask_gradients(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.recorded.graph.edges()];
        for example in 0..self.mask_rows {
            for (edges, row) in self.mask_gradients_of(example) {
                sums[edges].iter_mut().zip(row).for_each(|(s, g)| *s += g.to_f64());
            }
        }
        sums
    }
}

/// What a recording for forward passes is asked for.
const FORWARD_ONLY: &str = "a reverse pass of a recording for forward passes";

/// `a - b`, output by output.
pub fn difference<T: Element>(a: &[Vec<T>], b: &[Vec<T>]) -> Vec<Vec<T>> {
    let minus = |(a, b): (&Vec<T>, &Vec<T>)| a.iter().zip(b).map(|(&a, &b)| a - b).collect();
    a.iter().zip(b).map(minus).collect()
}
