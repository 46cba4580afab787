//! `edgegrad info`.

use clap::Args;
use edgegrad::error::Result;
use edgegrad::simd::{Machine, machine};
use edgegrad::train::{available_threads, checkpoint};
use std::path::PathBuf;

/// Show the machine, the chosen kernels, and what is in a model folder
#[derive(Debug, Args)]
pub(super) struct Info {
    /// A model folder, such as a run's checkpoints/final
    model: Option<PathBuf>,
}

impl Info {
    pub(super) fn run(&self) -> Result<()> {
        println!("edgegrad {}", env!("CARGO_PKG_VERSION"));
        println!("machine: {}, {} threads", std::env::consts::ARCH, available_threads());
        let names: Vec<&str> = Machine::available().map(Machine::name).collect();
        println!("kernels: {} (of {}; EDGEGRAD_SIMD forces one)", machine(), names.join(", "));
        let Some(folder) = &self.model else { return Ok(()) };
        let (config, _) = checkpoint::read_model::<f32>(folder)?;
        let parameters = config.parameters();
        let total: usize = parameters.iter().map(|p| p.shape.len()).sum();
        println!("model: {} (pooled), {total} parameters", folder.display());
        for p in parameters {
            println!("  {:<22} {:<12} {:>8}", p.name, p.shape.to_string(), p.shape.len());
        }
        Ok(())
    }
}
