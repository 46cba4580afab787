//! Rules of reverse passes against a second model in which a rule is a changed function: divisors,
//! ratios and patterns are frozen at the clean run, or replaced by a function that has the gradient
//! of the rule there. Its slopes are differences, so nothing of the engine is in it.

use crate::attribution::method::eap;
use crate::checkpoints::AnyModel;
use crate::formats::pairs::{Bounds, Pairs};
use crate::graph::{Edge, Input, MaskShape, Node, Port};
use crate::named::Named;
use crate::nn::Activation;
use crate::nn::transformer::{Config, Model};
use crate::ops::Norm;
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::metric::{Metric, Positions, Question};
use crate::tape::Rules;
use std::collections::HashMap;

const TIME: usize = 6;
const VOCAB: usize = 11;
const ANSWER: usize = 3;
const DISTRACTOR: usize = 8;

/// Layer norms and a plain MLP; root-mean-square norms, a gated MLP and heads that share keys; a
/// parallel block with wide heads.
fn configs() -> [Config; 3] {
    let gpt2 = Config {
        vocab: VOCAB,
        vocab_out: VOCAB,
        context: 8,
        layers: 2,
        d_model: 12,
        heads: 4,
        kv_heads: 4,
        d_head: 3,
        d_mlp: 10,
        attn_scale: 1.7,
        ..Config::gpt2_small()
    };
    let llama = Config {
        kv_heads: 2,
        norm: Config::rms(1e-6),
        gated: true,
        activation: Activation::Silu,
        qkv_bias: false,
        out_bias: false,
        mlp_bias: false,
        tied: false,
        ..gpt2.clone()
    };
    let neox = Config {
        parallel: true,
        heads: 2,
        kv_heads: 2,
        d_head: 5,
        activation: Activation::Relu,
        ..gpt2.clone()
    };
    [gpt2, llama, neox]
}

/// Values of the clean run, in the order of the computation.
#[derive(Clone, Default)]
struct Frozen {
    values: Vec<f64>,
    next: usize,
}

/// One run of the second model.
struct Run<'a> {
    config: &'a Config,
    weights: &'a HashMap<String, Vec<f64>>,
    rules: Rules,
    /// What a reader reads beyond the stream, `[T, D]`.
    nudge: Option<(Input, Vec<f64>)>,
    /// Values of the clean run; being written if `writing`.
    frozen: Frozen,
    writing: bool,
    /// What each node writes, `[T, D]`.
    outputs: HashMap<Node, Vec<f64>>,
}

