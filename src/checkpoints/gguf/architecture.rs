//! The architectures of GGUF files, and Hugging Face's names of their tensors.

use super::config::{self, Own, Sizes};
use super::layout::Layout;
use crate::error::Result;
use crate::files::gguf::Header;
use crate::named::suggest;

/// Names in a file and Hugging Face's.
type Names = &'static [(&'static str, &'static str)];

/// An architecture that llama.cpp knows.
#[derive(Debug)]
pub(super) struct Architecture {
    /// Its name in files.
    pub(super) name: &'static str,
    /// Hugging Face's `model_type`.
    pub(super) model_type: &'static str,
    /// Before the names of its layers.
    layers: &'static str,
    /// The names outside of layers, without `.weight` and `.bias`.
    outer: Names,
    /// The names in a layer.
    inner: Names,
    /// Where one of them is not as usual.
    differs: Names,
    /// How its tensors are stored.
    stored: Stored,
    /// The base of its rotations where the file does not say it.
    pub(super) base: f64,
    /// What it has beyond the fields of all.
    pub(super) own: Own,
}

/// How an architecture's tensors differ from Hugging Face's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    /// Not at all.
    Same,
    /// Rows of queries and keys that rotate together are neighbours.
    Neighbours,
    /// Matrices are `[out, in]`, Hugging Face's are not.
    Transposed,
    /// Gains of norms have their 1 added.
    PlusOne,
    /// Queries, keys and values lie side by side, not by head.
    Side,
}

const OUTER: Names =
    &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

const INNER: Names = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("attn_qkv", "self_attn.qkv_proj"),
];

/// Norms before each part and after it.
const AROUND: Names = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// What most of them are like.
const LLAMA: Architecture = Architecture {
    name: "llama",
    model_type: "llama",
    layers: "model.layers.",
    outer: OUTER,
    inner: INNER,
    differs: &[],
    stored: Stored::Neighbours,
    base: 1e4,
    own: config::nothing,
};

