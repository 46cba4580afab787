//! Activations of a transformer by the names of TransformerLens' hooks, in its shapes.
//!
//! With B sequences of T tokens and the sizes of [`transformer`](crate::nn::transformer), L a
//! layer:
//!
//! | name | shape |
//! | --- | --- |
//! | `hook_embed`, `hook_pos_embed`, `ln_final.hook_normalized` | `[B, T, D]` |
//! | `blocks.L.hook_resid_pre`, `.hook_resid_mid`, `.hook_resid_post` | `[B, T, D]` |
//! | `blocks.L.hook_attn_out`, `.hook_mlp_out` | `[B, T, D]` |
//! | `blocks.L.ln1.hook_normalized`, `.ln2.hook_normalized` | `[B, T, D]` |
//! | `blocks.L.attn.hook_q`, `.attn.hook_z` | `[B, T, H, K]` |
//! | `blocks.L.attn.hook_k`, `.attn.hook_v` | `[B, T, KV, K]` |
//! | `blocks.L.attn.hook_pattern` | `[B, H, T, T]` |
//! | `blocks.L.mlp.hook_pre`, `.mlp.hook_post`, of gated MLPs `.mlp.hook_pre_linear` | `[B, T, F]` |
//!
//! They are those of a `HookedTransformer` whose weights are as the model's file has them
//! (`from_pretrained_no_processing`). Queries and keys are those before norms and rotation; a
//! root-mean-square norm is hooked before its gain and a layer norm after it, as there. A model has
//! only the names of what it has: a parallel block has no `hook_resid_mid`.

use super::Progress;
use super::logits::BATCH_BYTES;
use crate::checkpoints::AnyModel;
use crate::error::{Error, Result};
use crate::memory;
use crate::named::suggest;
use crate::nn::stream::{Read, Reader, Stream, Sum, Writer, Written};
use crate::nn::transformer::{Config, Model, Transformer};
use crate::ops::{self, Norm};
use crate::simd::Element;
use crate::tape::{Program, Tape, Var};
use crate::tensor::Buffer;
use std::ops::Range;
use std::ptr;

/// Activations of sequences at one hook.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation<T: Element> {
    /// Their shape, the sequences first.
    pub shape: Vec<usize>,
    /// The elements in row-major order.
    pub values: Buffer<T>,
}

/// Where the elements of a hook are in a recording, and their shape without the sequences.
enum Place {
    Value(Var, Vec<usize>),
    /// The pattern of a layer.
    Pattern(usize, Vec<usize>),
}

/// The plain stream, and the places of the hooks that are `wanted` on it.
struct Hooked<'a> {
    config: &'a Config,
    sum: Sum,
    wanted: &'a dyn Fn(&str) -> bool,
    seq: usize,
    found: Vec<(String, Place)>,
}

impl<'a> Hooked<'a> {
    fn new(config: &'a Config, seq: usize, wanted: &'a dyn Fn(&str) -> bool) -> Self {
        Hooked { config, sum: Sum::default(), wanted, seq, found: vec![] }
    }

    /// Hooks the variable that `record` gives, `[B, T, ..]` with `dims` after the sequence.
    fn hook(&mut self, name: String, dims: &[usize], record: impl FnOnce() -> Var) {
        if (self.wanted)(&name) {
            let dims = [&[self.seq], dims].concat();
            self.found.push((name, Place::Value(record(), dims)));
        }
    }

    /// Hooks columns of `y`, `[B, T, N]`.
    fn columns<T: Element>(
        &mut self,
        tape: &mut Tape<T>,
        name: String,
        (y, range): (Var, Range<usize>),
        dims: &[usize],
    ) {
        let all = tape.shape(y).dims().last() == Some(&range.len());
        self.hook(name, dims, || if all { y } else { ops::columns(tape, y, range) });
    }

    /// Hooks what a part has read: its norm and, after `w`, `y`.
    fn hook_read<T: Element>(&mut self, tape: &mut Tape<T>, read: Read, normed: Var, y: Var) {
        let &Config { heads, kv_heads, d_head, d_mlp, d_model, gated, .. } = self.config;
        let place = match read.by {
            Reader::Attention(l) => format!("blocks.{l}.ln1"),
            Reader::Mlp(l) => format!("blocks.{l}.ln2"),
            Reader::Logits => "ln_final".into(),
        };
        if read.norm != Norm::None {
            let x = self.sum.so_far();
            self.hook(format!("{place}.hook_normalized"), &[d_model], || match read.norm {
                Norm::Rms(_) => read.norm.record(tape, x, None, None),
                _ => normed,
            });
        }
        match read.by {
            Reader::Attention(l) => {
                let (q, k) = (heads * d_head, kv_heads * d_head);
                for (letter, range, heads) in [
                    ('q', 0..q, heads),
                    ('k', q..q + k, kv_heads),
                    ('v', q + k..q + 2 * k, kv_heads),
                ] {
                    let name = format!("blocks.{l}.attn.hook_{letter}");
                    self.columns(tape, name, (y, range), &[heads, d_head]);
                }
            }
            Reader::Mlp(l) => {
                self.columns(tape, format!("blocks.{l}.mlp.hook_pre"), (y, 0..d_mlp), &[d_mlp]);
                if gated {
                    let name = format!("blocks.{l}.mlp.hook_pre_linear");
                    self.columns(tape, name, (y, d_mlp..2 * d_mlp), &[d_mlp]);
                }
            }
            Reader::Logits => {}
        }
    }
}

