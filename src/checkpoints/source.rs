//! Weights copied from the layout of their file to ours.

use crate::error::{Error, Result};
use crate::files::gguf::Plane;
use crate::files::input;
use crate::files::safetensors::{Dtype, PART, SAVE_AS_SAFETENSORS, Tensor, Tensors, infinite};
use crate::memory;
use crate::nn::transformer::{Config, Parameter};
use crate::simd::Element;
use crate::tensor::Buffer;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Tensors by name, read on demand: the weights of a model before they have our layout.
///
/// A model folder's safetensors are one source of them. Another kind of file implements this, and
/// describes the model by a `config.json` of Hugging Face's: see [`from_tensors`].
///
/// [`from_tensors`]: super::from_tensors
pub trait NamedTensors: Send + Sync {
    /// What errors call the tensors: the path of their file.
    fn place(&self) -> &str;

    /// The names of all tensors.
    fn names(&self) -> Vec<String>;

    /// The shape of a tensor, or `None` if there is none of this name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// Whether a tensor's elements have 16 bits.
    fn is_narrow(&self, name: &str) -> bool {
        _ = name;
        false
    }

    /// How many elements of a row share a scale, if they are integers with scales and
    /// [`each_number`](NamedTensors::each_number) gives these.
    fn group(&self, name: &str) -> Option<usize> {
        _ = name;
        None
    }

    /// Calls `visit` with the numbers of a plane of a tensor, as [`each_part`] does with its
    /// elements.
    ///
    /// # Errors
    /// As [`each_part`].
    ///
    /// # Panics
    /// If the tensor has no [`group`](NamedTensors::group) and another plane than its elements is
    /// asked for.
    ///
    /// [`each_part`]: NamedTensors::each_part
    fn each_number(
        &self,
        name: &str,
        plane: Plane,
        step: usize,
        visit: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        assert_eq!(plane, Plane::Elements, "a plane of {name}");
        self.each_part(name, step, visit)
    }

    /// Calls `visit` with the elements of a tensor in row-major order, `step` of them at a time;
    /// the last part may have fewer.
    ///
    /// # Errors
    /// If there is no such tensor, or its data are damaged.
    fn each_part(&self, name: &str, step: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()>;
}

/// The tensors of a model, in one file or in several.
pub(super) enum Source {
    /// Safetensors.
    Files {
        files: Vec<Tensors>,
        /// Which of the files an index says to hold a tensor; empty without one.
        index: BTreeMap<String, usize>,
    },
    /// Any other.
    Named(Box<dyn NamedTensors>),
}

impl Source {
    /// One file of safetensors.
    pub(super) fn of(file: Tensors) -> Source {
        Source::Files { files: vec![file], index: BTreeMap::new() }
    }

    /// Reads `model.safetensors`, or the files that `model.safetensors.index.json` names.
    pub(super) fn read(folder: &Path) -> Result<Source> {
        let Shards { paths, index } = shards(folder)?;
        let files: Vec<Tensors> = paths.iter().map(Tensors::read).collect::<Result<_>>()?;
        Ok(Source::Files { files, index })
    }

    /// The file that holds a tensor: the one that the index names, as a stale copy may lie in
    /// another; or the first one, whose error then names the missing tensor. `None` if the tensors
    /// are not safetensors.
    pub(super) fn file(&self, name: &str) -> Option<&Tensors> {
        let Source::Files { files, index } = self else { return None };
        let indexed = index.get(name).map(|&file| &files[file]);
        Some(indexed.or_else(|| files.iter().find(|f| f.contains(name))).unwrap_or(&files[0]))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        match self {
            Source::Files { files, .. } => files.iter().any(|f| f.contains(name)),
            Source::Named(tensors) => tensors.shape(name).is_some(),
        }
    }