const BLOOM: Architecture = Architecture {
    name: "bloom",
    model_type: "bloom",
    layers: "transformer.h.",
    outer: &[
        ("token_embd", "transformer.word_embeddings"),
        ("token_embd_norm", "transformer.word_embeddings_layernorm"),
        ("output_norm", "transformer.ln_f"),
        ("output", "lm_head"),
    ],
    inner: &[
        ("attn_norm", "input_layernorm"),
        ("attn_qkv", "self_attention.query_key_value"),
        ("attn_output", "self_attention.dense"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_up", "mlp.dense_h_to_4h"),
        ("ffn_down", "mlp.dense_4h_to_h"),
    ],
    stored: Stored::Side,
    ..LLAMA
};

const GPT2: Architecture = Architecture {
    name: "gpt2",
    model_type: "gpt2",
    layers: "transformer.h.",
    outer: &[
        ("token_embd", "transformer.wte"),
        ("position_embd", "transformer.wpe"),
        ("output_norm", "transformer.ln_f"),
        ("output", "lm_head"),
    ],
    inner: &[
        ("attn_norm", "ln_1"),
        ("attn_qkv", "attn.c_attn"),
        ("attn_output", "attn.c_proj"),
        ("ffn_norm", "ln_2"),
        ("ffn_up", "mlp.c_fc"),
        ("ffn_down", "mlp.c_proj"),
    ],
    stored: Stored::Transposed,
    ..LLAMA
};

const ALL: [Architecture; 16] = [
    LLAMA,
    GPT2,
    BLOOM,
    Architecture { name: "qwen2", model_type: "qwen2", stored: Stored::Same, ..LLAMA },
    Architecture { name: "qwen3", model_type: "qwen3", stored: Stored::Same, ..LLAMA },
    Architecture { name: "gemma", model_type: "gemma", stored: Stored::PlusOne, ..LLAMA },
    Architecture {
        name: "gemma2",
        model_type: "gemma2",
        differs: AROUND,
        stored: Stored::PlusOne,
        own: config::gemma2,
        ..LLAMA
    },
    Architecture {
        name: "gemma3",
        model_type: "gemma3_text",
        differs: AROUND,
        stored: Stored::PlusOne,
        base: 1e6,
        own: config::gemma3,
        ..LLAMA
    },
    Architecture { name: "smollm3", model_type: "smollm3", ..LLAMA },
    Architecture { name: "olmo", model_type: "olmo", ..LLAMA },
    Architecture {
        name: "olmo2",
        model_type: "olmo2",
        differs: AROUND,
        stored: Stored::Same,
        own: config::olmo2,
        ..LLAMA
    },
    Architecture {
        name: "phi3",
        model_type: "phi3",
        differs: &[("ffn_up", "mlp.gate_up_proj")],
        stored: Stored::Same,
        own: config::phi3,
        ..LLAMA
    },
    Architecture {
        name: "phi2",
        model_type: "phi",
        outer: &[
            ("token_embd", "model.embed_tokens"),
            ("output_norm", "model.final_layernorm"),
            ("output", "lm_head"),
        ],
        differs: &[
            ("attn_output", "self_attn.dense"),
            ("ffn_up", "mlp.fc1"),
            ("ffn_down", "mlp.fc2"),
        ],
        stored: Stored::Same,
        ..LLAMA
    },
    Architecture {
        name: "stablelm",
        model_type: "stablelm",
        stored: Stored::Same,
        own: config::stablelm,
        ..LLAMA
    },
    Architecture {
        name: "gptneox",
        model_type: "gpt_neox",
        layers: "gpt_neox.layers.",
        outer: &[
            ("token_embd", "gpt_neox.embed_in"),
            ("output_norm", "gpt_neox.final_layer_norm"),
            ("output", "embed_out"),
        ],
        differs: &[("attn_qkv", "attention.query_key_value"), ("attn_output", "attention.dense")],
        own: config::gpt_neox,
        ..BLOOM
    },
    Architecture { name: "falcon", model_type: "falcon", own: config::falcon, ..BLOOM },
];

impl Architecture {
    /// The architecture of a file.
    pub(super) fn of(header: &Header) -> Result<&'static Architecture> {
        const KEY: &str = "general.architecture";
        let Some(name) = header.text(KEY)? else {
            return Err(header.error(KEY, "is missing", "convert the model to GGUF again"));
        };
        ALL.iter().find(|known| known.name == name).ok_or_else(|| {
            let known = ALL.map(|known| known.name);
            let help = match suggest(name, known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known are {}", known.join(", ")),
            };
            header.error(KEY, format!("unknown \"{name}\""), help)
        })
    }

    /// Hugging Face's name of the tensor `name`, and how it is stored; a tensor that is not known
    /// keeps its name, and is refused with all that the model does not have.
    pub(super) fn tensor(&self, name: &str, sizes: &Sizes) -> (String, Layout) {
        let Some((stem, kind)) = name.rsplit_once('.') else {
            return (name.into(), Layout::Same);
        };
        let theirs = |names: Names, stem: &str| {
            names.iter().find(|(ours, _)| *ours == stem).map(|(_, theirs)| *theirs)
        };
        let layer = stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        let (part, full) = match layer {
            None => (stem, theirs(self.outer, stem).map(|theirs| format!("{theirs}.{kind}"))),
            Some((layer, part)) => {
                let theirs = theirs(self.differs, part).or_else(|| theirs(self.inner, part));
                let theirs = self.by_norms(part, sizes).or(theirs);
                (part, theirs.map(|theirs| format!("{}{layer}.{theirs}.{kind}", self.layers)))
            }
        };
        match full {
            Some(full) => (full, self.layout(part, kind, sizes)),
            None => (name.into(), Layout::Same),
        }
    }

    /// Falcon's norms are called by how many there are.
    fn by_norms(&self, part: &str, sizes: &Sizes) -> Option<&'static str> {
        match part {
            "attn_norm" if self.name == "falcon" && sizes.two_norms => Some("ln_mlp"),
            "attn_norm_2" if self.name == "falcon" => Some("ln_attn"),
            _ => None,
        }
    }

    fn layout(&self, part: &str, kind: &str, sizes: &Sizes) -> Layout {
        let &Sizes { heads, kv_heads, .. } = sizes;
        match (self.stored, part) {
            (Stored::Neighbours, "attn_q") => Layout::Neighbours { heads },
            (Stored::Neighbours, "attn_k") => Layout::Neighbours { heads: kv_heads },
            (Stored::PlusOne, _) if part.ends_with("_norm") => Layout::PlusOne,
            (Stored::Transposed, "attn_qkv" | "attn_output" | "ffn_up" | "ffn_down")
                if kind == "weight" =>
            {
                Layout::Transposed
            }
            (Stored::Side, "attn_qkv") => Layout::Side { heads, kv_heads },
            _ => Layout::Same,
        }
    }
}
