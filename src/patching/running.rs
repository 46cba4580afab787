//! Circuits as smaller programs.
//!
//! [`Runner`] is the [specialised](crate::graph::specialise) program of a circuit with the metric
//! of a behaviour, for batches of pairs of one length. Its results are those of the masked model
//! ([`subsets`]) up to the order of summation.

use super::Progress;
use super::behaviour::{Baseline, Behaviour};
use super::measured::Measured;
use super::probe::{Probe, beside_weights};
use super::subsets;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::pairs::Pair;
use crate::graph::specialise::Specialised;
use crate::memory;
use crate::nn::transformer::{Model, Transformer};
use crate::simd::Element;
use crate::tape::{Ids, Program, Tape};

/// A circuit as a program of its own.
pub struct Runner<'b, T: Element> {
    model: &'b Model<T>,
    specialised: Specialised<'b>,
    /// The program.
    pub program: Program<T>,
    measured: Measured,
    tokens: Ids,
}

impl<'b, T: Element> Runner<'b, T> {
    /// The program of the edges `kept [E]` for `batch` pairs of `time` tokens; `None` if the model
    /// is not a transformer, or the graph is one of spans.
    ///
    /// # Errors
    /// If there is not enough memory.
    ///
    /// # Panics
    /// If `kept` is not `[E]`.
    pub fn new(
        b: &'b Behaviour<'_, T>,
        kept: &[bool],
        batch: usize,
        time: usize,
    ) -> Result<Option<Runner<'b, T>>> {
        let AnyModel::Transformer(model) = b.model else { return Ok(None) };
        if b.graph.has_spans() {
            return Ok(None);
        }
        let (graph, config) = (&b.graph, &model.config);
        let resampled = b.baseline == Baseline::Resample;
        let mut specialised = Specialised::new(graph, config, kept, resampled, batch, time);
        let mut tape = Tape::new();
        let t = Transformer::record(&mut tape, config, batch, time, &mut specialised);
        let measured = Measured::record(&mut tape, b.question, t.last, t.unembedding());
        tape.keep_only(&measured.results());
        let needed = beside_weights(&tape, &t.parameters);
        memory::check(&format!("a circuit on {batch} x {time} tokens"), needed, || {
            "give shorter sequences, or lower --rows".into()
        })?;
        t.give_weights(&mut tape, &model.weights);
        let mut program = tape.finish();
        specialised.install(&mut program, model, &t.parameters);
        Ok(Some(Runner { model, specialised, program, measured, tokens: t.tokens }))
    }

    /// Sets the metric to `pairs`. `dense`, with the same batch, has run the model on their clean
    /// sequences; `baselines` are the ablation values of its parts.
    pub fn ask(
        &mut self,
        b: &Behaviour<'_, T>,
        pairs: &[&Pair],
        dense: &Probe<T>,
        baselines: &[Vec<T>],
    ) {
        self.measured.set_pairs(&mut self.program, pairs, &vec![b.weight(); pairs.len()]);
        if b.question.metric().needs_reference() {
            let reference = dense.measured.reference(&dense.program);
            self.measured.set_reference(&mut self.program, &reference);
        }
        self.specialised.set_baselines(&mut self.program, self.model, baselines);
        self.program.set_ids(self.tokens, &dense.list(pairs, |p| &p.clean));
    }

    /// Runs the circuit; the metric of the first `n` pairs.
    pub fn run(&mut self, n: usize) -> Vec<f64> {
        self.program.forward();
        self.program.value(self.measured.per_example)[..n].iter().map(|x| x.to_f64()).collect()
    }
}

/// The metric of every pair, in their order, with the edges `kept [E]`; `None` if the model is not
/// a transformer, or the graph is one of spans.
///
/// # Errors
/// If there is not enough memory.
pub fn per_pair<T: Element>(b: &Behaviour<'_, T>, kept: &[bool]) -> Result<Option<Vec<f64>>> {
    let mut values = vec![0.0; b.pairs.len()];
    for group in b.lengths() {
        let time = group[0].clean.len();
        let batch = (b.rows / time.max(1)).clamp(1, group.len());
        let mut dense = Probe::forward(b, batch, group[0], None)?;
        let Some(mut runner) = Runner::new(b, kept, batch, time)? else { return Ok(None) };
        for pairs in group.chunks(batch) {
            dense.ask(b, pairs);
            let baselines = dense.baselines(b, pairs);
            if b.question.metric().needs_reference() {
                dense.run_clean(pairs);
            }
            runner.ask(b, pairs, &dense, &baselines);
            for (pair, x) in pairs.iter().zip(runner.run(pairs.len())) {
                values[b.pairs.index(pair)] = x;
            }
        }
    }
    Ok(Some(values))
}

/// From this many elements of the residual streams of all pairs on, recording a program for one
/// circuit pays: GPT-2-small's breaks even at 60 tokens.
const STREAM: usize = 1 << 15;

/// A circuit of at most one edge in this many is run as its own program.
const SHARE: usize = 8;

/// The metric of every pair, in their order, for each of `circuits`, `[circuits][pairs]`: by
/// programs of their own where that is faster, else by masks. The choice depends on the sizes
/// alone.
///
/// # Errors
/// If there is not enough memory.
///
/// # Panics
/// If one of `circuits` is not `[E]`.
pub fn circuits<T: Element>(
    b: &Behaviour<'_, T>,
    circuits: &[Vec<bool>],
    progress: &mut Progress<'_>,
) -> Result<Vec<Vec<f64>>> {
    let tokens: usize = b.lengths().iter().map(|group| group.len() * group[0].clean.len()).sum();
    let large = match b.model {
        AnyModel::Transformer(model) if !b.graph.has_spans() => {
            tokens * model.config.d_model >= STREAM
        }
        _ => false,
    };
    let small = |kept: &[bool]| SHARE * kept.iter().filter(|&&k| k).count() <= kept.len();
    let (alone, masked): (Vec<usize>, Vec<usize>) =
        (0..circuits.len()).partition(|&c| large && small(&circuits[c]));
    let share = |n: usize| n as f64 / circuits.len() as f64;
    let mut work = b.journal.units("circuits", || vec![vec![]; circuits.len()]);
    work.shared(
        &vec![1; alone.len()],
        |i, _, put| put(per_pair(b, &circuits[alone[i]])?.expect("a transformer")),
        |values, i, of_circuit| {
            values[alone[i]] = of_circuit;
            progress(share(i + 1));
        },
    )?;
    let mut values = work.state;
    if !masked.is_empty() {
        let (start, rest) = (share(alone.len()), share(masked.len()));
        let member = |s: usize, e: usize| circuits[masked[s]][e];
        let mut part = |done: f64| progress(start + rest * done);
        let of_masked = subsets::per_pair(b, masked.len(), member, &mut part)?;
        masked.iter().zip(of_masked).for_each(|(&c, v)| values[c] = v);
    }
    Ok(values)
}
