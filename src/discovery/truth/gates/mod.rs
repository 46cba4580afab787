//! Models with weights set by hand, and their true circuits.
//!
//! | gate | what it computes | what it is hard for |
//! | --- | --- | --- |
//! | [`induction`] | repeats what followed the same token before | nothing: attention is soft |
//! | [`and`] | says yes if two heads find a true word | derivatives: neurons are saturated |
//! | [`or`] | says yes if one of two heads finds the true word | ablating one edge |
//! | [`backup`] | one head finds the word, another if the first does not | removing one edge |
//! | [`two_hop`] | looks up what it has looked up | derivatives: attention is saturated |
//! | [`saturated`] | looks at a true word by two equal keys | removing one; plain derivatives |
//! | [`cancellation`] | one part undoes what another writes | whatever leaves both whole |
//! | [`backup_chain`] | a backup of the backup | removing one edge, or two |
//! | [`coupled_norm`] | another channel's size mutes the answer | rules that fix the divisor |
//! | [`gated_product`] | a closed gate hides its other factor | derivatives at one end |
//!
//! Tokens are one-hot, each quantity has channels of its own in the residual stream, and every part
//! reads and writes only those that it needs. Where attention is meant to be hard, scores differ by
//! [`HARD`]: the other weights are 0 in double precision, so effects are exactly 0 and exactly 1.
//!
//! # What is true
//!
//! Let `v(S)` be the model's output with the edges of `S` clean and all others corrupted. An edge
//! `e` is true if there is a set `S` with `v(S + e) != v(S)`: if it ever matters, beside whatever
//! others. Where patching single edges shows all of these, they are the circuit that [`exact`]
//! finds. For `or` and `backup` they are the union of the paths that each suffice, and single
//! patches see fewer. (Smallest sufficient circuits would be another definition, but there are
//! several of them.) The truth is written down here from the construction, edge by edge; the tests
//! compute `v`.
//!
//! [`exact`]: crate::attribution::exact

pub mod and;
pub mod backup;
pub mod backup_chain;
pub mod cancellation;
pub mod coupled_norm;
pub mod gated_product;
pub mod induction;
pub mod or;
pub mod saturated;
pub mod two_hop;
mod words;

use crate::checkpoints;
use crate::discovery::truth::case::CIRCUIT;
use crate::error::{Error, Result};
use crate::files::{atomic, safetensors};
use crate::formats::{EdgeFile, Meta};
use crate::graph::{Granularity, Graph};
use crate::named::{Named, named};
use crate::rng::{Purpose, Rng};
use safetensors::Tensor;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

/// By how much attention scores differ where attention is hard: `exp(-1000)` is 0 in `f64`.
pub const HARD: f32 = 1000.0;

/// The number of pairs of each gate.
pub const PAIRS: usize = 24;

named! {
    /// The gates by name.
    GateKind {
        /// [`induction`].
        #[default]
        Induction = "induction",
        /// [`and`].
        And = "and",
        /// [`or`].
        Or = "or",
        /// [`backup`].
        Backup = "backup",
        /// [`two_hop`].
        TwoHop = "two-hop",
        /// [`saturated`].
        Saturated = "saturated",
        /// [`cancellation`].
        Cancellation = "cancellation",
        /// [`backup_chain`].
        BackupChain = "backup-chain",
        /// [`coupled_norm`].
        CoupledNorm = "coupled-norm",
        /// [`gated_product`].
        GatedProduct = "gated-product",
    }
}

/// A model with weights set by hand, pairs, and the true edges.
pub struct Gate {
    /// The weights.
    pub weights: Weights,
    /// What it computes, why the circuit is true, and what single patches see of it.
    pub description: &'static str,
    /// The meaning of the tokens, in the order of their ids.
    pub vocab: Vec<String>,
    /// The meaning of the outputs.
    pub labels: Vec<String>,
    /// The pairs.
    pub pairs: Vec<GatePair>,
    /// The true edges by name.
    pub truth: &'static [&'static str],
}

/// A pair whose answers are one output each, at the last position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatePair {
    /// `[T]`, the clean tokens.
    pub clean: Vec<usize>,
    /// `[T]`, the corrupted tokens.
    pub corrupted: Vec<usize>,
    /// The model's output for the clean tokens.
    pub answer: usize,
    /// Its output for the corrupted tokens.
    pub distractor: usize,
}

impl GateKind {
    /// The gate of this name: the same weights every time.
    pub fn build(self) -> Gate {
        let mut rng = Rng::new(0, Purpose::Data, self as u32);
        match self {
            GateKind::Induction => induction::gate(&mut rng),
            GateKind::And => and::gate(&mut rng),
            GateKind::Or => or::gate(&mut rng),
            GateKind::Backup => backup::gate(&mut rng),
            GateKind::TwoHop => two_hop::gate(&mut rng),
            GateKind::Saturated => saturated::gate(&mut rng),
            GateKind::Cancellation => cancellation::gate(&mut rng),
            GateKind::BackupChain => backup_chain::gate(&mut rng),
            GateKind::CoupledNorm => coupled_norm::gate(&mut rng),
            GateKind::GatedProduct => gated_product::gate(&mut rng),
        }
    }

