//! `edgegrad transplant`.

use crate::cli::out::ForceFolder;
use crate::cli::print::note;
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::train::transplant::Host;
use edgegrad::files::own::check_out_folder;
use edgegrad::named::counted;
use std::path::PathBuf;

/// Put parts of one trained model into another, remove parts, or draw them anew
///
/// Parts are token_emb, pos_emb, query, value, mlp, a position (pos@3) or a neuron (m0.n17). All
/// other weights keep their bits, so there is no --dtype. `edgegrad train CONFIG.toml --set
/// model.init=DIR/model.safetensors` goes on from there.
#[derive(Debug, Args)]
pub(super) struct Transplant {
    /// The model that is changed: a checkpoint of `edgegrad train`
    host: PathBuf,
    /// The model that parts are copied from
    #[arg(long, value_name = "DIR", requires = "copy")]
    from: Option<PathBuf>,
    /// The parts to copy from it
    #[arg(long, value_name = "PARTS", value_delimiter = ',', requires = "from")]
    copy: Vec<String>,
    /// The parts to set to 0
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    ablate: Vec<String>,
    /// The parts to draw anew, as a model with --seed begins
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    reset: Vec<String>,
    /// The seed of what is drawn anew
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    force: ForceFolder,
}

impl Transplant {
    pub(super) fn run(&self) -> Result<()> {
        let none = self.copy.is_empty() && self.ablate.is_empty() && self.reset.is_empty();
        if none {
            let help = "name parts by --from DIR --copy PARTS, --ablate PARTS or --reset PARTS";
            return Err(Error::input("transplant", "changes nothing", help));
        }
        let (replace, read) = (self.force.force, [&self.host].into_iter().chain(&self.from));
        check_out_folder(&self.out, replace, read, Host::check_replaceable)?;
        let mut host = Host::read(&self.host)?;
        let all: usize = host.weights.iter().map(Vec::len).sum();
        note("weights", all);
        let mut lines = vec![];
        let mut say = |key: &str, what: &str, n: usize, parts: &[String]| {
            note(key, n);
            let weights = counted(n, "weight");
            lines.push(format!("{what} {weights} of {all}: {}", parts.join(", ")));
        };
        if let Some(from) = &self.from {
            let donor = Host::read(from)?;
            say("copied", "copied", host.copy(&self.copy, &donor, from)?, &self.copy);
        }
        if !self.ablate.is_empty() {
            say("ablated", "set to 0", host.ablate(&self.ablate)?, &self.ablate);
        }
        if !self.reset.is_empty() {
            say("reset", "drawn anew", host.reset(&self.reset, self.seed)?, &self.reset);
        }
        host.write(&self.out, replace)?;
        lines.iter().for_each(|line| println!("{line}"));
        println!("model: {}", self.out.display());
        Ok(())
    }
}
