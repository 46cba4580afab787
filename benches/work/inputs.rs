//! The numbers that all programs begin with, and the shapes of the models: `peers/torch_peer.py`
//! says the same in Python.

/// Scatters whole numbers.
fn mix(seed: u32, i: usize) -> u32 {
    let mut h = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503));
    for _ in 0..2 {
        h = (h ^ (h >> 16)).wrapping_mul(0x045d_9f3b);
    }
    h ^ (h >> 16)
}

/// `len` numbers, even in [-1, 1): multiples of 2^-23, so that they are the same everywhere.
pub fn numbers(seed: u32, len: usize) -> Vec<f32> {
    (0..len).map(|i| (mix(seed, i) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

/// `len` whole numbers below `limit`.
pub fn ids(seed: u32, len: usize, limit: usize) -> Vec<u32> {
    (0..len).map(|i| (mix(seed, i) >> 8) % limit as u32).collect()
}

/// A parameter: its name in edgegrad and its shape.
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
}

impl Parameter {
    fn new(name: &str, shape: &[usize]) -> Self {
        Parameter { name: name.into(), shape: shape.to_vec() }
    }

    /// Where it begins, as the `i`-th of its model: gains around 1, biases around 0, matrices and
    /// embeddings with variance 1 / n where n numbers come in (embeddings: where one row goes out).
    pub fn init(&self, i: usize) -> Vec<f32> {
        let len = self.shape.iter().product();
        let u = numbers(i as u32 + 100, len).into_iter();
        let scale = |n: usize| (3.0 / n as f64).sqrt() as f32;
        match self.shape[..] {
            [_] if self.name.ends_with(".w") => u.map(|u| 1.0 + 0.1 * u).collect(),
            [_] => u.map(|u| 0.1 * u).collect(),
            [_, d] if self.name.contains("emb") => u.map(|u| scale(d) * u).collect(),
            [n, ..] => u.map(|u| scale(n) * u).collect(),
            [] => unreachable!("a parameter has axes"),
        }
    }
}

/// A decoder: pre-norm, learned positions, biases, GELU by tanh, layer norms with eps 1e-5.
#[derive(Clone, Copy)]
pub struct Decoder {
    pub vocab: usize,
    pub context: usize,
    pub layers: usize,
    pub d_model: usize,
    pub heads: usize,
    pub d_mlp: usize,
    /// Whether the unembedding is the embedding.
    pub tied: bool,
    /// Sequences of a batch and tokens of a sequence.
    pub batch: usize,
    pub seq: usize,
}

pub const DECODER: Decoder = Decoder {
    vocab: 256,
    context: 64,
    layers: 2,
    d_model: 128,
    heads: 4,
    d_mlp: 512,
    tied: false,
    batch: 16,
    seq: 64,
};

/// GPT-2 small, asked for `seq` tokens.
pub const fn gpt2(seq: usize) -> Decoder {
    Decoder {
        vocab: 50257,
        context: 1024,
        layers: 12,
        d_model: 768,
        heads: 12,
        d_mlp: 3072,
        tied: true,
        batch: 1,
        seq,
    }
}

impl Decoder {
    /// All parameters. Products are `x W + b` with `W [in, out]`; `W_QKV` holds all queries, then
    /// keys, then values, head after head; the unembedding is `[V, D]`.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (d, f) = (self.d_model, self.d_mlp);
        let mut list = vec![
            Parameter::new("embed.W_E", &[self.vocab, d]),
            Parameter::new("pos_embed.W_pos", &[self.context, d]),
        ];
        for l in 0..self.layers {
            for (part, shape) in [
                ("ln1.w", &[d][..]),
                ("ln1.b", &[d]),
                ("attn.W_QKV", &[d, 3 * d]),
                ("attn.b_QKV", &[3 * d]),
                ("attn.W_O", &[d, d]),
                ("attn.b_O", &[d]),
                ("ln2.w", &[d]),
                ("ln2.b", &[d]),
                ("mlp.W_in", &[d, f]),
                ("mlp.b_in", &[f]),
                ("mlp.W_out", &[f, d]),
                ("mlp.b_out", &[d]),
            ] {
                list.push(Parameter::new(&format!("blocks.{l}.{part}"), shape));
            }
        }
        list.push(Parameter::new("ln_final.w", &[d]));
        list.push(Parameter::new("ln_final.b", &[d]));
        if !self.tied {
            list.push(Parameter::new("unembed.W_U", &[self.vocab, d]));
        }
        list
    }

    /// The tokens `[B, T]` and what comes after each, `[B T]`.
    pub fn batch(&self) -> (Vec<u32>, Vec<u32>) {
        let all = ids(1, self.batch * (self.seq + 1), self.vocab);
        let rows = || all.chunks_exact(self.seq + 1);
        (
            rows().flat_map(|r| &r[..self.seq]).copied().collect(),
            rows().flat_map(|r| &r[1..]).copied().collect(),
        )
    }
}

/// The model with one learned query (`nn::pooled`) and its task: the sum of the first 5 of 12
/// numbers modulo p, 2048 rows of it, `batch` of them a step.
#[derive(Clone, Copy)]
pub struct Pooled {
    pub p: usize,
    pub vocab: usize,
    pub d_model: usize,
    pub d_mlp: usize,
    pub batch: usize,
}

/// The authors' default.
pub const PLANE: Pooled = Pooled { p: 2, vocab: 3, d_model: 2, d_mlp: 32, batch: 32 };
/// A full-batch step of the curriculum's model.
pub const FULL: Pooled = Pooled { p: 4, vocab: 4, d_model: 32, d_mlp: 128, batch: 2048 };
/// The models of the work `seeds`.
pub const SEEDS: usize = 100;

impl Pooled {
    pub const ROWS: usize = 2048;
    pub const LEN: usize = 12;

    /// All parameters; products are `x W' + b` with `W [out, in]`, as PyTorch stores them.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (d, f) = (self.d_model, self.d_mlp);
        vec![
            Parameter::new("token_emb.weight", &[self.vocab, d]),
            Parameter::new("pos_emb.weight", &[Self::LEN, d]),
            Parameter::new("softmax.query.weight", &[1, d]),
            Parameter::new("softmax.value.weight", &[d, d]),
            Parameter::new("mlp.fc1.weight", &[f, d]),
            Parameter::new("mlp.fc1.bias", &[f]),
            Parameter::new("mlp.fc2.weight", &[d, f]),
            Parameter::new("mlp.fc2.bias", &[d]),
        ]
    }

    /// Steps of half a check.
    pub fn checked(&self) -> usize {
        CHECKED.max(Self::ROWS / self.batch)
    }

    /// The rows `[2048, 12]` and their sums modulo p.
    pub fn rows(&self) -> (Vec<u32>, Vec<u32>) {
        let rows = ids(1, Self::ROWS * Self::LEN, self.p);
        let sums = rows.chunks_exact(Self::LEN).map(|r| r[..5].iter().sum::<u32>() % self.p as u32);
        let sums = sums.collect();
        (rows, sums)
    }
}

/// Of the trainings, the mean loss of some steps and of as many after them is compared: this many
/// where all steps see one batch. Otherwise each half sees all rows once.
pub const CHECKED: usize = 5;
/// The rate of learning meanwhile; 0 in the steps that are timed, so that all of them are alike.
pub const RATE: f64 = 1e-3;
