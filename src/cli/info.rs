//! `edgegrad info`.

use crate::cli::model::ModelPath;
use crate::cli::print::note;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::error::Result;
use edgegrad::experiments::available_threads;
use edgegrad::graph::{Granularity, Graph, MaskShape};
use edgegrad::memory::size;
use edgegrad::named::counted;
use edgegrad::nn::transformer::{Config, Model};
use edgegrad::patching::logits::record;
use edgegrad::patching::probe::{Use, bytes_of};
use edgegrad::simd::{Backend, backend};
use edgegrad::tape::Rules;
use edgegrad::tensor::Shape;
use edgegrad::tuning::Objective;

/// Show the machine, the instruction set in use, and what is in a model folder
#[derive(Debug, Args)]
pub(super) struct Info {
    /// A model folder, such as a run's checkpoints/final, a GGUF file, or a name in the Hugging
    /// Face cache
    model: Option<ModelPath>,
}

impl Info {
    pub(super) fn run(&self) -> Result<()> {
        println!("edgegrad {}", env!("CARGO_PKG_VERSION"));
        println!("machine: {}, {} threads", std::env::consts::ARCH, available_threads());
        let names: Vec<&str> = Backend::available().map(Backend::name).collect();
        println!("kernels: {} (of {}; EDGEGRAD_SIMD forces one)", backend(), names.join(", "));
        note("version", env!("CARGO_PKG_VERSION"));
        note("threads", available_threads());
        note("kernels", backend().to_string());
        let Some(model) = &self.model else { return Ok(()) };
        model.fetch()?;
        let outline = checkpoints::outline(model)?;
        let (kind, parameters, config): (_, Vec<(String, Shape)>, _) = match outline.model {
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
            describe(&config, outline.weight_bytes);
        }
        note("model", kind);
        let mut table = Table::new("parameters", [("name", "name"), ("shape", "shape")]);
        table.column("elements", "elements");
        for (name, shape) in parameters {
            println!("  {name:<22} {:<12} {:>8}", shape.to_string(), shape.len());
            let (text, elements) = (shape.to_string(), Cell::count(shape.len()));
            table.row([Cell::text(name), Cell::text(text), elements]);
        }
        table.print_for_programs();
        Ok(())
    }
}

/// The shape of a transformer, its edges, and the memory that it needs beside the bytes of its
/// weights.
fn describe(config: &Config, weights: u128) {
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
    for (key, size) in [
        ("layers", config.layers),
        ("heads", config.heads),
        ("kv_heads", config.kv_heads),
        ("d_head", config.d_head),
        ("d_mlp", config.d_mlp),
        ("d_model", config.d_model),
        ("context", config.context),
        ("vocab", config.vocab),
        ("edges", graph.edges()),
    ] {
        note(key, size);
    }
    tell_memory(config, &graph, weights);
}

/// Sequences whose memory is told: short ones, and the longest up to this length.
const TOLD: [usize; 2] = [16, 4096];

/// About the memory in singles that commands take beside the `weights`, for a pair of few tokens
/// and of as many as the model reads.
fn tell_memory(config: &Config, graph: &Graph, weights: u128) {
    let mut times = TOLD.map(|time| config.context.min(time)).to_vec();
    times.dedup();
    let of: Vec<String> = times.iter().map(|&time| counted(time, "token")).collect();
    println!("memory in f32: {} of weights; beside them about, by command:", size(weights));
    println!("  {:<33} {}", "a pair of", columns(of));
    let parameters = config.parameters();
    let singles: u128 = parameters.iter().map(|p| 4 * p.shape.len() as u128).sum();
    let shape = MaskShape { per_example: true };
    let scored = |time, used| bytes_of::<f32>(config, graph, time, used);
    let run = |time| {
        let bytes = record::<f32>(config, 1, time).2.bytes();
        bytes - singles.min(bytes)
    };
    let look = |time| {
        let placed = Granularity { positions: Some(time), ..Granularity::default() };
        let edges = Graph::of_transformer(config, placed).edges() as u128;
        scored(time, Use::Whole) + 8 * edges
    };
    // Weights that change are not narrow: they, their gradient and the optimizer's two moments.
    let tune = |time| 4 * singles - weights + Objective::<f32>::bytes(config, 1, time);
    let learned = |time| scored(time, Use::Masked(shape, Rules::Plain));
    let commands: [(&str, &dyn Fn(usize) -> u128); 8] = [
        ("run", &run),
        ("look", &look),
        ("attribute --method eap, eap-ig", &|time| scored(time, Use::Whole)),
        ("mask-ig, learned masks, adversary", &learned),
        ("--method exact, acdc", &|time| scored(time, Use::Steps(shape))),
        ("discover, evaluate", &|time| scored(time, Use::Forward(Some(shape)))),
        ("crossing, other methods", &|time| scored(time, Use::Any(Some(shape)))),
        ("tune --method full", &tune),
    ];
    let mut table = Table::new("memory", [("command", "command"), ("tokens", "tokens")]);
    table.column("bytes", "bytes_beside_weights");
    for (command, bytes) in commands {
        let sizes = times.iter().map(|&time| size(bytes(time)));
        println!("  {command:<33} {}", columns(sizes));
        for &time in &times {
            table.row([Cell::text(command), Cell::count(time), Cell::count(bytes(time))]);
        }
    }
    note("weight_bytes", u64::try_from(weights).unwrap_or(u64::MAX));
    table.print_for_programs();
}

/// Texts in columns.
fn columns(of: impl IntoIterator<Item = String>) -> String {
    of.into_iter().map(|text| format!("{text:>12}")).collect()
}
