//! Folders of adapters: `adapters.json` lists them and their base model, `adapters.safetensors`
//! holds their weights.
//!
//! ```text
//! {"format": 1, "base": "9f86d0..", "alpha": 16.0, "gated": false,
//!  "adapters": [{"name": "blocks.0.attn.W_QKV", "rank": 8}, ..]}
//! ```
//!
//! The tensors are `NAME.A [N_in, r]`, `NAME.B [r, N_out]` and, with gates, `NAME.lambda [r]`.

use super::{Adapter, Adapters, Kind, Site, check_alpha, check_distinct, check_rank};
use crate::error::{Error, Result};
use crate::files::safetensors;
use crate::files::safetensors::{Tensor, Tensors};
use crate::files::{atomic, input};
use crate::simd::Element;
use crate::tensor::Buffer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

const TEXT: &str = "adapters.json";
const NUMBERS: &str = "adapters.safetensors";

/// The version of the layout that is written and read.
const FORMAT: u32 = 1;

/// Adapters and the model they were trained on.
#[derive(Clone, Debug)]
pub struct Saved<T: Element> {
    /// The [hash](crate::checkpoints::hash) of the base model's folder.
    pub base: String,
    /// The adapters.
    pub adapters: Adapters<T>,
}

/// The content of `adapters.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: u32,
    base: String,
    alpha: f64,
    gated: bool,
    adapters: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    rank: usize,
}

impl<T: Element> Saved<T> {
    /// Creates the folder `path`, completely or not at all.
    ///
    /// # Errors
    /// If it already exists, it cannot be written, or an element is not finite.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let (text, tensors) = (self.text(), self.tensors(path.as_ref())?);
        atomic::write_folder(path, |folder| {
            atomic::write_bytes(folder.join(TEXT), &text)?;
            safetensors::write(folder.join(NUMBERS), &tensors, &Default::default())
        })
    }

    /// Reads a folder of adapters; `f64` values are rounded if T is `f32`, everything else is read
    /// bit by bit.
    ///
    /// [`Adapters::check`] checks whether they fit a model, [`check_base`](Self::check_base)
    /// whether it is the one they were trained on.
    ///
    /// # Errors
    /// If a file is missing or damaged; the place is the file, and the key or tensor in it.
    pub fn read(folder: impl AsRef<Path>) -> Result<Saved<T>> {
        let folder = folder.as_ref();
        let (text, numbers) = (folder.join(TEXT), folder.join(NUMBERS));
        let bytes = input::regular(&text, input::DATA)?;
        interpret(text.display(), &bytes, &Tensors::read(numbers)?)
    }

    /// Reads adapters from the bytes of their two files, `adapters.json` and
    /// `adapters.safetensors`. No input makes it panic or take more than a few times its own size
    /// in memory.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_bytes(text: &[u8], numbers: Vec<u8>) -> Result<Saved<T>> {
        interpret(TEXT, text, &Tensors::from_bytes(NUMBERS, numbers)?)
    }

    /// Checks that they were trained on the model with this [hash](crate::checkpoints::hash).
    ///
    /// # Errors
    /// If they were trained on another; `place` names the folder of the adapters.
    pub fn check_base(&self, place: impl Display, hash: &str) -> Result<()> {
        if self.base == hash {
            return Ok(());
        }
        let message = format!("base: was trained on the model {}, this one is {hash}", self.base);
        let help = "use the adapters with the model that they were trained on";
        Err(Error::input(format_args!("{place}: {TEXT}"), message, help))
    }

    fn text(&self) -> Vec<u8> {
        let entry = |x: &Adapter<T>| Entry { name: x.site.to_string(), rank: x.rank };
        let text = Text {
            format: FORMAT,
            base: self.base.clone(),
            alpha: self.adapters.alpha(),
            gated: self.adapters.kind() == Kind::Gated,
            adapters: self.adapters.list().iter().map(entry).collect(),
        };
        let mut text = serde_json::to_string_pretty(&text).expect("names and numbers");
        text.push('\n');
        text.into_bytes()
    }

    /// The tensors to write; `folder` names the place in errors.
    fn tensors(&self, folder: &Path) -> Result<Vec<Tensor>> {
        let mut tensors = vec![];
        for adapter in self.adapters.list() {
            let ([n_in, n_out], rank) = (adapter.shape(), adapter.rank);
            let gates = adapter.gates.as_ref().map(|gates| ("lambda", vec![rank], gates));
            let a = ("A", vec![n_in, rank], &adapter.a);
            let b = ("B", vec![rank, n_out], &adapter.b);
            for (part, shape, numbers) in [Some(a), gates, Some(b)].into_iter().flatten() {
                let name = format!("{}.{part}", adapter.site);
                if numbers.iter().any(|x| !x.to_f64().is_finite()) {
                    let place = format!("{}: tensor `{name}`", folder.join(NUMBERS).display());
                    let help = "training may have diverged; try a smaller learning rate";
                    return Err(Error::failed(place, "holds numbers that are not finite", help));
                }
                tensors.push(Tensor::new(name, &shape, numbers));
            }
        }
        Ok(tensors)
    }
}