    /// The names of all tensors.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Source::Files { files, .. } => files.iter().flat_map(Tensors::names).collect(),
            Source::Named(tensors) => tensors.names(),
        }
    }

    /// Whether the elements of a tensor have 16 bits.
    fn is_narrow(&self, name: &str) -> bool {
        match (self, self.file(name)) {
            (Source::Named(tensors), _) => tensors.is_narrow(name),
            (_, Some(file)) => matches!(file.dtype(name), Some(Dtype::F16 | Dtype::BF16)),
            (Source::Files { .. }, None) => unreachable!("there is a first file"),
        }
    }

    /// How many elements of a row share a scale, if they are integers with scales.
    fn group(&self, name: &str) -> Option<usize> {
        match self {
            Source::Named(tensors) => tensors.group(name),
            Source::Files { .. } => None,
        }
    }

    /// The elements of a tensor, which must have this shape, in row-major order.
    ///
    /// # Errors
    /// If it is missing or damaged, or has another shape.
    pub(super) fn get<T: Element>(&self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        let mut all = vec![];
        self.each_part(name, Plane::Elements, shape, PART, |_, part: &[T]| {
            all.extend_from_slice(part);
        })?;
        Ok(all)
    }

    /// Calls `visit` with the numbers of a plane of a tensor, which must have this shape, in
    /// row-major order, `step` of them at a time, and with the index of the first.
    ///
    /// # Errors
    /// As [`get`](Source::get).
    fn each_part<T: Element>(
        &self,
        name: &str,
        plane: Plane,
        shape: &[usize],
        step: usize,
        mut visit: impl FnMut(usize, &[T]),
    ) -> Result<()> {
        // Planes of scales are those of a tensor whose shape was checked.
        if plane == Plane::Elements {
            self.check(name, shape)?;
        }
        let tensors = match (self, self.file(name)) {
            (_, Some(file)) => return file.each_part(name, step, visit),
            (Source::Named(tensors), None) => tensors,
            (Source::Files { .. }, None) => unreachable!("there is a first file"),
        };
        let len: usize = shape.iter().product();
        let (mut first, mut as_asked, mut damaged, mut rounded) = (0, true, None, vec![]);
        tensors.each_number(name, plane, step, &mut |part| {
            rounded.clear();
            rounded.extend(part.iter().map(|&x| T::from_f64(x.into())));
            damaged = damaged.or_else(|| Some(first + infinite(part)?));
            as_asked &= part.len() == step.min(len.saturating_sub(first));
            if as_asked {
                visit(first, &rounded);
            }
            first += part.len();
        })?;
        if !as_asked || first != len {
            let message = format!("holds {first} elements of {shape:?}");
            return Err(self.error(name, message, "copy or download the file again"));
        }
        if let Some(at) = damaged {
            let what = match plane {
                Plane::Elements | Plane::Quants => "element",
                Plane::Scales => "scale",
                Plane::Offsets => "offset",
            };
            let message = format!("{what} {at} of {shape:?} is not finite");
            let help = "the model it came from may have diverged; use an earlier checkpoint";
            return Err(self.error(name, message, help));
        }
        Ok(())
    }

    /// Whether there is a tensor of this name and shape; its elements are not read.
    ///
    /// # Errors
    /// If it is missing or has another shape.
    fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        match (self, self.file(name)) {
            (_, Some(file)) => file.check_shape(name, shape),
            (Source::Named(tensors), None) => match tensors.shape(name) {
                Some(got) if got != shape => {
                    let message = format!("expected shape {shape:?}, got {got:?}");
                    Err(self.error(name, message, "check the sizes in the configuration"))
                }
                Some(_) => Ok(()),
                // Which then is an error.
                None => tensors.each_part(name, 1, &mut |_| ()),
            },
            (Source::Files { .. }, None) => unreachable!("there is a first file"),
        }
    }

    /// A tensor of whatever shape, row-major.
    ///
    /// # Errors
    /// As [`get`](Source::get).
    pub(super) fn any<T: Element>(&self, name: &str) -> Result<(Vec<usize>, Vec<T>)> {
        let shape = match (self, self.file(name)) {
            (_, Some(file)) => file.shape(name).map(<[usize]>::to_vec),
            (Source::Named(tensors), _) => tensors.shape(name),
            (Source::Files { .. }, None) => unreachable!("there is a first file"),
        };
        let shape = shape.unwrap_or_default();
        let elements = self.get(name, &shape)?;
        Ok((shape, elements))
    }

    /// Bad input in a tensor.
    pub(super) fn error(&self, name: &str, message: impl Display, help: impl Display) -> Error {
        match (self, self.file(name)) {
            (_, Some(file)) => file.error(name, message, help),
            (Source::Named(tensors), _) => {
                let place = format_args!("{}: tensor `{name}`", tensors.place());
                Error::input(place, message, help)
            }
            (Source::Files { .. }, None) => unreachable!("there is a first file"),
        }
    }
}