impl Run<'_> {
    /// `x` as it was in the clean run.
    fn clean(&mut self, x: f64) -> f64 {
        if self.writing {
            self.frozen.values.push(x);
        }
        self.frozen.next += 1;
        self.frozen.values[self.frozen.next - 1]
    }

    /// `c + share (x - c)`, `c` the value in the clean run: passes back that share of the gradient.
    fn shared(&mut self, x: f64, share: f64) -> f64 {
        let c = self.clean(x);
        c + share * (x - c)
    }

    /// The weight of this name; one that the model does not have is all 0.
    fn weight(&self, name: &str) -> impl Fn(usize) -> f64 + use<'_> {
        let w = self.weights.get(name);
        move |i| w.map_or(0.0, |w| w[i])
    }

    /// The norm of rows `[T, D]`.
    fn norm(&mut self, name: &str, x: &[f64]) -> Vec<f64> {
        let (d, config) = (self.config.d_model, self.config);
        let [gain, bias] = ["w", "b"].map(|part| -> Vec<f64> {
            let w = self.weight(&format!("{name}.{part}"));
            (0..d).map(w).collect()
        });
        let mut out = vec![];
        for x in x.chunks_exact(d) {
            let (mean, eps) = match config.norm {
                Norm::Layer(eps) => (x.iter().sum::<f64>() / d as f64, eps),
                _ => (0.0, 1e-6),
            };
            let square = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
            let divisor = (square + eps).sqrt();
            let frozen = self.clean(divisor);
            let divisor = if self.rules == Rules::Plain { divisor } else { frozen };
            for (i, x) in x.iter().enumerate() {
                out.push((x - mean) / divisor * gain[i] + bias[i]);
            }
        }
        out
    }

    /// What a reader reads through columns `from..from + count` of a weight of `width` columns.
    fn read(
        &mut self,
        by: Input,
        x: &[f64],
        names: [&str; 3],
        width: usize,
        from: usize,
        count: usize,
    ) -> Vec<f64> {
        let mut x = x.to_vec();
        if let Some((_, more)) = self.nudge.as_ref().filter(|(to, _)| *to == by) {
            x.iter_mut().zip(more).for_each(|(x, m)| *x += m);
        }
        let [norm, w, b] = names;
        let (d, normed) = (self.config.d_model, self.norm(norm, &x));
        let (w, b) = (self.weight(w), self.weight(b));
        let at = |t: usize, j: usize| -> f64 {
            let product = (0..d).map(|i| normed[t * d + i] * w(i * width + j));
            product.sum::<f64>() + b(j)
        };
        (0..TIME * count).map(|i| at(i / count, from + i % count)).collect()
    }

    /// The weights of the keys for one query, from their scores.
    fn pattern(&mut self, scores: &[f64]) -> Vec<f64> {
        let softmax = |z: &[f64], temperature: f64| -> Vec<f64> {
            let e: Vec<f64> = z.iter().map(|z| (z / temperature).exp()).collect();
            let sum: f64 = e.iter().sum();
            e.iter().map(|e| e / sum).collect()
        };
        let clean: Vec<f64> = scores.iter().map(|&z| self.clean(z)).collect();
        match self.rules {
            Rules::Plain | Rules::Ln | Rules::Relp => softmax(scores, 1.0),
            Rules::RelpAh => softmax(&clean, 1.0),
            Rules::Gim => {
                let flat = softmax(&clean, 2.0);
                let moved: Vec<f64> = scores.iter().zip(&clean).map(|(z, c)| z - c).collect();
                let mean: f64 = flat.iter().zip(&moved).map(|(p, m)| p * m).sum();
                let change = flat.iter().zip(&moved).map(|(p, m)| p * (m - mean));
                softmax(&clean, 1.0).iter().zip(change).map(|(p, c)| p + c).collect()
            }
        }
    }

    /// What head `h` of a layer writes, `[T, D]`.
    fn head(&mut self, layer: usize, h: usize, x: &[f64]) -> Vec<f64> {
        let Config { heads, kv_heads, d_head: k, d_model: d, attn_scale, .. } = *self.config;
        let kv = h / (heads / kv_heads);
        let head = Node::Head { layer, head: h };
        let answers = match heads == kv_heads {
            true => head,
            false => Node::KeyValue { layer, head: kv },
        };
        let names = ["ln1", "attn.W_QKV", "attn.b_QKV"].map(|n| format!("blocks.{layer}.{n}"));
        let [norm, w, b] = &names;
        let width = (heads + 2 * kv_heads) * k;
        let [of_scores, of_values] = if self.rules == Rules::Gim { [0.25, 0.5] } else { [1.0; 2] };
        let parts = [
            (head, Port::Q, h, of_scores),
            (answers, Port::K, heads + kv, of_scores),
            (answers, Port::V, heads + kv_heads + kv, of_values),
        ];
        let [q, k_s, v] = parts.map(|(node, port, at, share)| {
            let part = self.read(Input { node, port }, x, [norm, w, b], width, at * k, k);
            part.into_iter().map(|x| self.shared(x, share)).collect::<Vec<f64>>()
        });
        let mut out = vec![0.0; TIME * d];
        for t in 0..TIME {
            let dot = |s: usize| (0..k).map(|i| q[t * k + i] * k_s[s * k + i]).sum::<f64>();
            let scores: Vec<f64> = (0..=t).map(|s| dot(s) / attn_scale).collect();
            let pattern = self.pattern(&scores);
            let w = self.weight(&format!("blocks.{layer}.attn.W_O"));
            for i in 0..k {
                let z: f64 = pattern.iter().enumerate().map(|(s, p)| p * v[s * k + i]).sum();
                (0..d).for_each(|j| out[t * d + j] += z * w((h * k + i) * d + j));
            }
        }
        out
    }

    fn activation(&mut self, x: f64) -> f64 {
        let y = match self.config.activation {
            Activation::Relu => x.max(0.0),
            Activation::Silu => x / (1.0 + (-x).exp()),
            _ => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                x * (1.0 + inner.tanh()) / 2.0
            }
        };
        let ratio = self.clean(y / if x < 0.0 { x - 1e-6 } else { x + 1e-6 });
        let c = self.clean(x);
        let at_clean = self.clean(y);
        match self.rules {
            Rules::Relp | Rules::RelpAh => at_clean + ratio * (x - c),
            _ => y,
        }
    }

    /// What the MLP of a layer writes, `[T, D]`.
    fn mlp(&mut self, layer: usize, x: &[f64]) -> Vec<f64> {
        let Config { d_mlp: f, d_model: d, gated, .. } = *self.config;
        let names = ["ln2", "mlp.W_in", "mlp.b_in"].map(|n| format!("blocks.{layer}.{n}"));
        let [norm, w, b] = &names;
        let wide = if gated { 2 * f } else { f };
        let by = Input { node: Node::Mlp { layer }, port: Port::Whole };
        let h = self.read(by, x, [norm, w, b], wide, 0, wide);
        let share = if matches!(self.rules, Rules::Plain | Rules::Ln) { 1.0 } else { 0.5 };
        let mut out = vec![0.0; TIME * d];
        for (t, j) in (0..TIME).flat_map(|t| (0..f).map(move |j| (t, j))) {
            let mut z = self.activation(h[t * wide + j]);
            if gated {
                z = self.shared(z * h[t * wide + f + j], share);
            }
            let w = self.weight(&format!("blocks.{layer}.mlp.W_out"));
            (0..d).for_each(|i| out[t * d + i] += z * w(j * d + i));
        }
        out
    }

    /// Writes to the stream, with a bias that belongs to no head.
    fn write(&mut self, x: &mut [f64], node: Node, out: Vec<f64>) {
        x.iter_mut().zip(&out).for_each(|(x, o)| *x += o);
        self.outputs.insert(node, out);
    }

    fn add_bias(&self, x: &mut [f64], name: &str) {
        let (d, bias) = (self.config.d_model, self.weight(name));
        x.iter_mut().enumerate().for_each(|(i, x)| *x += bias(i % d));
    }

    /// The difference of two logits at the end.
    fn metric(&mut self, tokens: &[usize]) -> f64 {
        let Config { d_model: d, layers, heads, parallel, tied, .. } = *self.config;
        let mut x = vec![0.0; TIME * d];
        let input = {
            let (token, position) = (self.weight("embed.W_E"), self.weight("pos_embed.W_pos"));
            let at = |i: usize| token(tokens[i / d] * d + i % d) + position(i);
            (0..TIME * d).map(at).collect()
        };
        self.write(&mut x, Node::Input, input);
        for layer in 0..layers {
            let before = x.clone();
            for h in 0..heads {
                let out = self.head(layer, h, &before);
                self.write(&mut x, Node::Head { layer, head: h }, out);
            }
            self.add_bias(&mut x, &format!("blocks.{layer}.attn.b_O"));
            let read = if parallel { before } else { x.clone() };
            let mut out = self.mlp(layer, &read);
            self.add_bias(&mut out, &format!("blocks.{layer}.mlp.b_out"));
            self.write(&mut x, Node::Mlp { layer }, out);
        }
        if let Some((_, more)) = self.nudge.as_ref().filter(|(to, _)| to.node == Node::Logits) {
            x.iter_mut().zip(more).for_each(|(x, m)| *x += m);
        }
        let last = self.norm("ln_final", &x).split_off((TIME - 1) * d);
        let w = self.weight(if tied { "embed.W_E" } else { "unembed.W_U" });
        let logit =
            |token: usize| last.iter().enumerate().map(|(i, x)| x * w(token * d + i)).sum::<f64>();
        logit(ANSWER) - logit(DISTRACTOR)
    }
}

