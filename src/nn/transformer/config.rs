//! The shape of a transformer and the list of its parameters.

use super::super::Activation;
use crate::error::{Error, Result};
use crate::gemm::panel_columns;
use crate::ops::{Eps, Norm, Rotary, Scaling};
use crate::tensor::Shape;

/// Bytes from which a matrix is better off in panels: a second-level cache.
pub(super) const LARGE: usize = 1 << 20;

/// How a token's position reaches the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Positions {
    /// An embedding for each position, added to the token's.
    Learned,
    /// Rotation of queries and keys by angles proportional to the position (RoPE).
    Rotary(Rotary),
    /// A slope for each head, times the position of a key, added to its score (ALiBi).
    Slopes(Slopes),
    /// None.
    None,
}

/// The slopes of ALiBi: head `h` of H has `2^(-8 (h + 1) / H)` if H is a power of 2; otherwise the
/// heads beyond the last power of 2 have every second slope of twice as many heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slopes {
    /// What all are multiplied by.
    pub factor: f64,
    /// Whether slope and product are rounded to 8 binary digits (bfloat16), as Falcon does.
    pub coarse: bool,
}

impl Slopes {
    /// `[len(chosen), T]`, what is added to the scores of the keys at `seq` positions in the
    /// `chosen` ones of `heads` heads.
    pub fn of_keys(self, heads: usize, chosen: &[usize], seq: usize) -> Vec<f64> {
        let whole = 1 << heads.max(1).ilog2();
        let slope = |h: usize| {
            let exponent = match h < whole {
                true => (h + 1) as f64 * 8.0 / whole as f64,
                false => (2 * (h - whole) + 1) as f64 * 4.0 / whole as f64,
            };
            libm::exp2(-exponent)
        };
        let round = |x: f64| if self.coarse { to_bfloat(x) } else { x };
        let of_head = |&h: &usize| {
            let slope = round(slope(h));
            (0..seq).map(move |key| self.factor * round(slope * key as f64))
        };
        chosen.iter().flat_map(of_head).collect()
    }
}

/// The nearest number of 8 binary digits, the even one of two.
fn to_bfloat(x: f64) -> f64 {
    let bits = (x as f32).to_bits();
    let rounded = bits + 0x7fff + (bits >> 16 & 1);
    f64::from(f32::from_bits(rounded & 0xffff_0000))
}

/// Where norms stand around attention and MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormPlace {
    /// A part reads the norm of the stream.
    #[default]
    Before,
    /// A part adds the norm of its output to the stream.
    After,
    /// Both.
    Around,
}

/// What a norm of queries or keys takes the mean over, and what its gains are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormSpan {
    /// Each head by itself, all with the same gain `[K]`.
    Head,
    /// Each head by itself, with a gain of its own: `[H K]` in all.
    EachHead,
    /// All heads at once: `[H K]`.
    AllHeads,
}

/// The norms of queries and of keys, before they are rotated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadNorms {
    /// The norm. It has a gain.
    pub norm: Norm,
    /// What is normed.
    pub span: NormSpan,
    /// Whether it has a bias, too.
    pub bias: bool,
}

/// What sets the attention of a layer apart from that of other layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerKind {
    /// How many positions a query sees, its own included; `None` for all before it.
    pub window: Option<usize>,
    /// How it rotates.
    pub turn: Turn,
}

/// The rotation of a layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Turn {
    /// That of the model's [positions](Config::positions).
    #[default]
    Usual,
    /// Another.
    Other(Rotary),
    /// None.
    None,
}

