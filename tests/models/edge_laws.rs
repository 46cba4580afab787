//! The laws of masked edges, over random shapes of models, in double precision.
//!
//! Masks of 1 are the plain model bit for bit (where a norm stands after a part, to rounding);
//! masks of 0 with the other input's activations are the run on the other input; the derivative by
//! a mask is the difference quotient; scores without masks are the derivative by the masks;
//! positions and examples add up.

use edgegrad::graph::specialise::Specialised;
use edgegrad::graph::{Granularity, Graph, MaskShape, Recorded, Recorder, Start};
use edgegrad::nn::Activation;
use edgegrad::nn::stream::Sum;
use edgegrad::nn::transformer::{
    Config, HeadNorms, LayerKind, Model, NormPlace, NormSpan, Positions, Rotary, Slopes,
    Transformer, Turn,
};
use edgegrad::ops;
use edgegrad::ops::{Eps, Norm};
use edgegrad::tape::{Program, Tape, Var};
use proptest::prelude::*;

const VOCAB: usize = 7;

/// A small transformer as GPT-2, GPT-NeoX and Llama are.
fn plain() -> impl Strategy<Value = Config> {
    let shape = (1..=3usize, 1..=3usize, 1..=2usize, 1..=3usize, 0..=3usize);
    let kinds = (0..3usize, 0..3usize, 0..5usize);
    let switches = proptest::collection::vec(any::<bool>(), 7);
    (shape, kinds, switches).prop_map(|(shape, kinds, on)| {
        let (layers, kv_heads, shared, half_head, quarter_mlp) = shape;
        let d_head = 2 * half_head;
        Config {
            vocab: VOCAB,
            vocab_out: VOCAB,
            context: 6,
            layers,
            d_model: 8,
            heads: kv_heads * shared,
            kv_heads,
            d_head,
            d_mlp: 4 * quarter_mlp,
            activation: [
                Activation::Gelu,
                Activation::GeluTanh,
                Activation::Relu,
                Activation::Silu,
                Activation::Tanh,
            ][kinds.2],
            gated: on[0],
            causal: on[1],
            attn_scale: (d_head as f64).sqrt(),
            positions: match kinds.0 {
                0 => Positions::Learned,
                1 => Positions::Rotary(Rotary { adjacent: on[2], ..Rotary::new(2, 100.0) }),
                _ => Positions::None,
            },
            norm: [Norm::Layer(1e-5), Norm::Rms(Eps::Inside(1e-6)), Norm::None][kinds.1],
            norm_affine: on[3],
            parallel: on[4],
            qkv_bias: on[5],
            out_bias: on[5],
            mlp_bias: on[5],
            tied: on[6],
            unembed_bias: on[6],
            ..Config::gpt2_small()
        }
    })
}

/// A small transformer of any kind, half of them with what sets families apart.
fn config() -> impl Strategy<Value = Config> {
    let places = (0..4usize, 0..4usize, 0..5usize, any::<bool>());
    let switches = proptest::collection::vec(any::<bool>(), 6);
    (plain(), any::<bool>(), places, switches).prop_map(|(plain, more, places, on)| {
        let (place, heads, kind, coarse) = places;
        let inside = Norm::Rms(Eps::Inside(1e-6));
        let norm_place =
            [NormPlace::Before, NormPlace::After, NormPlace::Around, NormPlace::Before];
        let after = place == 1 || place == 2;
        let span = [NormSpan::Head, NormSpan::EachHead, NormSpan::AllHeads];
        let norms = |&span: &NormSpan| HeadNorms { norm: inside, span, bias: on[0] };
        let window = Some(2).filter(|_| plain.causal && on[1]);
        let other = Turn::Other(Rotary::new(2, 7.0));
        let kinds =
            [LayerKind { window, turn: Turn::Usual }, LayerKind { window: None, turn: other }];
        let usual = Config {
            embed_scale: if on[2] { 1.7 } else { 1.0 },
            embed_norm: on[3] && plain.norm != Norm::None,
            qkv_clip: on[4].then_some(0.8),
            score_cap: on[5].then_some(1.2),
            logit_cap: on[5].then_some(2.0),
            head_norms: span.get(heads).map(norms),
            kinds: if kind < 3 { kinds[..kind].to_vec() } else { vec![] },
            positions: match kind {
                3 => Positions::Slopes(Slopes { factor: 0.7, coarse }),
                _ => plain.positions.clone(),
            },
            one_norm: plain.parallel && on[0],
            norm_place: norm_place[place],
            ..plain.clone()
        };
        match more {
            false => plain,
            true if after => Config { norm: inside, norm_affine: true, mlp_bias: false, ..usual },
            true => usual,
        }
    })
}

