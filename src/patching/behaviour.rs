//! A behaviour of a model: what it is asked, on which pairs, in which graph, against which
//! baseline. Every method is a function of one.

use super::memory;
use super::metric;
use super::metric::{Measured, Metric, Positions, Question, Unembedding};
use crate::checkpoints::AnyModel;
use crate::error::{Error, Result};
use crate::formats::pairs::{Asked, Pair, Pairs};
use crate::graph::pooled as pooled_graph;
use crate::graph::pooled::Pooled;
use crate::graph::{Graph, MaskShape, Recorded, Recorder};
use crate::named::named;
use crate::nn::stream::Writer;
use crate::nn::transformer::Transformer;
use crate::simd::Element;
use crate::tape::{BackwardPlan, Ids, Program, Tape, Var};
use crate::tensor::Buffer;

named! {
    /// What stands in for a writer whose edge is removed.
    Baseline {
        /// What it writes on the corrupted sequence of the same pair (resample ablation).
        #[default]
        Resample = "resample",
        /// Nothing.
        Zero = "zero",
        /// What it writes on average over all positions of all clean sequences.
        Mean = "mean",
        /// What it writes on average at the same position of all clean sequences.
        MeanPerPosition = "mean-per-position",
        /// A constant of its own: zero unless [set](Behaviour::set_constants).
        Constant = "constant",
        /// The constant that harms the model least (optimal ablation), set in the same way.
        Optimal = "optimal",
    }
}

/// Rows (examples times positions) that are computed at a time unless told otherwise: enough to keep
/// the matrix products busy.
pub const ROWS: usize = 512;

/// What a model is asked, and how it is looked into.
pub struct Behaviour<'a, T: Element> {
    /// The model.
    pub model: &'a AnyModel<T>,
    /// Its graph.
    pub graph: Graph,
    /// The pairs.
    pub pairs: &'a Pairs,
    /// What is asked of each.
    pub question: Question,
    /// What stands in for a removed edge.
    pub baseline: Baseline,
    /// The most rows (examples times positions) to compute at a time.
    pub rows: usize,
    /// With [`Baseline::Mean`] and constants: of each output, one row; with [`Baseline::MeanPerPosition`] one for
    /// each position.
    fixed: Vec<Vec<T>>,
}

impl<'a, T: Element> Behaviour<'a, T> {
    /// A behaviour; means are taken where the baseline needs them.
    ///
    /// # Errors
    /// If a graph of positions meets sequences of several lengths, the sequences are not those of a
    /// pooled model, or there are more edges than memory.
    pub fn new(
        model: &'a AnyModel<T>,
        graph: Graph,
        pairs: &'a Pairs,
        question: Question,
        baseline: Baseline,
    ) -> Result<Self> {
        let placed = graph.granularity.positions;
        if let Some(pair) = pairs.iter().find(|p| placed.is_some_and(|t| t != p.clean.len())) {
            return Err(Error::input(
                pairs.place_of(pair),
                format!(
                    "{} tokens where the first pair has {}",
                    pair.clean.len(),
                    placed.unwrap_or(0)
                ),
                "edges at positions need sequences of one length; leave out --positions",
            ));
        }
        if let AnyModel::Pooled { config, .. } = model
            && let Some(pair) = pairs.iter().find(|p| p.clean.len() != config.seq_len)
        {
            return Err(Error::input(
                pairs.place_of(pair),
                format!("{} tokens; the model reads {}", pair.clean.len(), config.seq_len),
                "give sequences of the model's length",
            ));
        }
        if matches!(model, AnyModel::Pooled { .. }) {
            one_answer(pairs, &question)?;
        }
        let edges = graph.edges();
        // Scores, sums and a file of names.
        memory::check(&format!("{edges} edges"), edges as u128 * 200, || {
            "divide the model less finely: without --neurons or without --positions".into()
        })?;
        let mut b =
            Behaviour { model, graph, pairs, question, baseline, rows: ROWS, fixed: vec![] };
        match baseline {
            Baseline::Mean | Baseline::MeanPerPosition => b.fixed = b.take_means()?,
            Baseline::Constant | Baseline::Optimal => {
                b.fixed = b.widths().map(|n| vec![T::ZERO; n]).collect()
            }
            Baseline::Resample | Baseline::Zero => {}
        }
        Ok(b)
    }

