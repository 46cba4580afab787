//! Tensors by name, from the files of a model or from elsewhere.

use crate::error::{Error, Result};
use crate::files::gguf::Plane;
use crate::files::input;
use crate::files::safetensors::{Dtype, PART, SAVE_AS_SAFETENSORS, Tensors, infinite};
use crate::simd::{Element, Half};
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

    /// The format of a tensor's elements, if they have 16 bits.
    fn half(&self, name: &str) -> Option<Half> {
        _ = name;
        None
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

    /// The format of a tensor's elements, if they have 16 bits.
    pub(super) fn half(&self, name: &str) -> Option<Half> {
        match (self, self.file(name)) {
            (Source::Named(tensors), _) => tensors.half(name),
            (_, Some(file)) => match file.dtype(name)? {
                Dtype::F16 => Some(Half::F16),
                Dtype::BF16 => Some(Half::Bf16),
                _ => None,
            },
            (Source::Files { .. }, None) => unreachable!("there is a first file"),
        }
    }

    /// How many elements of a row share a scale, if they are integers with scales.
    pub(super) fn group(&self, name: &str) -> Option<usize> {
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
    pub(super) fn each_part<T: Element>(
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
    pub(super) fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::super::{AnyModel, from_bytes, from_tensors};
    use super::*;

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