const DOWNLOAD: &str = "download the model again, with all its files";

/// The files of weights in a model folder, and which of them holds which tensor.
struct Shards {
    paths: Vec<PathBuf>,
    index: BTreeMap<String, usize>,
}

/// The files of weights in a model folder.
pub(super) fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(shards(folder)?.paths)
}

fn shards(folder: &Path) -> Result<Shards> {
    let whole = folder.join("model.safetensors");
    let index = folder.join("model.safetensors.index.json");
    if whole.exists() || !index.exists() {
        let pickle = PICKLES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        return match pickle.filter(|_| !whole.exists()) {
            Some(pickle) => {
                let message = "is a pickle of PyTorch, and there is no model.safetensors beside it";
                Err(Error::input(pickle.display(), message, SAVE_AS_SAFETENSORS))
            }
            None => Ok(Shards { paths: vec![whole], index: BTreeMap::new() }),
        };
    }
    let text = input::regular(&index, input::CONFIG)?;
    let fail = |message: &str| Error::input(index.display(), message, DOWNLOAD);
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| Error::input(index.display(), e, DOWNLOAD))?;
    let map = value.get("weight_map").and_then(|m| m.as_object());
    let map = map.ok_or_else(|| fail("weight_map: must be an object of file names"))?;
    let names: Option<BTreeSet<&str>> = map.values().map(|v| v.as_str()).collect();
    let names = names.ok_or_else(|| fail("weight_map: must be an object of file names"))?;
    // A file that comes with a model must not make us read outside its folder.
    let plain = |name: &&str| Path::new(name).file_name().is_some_and(|n| n == *name);
    if names.is_empty() || !names.iter().all(plain) {
        return Err(fail("weight_map: must name files of this folder"));
    }
    let place = |file: &serde_json::Value| names.iter().position(|name| file == *name);
    let index = map.iter().filter_map(|(name, file)| Some((name.clone(), place(file)?))).collect();
    Ok(Shards { paths: names.iter().map(|name| folder.join(name)).collect(), index })
}

/// What transformers called the weights before safetensors.
const PICKLES: [&str; 4] =
    ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth"];

/// An axis of a strided copy: its size, its stride in the file, its stride in ours.
type Axis = (usize, usize, usize);

/// A tensor of a file, copied with strides into one of our parameters.
#[derive(Clone)]
pub(super) struct StridedCopy {
    tensor: String,
    shape: Vec<usize>,
    walk: Walk,
    optional: bool,
    /// What is added to each element of the file.
    plus: f64,
}

/// Where the elements of a strided copy are.
#[derive(Clone, Copy)]
struct Walk {
    /// The index of the first element in the file's tensor and in ours.
    start: (usize, usize),
    axes: [Axis; 3],
}

impl StridedCopy {
    /// The whole parameter, element by element.
    pub(super) fn whole(tensor: impl Into<String>, shape: &[usize]) -> StridedCopy {
        StridedCopy::list(tensor, shape, 0)
    }

    /// `[N, D]` in the file, transposed to `[D, N]`: all of a parameter.
    pub(super) fn transposed(tensor: impl Into<String>, n: usize, d: usize) -> StridedCopy {
        StridedCopy::transposed_into(tensor, n, d, 0, n)
    }

    /// `[N, D]` in the file, transposed to columns `at..at + N` of `[D, width]`.
    pub(super) fn transposed_into(
        tensor: impl Into<String>,
        n: usize,
        d: usize,
        at: usize,
        width: usize,
    ) -> StridedCopy {
        StridedCopy::strided(tensor, &[n, d], (0, at), [(1, 0, 0), (d, 1, width), (n, d, 1)])
    }

    /// Elements `at..at + N` of a vector.
    pub(super) fn list(tensor: impl Into<String>, shape: &[usize], at: usize) -> StridedCopy {
        let axes = [(1, 0, 0), (1, 0, 0), (shape.iter().product(), 1, 1)];
        StridedCopy::strided(tensor, shape, (0, at), axes)
    }