    /// How many numbers each part of the model writes at a position, in the order of the graph's
    /// sources: D for embeddings and whole MLPs, the values `H K` of all heads before `W_O`, the
    /// activations F of neurons.
    pub fn widths(&self) -> impl Iterator<Item = usize> + '_ {
        let (d, heads, neurons) = match self.model {
            AnyModel::Transformer(m) => {
                (m.config.d_model, m.config.heads * m.config.d_head, m.config.d_mlp)
            }
            AnyModel::Pooled { config, .. } => (config.d_model, config.d_model, config.d_mlp),
        };
        self.graph.sources.iter().map(move |source| match source.part {
            Writer::Attention(_) => heads,
            Writer::Mlp(_) if self.graph.granularity.neurons => neurons,
            _ => d,
        })
    }

    /// What stands in for each part with [`Baseline::Constant`] or [`Baseline::Optimal`], in the shapes of
    /// [`widths`](Self::widths); the same at all positions.
    ///
    /// # Panics
    /// If the baseline is another, or the shapes are.
    pub fn set_constants(&mut self, constants: Vec<Vec<T>>) {
        let constant = matches!(self.baseline, Baseline::Constant | Baseline::Optimal);
        assert!(constant, "constants for another baseline");
        assert!(self.widths().eq(constants.iter().map(Vec::len)), "constants of other shapes");
        self.fixed = constants;
    }

    /// What stands in for each part with constants or [`Baseline::Mean`].
    pub fn constants(&self) -> &[Vec<T>] {
        &self.fixed
    }

    /// The weight of a pair in the mean over all.
    pub fn weight(&self) -> f64 {
        1.0 / self.pairs.len() as f64
    }

    /// The pairs of one length each, in the order of first appearance.
    pub fn lengths(&self) -> Vec<Vec<&'a Pair>> {
        let mut groups: Vec<Vec<&'a Pair>> = vec![];
        for pair in self.pairs.iter() {
            match groups.iter_mut().find(|g| g[0].clean.len() == pair.clean.len()) {
                Some(group) => group.push(pair),
                None => groups.push(vec![pair]),
            }
        }
        groups
    }

    /// Runs `each` on batches of pairs that together are all, each with a recording of the model in
    /// which the metric is asked of the batch and nothing is computed yet.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn batches(
        &self,
        masks: Option<MaskShape>,
        mut each: impl FnMut(&mut Probe<T>, &[&Pair]) -> Result<()>,
    ) -> Result<()> {
        for group in self.lengths() {
            let time = group[0].clean.len();
            let batch = (self.rows / time.max(1)).clamp(1, group.len());
            let mut probe = Probe::new(self, batch, time, masks)?;
            for pairs in group.chunks(batch) {
                probe.ask(self, pairs);
                each(&mut probe, pairs)?;
            }
        }
        Ok(())
    }

    /// The metric of every pair on its clean and on its corrupted sequence.
    ///
    /// # Errors
    /// If one is not a number, or if both are equal on average: then there is nothing to divide.
    pub fn extremes(&self) -> Result<Extremes> {
        let mut found = Extremes::default();
        found.clean.resize(self.pairs.len(), 0.0);
        found.corrupted.resize(self.pairs.len(), 0.0);
        self.batches(None, |probe, pairs| {
            let place = |pair: &Pair| self.pairs.index(pair);
            probe.run_clean(pairs);
            for (pair, x) in pairs.iter().zip(probe.results(pairs.len())) {
                found.clean[place(pair)] = x;
            }
            probe.run_corrupted(pairs);
            for (pair, x) in pairs.iter().zip(probe.results(pairs.len())) {
                found.corrupted[place(pair)] = x;
            }
            Ok(())
        })?;
        metric::check(self.pairs, self.question.metric(), &found.clean, &found.corrupted)?;
        Ok(found)
    }

    fn take_means(&self) -> Result<Vec<Vec<T>>> {
        let longest = self.pairs.longest();
        let placed = self.baseline == Baseline::MeanPerPosition;
        // Sums in double precision by output, position and channel; streams of one position have one.
        let mut sums: Vec<Vec<f64>> = vec![];
        let mut counts: Vec<Vec<f64>> = vec![];
        let mut widths = vec![];
        self.batches(None, |probe, pairs| {
            probe.run_clean(pairs);
            let outputs = probe.recorded.outputs.clone();
            for (i, output) in outputs.iter().enumerate() {
                let dims = probe.program.shape(output.var()).dims().to_vec();
                let (time, n) = (dims[1], dims[2]);
                if sums.len() <= i {
                    sums.push(vec![0.0; longest * n]);
                    counts.push(vec![0.0; longest]);
                    widths.push(n);
                }
                let value = probe.program.value(output.var());
                for (row, numbers) in value.chunks_exact(n).take(pairs.len() * time).enumerate() {
                    let t = row % time;
                    counts[i][t] += 1.0;
                    let to = &mut sums[i][t * n..(t + 1) * n];
                    to.iter_mut().zip(numbers).for_each(|(s, x)| *s += x.to_f64());
                }
            }
            Ok(())
        })?;
        let mean = |(i, sums): (usize, &Vec<f64>)| -> Vec<T> {
            let n = widths[i];
            if placed {
                let at = |j: usize| T::from_f64(sums[j] / counts[i][j / n].max(1.0));
                return (0..sums.len()).map(at).collect();
            }
            let count: f64 = counts[i].iter().sum();
            (0..n)
                .map(|j| T::from_f64(sums.iter().skip(j).step_by(n).sum::<f64>() / count))
                .collect()
        };
        Ok(sums.iter().enumerate().map(mean).collect())
    }
}