/// How far a run may be from the plain model: not at all, but where a norm stands after a part, and
/// the parts' shares in it are summed in another order.
fn rounding(config: &Config) -> f64 {
    if config.norm_place == NormPlace::Before { 0.0 } else { 1e-12 }
}

fn granularity(time: usize) -> impl Strategy<Value = Granularity> {
    (0..3usize, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        move |(start, joined_qkv, neurons, positions)| Granularity {
            start: [Start::Joint, Start::Split, Start::TokensOnly][start],
            joined_qkv,
            neurons,
            positions: positions.then_some(time),
        },
    )
}

/// A recorded model whose result is a random function of all logits, one value for each example.
struct Run {
    program: Program<f64>,
    recorded: Recorded,
    transformer: Transformer,
    logits: Var,
    result: Var,
}

impl Run {
    fn new(model: &Model<f64>, graph: &Graph, tokens: &[u32], masks: Option<MaskShape>) -> Run {
        let mut tape = Tape::new();
        let mut recorder = Recorder::new(graph, masks);
        let (batch, time) = (BATCH, tokens.len() / BATCH);
        let transformer = Transformer::record(&mut tape, &model.config, batch, time, &mut recorder);
        let logits = transformer.logits(&mut tape, transformer.last);
        let result = readout(&mut tape, logits, batch);
        let recorded = Recorded::from(recorder);
        let mut program = tape.finish();
        transformer.set_weights(&mut program, &model.weights);
        transformer.set_tokens(&mut program, tokens);
        let mut run = Run { program, recorded, transformer, logits, result };
        run.set_masks(|_| 1.0);
        run.program.forward();
        run
    }

    fn masks(&self) -> Vec<Var> {
        self.recorded.readings.iter().filter_map(|r| r.mask).collect()
    }

    /// Sets the mask of every edge, the same for all examples.
    fn set_masks(&mut self, mask: impl Fn(usize) -> f64) {
        for (group, x) in self.recorded.graph.groups.iter().zip(self.masks()) {
            let edges = group.edges();
            for (i, m) in self.program.value_mut(x).iter_mut().enumerate() {
                *m = mask(edges.start + i % edges.len());
            }
        }
    }

    /// The outputs of the parts.
    fn outputs(&self) -> Vec<Vec<f64>> {
        let outputs = self.recorded.outputs.iter();
        outputs.map(|o| self.program.value(o.var()).to_vec()).collect()
    }

    fn set_baselines(&mut self, outputs: &[Vec<f64>]) {
        for (x, numbers) in self.recorded.baselines.clone().into_iter().zip(outputs) {
            self.program.set(x, numbers);
        }
    }

    fn results(&mut self) -> Vec<f64> {
        self.program.forward();
        self.program.value(self.result).to_vec()
    }
}

const BATCH: usize = 2;

/// A smooth function of the logits of each example, so that no derivative is constant.
fn readout(tape: &mut Tape<f64>, logits: Var, batch: usize) -> Var {
    let n = tape.shape(logits).len() / batch;
    let x = tape.reshape(logits, [batch, n]);
    let squares = ops::mul(tape, x, x);
    let x = ops::add(tape, x, squares);
    ops::sum_axis(tape, x, 1)
}

fn tokens(time: usize, salt: u32) -> Vec<u32> {
    (0..(BATCH * time) as u32).map(|i| (i * i + 3 * i * salt + salt) % VOCAB as u32).collect()
}

fn size(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| m.max(x.abs()))
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (a, b)| f64::max(m, (a - b).abs()))
}

pub(crate) const TIME: usize = 5;

