//! `edgegrad info`.

use crate::cli::model::ModelPath;
use clap::Args;
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::error::Result;
use edgegrad::experiments::available_threads;
use edgegrad::simd::{Backend, backend};
use edgegrad::tensor::Shape;

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
        let (kind, parameters): (_, Vec<(String, Shape)>) = match checkpoints::read::<f32>(folder)?
        {
            AnyModel::Pooled { config, .. } => {
                let list = config.parameters();
                ("pooled", list.into_iter().map(|p| (p.name.into(), p.shape)).collect())
            }
            AnyModel::Transformer(model) => {
                let list = model.config.parameters();
                ("transformer", list.into_iter().map(|p| (p.name, p.shape)).collect())
            }
        };
        let total: usize = parameters.iter().map(|(_, shape)| shape.len()).sum();
        println!("model: {} ({kind}), {total} parameters", folder);
        for (name, shape) in parameters {
            println!("  {name:<22} {:<12} {:>8}", shape.to_string(), shape.len());
        }
        Ok(())
    }
}