/// Checks that pairs ask a model that gives one answer for the whole sequence.
fn one_answer(pairs: &Pairs, question: &Question) -> Result<()> {
    let help = "give each pair an answer and a distractor, without a position";
    if question.metric() == Metric::Nll && question.positions() == Positions::All {
        let message = "`nll` at all positions: a pooled model gives one answer for a sequence";
        return Err(Error::input(pairs.place(), message, "look at the asked positions"));
    }
    for pair in pairs.iter() {
        let message = match pair.asked {
            Asked::Outputs { .. } => "asks for outputs at each position",
            Asked::Tokens { position, .. } if position + 1 != pair.clean.len() => {
                "asks at a position before the end"
            }
            Asked::Tokens { .. } => continue,
        };
        let message = format!("{message}; a pooled model gives one answer for a sequence");
        return Err(Error::input(pairs.place_of(pair), message, help));
    }
    Ok(())
}

/// The metric of all pairs with nothing removed and on the corrupted sequences, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extremes {
    /// With nothing removed.
    pub clean: Vec<f64>,
    /// On the corrupted sequences.
    pub corrupted: Vec<f64>,
}

impl Extremes {
    /// The means over pairs.
    pub fn means(&self) -> (f64, f64) {
        let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
        (mean(&self.clean), mean(&self.corrupted))
    }
}

/// A recording of a behaviour for batches of pairs of one length.
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
    /// For few rows.
    both: Option<Both<T>>,
    /// The reverse pass to [`Recorded::wanted`], or to the masks.
    plan: BackwardPlan,
}

/// Up to this many rows a pass takes as long as reading the weights does, and two passes are better
/// done at once.
const FEW_ROWS: usize = 64;