    /// Any strided copy: `start` and `axes` in the file and in ours.
    pub(super) fn strided(
        tensor: impl Into<String>,
        shape: &[usize],
        start: (usize, usize),
        axes: [Axis; 3],
    ) -> StridedCopy {
        StridedCopy {
            tensor: tensor.into(),
            shape: shape.to_vec(),
            walk: Walk { start, axes },
            optional: false,
            plus: 0.0,
        }
    }

    /// Plus a constant.
    pub(super) fn plus(self, plus: f64) -> StridedCopy {
        StridedCopy { plus, ..self }
    }

    /// Zeros if the file does not have it.
    pub(super) fn optional(self) -> StridedCopy {
        StridedCopy { optional: true, ..self }
    }

    /// The tensor of a file, `[shape]` in row-major order, from the elements of our parameter: the
    /// inverse of reading.
    pub(super) fn tensor<T: Element>(&self, ours: &[T]) -> Tensor {
        let mut numbers = vec![T::ZERO; self.shape.iter().product()];
        assert!(self.plus == 0.0, "gains are written as they are");
        self.walk.each(|theirs, at| numbers[theirs] = ours[at]);
        Tensor::new(&*self.tensor, &self.shape, &numbers)
    }

    /// Reads it into our parameter.
    ///
    /// # Errors
    /// As [`Source::get`].
    fn read<T: Element>(&self, source: &Source, plane: Plane, ours: &mut [T]) -> Result<()> {
        let step = self.walk.part(self.shape.iter().product(), PART);
        source.each_part(&self.tensor, plane, &self.shape, step, |first, part: &[T]| {
            self.copy(first, part, ours);
        })
    }

    /// The copy of a number for each `group` elements of a row of the file's tensor, into a matrix
    /// with a row for each `group` of ours, which have `width` columns; `None` if what is
    /// contiguous in the file is no column of ours, or groups do not divide it.
    fn of_groups(&self, group: usize, width: usize) -> Option<StridedCopy> {
        let mut shape = self.shape.clone();
        let last = shape.last_mut().filter(|last| last.is_multiple_of(group))?;
        *last /= group;
        let (from, to) = self.walk.start;
        let mut start_of = (from / group, to);
        // Where our rows begin, which are a group's.
        if !from.is_multiple_of(group) || !(to / width).is_multiple_of(group) {
            return None;
        }
        start_of.1 = to / width / group * width + to % width;
        let mut axes = self.walk.axes;
        let mut along = false;
        for (count, from, to) in axes.iter_mut().filter(|axis| axis.0 > 1) {
            if *from == 1 {
                if *to != width || !count.is_multiple_of(group) {
                    return None;
                }
                *count /= group;
                along = true;
            } else if from.is_multiple_of(group) && *to < width {
                *from /= group;
            } else {
                return None;
            }
        }
        let walk = Walk { start: start_of, axes };
        (along && self.plus == 0.0).then(|| StridedCopy { shape, walk, ..self.clone() })
    }

    /// Copies what of it lies in a [part](Walk::part) of the file's tensor, from element `first`
    /// on.
    fn copy<T: Element>(&self, first: usize, part: &[T], ours: &mut [T]) {
        let walk = self.walk.within(first, part.len());
        // Its rows would begin outside of the part.
        if walk.len() == 0 {
            return;
        }
        let [_, (_, from_b, _), (columns, from_c, to_c)] = walk.axes;
        if self.plus != 0.0 {
            let plus = T::from_f64(self.plus);
            walk.each(|theirs, at| ours[at] = part[theirs - first] + plus);
        } else if from_c == 1 && to_c == 1 {
            walk.rows(|theirs, at| {
                ours[at..][..columns].copy_from_slice(&part[theirs - first..][..columns]);
            });
        } else if from_b == 1 && to_c == 1 {
            walk.transpose(first, part, ours);
        } else {
            walk.each(|theirs, at| ours[at] = part[theirs - first]);
        }
    }
}