    /// Writes the [case](super::case) of this gate as the folder `path`: a model folder in
    /// TransformerLens' dialect, `pairs.jsonl` and `circuit.json`.
    ///
    /// # Errors
    /// If the folder exists or cannot be written.
    pub fn write(self, path: &Path) -> Result<()> {
        let gate = self.build();
        atomic::write_folder(path, |folder| {
            let write = |file: &str, text: &str| {
                let path = folder.join(file);
                std::fs::write(&path, text).map_err(|e| Error::io(&path, &e, "write"))
            };
            write("config.json", &format!("{:#}\n", gate.config(self.name())))?;
            let tensors = gate.weights.tensors();
            safetensors::write(folder.join("model.safetensors"), &tensors, &Default::default())?;
            let lines = gate.pairs.iter().map(|p| {
                let GatePair { clean, corrupted, answer, distractor } = p;
                let (clean, corrupted) = (json!(clean), json!(corrupted));
                // Keys in the order of the fixtures.
                format!(
                    "{{\"clean\": {clean}, \"corrupted\": {corrupted}, \"answer\": {answer}, \
                     \"distractor\": {distractor}}}\n"
                )
            });
            write("pairs.jsonl", &lines.collect::<String>())?;
            let model = checkpoints::read_transformer::<f32>(folder)?;
            let graph = Graph::of_transformer(&model.config, Granularity::default());
            gate.circuit(&graph).write(folder.join(CIRCUIT))
        })
    }
}

impl Gate {
    fn config(&self, name: &str) -> Value {
        let w = &self.weights;
        let mut config = json!({
            "model_name": format!("gate-{name}"),
            "description": self.description,
            "source": "weights set by hand",
            "n_layers": w.layers,
            "n_heads": w.heads,
            "d_model": w.d_model,
            "d_head": w.d_head,
            "d_mlp": (w.d_mlp > 0).then_some(w.d_mlp),
            "attn_only": w.d_mlp == 0,
            "act_fn": "relu",
            "d_vocab": w.vocab,
            "d_vocab_out": w.vocab_out,
            "n_ctx": w.context,
            "normalization_type": w.norm,
            "positional_embedding_type": if w.w_pos.is_some() { "standard" } else { "none" },
            "attention_dir": "causal",
            "use_attn_scale": false,
            "parallel_attn_mlp": false,
            "vocab": self.vocab,
            "output_labels": self.labels,
        });
        if w.mlps.iter().any(|mlp| mlp.w_gate.is_some()) {
            config["gated_mlp"] = json!(true);
        }
        config
    }

    /// Which edges `[E]` of the model's graph are true.
    ///
    /// # Panics
    /// If one of their names is not an edge of the graph.
    pub fn truth(&self, graph: &Graph) -> Vec<bool> {
        let wanted: HashSet<&str> = self.truth.iter().copied().collect();
        let is = |e: usize| wanted.contains(&*graph.edge(e).to_string());
        let truth: Vec<bool> = (0..graph.edges()).map(is).collect();
        let found = truth.iter().filter(|&&is| is).count();
        assert_eq!(found, self.truth.len(), "a true edge that the graph has not");
        truth
    }

    fn circuit(&self, graph: &Graph) -> EdgeFile {
        let meta = Meta {
            method: Some("by construction".into()),
            baseline: Some("resample".into()),
            pairs: Some(self.pairs.len() as u64),
            ..Meta::default()
        };
        let mut file = graph.circuit_file(&self.truth(graph), None, &meta);
        // The weights are set, not computed: they do not depend on the version.
        file.meta.remove("version");
        file
    }
}

/// A matrix `[rows, columns]` of zeros whose elements are set one by one.
#[derive(Clone, Debug)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    numbers: Vec<f32>,
}

impl Matrix {
    fn zeros(rows: usize, columns: usize) -> Matrix {
        Matrix { rows, columns, numbers: vec![0.0; rows * columns] }
    }

    /// Sets one element.
    fn set(&mut self, row: usize, column: usize, x: f32) {
        assert!(row < self.rows && column < self.columns, "({row}, {column}) is outside");
        self.numbers[row * self.columns + column] = x;
    }

    /// Sets `x` at each pair of a row of `rows` and the corresponding column of `columns`.
    fn join(&mut self, rows: Range<usize>, columns: Range<usize>, x: f32) {
        assert_eq!(rows.len(), columns.len(), "ranges of different lengths");
        rows.zip(columns).for_each(|(row, column)| self.set(row, column, x));
    }
}

/// The weights of a head.
#[derive(Clone, Debug)]
pub struct Head {
    /// `[D, K]`.
    pub q: Matrix,
    /// `[D, K]`.
    pub k: Matrix,
    /// `[D, K]`.
    pub v: Matrix,
    /// `[K, D]`.
    pub o: Matrix,
}