/// The model without the metric on the clean and then on the corrupted sequences of a batch.
struct Both<T> {
    program: Program<T>,
    tokens: Ids,
    /// What the parts write.
    outputs: Vec<Var>,
    /// Whether its numbers are with the probe.
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
        t.give_weights(&mut tape, &model.weights);
        let program = tape.finish();
        Some(Both { program, tokens: t.tokens, outputs, lent: false })
    }
}

impl<T: Element> Probe<T> {
    /// Records `behaviour` for `batch` pairs of `time` tokens.
    ///
    /// # Errors
    /// If there is not enough memory for it.
    pub fn new(
        behaviour: &Behaviour<'_, T>,
        batch: usize,
        time: usize,
        masks: Option<MaskShape>,
    ) -> Result<Self> {
        let mut tape = Tape::new();
        let mut recorder = Recorder::new(&behaviour.graph, masks);
        let (parameters, tokens, last, unembedding, weights) = match behaviour.model {
            AnyModel::Transformer(model) => {
                let t = Transformer::record(&mut tape, &model.config, batch, time, &mut recorder);
                let (w, bias) = t.unembedding();
                let unembedding = Unembedding { w, bias };
                (t.parameters, t.tokens, t.last, unembedding, model.weights.clone())
            }
            AnyModel::Pooled { config, weights } => {
                let p = Pooled::record(&mut tape, config, batch, &mut recorder);
                let unembedding = Unembedding { w: p.unembedding, bias: None };
                let numbers: Vec<&[T]> = weights.iter().map(|w| &**w).collect();
                let weights = pooled_graph::fused(config, &numbers);
                let weights = weights.iter().map(|w| Buffer::from(&w[..])).collect();
                (p.parameters, p.tokens, p.last, unembedding, weights)
            }
        };
        let measured = Measured::record(&mut tape, behaviour.question, last, unembedding);
        let recorded = Recorded::from(recorder);
        // Weights are there already, and the gradients that are kept take about as much as values.
        let weights_bytes: u128 = parameters.iter().map(|&x| tape.shape(x).len() as u128).sum();
        let needed = 2 * (tape.bytes() - weights_bytes * size_of::<T>() as u128);
        let help = || {
            // Half of what is free: what else is there grows a little with it.
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
        let masks: Vec<Var> = recorded.readings.iter().filter_map(|r| r.mask).collect();
        for &x in &masks {
            program.value_mut(x).fill(T::ONE);
        }
        let masked = !masks.is_empty();
        let wanted = if !masked { recorded.wanted() } else { masks };
        let plan = program.plan_backward(measured.total, &wanted);
        let both = if masked { None } else { Both::record(behaviour, batch, time) };
        Ok(Probe { program, recorded, measured, batch, tokens, both, plan })
    }

    /// The masks of all groups of readers.
    pub fn masks(&self) -> impl Iterator<Item = Var> + '_ {
        self.recorded.readings.iter().filter_map(|r| r.mask)
    }

    /// Sets all masks of all examples to `mask`.
    pub fn set_masks(&mut self, mask: T) {
        for x in self.masks().collect::<Vec<_>>() {
            self.program.value_mut(x).fill(mask);
        }
    }

    /// Asks the metric of `pairs`; nothing is computed yet but what the metric refers to. With fewer
    /// pairs than the batch has room for, the first is repeated and counts nothing.
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

    /// The tokens of a whole batch; with fewer pairs, the first is repeated.
    pub fn list(&self, pairs: &[&Pair], tokens: fn(&Pair) -> &[u32]) -> Vec<u32> {
        let pair = |i: usize| pairs.get(i).unwrap_or(&pairs[0]);
        (0..self.batch).flat_map(|i| tokens(pair(i))).copied().collect()
    }