/// Every reader reads the sum of its writers and of named constants.
pub(crate) fn sums(model: &Model<f64>, graph: &Graph) -> Result<(), TestCaseError> {
    let run = Run::new(model, graph, &tokens(TIME, 1), None);
    let d = model.config.d_model;
    for (group, reading) in graph.groups.iter().zip(&run.recorded.readings) {
        let mut sum = vec![0.0; BATCH * TIME * d];
        let seen = graph.sources.iter().zip(&run.recorded.outputs);
        for (_, output) in seen.filter(|(s, _)| group.upstream.contains(&s.writers.start)) {
            let rows = match *output {
                edgegrad::graph::Output::Whole(o) => run.program.value(o).to_vec(),
                edgegrad::graph::Output::Parts { z, w } => {
                    let (z, w) = (run.program.value(z), run.program.value(w));
                    let n = w.len() / d;
                    let dot = |row: usize, j: usize| -> f64 {
                        (0..n).map(|i| z[row * n + i] * w[i * d + j]).sum()
                    };
                    (0..BATCH * TIME * d).map(|i| dot(i / d, i % d)).collect()
                }
            };
            sum.iter_mut().zip(rows).for_each(|(s, x)| *s += x);
        }
        let upstream_of = |name: &str| match name.split_once('.') {
            None => true,
            Some((node, _)) => graph.writers[group.upstream.clone()].iter().any(|w| {
                let w = w.to_string();
                w.split('.').next() == Some(node)
            }),
        };
        for (name, x) in run.recorded.constants.iter().filter(|c| upstream_of(&c.0)) {
            let x = run.program.value(*x);
            prop_assert!(!name.is_empty());
            sum.iter_mut().enumerate().for_each(|(i, s)| *s += x[i % x.len()]);
        }
        let x = run.program.value(reading.x);
        prop_assert!(size(x) > 0.1);
        prop_assert!(apart(x, &sum) < 1e-12 * size(x).max(1.0), "{:?}", group.part);
    }
    Ok(())
}

/// A specialised circuit against the masked model; that of all edges against the plain one.
pub(crate) fn specialised(
    model: &Model<f64>,
    graph: &Graph,
    seed: u64,
    percent: u64,
    resampled: bool,
) -> Result<(), TestCaseError> {
    let (clean, corrupted) = (tokens(TIME, 1), tokens(TIME, 2));
    let mut run = Run::new(model, graph, &corrupted, Some(MaskShape { per_example: false }));
    let mut baselines = run.outputs();
    if !resampled {
        let some = |(i, x): (usize, &mut f64)| *x = (i % 7) as f64 / 10.0 - 0.3;
        baselines.iter_mut().for_each(|b| b.iter_mut().enumerate().for_each(some));
    }
    run.transformer.set_tokens(&mut run.program, &clean);
    run.program.forward();
    let plain = run.program.value(run.logits).to_vec();
    run.set_baselines(&baselines);

    for percent in [percent, 100] {
        let draw = |e: u64| (e + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ (seed << 7)) >> 40;
        let kept: Vec<bool> = (0..graph.edges()).map(|e| draw(e as u64) % 100 < percent).collect();
        run.set_masks(|e| if kept[e] { 1.0 } else { 0.0 });
        run.program.forward();

        let mut tape = Tape::new();
        let mut circuit = Specialised::new(graph, &model.config, &kept, resampled, BATCH, TIME);
        let t = Transformer::record(&mut tape, &model.config, BATCH, TIME, &mut circuit);
        let logits = t.logits(&mut tape, t.last);
        let mut program = tape.finish();
        t.set_weights(&mut program, &model.weights);
        circuit.install(&mut program, model, &t.parameters);
        circuit.set_baselines(&mut program, model, &baselines);
        t.set_tokens(&mut program, &clean);
        program.forward();

        let (alone, masked) = (program.value(logits), run.program.value(run.logits));
        let off = apart(alone, masked);
        prop_assert!(off < 1e-10 * size(masked).max(1.0), "{off:e} of {percent} %");
        if percent == 100 {
            prop_assert!(apart(alone, &plain) <= rounding(&model.config) * size(&plain).max(1.0));
        }
    }
    Ok(())
}