/// The weights of an MLP with rectified linear units.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// `[D, F]` of a gated one, whose neurons are `relu(x w_gate) * (x w_in)`, without `b_in`.
    pub w_gate: Option<Matrix>,
    /// `[D, F]`.
    pub w_in: Matrix,
    /// `[1, F]`.
    pub b_in: Matrix,
    /// `[F, D]`.
    pub w_out: Matrix,
}

/// The weights of a model, all 0 until they are set.
#[derive(Clone, Debug)]
pub struct Weights {
    vocab: usize,
    vocab_out: usize,
    context: usize,
    layers: usize,
    heads: usize,
    d_model: usize,
    d_head: usize,
    d_mlp: usize,
    /// The norm before each part, in TransformerLens' words.
    norm: Option<&'static str>,
    /// `[V, D]`.
    w_e: Matrix,
    /// `[T, D]`, if there are positions.
    w_pos: Option<Matrix>,
    /// By layer, then by head.
    attention: Vec<Vec<Head>>,
    /// By layer; empty for models of attention alone.
    mlps: Vec<Mlp>,
    /// `[D, V_out]`.
    w_u: Matrix,
}

/// The sizes of a model.
#[derive(Clone, Copy)]
struct Sizes {
    /// Tokens, and outputs.
    vocab: (usize, usize),
    /// The longest sequence, and whether positions are embedded.
    context: (usize, bool),
    layers: usize,
    heads: usize,
    d_model: usize,
    d_head: usize,
    d_mlp: usize,
}

impl Weights {
    fn zeros(sizes: Sizes) -> Weights {
        let Sizes { vocab, context, layers, heads, d_model, d_head, d_mlp } = sizes;
        let head = Head {
            q: Matrix::zeros(d_model, d_head),
            k: Matrix::zeros(d_model, d_head),
            v: Matrix::zeros(d_model, d_head),
            o: Matrix::zeros(d_head, d_model),
        };
        let mlp = Mlp {
            w_gate: None,
            w_in: Matrix::zeros(d_model, d_mlp),
            b_in: Matrix::zeros(1, d_mlp),
            w_out: Matrix::zeros(d_mlp, d_model),
        };
        Weights {
            vocab: vocab.0,
            vocab_out: vocab.1,
            context: context.0,
            layers,
            heads,
            d_model,
            d_head,
            d_mlp,
            norm: None,
            w_e: Matrix::zeros(vocab.0, d_model),
            w_pos: context.1.then(|| Matrix::zeros(context.0, d_model)),
            attention: vec![vec![head; heads]; layers],
            mlps: if d_mlp > 0 { vec![mlp; layers] } else { vec![] },
            w_u: Matrix::zeros(d_model, vocab.1),
        }
    }

    /// Gives token `i` the channel `tokens.start + i` and, if positions are embedded, position `t`
    /// the channel `positions.start + t`.
    fn one_hot(&mut self, tokens: Range<usize>, positions: Range<usize>) {
        self.w_e.join(0..self.vocab, tokens, 1.0);
        if let Some(w_pos) = &mut self.w_pos {
            w_pos.join(0..self.context, positions, 1.0);
        }
    }

    /// The tensors in TransformerLens' names and layouts.
    fn tensors(&self) -> Vec<Tensor> {
        let whole = |name: String, m: &Matrix| Tensor::new(name, &[m.rows, m.columns], &m.numbers);
        let mut list = vec![whole("embed.W_E".into(), &self.w_e)];
        list.extend(self.w_pos.iter().map(|m| whole("pos_embed.W_pos".into(), m)));
        for (l, heads) in self.attention.iter().enumerate() {
            type Of = fn(&Head) -> &Matrix;
            let parts: [(&str, Of); 4] =
                [("W_Q", |h| &h.q), ("W_K", |h| &h.k), ("W_V", |h| &h.v), ("W_O", |h| &h.o)];
            for (part, of) in parts {
                let numbers: Vec<f32> = heads.iter().flat_map(|h| of(h).numbers.clone()).collect();
                let m = of(&heads[0]);
                let shape = [heads.len(), m.rows, m.columns];
                list.push(Tensor::new(format!("blocks.{l}.attn.{part}"), &shape, &numbers));
            }
        }
        for (l, mlp) in self.mlps.iter().enumerate() {
            let name = |part: &str| format!("blocks.{l}.mlp.{part}");
            list.push(whole(name("W_in"), &mlp.w_in));
            list.push(match &mlp.w_gate {
                Some(w_gate) => whole(name("W_gate"), w_gate),
                None => Tensor::new(name("b_in"), &[self.d_mlp], &mlp.b_in.numbers),
            });
            list.push(whole(name("W_out"), &mlp.w_out));
        }
        list.push(whole("unembed.W_U".into(), &self.w_u));
        list
    }
}

/// A uniform draw from `range`.
fn choose(rng: &mut Rng, range: Range<usize>) -> usize {
    range.start + rng.below(range.len() as u64) as usize
}