/// The adapters that `text` (called `place`) and `tensors` describe.
fn interpret<T: Element>(place: impl Display, text: &[u8], tensors: &Tensors) -> Result<Saved<T>> {
    let text: Text = serde_json::from_slice(text).map_err(|e| {
        let help = "is it the adapters.json of a folder of adapters? copy or save it again";
        Error::input(&place, format!("is malformed: {e}"), help)
    })?;
    if text.format != FORMAT {
        let message = format!("expected {FORMAT}, got {}", text.format);
        let help = "it was written by another version of edgegrad; use that one";
        return Err(Error::input(format_args!("{place}: format"), message, help));
    }
    let kind = if text.gated { Kind::Gated } else { Kind::Plain };
    let mut unread: BTreeSet<String> = tensors.names().into_iter().collect();
    let sites = named(&text).map_err(|e| e.within(&place))?;
    let both = sites.iter().zip(&text.adapters);
    let read = both.map(|(&site, x)| adapter(site, x.rank, kind, text.alpha, tensors, &mut unread));
    let adapters = Adapters::sorted(read.collect::<Result<_>>()?, kind, text.alpha);
    if let Some(name) = unread.first() {
        let place = format!("{}: tensor `{name}`", tensors.place());
        let message = format!("belongs to none of the {} adapters", adapters.list().len());
        return Err(Error::input(place, message, "are both files of the same folder?"));
    }
    Ok(Saved { base: text.base, adapters })
}

/// The named sites, each once, so that no tensor is read twice.
fn named(text: &Text) -> Result<Vec<Site>> {
    check_alpha(text.alpha)?;
    let sites: Vec<Site> =
        text.adapters.iter().map(|entry| Site::parse(&entry.name)).collect::<Result<_>>()?;
    check_distinct(sites.clone())?;
    Ok(sites)
}

/// One adapter; removes its tensors from those that are `unread`.
fn adapter<T: Element>(
    site: Site,
    rank: usize,
    kind: Kind,
    alpha: f64,
    tensors: &Tensors,
    unread: &mut BTreeSet<String>,
) -> Result<Adapter<T>> {
    let mut read = |part: &str, shape: &dyn Fn(&[usize]) -> Vec<usize>| -> Result<_> {
        let name = format!("{site}.{part}");
        // An empty shape leads to the error that names a missing tensor.
        let shape = shape(tensors.shape(&name).unwrap_or_default());
        let numbers = tensors.get_shaped::<T>(&name, &shape)?;
        unread.remove(&name);
        Ok((shape, Buffer::from(&numbers[..])))
    };
    // The size that the rank does not determine is as the file has it.
    let (shape_a, a) = read("A", &|got| vec![got.first().copied().unwrap_or(0), rank])?;
    let (shape_b, b) = read("B", &|got| vec![rank, got.last().copied().unwrap_or(0)])?;
    let gates = match kind {
        Kind::Plain => None,
        Kind::Gated => Some(read("lambda", &|_| vec![rank])?.1),
    };
    check_rank(site, rank, [shape_a[0], shape_b[1]]).map_err(|e| e.within(tensors.place()))?;
    Ok(Adapter { site, rank, scale: alpha / rank as f64, a, gates, b })
}