/// Scores without masks are the derivative by masks of one.
pub(crate) fn scores(
    model: &Model<f64>,
    graph: &Graph,
    granularity: Granularity,
) -> Result<(), TestCaseError> {
    let (clean, corrupted) = (tokens(TIME, 1), tokens(TIME, 2));
    let shape = MaskShape { per_example: true };
    let mut masked = Run::new(model, graph, &corrupted, Some(shape));
    let other = masked.outputs();
    masked.set_baselines(&other);
    masked.transformer.set_tokens(&mut masked.program, &clean);
    masked.program.forward();
    let masks = masked.masks();
    let plan = masked.program.plan_backward(masked.result, &masks);
    masked.program.backward_from(&plan, &[1.0; BATCH]);
    // Per example; the sum over examples has to be the batch's.
    let mut want = vec![0.0; graph.edges()];
    for (group, &x) in graph.groups.iter().zip(&masks) {
        let edges = group.edges();
        for (i, g) in masked.program.grad(x).iter().enumerate() {
            want[edges.start + i % edges.len()] += g;
        }
    }

    let mut plain = Run::new(model, graph, &clean, None);
    let beyond: Vec<Vec<f64>> = plain
        .outputs()
        .iter()
        .zip(&other)
        .map(|(o, b)| o.iter().zip(b).map(|(o, b)| o - b).collect())
        .collect();
    let plan = plain.program.plan_backward(plain.result, &plain.recorded.wanted());
    plain.program.backward_from(&plan, &[1.0; BATCH]);
    let mut got = vec![0.0; graph.edges()];
    plain.recorded.contract(&plain.program, &beyond, &mut got);
    prop_assert!(size(&want) > 1e-4);
    prop_assert!(apart(&got, &want) < 1e-11 * size(&want).max(1.0));

    // Edges at positions add up to edges.
    if granularity.positions.is_none() {
        let fine = Granularity { positions: Some(TIME), ..granularity };
        let fine = Graph::of_transformer(&model.config, fine);
        let mut at = Run::new(model, &fine, &clean, None);
        let plan = at.program.plan_backward(at.result, &at.recorded.wanted());
        at.program.backward_from(&plan, &[1.0; BATCH]);
        let mut parts = vec![0.0; fine.edges()];
        at.recorded.contract(&at.program, &beyond, &mut parts);
        let mut sums = vec![0.0; graph.edges()];
        for (e, part) in parts.iter().enumerate() {
            let (group, _, reader, writer) = fine.place(e);
            sums[graph.number(group, 0, reader, writer)] += part;
        }
        prop_assert!(apart(&sums, &want) < 1e-11 * size(&want).max(1.0));
    }
    Ok(())
}