/// The shape of a model: what its computation needs. Readers map the dialects of model files to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Tokens (V).
    pub vocab: usize,
    /// Width of the output at each position: V in a language model.
    pub vocab_out: usize,
    /// The longest sequence.
    pub context: usize,
    /// Layers (L).
    pub layers: usize,
    /// Width of the residual stream (D).
    pub d_model: usize,
    /// Query heads (H).
    pub heads: usize,
    /// Key-value heads (KV); each serves `heads / kv_heads` neighbouring query heads.
    pub kv_heads: usize,
    /// Width of a head (K).
    pub d_head: usize,
    /// Neurons of an MLP (F), 0 for a model of attention alone.
    pub d_mlp: usize,
    /// The activation function of the MLPs.
    pub activation: Activation,
    /// Whether a neuron's activation is multiplied by a second projection (SwiGLU and its kin).
    pub gated: bool,
    /// Whether a position attends only to itself and the positions before it.
    pub causal: bool,
    /// What attention scores are divided by.
    pub attn_scale: f64,
    /// The bound `c` of attention scores, which become `c tanh(score / c)`.
    pub score_cap: Option<f64>,
    /// The bound of logits, likewise.
    pub logit_cap: Option<f64>,
    /// The position encoding.
    pub positions: Positions,
    /// The kinds of layers, in turn: layer `l` is of kind `l` modulo their number. Without any, all
    /// layers see everything and rotate alike.
    pub kinds: Vec<LayerKind>,
    /// What token embeddings are multiplied by on their way into the stream.
    pub embed_scale: f64,
    /// Whether a norm follows the token embedding.
    pub embed_norm: bool,
    /// The norm of each part and of the unembedding.
    pub norm: Norm,
    /// Whether norms have a gain (and, for layer norms, a bias).
    pub norm_affine: bool,
    /// Where the norms of parts stand.
    pub norm_place: NormPlace,
    /// Whether the MLP reads the stream through attention's norm, with the same gain, in a block
    /// whose parts are parallel.
    pub one_norm: bool,
    /// The bound of the elements of queries, keys and values, beyond which they are clipped.
    pub qkv_clip: Option<f64>,
    /// The norms of queries and keys.
    pub head_norms: Option<HeadNorms>,
    /// Whether attention and MLP of a layer read the same stream instead of one after the other.
    pub parallel: bool,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the output of attention has a bias.
    pub out_bias: bool,
    /// Whether the MLP has biases.
    pub mlp_bias: bool,
    /// Whether the unembedding is the token embedding.
    pub tied: bool,
    /// Whether the logits have a bias.
    pub unembed_bias: bool,
}

/// A parameter of a transformer: its name and its shape.
///
/// Names are those of TransformerLens. Where several of its tensors are factors of one product they
/// are stored as one: `attn.W_QKV [D, (H + 2 KV) K]` holds the queries of all heads, then their
/// keys, then their values, head after head; `mlp.W_in [D, 2 F]` of a gated MLP holds the gates,
/// then the values. `attn.W_O` is `[H K, D]`, and `unembed.W_U` is transposed: `[V, D]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name, such as `blocks.0.attn.W_QKV`.
    pub name: String,
    /// The shape.
    pub shape: Shape,
}

/// A `rows` x `cols` parameter that is stored in panels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InPanels {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Whether it is a table, of which rows are looked up and whose transpose multiplies: that is
    /// in panels, if its elements take fewer bytes there.
    pub(crate) table: bool,
}

/// The largest of all sizes but layers that a [`Config`] may have: larger than any model's, and
/// small enough that products of two do not overflow.
const NUMBERS: usize = 1 << 31;

impl Config {
    /// More layers than any model has. Who keeps something for each layer asks before.
    pub(crate) const MOST_LAYERS: usize = 10_000;