impl<T: Element> Stream<T> for Hooked<'_> {
    fn write(&mut self, tape: &mut Tape<T>, written: Written) {
        let added = self.sum.add(tape, written);
        let &Config { heads, d_head, d_mlp, d_model, .. } = self.config;
        let (layer, last) = match written.by {
            Writer::Embed => return self.hook("hook_embed".into(), &[d_model], || added),
            Writer::Pos => return self.hook("hook_pos_embed".into(), &[d_model], || added),
            Writer::Attention(l) => {
                let name = format!("blocks.{l}.attn.hook_z");
                self.hook(name, &[heads, d_head], || written.z);
                self.hook(format!("blocks.{l}.hook_attn_out"), &[d_model], || added);
                let name = format!("blocks.{l}.attn.hook_pattern");
                if (self.wanted)(&name) {
                    let dims = vec![heads, self.seq, self.seq];
                    self.found.push((name, Place::Pattern(l, dims)));
                }
                (l, d_mlp == 0)
            }
            Writer::Mlp(l) => {
                self.hook(format!("blocks.{l}.mlp.hook_post"), &[d_mlp], || written.z);
                self.hook(format!("blocks.{l}.hook_mlp_out"), &[d_model], || added);
                (l, true)
            }
        };
        if last {
            let x = self.sum.so_far();
            self.hook(format!("blocks.{layer}.hook_resid_post"), &[d_model], || x);
        }
    }

    fn read(&mut self, tape: &mut Tape<T>, read: Read) -> Var {
        let (x, d) = (self.sum.so_far(), self.config.d_model);
        match read.by {
            Reader::Attention(l) => {
                self.hook(format!("blocks.{l}.hook_resid_pre"), &[d], || x);
            }
            Reader::Mlp(l) if !self.config.parallel => {
                self.hook(format!("blocks.{l}.hook_resid_mid"), &[d], || x);
            }
            _ => {}
        }
        let (normed, y) = self.sum.reads(tape, &read);
        self.hook_read(tape, read, normed, y);
        y
    }
}

/// A recording of `batch` sequences of `seq` tokens with the hooks that are wanted.
fn record<T: Element>(
    config: &Config,
    (batch, seq): (usize, usize),
    wanted: &dyn Fn(&str) -> bool,
) -> (Transformer, Vec<(String, Place)>, Tape<T>) {
    let mut tape = Tape::new();
    let mut stream = Hooked::new(config, seq, wanted);
    let recorded = Transformer::record(&mut tape, config, batch, seq, &mut stream);
    let found = stream.found;
    let values: Option<Vec<Var>> = found
        .iter()
        .map(|(_, place)| match place {
            Place::Value(x, _) => Some(*x),
            Place::Pattern(..) => None,
        })
        .collect();
    // What runs forward only leaves no patterns.
    if let Some(values) = values {
        tape.keep_only(&values);
    }
    (recorded, found, tape)
}

/// The names of a model's hooks, in the order of its computation; none of a pooled model.
pub fn hooks<T: Element>(model: &AnyModel<T>) -> Vec<String> {
    match model {
        AnyModel::Pooled { .. } => vec![],
        AnyModel::Transformer(model) => {
            let (_, found, _) = record::<T>(&model.config, (1, 1), &|_| true);
            found.into_iter().map(|(name, _)| name).collect()
        }
    }
}

/// The activations of `rows`, sequences of one length and at least one, at the hooks `names`.
///
/// # Errors
/// If the model is pooled, it has no hook of one of the names, the sequences have several lengths,
/// or there is not enough memory.
pub fn activations<T: Element>(
    model: &AnyModel<T>,
    rows: &[Vec<u32>],
    names: &[String],
    progress: &mut Progress<'_>,
) -> Result<Vec<Activation<T>>> {
    let AnyModel::Transformer(transformer) = model else {
        let message = "a pooled model has none of the places that hooks are named by";
        return Err(Error::input("model", message, "give a transformer"));
    };
    let known = hooks(model);
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        let help = match suggest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "the hooks have names such as hook_embed and blocks.0.attn.hook_z".into(),
        };
        return Err(Error::input(name, "is no hook of this model", help));
    }
    let seq = rows[0].len();
    if let Some(i) = rows.iter().position(|row| row.len() != seq) {
        let message = format!("has {} tokens and the first has {seq}", rows[i].len());
        return Err(Error::input(format!("tokens[{i}]"), message, "give one length at a time"));
    }
    run(transformer, rows, names, progress)
}

