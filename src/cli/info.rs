//! `edgegrad info`.

use crate::cli::model::ModelPath;
use clap::Args;
use edgegrad::checkpoints;
use edgegrad::error::Result;
use edgegrad::experiments::available_threads;
use edgegrad::simd::{Backend, backend};

/// Show the machine, the instruction set in use, and what is in a model folder
#[derive(Debug, Args)]
pub(super) struct Info {
    /// A model folder, such as a run's checkpoints/final, a GGUF file, or a name in the Hugging Face
    /// cache
    model: Option<ModelPath>,
}

impl Info {
    pub(super) fn run(&self) -> Result<()> {
        println!("edgegrad {}", env!("CARGO_PKG_VERSION"));
        println!("machine: {}, {} threads", std::env::consts::ARCH, available_threads());
        let names: Vec<&str> = Backend::available().map(Backend::name).collect();
        println!("kernels: {} (of {}; EDGEGRAD_SIMD forces one)", backend(), names.join(", "));
        let Some(folder) = &self.model else { return Ok(()) };
        let (parameters, transformer) = checkpoints::parameters(folder)?;
        let kind = if transformer { "transformer" } else { "pooled" };
        let total: usize = parameters.iter().map(|(_, shape)| shape.len()).sum();
        println!("model: {} ({kind}), {total} parameters", folder);
        for (name, shape) in parameters {
            println!("  {name:<22} {:<12} {:>8}", shape.to_string(), shape.len());
        }
        Ok(())
    }
}