/// The second model with its clean run and what writers add beyond the corrupted one.
struct Second<'a> {
    config: &'a Config,
    weights: &'a HashMap<String, Vec<f64>>,
    clean: &'a [usize],
    frozen: Frozen,
    beyond: HashMap<Node, Vec<f64>>,
}

impl<'a> Second<'a> {
    fn new(
        config: &'a Config,
        weights: &'a HashMap<String, Vec<f64>>,
        [clean, corrupted]: [&'a [usize]; 2],
    ) -> Self {
        let (frozen, beyond) = (Frozen::default(), HashMap::new());
        let mut second = Second { config, weights, clean, frozen, beyond };
        let outputs = |tokens: &[usize]| {
            let mut run = Run { writing: true, ..second.run(Rules::Plain, None) };
            run.metric(tokens);
            (run.frozen, run.outputs)
        };
        let ((frozen, mut beyond), (_, baseline)) = (outputs(clean), outputs(corrupted));
        for (node, beyond) in &mut beyond {
            beyond.iter_mut().zip(&baseline[node]).for_each(|(o, b)| *o -= b);
        }
        (second.frozen, second.beyond) = (Frozen { next: 0, ..frozen }, beyond);
        second
    }

    fn run(&self, rules: Rules, nudge: Option<(Input, Vec<f64>)>) -> Run<'a> {
        let (config, weights, frozen) = (self.config, self.weights, self.frozen.clone());
        Run { config, weights, rules, nudge, frozen, writing: false, outputs: HashMap::new() }
    }