/// [`activations`] of what fits together.
fn run<T: Element>(
    model: &Model<T>,
    rows: &[Vec<u32>],
    names: &[String],
    progress: &mut Progress<'_>,
) -> Result<Vec<Activation<T>>> {
    let seq = rows[0].len();
    let wanted = |name: &str| names.iter().any(|wanted| wanted == name);
    let bytes = |batch| record::<T>(&model.config, (batch, seq), &wanted).2.bytes();
    let (one, two) = (bytes(1), bytes(2));
    let batch = (BATCH_BYTES as u128 / (two - one).max(1)).clamp(1, rows.len() as u128) as usize;
    let (recorded, found, mut tape) = record(&model.config, (batch, seq), &wanted);
    let each: usize = found.iter().map(|(_, place)| place.dims().iter().product::<usize>()).sum();
    let weights: usize = model.weights.iter().map(|w| w.len() * size_of::<T>()).sum();
    let results = (rows.len() * each * size_of::<T>()) as u128;
    let beside = (tape.bytes() + results).saturating_sub(weights as u128);
    memory::check(&format!("{} x {seq} tokens", rows.len()), beside, || {
        "ask fewer hooks or fewer sequences at a time".into()
    })?;
    recorded.give_weights(&mut tape, &model.weights);
    let mut program = tape.finish();
    let place = |name: &String| {
        let (_, place) = found.iter().find(|(known, _)| known == name).expect("a known name");
        place
    };
    let places: Vec<&Place> = names.iter().map(place).collect();
    let mut values = vec![Buffer::default(); places.len()];
    for (i, part) in rows.chunks(batch).enumerate() {
        program.fill_ids(recorded.tokens, |ids| {
            for (ids, row) in ids.chunks_exact_mut(seq).zip(part) {
                ids.copy_from_slice(row);
            }
        });
        program.forward();
        if batch == rows.len() {
            values = taken(&places, &recorded, &mut program);
        } else {
            for (place, values) in places.iter().zip(&mut values) {
                let size = place.dims().iter().product::<usize>();
                if i == 0 {
                    *values = Buffer::zeros(size * rows.len());
                }
                let found = &place.read(&recorded, &program)[..size * part.len()];
                values[i * batch * size..][..found.len()].copy_from_slice(found);
            }
        }
        progress((i * batch + part.len()) as f64 / rows.len() as f64);
    }
    let shaped = |(place, values): (&&Place, Buffer<T>)| Activation {
        shape: [&[rows.len()], place.dims()].concat(),
        values,
    };
    Ok(places.iter().zip(values).map(shaped).collect())
}

/// The elements at `places` of a program that is not run again, in the memory that they were
/// computed in; copied are patterns, and what stands at several places but for the last.
fn taken<T: Element>(
    places: &[&Place],
    recorded: &Transformer,
    program: &mut Program<T>,
) -> Vec<Buffer<T>> {
    let mut values = vec![];
    for (i, place) in places.iter().enumerate() {
        let found = place.read(recorded, program);
        let again = |other: &&Place| ptr::eq(other.read(recorded, program), found);
        values.push(match place {
            Place::Value(x, _) if !places[i + 1..].iter().any(again) => program.take(*x),
            _ => Buffer::from(found),
        });
    }
    values
}

impl Place {
    /// The shape of one sequence.
    fn dims(&self) -> &[usize] {
        match self {
            Place::Value(_, dims) | Place::Pattern(_, dims) => dims,
        }
    }