impl Walk {
    /// How many elements there are.
    fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.0).product()
    }

    /// The axis with the largest stride in the file, and that stride, if the others stay within one
    /// step of it: what is read of the file in parts is then an interval of this axis.
    fn outermost(&self) -> Option<(usize, usize)> {
        let long = (0..3).filter(|&axis| self.axes[axis].0 > 1);
        let axis = long.max_by_key(|&axis| self.axes[axis].1)?;
        let stride = self.axes[axis].1;
        let others = (0..3).filter(|&other| other != axis).map(|other| self.axes[other]);
        let inside: usize = others.map(|(n, from, _)| n.saturating_sub(1) * from).sum();
        (self.start.0 % stride.max(1) + inside < stride).then_some((axis, stride))
    }

    /// How many elements of a tensor of `len` to read at a time, about `about`: whole steps of its
    /// outermost axis.
    fn part(&self, len: usize, about: usize) -> usize {
        self.outermost().map_or(len.max(1), |(_, stride)| (about / stride).max(1) * stride)
    }

    /// What lies in elements `first..first + len` of the file, a [part](Walk::part).
    fn within(mut self, first: usize, len: usize) -> Walk {
        if let Some((axis, stride)) = self.outermost() {
            let (n, from, to) = &mut self.axes[axis];
            let begins = self.start.0 / stride;
            let lower = (first / stride).saturating_sub(begins).min(*n);
            let upper = (first + len).div_ceil(stride).saturating_sub(begins).clamp(lower, *n);
            *n = upper - lower;
            self.start = (self.start.0 + lower * *from, self.start.1 + lower * *to);
        }
        self
    }

    /// Calls `visit` with the index of the first element of every row (along the last axis) in the
    /// file's tensor and in ours.
    fn rows(&self, mut visit: impl FnMut(usize, usize)) {
        let [(a, from_a, to_a), (b, from_b, to_b), _] = self.axes;
        for i in 0..a {
            for j in 0..b {
                let theirs = self.start.0 + i * from_a + j * from_b;
                visit(theirs, self.start.1 + i * to_a + j * to_b);
            }
        }
    }

    /// Copies what is contiguous along the second axis in the file, of which `part` has the
    /// elements from `first` on, and along the third in ours. A square is read and written by whole
    /// lines.
    fn transpose<T: Element>(&self, first: usize, part: &[T], ours: &mut [T]) {
        const SQUARE: usize = 16;
        let [(a, from_a, to_a), (b, _, to_b), (c, from_c, _)] = self.axes;
        let mut square = [[T::ZERO; SQUARE]; SQUARE];
        for i in 0..a {
            let (x, y) = (self.start.0 + i * from_a, self.start.1 + i * to_a);
            for j in (0..b).step_by(SQUARE) {
                for k in (0..c).step_by(SQUARE) {
                    let (wide, high) = (SQUARE.min(b - j), SQUARE.min(c - k));
                    for (row, k) in square.iter_mut().zip(k..k + high) {
                        let at = x + k * from_c + j - first;
                        row[..wide].copy_from_slice(&part[at..][..wide]);
                    }
                    for column in 0..wide {
                        let to = &mut ours[y + (j + column) * to_b + k..][..high];
                        to.iter_mut().zip(&square).for_each(|(to, row)| *to = row[column]);
                    }
                }
            }
        }
    }

    /// Calls `visit` with the index of every element in the file's tensor and in ours.
    #[inline]
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        // Blocks: whichever side has strides, its cache lines are used completely before they are
        // evicted.
        const SQUARE: usize = 32;
        let [(a, from_a, to_a), (b, from_b, to_b), (c, from_c, to_c)] = self.axes;
        for i in 0..a {
            let start = (self.start.0 + i * from_a, self.start.1 + i * to_a);
            for j0 in (0..b).step_by(SQUARE) {
                for k0 in (0..c).step_by(SQUARE) {
                    for j in j0..b.min(j0 + SQUARE) {
                        let (x, y) = (start.0 + j * from_b, start.1 + j * to_b);
                        for k in k0..c.min(k0 + SQUARE) {
                            visit(x + k * from_c, y + k * to_c);
                        }
                    }
                }
            }
        }
    }
}

/// How a kind of file names and lays out the parameters of a model.
pub(super) trait Dialect {
    /// The tensors that one of our parameters is copied from: `part` is its name in layer `l`
    /// without `blocks.l.`, or its whole name outside layers.
    fn parts(&self, config: &Config, l: usize, part: &str) -> Vec<StridedCopy>;

    /// Whether a tensor with this name is a buffer without information, which some versions save.
    fn ignores(&self, name: &str) -> bool;