    /// Computes the model on the clean sequences; returns what stands in for all parts, as
    /// [`baselines`](Self::baselines) does.
    pub fn run_clean_beside_baselines(
        &mut self,
        behaviour: &Behaviour<'_, T>,
        pairs: &[&Pair],
    ) -> Vec<Vec<T>> {
        let Some(mut both) = self.both.take() else {
            let baselines = self.baselines(behaviour, pairs);
            self.run_clean(pairs);
            return baselines;
        };
        if both.lent {
            self.program.exchange(&mut both.program);
        }
        let clean = self.list(pairs, |p| &p.clean);
        let corrupted = self.list(pairs, |p| &p.corrupted);
        both.program.set_ids(both.tokens, &[&clean[..], &corrupted[..]].concat());
        both.program.forward();
        let values = both.outputs.iter().map(|&x| both.program.value(x));
        let baselines = values.map(|x| x[x.len() / 2..].to_vec()).collect();
        self.program.set_ids(self.tokens, &clean);
        self.program.continue_from(&mut both.program);
        both.lent = true;
        self.both = Some(both);
        baselines
    }

    /// Computes the model on the clean sequences.
    pub fn run_clean(&mut self, pairs: &[&Pair]) {
        self.run(pairs, |p| &p.clean);
    }

    /// Computes the model on the corrupted sequences.
    pub fn run_corrupted(&mut self, pairs: &[&Pair]) {
        self.run(pairs, |p| &p.corrupted);
    }

    /// The metric of the first `n` examples.
    pub fn results(&self, n: usize) -> Vec<f64> {
        self.program.value(self.measured.per_example)[..n].iter().map(|x| x.to_f64()).collect()
    }

    /// The weighted sum of the metrics.
    pub fn total(&self) -> f64 {
        self.program.value(self.measured.total)[0].to_f64()
    }

    /// What all parts wrote, in the order of the graph's sources.
    pub fn outputs(&self) -> Vec<Vec<T>> {
        let outputs = self.recorded.outputs.iter();
        outputs.map(|o| self.program.value(o.var()).to_vec()).collect()
    }

    /// What stands in for all parts. For [`Baseline::Resample`] the model is then computed on the
    /// corrupted sequences; otherwise nothing changes.
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

    /// Puts source `w` at the point `alpha` of the way from its baseline to what it adds `beyond`; what
    /// depends on it is not computed again.
    pub fn lead(&mut self, w: usize, alpha: f64, baselines: &[Vec<T>], beyond: &[Vec<T>]) {
        let x = self.recorded.outputs[w].var();
        let led = self.program.value_mut(x).iter_mut().zip(&baselines[w]).zip(&beyond[w]);
        led.for_each(|((x, &b), &d)| *x = T::from_f64(alpha).mul_add(d, b));
    }

    /// Computes all baselines into the recording's leaves, and then the clean run with its masks.
    pub fn set_baselines(&mut self, behaviour: &Behaviour<'_, T>, pairs: &[&Pair]) {
        let numbers = self.baselines(behaviour, pairs);
        for (i, numbers) in numbers.iter().enumerate() {
            let x = self.recorded.baselines[i];
            self.program.set(x, numbers);
        }
        self.run_clean(pairs);
    }

    /// The reverse pass from the weighted sum of the metrics: to what readers see or, in a
    /// recording with masks, to the masks.
    pub fn backward(&mut self) {
        self.program.backward(&self.plan);
    }

    /// The gradients of all masks, summed over examples where each has its own.
    pub fn mask_gradients(&self) -> Vec<f64> {
        let graph = &self.recorded.graph;
        let mut sums = vec![0.0; graph.edges()];
        for (group, x) in graph.groups.iter().zip(self.masks()) {
            let sums = &mut sums[group.edges()];
            for block in self.program.grad(x).chunks_exact(sums.len().max(1)) {
                sums.iter_mut().zip(block).for_each(|(s, g)| *s += g.to_f64());
            }
        }
        sums
    }
}

/// `a - b`, output by output.
pub fn difference<T: Element>(a: &[Vec<T>], b: &[Vec<T>]) -> Vec<Vec<T>> {
    let minus = |(a, b): (&Vec<T>, &Vec<T>)| a.iter().zip(b).map(|(&a, &b)| a - b).collect();
    a.iter().zip(b).map(minus).collect()
}