    /// Checks that a model can have this shape.
    ///
    /// # Errors
    /// The first field that it cannot have, as the place: a size of 0 or beyond the limits, heads
    /// that do not divide, a rotation that does not fit into a head.
    pub fn check(&self) -> Result<()> {
        for (name, size, least, most) in [
            ("vocab", self.vocab, 1, NUMBERS),
            ("vocab_out", self.vocab_out, 1, NUMBERS),
            ("context", self.context, 1, NUMBERS),
            ("layers", self.layers, 0, Config::MOST_LAYERS),
            ("d_model", self.d_model, 1, NUMBERS),
            ("heads", self.heads, 1, NUMBERS),
            ("kv_heads", self.kv_heads, 1, self.heads),
            ("d_head", self.d_head, 1, NUMBERS),
            ("d_mlp", self.d_mlp, 0, NUMBERS / 2),
        ] {
            if size < least || size > most {
                let message = format!("must be from {least} to {most}, got {size}");
                return Err(Error::input(name, message, "check the sizes of the model"));
            }
        }
        let width = (self.heads + 2 * self.kv_heads).checked_mul(self.d_head);
        if width.is_none_or(|n| n > NUMBERS) {
            let message = format!("{} heads of {} are too many", self.heads, self.d_head);
            return Err(Error::input("heads", message, "check the sizes of the model"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let message = format!("{} does not divide {} heads", self.kv_heads, self.heads);
            return Err(Error::input("kv_heads", message, "each serves equally many heads"));
        }
        for rotary in self.rotations() {
            check_rotary(rotary, self.d_head)?;
        }
        if !(self.attn_scale.is_finite() && self.attn_scale != 0.0) {
            let message = format!("must be a number other than 0, got {}", self.attn_scale);
            return Err(Error::input("attn_scale", message, "the root of d_head is usual"));
        }
        for norm in [Some(self.norm), self.head_norms.map(|h| h.norm)].into_iter().flatten() {
            if let Norm::Layer(eps)
            | Norm::Rms(Eps::Inside(eps) | Eps::InsideSingle(eps) | Eps::Outside(eps)) = norm
                && !(eps.is_finite() && eps >= 0.0)
            {
                let message = format!("must be at least 0, got {eps}");
                return Err(Error::input("eps", message, "1e-5 is usual"));
            }
        }
        self.check_bounds()?;
        if self.tied && self.vocab != self.vocab_out {
            let message = format!(
                "is {}, but the unembedding is tied to {} tokens' embeddings",
                self.vocab_out, self.vocab
            );
            return Err(Error::input("vocab_out", message, "make them equal"));
        }
        Ok(())
    }

    /// Checks what limits values and where norms stand.
    fn check_bounds(&self) -> Result<()> {
        let caps = [("score_cap", self.score_cap), ("logit_cap", self.logit_cap)];
        for (name, bound) in caps.into_iter().chain([("qkv_clip", self.qkv_clip)]) {
            if let Some(bound) = bound.filter(|b| !(b.is_finite() && *b > 0.0)) {
                let message = format!("must be a number above 0, got {bound}");
                return Err(Error::input(name, message, "leave it out to limit nothing"));
            }
        }
        if !(self.embed_scale.is_finite() && self.embed_scale != 0.0) {
            let message = format!("must be a number other than 0, got {}", self.embed_scale);
            return Err(Error::input("embed_scale", message, "1 is usual"));
        }
        if let Some(window) = self.kinds.iter().find_map(|kind| kind.window)
            && (window == 0 || !self.causal)
        {
            let message = format!("a window of {window} positions in this model");
            let help = "attention with a window is causal and sees at least one position";
            return Err(Error::input("window", message, help));
        }
        let inside = matches!(self.norm, Norm::Rms(Eps::Inside(_) | Eps::InsideSingle(_)));
        if self.norm_place != NormPlace::Before && !(inside && self.norm_affine) {
            let help = "only a root-mean-square norm with a gain is known after a part";
            return Err(Error::input("norm_place", "the norm cannot stand there", help));
        }
        if self.norm_place != NormPlace::Before && self.mlp_bias {
            let help = "a norm after the MLP leaves no share to its biases";
            return Err(Error::input("mlp_bias", "the MLP is normed and has biases", help));
        }
        if self.one_norm && !self.parallel {
            let help = "only parallel parts read through one norm";
            return Err(Error::input("one_norm", "the parts are not parallel", help));
        }
        Ok(())
    }

    /// All rotations of the model.
    fn rotations(&self) -> impl Iterator<Item = &Rotary> {
        let own = self.kinds.iter().filter_map(|kind| match &kind.turn {
            Turn::Other(rotary) => Some(rotary),
            Turn::Usual | Turn::None => None,
        });
        let usual = match &self.positions {
            Positions::Rotary(rotary) => Some(rotary),
            _ => None,
        };
        usual.into_iter().chain(own)
    }

    fn kind(&self, layer: usize) -> Option<&LayerKind> {
        self.kinds.get(layer % self.kinds.len().max(1))
    }

    /// How many positions a query of a layer sees, its own included; `None` for all before it.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.kind(layer)?.window
    }

    /// The rotation of a layer's queries and keys.
    pub fn rotary(&self, layer: usize) -> Option<&Rotary> {
        match (self.kind(layer).map(|kind| &kind.turn), &self.positions) {
            (Some(Turn::None), _) => None,
            (Some(Turn::Other(rotary)), _) => Some(rotary),
            (None | Some(Turn::Usual), Positions::Rotary(rotary)) => Some(rotary),
            (None | Some(Turn::Usual), _) => None,
        }
    }

    /// Whether a part reads the norm of the stream.
    pub fn norm_before(&self) -> bool {
        self.norm_place != NormPlace::After
    }

    /// Whether a part adds the norm of its output to the stream.
    pub fn norm_after(&self) -> bool {
        self.norm_place != NormPlace::Before
    }

    /// Whether what a head writes depends on what the other heads of its layer read.
    pub fn heads_interact(&self) -> bool {
        self.norm_after() || self.head_norms.is_some_and(|h| h.span == NormSpan::AllHeads)
    }

    /// The same model with the roundings of Hugging Face's transformers, which computes
    /// root-mean-square norms and the cosines and sines of rotations in single precision even in a
    /// model of doubles. The logits in doubles are then those of transformers to the last bit;
    /// without rounding they differ by some 1e-7. Readers never round, so that attribution and
    /// derivatives are those of doubles.
    pub fn rounded(&self) -> Config {
        let single = |norm| match norm {
            Norm::Rms(Eps::Inside(eps)) => Norm::Rms(Eps::InsideSingle(eps)),
            other => other,
        };
        let mut rounded = self.clone();
        rounded.norm = single(self.norm);
        if let Some(heads) = &mut rounded.head_norms {
            heads.norm = single(heads.norm);
        }
        if let Positions::Rotary(rotary) = &mut rounded.positions {
            rotary.single = true;
        }
        for kind in &mut rounded.kinds {
            if let Turn::Other(rotary) = &mut kind.turn {
                rotary.single = true;
            }
        }
        rounded
    }

    /// Width of the queries, keys and values of a position: `(H + 2 KV) K`.
    pub fn d_qkv(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.d_head
    }

    /// Width of the MLP's input projection: F, or 2 F if it is gated.
    pub fn d_mlp_in(&self) -> usize {
        self.d_mlp * (1 + self.gated as usize)
    }

    /// How a parameter that is large enough for it is stored in panels.
    pub(crate) fn large_panels<T>(&self, parameter: &Parameter) -> Option<InPanels> {
        self.panels::<T>(parameter, LARGE)
    }

    /// How a parameter of at least so many bytes is stored in panels: tables of embeddings, and the
    /// weights of layers if products alone read them, by columns that fill panels. A norm after
    /// attention divides what heads write first.
    pub(crate) fn panels<T>(&self, parameter: &Parameter, bytes: usize) -> Option<InPanels> {
        let &[rows, cols] = parameter.shape.dims() else { return None };
        let name = &parameter.name;
        if rows * cols * size_of::<T>() < bytes {
            return None;
        }
        if ["embed.W_E", "unembed.W_U"].contains(&name.as_str()) {
            return Some(InPanels { rows, cols, table: true });
        }
        let width = panel_columns::<T>();
        let whole = match name.split_once("attn.") {
            Some(_) => self.d_head.is_multiple_of(width),
            None => self.d_mlp.is_multiple_of(width) && self.d_model.is_multiple_of(width),
        };
        let divided = self.norm_after() && name.ends_with("attn.W_O");
        let layer = ["attn.W_QKV", "attn.W_O", "mlp.W_in", "mlp.W_out"];
        let taken = whole && !divided && layer.iter().any(|part| name.ends_with(part));
        taken.then_some(InPanels { rows, cols, table: false })
    }

    /// All parameters, in the order of the computation.
    pub fn parameters(&self) -> Vec<Parameter> {
        let d = self.d_model;
        let mut list = vec![];
        let mut add = |name: String, dims: &[usize], there: bool| {
            if there {
                list.push(Parameter { name, shape: dims.into() });
            }
        };
        let (gain, norm_bias) = (
            self.norm_affine && self.norm != Norm::None,
            self.norm_affine && matches!(self.norm, Norm::Layer(_)),
        );
        add("embed.W_E".into(), &[self.vocab, d], true);
        let learned = self.positions == Positions::Learned;
        add("embed.ln.w".into(), &[d], gain && self.embed_norm);
        add("embed.ln.b".into(), &[d], norm_bias && self.embed_norm);
        add("pos_embed.W_pos".into(), &[self.context, d], learned);
        let (before, after) = (self.norm_before(), self.norm_after());
        let own = before && !self.one_norm;
        let span = |heads: usize| match self.head_norms {
            Some(HeadNorms { span: NormSpan::Head, .. }) => self.d_head,
            _ => heads * self.d_head,
        };
        let (head_gain, head_bias) =
            (self.head_norms.is_some(), self.head_norms.is_some_and(|h| h.bias));
        for l in 0..self.layers {
            let name = |part: &str| format!("blocks.{l}.{part}");
            add(name("ln1.w"), &[d], gain && before);
            add(name("ln1.b"), &[d], norm_bias && before);
            add(name("attn.W_QKV"), &[d, self.d_qkv()], true);
            add(name("attn.b_QKV"), &[self.d_qkv()], self.qkv_bias);
            add(name("attn.q_norm.w"), &[span(self.heads)], head_gain);
            add(name("attn.q_norm.b"), &[span(self.heads)], head_bias);
            add(name("attn.k_norm.w"), &[span(self.kv_heads)], head_gain);
            add(name("attn.k_norm.b"), &[span(self.kv_heads)], head_bias);
            add(name("attn.W_O"), &[self.heads * self.d_head, d], true);
            add(name("attn.b_O"), &[d], self.out_bias);
            add(name("ln1_post.w"), &[d], after);
            if self.d_mlp > 0 {
                add(name("ln2.w"), &[d], gain && own);
                add(name("ln2.b"), &[d], norm_bias && own);
                add(name("mlp.W_in"), &[d, self.d_mlp_in()], true);
                add(name("mlp.b_in"), &[self.d_mlp_in()], self.mlp_bias);
                add(name("mlp.W_out"), &[self.d_mlp, d], true);
                add(name("mlp.b_out"), &[d], self.mlp_bias);
                add(name("ln2_post.w"), &[d], after);
            }
        }
        add("ln_final.w".into(), &[d], gain);
        add("ln_final.b".into(), &[d], norm_bias);
        add("unembed.W_U".into(), &[self.vocab_out, d], !self.tied);
        add("unembed.b_U".into(), &[self.vocab_out], self.unembed_bias);
        list
    }

    /// The shapes of GPT-2 small, for benches and examples: 12 layers of 12 heads, 50,257 tokens.
    pub fn gpt2_small() -> Config {
        Config {
            vocab: 50257,
            vocab_out: 50257,
            context: 1024,
            layers: 12,
            d_model: 768,
            heads: 12,
            kv_heads: 12,
            d_head: 64,
            d_mlp: 3072,
            activation: Activation::GeluTanh,
            gated: false,
            causal: true,
            attn_scale: 8.0,
            score_cap: None,
            logit_cap: None,
            positions: Positions::Learned,
            kinds: vec![],
            embed_scale: 1.0,
            embed_norm: false,
            norm: Norm::Layer(1e-5),
            norm_affine: true,
            norm_place: NormPlace::Before,
            one_norm: false,
            qkv_clip: None,
            head_norms: None,
            parallel: false,
            qkv_bias: true,
            out_bias: true,
            mlp_bias: true,
            tied: true,
            unembed_bias: false,
        }
    }

    /// The norm of [`Eps::Inside`] that most models with root-mean-square norms have.
    pub fn rms(eps: f64) -> Norm {
        Norm::Rms(Eps::Inside(eps))
    }
}

/// Checks that a rotation fits into a head of width `d_head`.
fn check_rotary(rotary: &Rotary, d_head: usize) -> Result<()> {
    let &Rotary { dims, base, ref scaling, amplitude, .. } = rotary;
    if dims == 0 || !dims.is_multiple_of(2) || dims > d_head {
        let message = format!("{dims} of a head's {d_head} elements are rotated");
        let help = "an even number of them can be, at most the whole head";
        return Err(Error::input("rotary dims", message, help));
    }
    if !(base.is_finite() && base > 0.0) {
        let message = format!("must be above 0, got {base}");
        return Err(Error::input("rotary base", message, "10000 is usual"));
    }
    let positive = |numbers: &[f64]| numbers.iter().all(|x| x.is_finite() && *x > 0.0);
    let good = match *scaling {
        Scaling::None => true,
        Scaling::Linear(factor) => positive(&[factor]),
        Scaling::Dynamic { factor, original } => positive(&[factor, original as f64]),
        Scaling::Llama3 { factor, low, high, original } => {
            positive(&[factor, low, high, original as f64]) && high > low
        }
        // The ramp divides by the logarithm of the base.
        Scaling::Yarn { factor, fast, slow, original, .. } => {
            positive(&[factor, fast, slow, original as f64, base.ln()]) && fast >= slow
        }
        Scaling::Factors { ref short, ref long, original: _ } => {
            positive(short) && positive(long) && [short, long].iter().all(|f| f.len() == dims / 2)
        }
    };
    if !(good && positive(&[amplitude])) {
        let message =
            format!("{scaling:?} with amplitude {amplitude} does not scale {dims} elements");
        let help = "factors are above 0, and lists have one for each pair";
        return Err(Error::input("rotary scaling", message, help));
    }
    Ok(())
}