    /// A tensor that repeats another one (the tied unembedding), if the file has it.
    fn repeats(&self, config: &Config) -> Option<(String, String)>;
}

/// What the parameters of a model are copied from, in the order of [`Config::parameters`]; no
/// element is read yet.
pub(super) struct Plan {
    parameters: Vec<(Parameter, Vec<StridedCopy>)>,
    /// A tensor that has to repeat another, and their shape.
    repeats: Option<(String, String, [usize; 2])>,
}

/// Plans to read all parameters of a model.
///
/// # Errors
/// If a tensor is missing, has another shape, or is not one of the model's.
pub(super) fn plan(source: &Source, config: &Config, dialect: &impl Dialect) -> Result<Plan> {
    let mut used = BTreeSet::new();
    let mut parameters = vec![];
    for parameter in config.parameters() {
        let (l, part) = in_layer(&parameter.name);
        let mut parts = dialect.parts(config, l, part);
        parts.retain(|part| !part.optional || source.contains(&part.tensor));
        for part in &parts {
            if part.tensor == "lm_head.weight" && !source.contains(&part.tensor) {
                let help = "set \"tie_word_embeddings\" to true in config.json if the unembedding \
                            is the token embedding";
                return Err(source.error(&part.tensor, "is missing", help));
            }
            source.check(&part.tensor, &part.shape)?;
            used.insert(part.tensor.clone());
        }
        parameters.push((parameter, parts));
    }
    let again = dialect.repeats(config).filter(|(name, _)| source.contains(name));
    for name in source.names() {
        let repeats = again.as_ref().is_some_and(|(again, _)| *again == name);
        if !(used.contains(&name) || repeats || dialect.ignores(&name)) {
            let help = "it would change what is computed; check that config.json is this model's";
            return Err(source.error(&name, "is no parameter of this kind of model", help));
        }
    }
    let repeats = again.map(|(name, of)| (name, of, [config.vocab_out, config.d_model]));
    Ok(Plan { parameters, repeats })
}

impl Plan {
    /// The bytes of all parameters, some of them in panels as in [`read`](Plan::read).
    pub(super) fn bytes<T: Element>(
        &self,
        source: &Source,
        panels: impl Fn(&Parameter) -> Option<[usize; 2]>,
    ) -> u128 {
        let bytes = |(parameter, parts): &(Parameter, Vec<StridedCopy>)| {
            // What has 16 bits in the file has no more in panels.
            let narrow = panels(parameter).is_some()
                && parts.iter().all(|part| part.plus == 0.0 && source.is_narrow(&part.tensor));
            let len = parameter.shape.len() as u128;
            match panels(parameter).and_then(|shape| scaled(source, parts, shape)) {
                // Scale and offset.
                Some(scaled) => len + 8 * len / scaled.group as u128,
                None if narrow => 2 * len,
                None => len * size_of::<T>() as u128,
            }
        };
        self.parameters.iter().map(bytes).sum()
    }

