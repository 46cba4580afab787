//! `edgegrad info`.

use crate::cli::model::ModelPath;
use clap::Args;
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::error::Result;
use edgegrad::experiments::available_threads;
use edgegrad::graph::{Granularity, Graph, MaskShape};
use edgegrad::named::counted;
use edgegrad::nn::transformer::{Config, Model};
use edgegrad::patching::memory::size;
use edgegrad::patching::probe::bytes_of;
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
        let Some(model) = &self.model else { return Ok(()) };
        model.fetch()?;
        let (kind, parameters, config): (_, Vec<(String, Shape)>, _) =
            match checkpoints::outline(model)? {
                AnyModel::Pooled { config, .. } => {
                    let list = config.parameters().into_iter();
                    ("pooled", list.map(|p| (p.name.into(), p.shape)).collect(), None)
                }
                AnyModel::Transformer(Model { config, .. }) => {
                    let list = config.parameters().into_iter();
                    ("transformer", list.map(|p| (p.name, p.shape)).collect(), Some(config))
                }
            };
        let total: usize = parameters.iter().map(|(_, shape)| shape.len()).sum();
        println!("model: {model} ({kind}), {total} parameters");
        if let Some(config) = config {
            describe(&config, total);
        }
        for (name, shape) in parameters {
            println!("  {name:<22} {:<12} {:>8}", shape.to_string(), shape.len());
        }
        Ok(())
    }
}

/// The shape of a transformer of `total` parameters, its edges, and the memory that it needs.
fn describe(config: &Config, total: usize) {
    let shared = match config.kv_heads {
        kv if kv < config.heads => format!(" ({kv} of keys and values)"),
        _ => String::new(),
    };
    println!(
        "layers: {} of {}{shared} of width {} and {}",
        config.layers,
        counted(config.heads, "head"),
        config.d_head,
        counted(config.d_mlp, "neuron"),
    );
    // Models without positions of their own have no end.
    let context = match config.context >> 31 {
        0 => format!("at most {}", counted(config.context, "token")),
        _ => "any number of tokens".into(),
    };
    println!("stream: width {}, {context} of a vocabulary of {}", config.d_model, config.vocab);
    let graph = Graph::of_transformer(config, Granularity::default());
    println!("edges: {}", graph.edges());
    let time = config.context.min(16);
    let [eap, exact] = [None, Some(MaskShape { per_example: true })]
        .map(|masks| size(bytes_of::<f32>(config, &graph, time, masks)));
    println!(
        "memory in f32: {} of weights; for a pair of {} about {eap} more by eap, from {exact} on by \
         exact",
        size(4 * total as u128),
        counted(time, "token"),
    );
}