    /// The slope of the metric at the clean run along what the edge's writer adds.
    fn slope(&self, rules: Rules, edge: &Edge) -> f64 {
        let at = |h: f64| {
            let nudge = self.beyond[&edge.from].iter().map(|x| h * x).collect();
            self.run(rules, Some((edge.to, nudge))).metric(self.clean)
        };
        let h = 1e-3;
        (at(-2.0 * h) - at(2.0 * h) + 8.0 * (at(h) - at(-h))) / (12.0 * h)
    }
}

fn pairs() -> Pairs {
    let text = format!(
        "{{\"clean\": [1, 4, 2, 9, 5, 7], \"corrupted\": [3, 4, 6, 0, 5, 1], \
         \"answer\": {ANSWER}, \"distractor\": {DISTRACTOR}}}\n"
    );
    let bounds = Bounds { vocab: VOCAB, vocab_out: VOCAB, context: 8 };
    Pairs::parse("p", text.as_bytes(), &bounds, None, None).expect("a pair")
}

fn behaviour<'a>(model: &'a AnyModel<f64>, pairs: &'a Pairs, rules: Rules) -> Behaviour<'a, f64> {
    let question = Question::new(Metric::LogitDiff, Positions::Asked, VOCAB, pairs).unwrap();
    let graph = model.graph(Default::default());
    let mut b = Behaviour::new(model, graph, pairs, question, Baseline::Resample).unwrap();
    b.rules = rules;
    b
}

/// Every edge of every model, by every rule. The difference has an error of order `h^4`, and of
/// `1e-16 / h` by rounding.
#[test]
fn scores_are_slopes_of_the_changed_functions() {
    for config in configs() {
        let model = Model::<f64>::random(&config, 4);
        let named = config.parameters().into_iter().map(|p| p.name);
        let weights: HashMap<String, Vec<f64>> =
            named.zip(model.weights.iter().map(|w| w.to_vec())).collect();
        let (model, pairs) = (AnyModel::Transformer(model), pairs());
        let tokens = |list: &[u32]| list.iter().map(|&t| t as usize).collect::<Vec<_>>();
        let (clean, corrupted) = (tokens(&pairs[0].clean), tokens(&pairs[0].corrupted));
        let second = Second::new(&config, &weights, [&clean, &corrupted]);
        for &(name, rules) in Rules::ALL {
            let b = behaviour(&model, &pairs, rules);
            let scores = eap::scores(&b, &mut |_| {}).unwrap().values;
            let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            for (e, score) in scores.iter().enumerate() {
                let edge = b.graph.edge(e);
                let slope = second.slope(rules, &edge);
                let apart = (score - slope).abs() / largest;
                assert!(apart < 1e-9, "{name}, {edge}: {score} {slope} of {largest}");
            }
        }
    }
}

/// The gradients of masks are the same by each rule as those of one pass over the plain model, and
/// the metric is the plain one's to the bit.
#[test]
fn masks_follow_the_rules() {
    for config in configs() {
        let (model, pairs) = (AnyModel::Transformer(Model::random(&config, 4)), pairs());
        let mut totals = vec![];
        for &(name, rules) in Rules::ALL {
            let b = behaviour(&model, &pairs, rules);
            let scores = eap::scores(&b, &mut |_| {}).unwrap().values;
            let mut masked = vec![];
            b.batches(Some(MaskShape::default()), |probe, pairs| {
                probe.set_baselines(&b, pairs);
                probe.backward();
                masked = probe.mask_gradients();
                totals.push(probe.total().to_bits());
                Ok(())
            })
            .unwrap();
            let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            for (s, m) in scores.iter().zip(&masked) {
                assert!((s - m).abs() < 1e-12 * largest, "{name}: {s} {m} of {largest}");
            }
        }
        assert!(totals.windows(2).all(|t| t[0] == t[1]));
    }
}
