//! Parts of one pooled model in another, and parts removed or drawn anew.

use super::parts::Parts;
use crate::checkpoints::{self, AnyModel};
use crate::error::{Error, Result};
use crate::files::{atomic, own};
use crate::nn::pooled::Config;
use std::path::Path;

/// A pooled model: its shape, and its weights in double precision, which holds those of any file
/// exactly.
pub struct Host {
    /// The shape.
    pub config: Config,
    /// In the order of [`Config::parameters`].
    pub weights: Vec<Vec<f64>>,
    /// The parts that were changed.
    changed: Vec<(&'static str, Parts)>,
}

/// The files of a model.
const FILES: [&str; 2] = ["config.json", "model.safetensors"];

/// How many elements an operation changes.
pub type Changed = usize;

impl Host {
    /// The model in a folder.
    ///
    /// # Errors
    /// If it cannot be read, or is not a pooled model.
    pub fn read(folder: &Path) -> Result<Host> {
        match checkpoints::read(folder)? {
            AnyModel::Pooled { config, weights } => Ok(Host { config, weights, changed: vec![] }),
            AnyModel::Transformer(_) => {
                let message = "holds a transformer, whose parts cannot be transplanted";
                let help = "give the checkpoint of an `edgegrad train`";
                Err(Error::input(folder.display(), message, help))
            }
        }
    }

    /// Sets parts to those of the `donor` in the folder `from`.
    ///
    /// # Errors
    /// If the donor has another shape, or there is no such part, or it was changed before.
    pub fn copy(&mut self, names: &[String], donor: &Host, from: &Path) -> Result<Changed> {
        let parts = self.take("--copy", names)?;
        let numbers = |c: &Config| {
            let bias = usize::from(c.mlp_bias);
            [c.vocab, c.seq_len, c.d_model, c.d_mlp, bias]
        };
        let (theirs, ours) = (numbers(&donor.config), numbers(&self.config));
        let keys = ["vocab", "seq_len", "d_model", "d_mlp", "mlp_bias"];
        if let Some(i) = (0..keys.len()).find(|&i| theirs[i] != ours[i]) {
            let message = format!("{} is {}, and {} in the host", keys[i], theirs[i], ours[i]);
            let help = "a part fits into a model of the same shape alone";
            return Err(Error::input(from.join("config.json").display(), message, help));
        }
        parts.copy(&donor.weights, &mut self.weights);
        Ok(parts.len())
    }

    /// Sets parts to 0.
    ///
    /// # Errors
    /// If there is no such part, or it was changed before.
    pub fn ablate(&mut self, names: &[String]) -> Result<Changed> {
        let parts = self.take("--ablate", names)?;
        parts.fill(&mut self.weights, 0.0);
        Ok(parts.len())
    }

    /// Draws parts anew, as a model with this seed begins.
    ///
    /// # Errors
    /// If there is no such part, or it was changed before.
    pub fn reset(&mut self, names: &[String], seed: u64) -> Result<Changed> {
        let parts = self.take("--reset", names)?;
        parts.copy(&self.config.init(seed), &mut self.weights);
        Ok(parts.len())
    }

    /// Writes the model as a folder that does not exist yet, or with `replace` in place of one.
    ///
    /// # Errors
    /// If it exists and is not to be replaced, or cannot be written.
    pub fn write(&self, folder: &Path, replace: bool) -> Result<()> {
        let fill = |folder: &Path| checkpoints::pooled::put(folder, &self.config, &self.weights);
        atomic::put_folder(folder, replace, fill)
    }

    /// Refuses a folder that holds anything but a pooled model.
    ///
    /// # Errors
    /// If it does.
    pub fn check_replaceable(folder: &Path) -> Result<()> {
        own::only(folder, "a pooled model", |name| FILES.contains(&name))?;
        let found = own::listed(folder)?;
        if !found.is_empty() && Host::read(folder).is_err() {
            return Err(own::foreign(&folder.join(FILES[0]), "is of no pooled model"));
        }
        Ok(())
    }

    /// The parts that an option names.
    fn take(&mut self, option: &'static str, names: &[String]) -> Result<Parts> {
        let parts = Parts::of(names, &self.config)
            .map_err(|unknown| Error::input(option, unknown.message, unknown.help))?;
        if let Some((other, _)) = self.changed.iter().find(|(_, p)| p.meets(&parts)) {
            let message = format!("names elements that {other} names as well");
            return Err(Error::input(option, message, "give each part to one of them"));
        }
        self.changed.push((option, parts.clone()));
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Activation;

    fn host(d_model: usize, value: f64) -> Host {
        let (vocab, seq_len, d_mlp, activation) = (3, 4, 5, Activation::Gelu);
        let config =
            Config { vocab, seq_len, d_model, d_mlp, activation, mlp_bias: true, dropout: 0.0 };
        let weights = config.parameters().iter().map(|p| vec![value; p.shape.len()]).collect();
        Host { config, weights, changed: vec![] }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn each_element_is_of_one_model() {
        let (mut into, donor) = (host(2, 1.0), host(2, 3.0));
        let copied = into.copy(&names(&["pos", "m0.n1"]), &donor, Path::new("donor"));
        // 4 positions of width 2; a row, a bias and a column of a neuron.
        assert_eq!(copied, Ok(8 + 5));
        assert_eq!(into.ablate(&names(&["value"])), Ok(4));
        assert_eq!(into.reset(&names(&["query"]), 7), Ok(2));
        let count = |x: f64| into.weights.iter().flatten().filter(|&&w| w == x).count();
        let all: usize = into.weights.iter().map(Vec::len).sum();
        assert_eq!((count(3.0), count(0.0), count(1.0)), (13, 4, all - 13 - 4 - 2));
        assert_eq!(into.weights[2], into.config.init(7)[2]);
        // What was written is what is read.
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("model");
        into.write(&out, false).expect("writable");
        let again = Host::read(&out).expect("a model");
        assert_eq!((&again.weights, &again.config), (&into.weights, &into.config));
        assert!(into.write(&out, false).is_err(), "it exists");
        Host::check_replaceable(&out).expect("a pooled model alone");
        into.write(&out, true).expect("it is replaced");
        std::fs::write(out.join("notes.txt"), "mine").expect("writable");
        let e = Host::check_replaceable(&out).expect_err("notes");
        assert!(e.to_string().contains("notes.txt: is no file of a pooled model"), "{e}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (mut into, donor) = (host(2, 1.0), host(3, 3.0));
        let e = into.copy(&names(&["pos"]), &donor, Path::new("donor")).expect_err("a shape");
        assert_eq!(e.to_string(), "donor/config.json: d_model is 3, and 2 in the host");
        let e = into.ablate(&names(&["pos@2"])).expect_err("it was taken");
        assert_eq!(e.to_string(), "--ablate: names elements that --copy names as well");
        let e = into.reset(&names(&["quary"]), 0).expect_err("a typing error");
        assert_eq!(e.help(), "did you mean `query`?");
    }
}