    /// The elements in the last pass, the sequences one after the other.
    fn read<'a, T: Element>(&self, recorded: &Transformer, program: &'a Program<T>) -> &'a [T] {
        match self {
            Place::Value(x, _) => program.value(*x),
            Place::Pattern(layer, _) => {
                recorded.pattern(program, *layer).expect("a plain stream leaves out nothing")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patching::logits;

    fn small(gated: bool, parallel: bool) -> Config {
        Config {
            vocab: 11,
            vocab_out: 11,
            context: 7,
            layers: 2,
            d_model: 12,
            heads: 4,
            kv_heads: if gated { 2 } else { 4 },
            d_head: 4,
            d_mlp: 10,
            attn_scale: 2.0,
            gated,
            parallel,
            ..Config::gpt2_small()
        }
    }

    fn rows() -> Vec<Vec<u32>> {
        vec![vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10, 1, 2]]
    }

    fn at(model: &AnyModel<f64>, name: &str) -> Activation<f64> {
        activations(model, &rows(), &[name.to_string()], &mut |_| {}).unwrap().remove(0)
    }

    /// What is written adds up to what is read, in the order of the block, and the last norm gives
    /// the model's logits.
    #[test]
    fn hooks_are_the_model() {
        for (gated, parallel) in [(false, false), (true, false), (false, true)] {
            let config = small(gated, parallel);
            let transformer = Model::<f64>::random(&config, 3);
            let model = AnyModel::Transformer(transformer.clone());
            let sums: Vec<(&str, Vec<&str>)> = match parallel {
                false => vec![
                    ("hook_resid_mid", vec!["hook_resid_pre", "hook_attn_out"]),
                    ("hook_resid_post", vec!["hook_resid_mid", "hook_mlp_out"]),
                ],
                true => vec![(
                    "hook_resid_post",
                    vec!["hook_resid_pre", "hook_attn_out", "hook_mlp_out"],
                )],
            };
            for (sum, parts) in sums {
                let of = |name: &str| at(&model, &format!("blocks.1.{name}"));
                let mut want = of(parts[0]);
                for part in &parts[1..] {
                    let part = of(part).values;
                    want.values.iter_mut().zip(&*part).for_each(|(x, y)| *x += y);
                }
                assert_eq!(of(sum), want);
            }
            let last = at(&model, "ln_final.hook_normalized");
            let mut tape = Tape::new();
            let x = tape.leaf("last", [12, 12]);
            let y = transformer.record_logits(&mut tape, x);
            let mut program = tape.finish();
            program.set(x, &last.values);
            program.forward();
            let mut want = vec![];
            logits::of_transformer(&transformer, &rows(), |_, values| {
                want.extend_from_slice(values);
                Ok::<_, Error>(())
            })
            .unwrap();
            assert_eq!(program.value(y), want);
        }
    }

    /// Every hook has its shape; the mixed values are the pattern times the values of their heads.
    #[test]
    fn shapes_are_those_of_transformer_lens() {
        let model = AnyModel::Transformer(Model::<f64>::random(&small(true, false), 3));
        let names = hooks(&model);
        let all = activations(&model, &rows(), &names, &mut |_| {}).unwrap();
        assert_eq!(names.len(), 2 + 2 * 15 + 1);
        for (name, found) in names.iter().zip(&all) {
            let want: &[usize] = match name.rsplit("hook_").next().unwrap() {
                "q" | "z" => &[3, 4, 4, 4],
                "k" | "v" => &[3, 4, 2, 4],
                "pattern" => &[3, 4, 4, 4],
                "pre" | "post" | "pre_linear" => &[3, 4, 10],
                _ => &[3, 4, 12],
            };
            assert_eq!(found.shape, want, "{name}");
            assert_eq!(*found, at(&model, name), "{name}");
        }
        let of = |name: &str| at(&model, &format!("blocks.0.attn.hook_{name}")).values;
        let (pattern, v, z) = (of("pattern"), of("v"), of("z"));
        for (b, t, h, k) in (0..3 * 4 * 4 * 4).map(|i| (i / 64, i / 16 % 4, i / 4 % 4, i % 4)) {
            let weight = |s: usize| pattern[((b * 4 + h) * 4 + t) * 4 + s];
            let value = |s: usize| v[((b * 4 + s) * 2 + h / 2) * 4 + k];
            let want: f64 = (0..4).map(|s| weight(s) * value(s)).sum();
            // Four products of numbers near 1.
            assert!((z[((b * 4 + t) * 4 + h) * 4 + k] - want).abs() < 1e-14);
            assert!(weight(3) == 0.0 || t == 3);
        }
    }

    #[test]
    fn names_that_are_not_there_are_refused() {
        let model = AnyModel::Transformer(Model::<f64>::random(&small(false, true), 3));
        for (name, near) in [
            ("blocks.2.attn.hook_z", "blocks.1.attn.hook_z"),
            ("blocks.0.hook_resid_mid", "blocks.0.hook_resid_pre"),
        ] {
            let e = activations(&model, &rows(), &[name.into()], &mut |_| {}).unwrap_err();
            assert_eq!(e.to_string(), format!("{name}: is no hook of this model"));
            assert_eq!(e.help(), format!("did you mean `{near}`?"));
        }
        let uneven = [vec![1, 2], vec![3]];
        let e = activations(&model, &uneven, &["hook_embed".into()], &mut |_| {}).unwrap_err();
        assert_eq!(e.to_string(), "tokens[1]: has 1 tokens and the first has 2");
    }
}