    /// Reads all parameters, row-major; in panels where `panels` gives a parameter's rows and
    /// columns.
    ///
    /// # Errors
    /// If elements are damaged or not finite, or a tensor that has to repeat another differs.
    pub(super) fn read<T: Element>(
        self,
        source: &Source,
        panels: impl Fn(&Parameter) -> Option<[usize; 2]> + Sync,
    ) -> Result<Vec<Buffer<T>>> {
        // All weights, and for each thread one tensor as it is in the file.
        let lengths = self.parameters.iter().map(|(parameter, _)| parameter.shape.len() as u128);
        let mut lengths: Vec<u128> = lengths.collect();
        lengths.sort_unstable();
        let passing = lengths.iter().rev().take(rayon::current_num_threads()).sum::<u128>();
        let bytes = self.bytes::<T>(source, &panels) + passing * size_of::<T>() as u128;
        memory::check(&format!("weights in {}", T::NAME), bytes, || {
            let less = if T::NAME == f64::NAME { "use --dtype f32, or " } else { "" };
            format!("{less}choose a smaller model")
        })?;
        // What passes through a thread stays allocated: the system would clear its pages each time.
        type Passing<T> = (Buffer<T>, [Vec<f32>; 3]);
        let parameter = |passing: &mut Passing<T>, (parameter, parts): (Parameter, Vec<_>)| {
            let (rows_of, planes) = passing;
            let len = parameter.shape.len();
            let Some([rows, cols]) = panels(&parameter) else {
                let mut ours = Buffer::lasting(len);
                return fill(source, Plane::Elements, &parts, &mut ours).map(|()| ours.share());
            };
            if let Some(scaled) = scaled(source, &parts, [rows, cols]) {
                return scaled.read(source, &parts, [rows, cols], planes);
            }
            if rows_of.room() < len {
                *rows_of = Buffer::zeros(len);
            }
            rows_of.set_len(len);
            fill(source, Plane::Elements, &parts, rows_of).map(|()| rows_of.in_panels(rows, cols))
        };
        // Of several errors the first one in the order of the parameters, whatever the threads.
        let weights: Vec<Result<Buffer<T>>> =
            self.parameters.into_par_iter().map_init(Passing::default, parameter).collect();
        let weights = weights.into_iter().collect::<Result<_>>()?;
        if let Some((name, of, shape)) = &self.repeats
            && source.get::<f64>(name, shape)? != source.get::<f64>(of, shape)?
        {
            let help = "the model's unembedding is its token embedding; make them equal, or set \
                        \"tie_word_embeddings\" to false in config.json";
            return Err(source.error(name, format!("differs from {of}"), help));
        }
        Ok(weights)
    }
}

/// Reads what a parameter is copied from.
fn fill<T: Element>(
    source: &Source,
    plane: Plane,
    parts: &[StridedCopy],
    ours: &mut [T],
) -> Result<()> {
    // What the file does not have is zero.
    if parts.iter().map(|part| part.walk.len()).sum::<usize>() < ours.len() {
        ours.fill(T::ZERO);
    }
    parts.iter().try_for_each(|part| part.read(source, plane, ours))
}

/// A matrix whose elements are integers with scales in the file.
struct ScaledCopy {
    /// Our rows that share scales.
    group: usize,
    /// What scales are copied from.
    scales: Vec<StridedCopy>,
}

/// How to copy a matrix with its integers and scales, if the file has these.
fn scaled(source: &Source, parts: &[StridedCopy], [rows, cols]: [usize; 2]) -> Option<ScaledCopy> {
    let group = source.group(&parts.first()?.tensor)?;
    let same = parts.iter().all(|part| source.group(&part.tensor) == Some(group));
    let scales = parts.iter().map(|part| part.of_groups(group, cols)).collect::<Option<_>>()?;
    (same && rows.is_multiple_of(group)).then_some(ScaledCopy { group, scales })
}

impl ScaledCopy {
    fn read<T: Element>(
        &self,
        source: &Source,
        parts: &[StridedCopy],
        [rows, cols]: [usize; 2],
        [quants, scales, offsets]: &mut [Vec<f32>; 3],
    ) -> Result<Buffer<T>> {
        let plane = |plane, parts: &[StridedCopy], rows: usize, numbers: &mut Vec<f32>| {
            numbers.resize(rows * cols, 0.0);
            fill(source, plane, parts, numbers)
        };
        plane(Plane::Quants, parts, rows, quants)?;
        plane(Plane::Scales, &self.scales, rows / self.group, scales)?;
        plane(Plane::Offsets, &self.scales, rows / self.group, offsets)?;
        Ok(Buffer::scaled([rows, cols, self.group], quants, scales, offsets))
    }
}