/// Masks of 1 are the plain model, masks of 0 with another input's activations the run on it.
/// `salt` chooses the inputs.
pub(crate) fn masked_is_plain(
    model: &Model<f64>,
    graph: &Graph,
    salt: u32,
    per_example: bool,
) -> Result<(), TestCaseError> {
    let (clean, corrupted) = (tokens(TIME, salt), tokens(TIME, salt + 1));
    let mut tape = Tape::new();
    let mut sum = Sum::default();
    let plain = Transformer::record(&mut tape, &model.config, BATCH, TIME, &mut sum);
    let logits = plain.logits(&mut tape, plain.last);
    let mut program = tape.finish();
    plain.set_weights(&mut program, &model.weights);
    plain.set_tokens(&mut program, &clean);
    program.forward();

    let mut run = Run::new(model, graph, &corrupted, Some(MaskShape { per_example }));
    let other = (run.outputs(), run.program.value(run.logits).to_vec());
    run.transformer.set_tokens(&mut run.program, &clean);
    run.program.forward();
    let (ones, plain) = (run.program.value(run.logits), program.value(logits));
    prop_assert!(apart(ones, plain) <= rounding(&model.config) * size(plain).max(1.0));
    prop_assert!(apart(&other.1, program.value(logits)) > 1e-3);

    run.set_baselines(&other.0);
    run.set_masks(|_| 0.0);
    run.program.forward();
    // Positions and biases are the same in both runs, whoever they belong to.
    let all = size(&other.1).max(1.0);
    let off = apart(run.program.value(run.logits), &other.1);
    prop_assert!(off < 1e-10 * all, "{off:e} of {all}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..Default::default() })]

    #[test]
    fn every_reader_reads_the_sum_of_its_writers_and_named_constants(
        config in config(), granularity in granularity(TIME), seed in 0..1000u64,
    ) {
        let model = Model::<f64>::random(&config, seed);
        let graph = Graph::of_transformer(&config, granularity);
        sums(&model, &graph)?;
    }

    #[test]
    fn ones_are_the_plain_model_and_zeros_the_corrupted_run(
        config in config(), granularity in granularity(TIME), seed in 0..1000u64,
        per_example in any::<bool>(), threads in 1..=2usize,
    ) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let model = Model::<f64>::random(&config, seed);
            let graph = Graph::of_transformer(&config, granularity);
            masked_is_plain(&model, &graph, 1, per_example)
        })?;
    }

    #[test]
    fn a_specialised_circuit_is_the_masked_model(
        config in config(), granularity in granularity(TIME), seed in 0..1000u64,
        percent in 0..=100u64, resampled in any::<bool>(),
    ) {
        let model = Model::<f64>::random(&config, seed);
        let graph = Graph::of_transformer(&config, granularity);
        specialised(&model, &graph, seed, percent, resampled)?;
    }

    /// What a longer batch has computed serves its first examples: values, and what derivatives
    /// need.
    #[test]
    fn a_longer_batch_is_continued_with_the_same_bits(
        config in config(), granularity in granularity(TIME), seed in 0..1000u64,
    ) {
        let model = Model::<f64>::random(&config, seed);
        let graph = Graph::of_transformer(&config, granularity);
        let record = |tokens: &[u32]| {
            let mut tape = Tape::new();
            let mut recorder = Recorder::new(&graph, None);
            let batch = tokens.len() / TIME;
            let t = Transformer::record(&mut tape, &config, batch, TIME, &mut recorder);
            let mut program = tape.finish();
            t.set_weights(&mut program, &model.weights);
            t.set_tokens(&mut program, tokens);
            program
        };
        let (clean, corrupted) = (tokens(TIME, 1), tokens(TIME, 2));
        let gradients = |run: &mut Run| -> Vec<Vec<f64>> {
            let wanted = run.recorded.wanted();
            let plan = run.program.plan_backward(run.result, &wanted);
            run.program.backward_from(&plan, &[1.0; BATCH]);
            wanted.iter().map(|&x| run.program.grad(x).to_vec()).collect()
        };
        let mut alone = Run::new(&model, &graph, &clean, None);
        let mut run = Run::new(&model, &graph, &clean, None);
        let mut longer = record(&[&clean[..], &corrupted[..]].concat());
        for _ in 0..2 {
            longer.forward();
            run.program.continue_from(&mut longer);
            prop_assert_eq!(run.program.value(run.result), alone.program.value(alone.result));
            prop_assert_eq!(run.outputs(), alone.outputs());
            prop_assert_eq!(gradients(&mut run), gradients(&mut alone));
            run.program.exchange(&mut longer);
        }
        // Each has its own memory again.
        run.transformer.set_tokens(&mut run.program, &corrupted);
        prop_assert!(apart(&run.results(), alone.program.value(alone.result)) > 1e-3);
    }

    #[test]
    fn the_derivative_by_a_mask_is_the_difference_quotient(
        config in config(), granularity in granularity(TIME), seed in 0..1000u64,
        per_example in any::<bool>(), ones in any::<bool>(),
    ) {
        // The rectified linear unit and clipped values have no derivative where a difference may
        // step.
        let config = Config { activation: match config.activation {
            Activation::Relu => Activation::Tanh, other => other }, qkv_clip: None, ..config };
        let model = Model::<f64>::random(&config, seed);
        let graph = Graph::of_transformer(&config, granularity);
        let mut run = Run::new(&model, &graph, &tokens(TIME, 2), Some(MaskShape { per_example }));
        let other = run.outputs();
        run.set_baselines(&other);
        run.transformer.set_tokens(&mut run.program, &tokens(TIME, 1));
        let mask = move |e: usize| if ones { 1.0 } else { 0.3 + (e * 7 % 5) as f64 / 5.0 };
        run.set_masks(mask);
        run.program.forward();
        let masks = run.masks();
        let plan = run.program.plan_backward(run.result, &masks);
        run.program.backward_from(&plan, &[1.0; BATCH]);
        let mut gradient = vec![0.0; graph.edges()];
        for (group, &x) in graph.groups.iter().zip(&masks) {
            let edges = group.edges();
            for (i, g) in run.program.grad(x).iter().enumerate() {
                gradient[edges.start + i % edges.len()] += g;
            }
        }
        prop_assert!(size(&gradient) > 1e-4);
        for group in &graph.groups {
            for e in group.edges().step_by(1 + group.edges().len() / 6) {
                let mut at = |h: f64| -> f64 {
                    run.set_masks(|i| mask(i) + if i == e { h } else { 0.0 });
                    run.results().iter().sum()
                };
                // The error is h^4 times a fifth derivative, which is large where a norm divides by
                // little, plus the rounding of the results over h: one of these steps suits it.
                let off = [1e-3, 1e-4, 1e-5].map(|step| {
                    let [a, b, c, d] = [-2.0 * step, -step, step, 2.0 * step].map(&mut at);
                    ((a - d + 8.0 * (c - b)) / (12.0 * step) - gradient[e]).abs()
                });
                let off = off.into_iter().fold(f64::INFINITY, f64::min);
                prop_assert!(off < 1e-7 * size(&gradient).max(1.0), "{}: {off:e}", graph.edge(e));
            }
        }
    }

    #[test]
    fn scores_without_masks_are_the_derivative_by_masks_of_one(
        config in config(), granularity in granularity(TIME), seed in 0..1000u64,
    ) {
        let model = Model::<f64>::random(&config, seed);
        let graph = Graph::of_transformer(&config, granularity);
        scores(&model, &graph, granularity)?;
    }
}