/// The layer of a parameter and its name in it.
pub(super) fn in_layer(name: &str) -> (usize, &str) {
    let split = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
    match split.and_then(|(l, part)| Some((l.parse().ok()?, part))) {
        Some(found) => found,
        None => (0, name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AnyModel, from_bytes, from_tensors};
    use super::*;
    use proptest::prelude::*;

    /// The tensors of a file, in singles.
    struct Singles(Tensors, Option<&'static str>);

    impl NamedTensors for Singles {
        fn place(&self) -> &str {
            "model.other"
        }

        fn names(&self) -> Vec<String> {
            self.0.names()
        }

        fn shape(&self, name: &str) -> Option<Vec<usize>> {
            self.0.shape(name).map(<[usize]>::to_vec)
        }

        fn each_part(&self, name: &str, step: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
            let mut elements = self.0.get::<f32>(name)?.1;
            match self.1.and_then(|how| how.strip_suffix(name)) {
                Some("short ") => drop(elements.pop()),
                Some("nan ") => elements[2] = f32::NAN,
                _ => {}
            }
            elements.chunks(step).for_each(visit);
            Ok(())
        }
    }

    proptest! {
        /// A tensor that is read in parts goes where its elements go one by one.
        #[test]
        fn parts_are_copied_as_the_whole(
            (a, b, c) in (1usize..4, 1usize..40, 1usize..40),
            (margin, kind, about) in (0usize..5, 0..5, 1usize..300),
        ) {
            let file = [a, b + margin, c + margin];
            let at = |i: usize, j: usize, k: usize| (i * file[1] + j) * file[2] + k;
            let (start, [x, y, z]) = (at(0, margin, margin), [at(1, 0, 0), at(0, 1, 0), 1]);
            // Ours is packed, in these orders of the file's axes.
            let axes = match kind {
                0 => [(a, x, b * c), (b, y, c), (c, z, 1)],
                1 => [(a, x, b * c), (c, z, b), (b, y, 1)],
                2 => [(b, y, c * a), (c, z, a), (a, x, 1)],
                3 => [(c, z, a * b), (a, x, b), (b, y, 1)],
                // Overlapping: the outermost axis does not contain the others.
                _ => [(a, 1, b * c), (b, 1, c), (c, 1, 1)],
            };
            let len: usize = file.iter().product();
            let theirs: Vec<f64> = (1..=len).map(|x| x as f64).collect();
            for plus in [0.0, 0.5] {
                let copy = StridedCopy::strided("x", &file, (start, 3), axes).plus(plus);
                let mut want = vec![0.0; 3 + a * b * c];
                copy.walk.each(|from, to| want[to] = theirs[from] + plus);
                prop_assert!(want[3..].iter().all(|&x| x > 0.0));
                let step = copy.walk.part(len, about);
                let mut got = vec![0.0; want.len()];
                for (i, part) in theirs.chunks(step).enumerate() {
                    copy.copy(i * step, part, &mut got);
                }
                prop_assert_eq!(got, want);
            }
        }
    }

    /// The bias of one part of a fused layer: what stands before and after holds none of it.
    #[test]
    fn parts_that_hold_nothing_of_it_are_passed_over() {
        let copy = StridedCopy::strided("x", &[190], (156, 0), [(1, 0, 0), (1, 0, 0), (30, 1, 1)]);
        let theirs: Vec<f64> = (0..190).map(f64::from).collect();
        let step = copy.walk.part(theirs.len(), 7);
        assert_eq!(step, 7);
        let mut got = vec![0.0; 30];
        for (i, part) in theirs.chunks(step).enumerate() {
            copy.copy(i * step, part, &mut got);
        }
        assert_eq!(got, theirs[156..186]);
    }

    #[test]
    fn tensors_from_elsewhere_make_the_same_model_or_an_error() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama-tiny");
        let config = std::fs::read(folder.join("config.json")).unwrap();
        let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
        let file = || Tensors::from_bytes("file", weights.clone()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&config).unwrap();
        let built = |config: &serde_json::Value, how| {
            from_tensors::<f64>("model.other", config, Singles(file(), how))
        };
        let wanted = from_bytes::<f64>(&config, weights.clone()).unwrap();
        let (AnyModel::Transformer(a), AnyModel::Transformer(b)) =
            (built(&json, None).unwrap(), wanted)
        else {
            panic!("transformers")
        };
        assert_eq!(a.config, b.config);
        assert!(a.weights.iter().zip(&b.weights).all(|(a, b)| a[..] == b[..]));
        for (how, message) in [
            ("short model.norm.weight", "model.other: tensor `model.norm.weight`: holds"),
            ("nan model.norm.weight", "element 2 of"),
        ] {
            let e = built(&json, Some(how)).unwrap_err();
            assert!(e.to_string().contains(message) && e.exit_code() == 2, "{e}");
        }
        let mut wider = json.clone();
        wider["intermediate_size"] = 7.into();
        let e = built(&wider, None).unwrap_err().to_string();
        assert!(
            e.starts_with("model.other: tensor `model.layers.0.mlp.gate_proj.weight`: "),
            "{e}"
        );
    }
}
