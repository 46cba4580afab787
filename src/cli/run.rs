//! `edgegrad run`.

use super::Dtype;
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::io::safetensors::{self, Tensor};
use edgegrad::nn::pooled::Pooled;
use edgegrad::tape::Tape;
use edgegrad::tensor::Element;
use edgegrad::train::checkpoint;
use std::path::{Path, PathBuf};

/// Compute a model's logits for sequences of token ids
#[derive(Debug, Args)]
pub(super) struct Run {
    /// A model folder, such as a run's checkpoints/final
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Sequences: on each line a list of token ids
    #[arg(long, value_name = "FILE.jsonl")]
    tokens: PathBuf,
    /// Where to write the tensor `logits`: [sequences, V] for a pooled model
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// The numbers to compute with
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
}

impl Run {
    pub(super) fn run(&self) -> Result<()> {
        match self.dtype {
            Dtype::F32 => self.run_as::<f32>(),
            Dtype::F64 => self.run_as::<f64>(),
        }
    }

    fn run_as<T: Element>(&self) -> Result<()> {
        let (config, weights) = checkpoint::read_model::<T>(&self.model)?;
        let rows = read_tokens(&self.tokens, config.seq_len, config.vocab)?;
        let mut tape = Tape::new();
        let model = Pooled::record(&mut tape, &config, rows.len());
        let mut program = tape.finish();
        model.set_parameters(&mut program, &weights);
        model.set_batch(&mut program, rows.iter().map(|row| (&row[..], 0)));
        program.forward();
        let logits = program.value(model.logits);
        let tensor = Tensor::new("logits", &[rows.len(), config.vocab], logits);
        safetensors::write(&self.out, &[tensor], &Default::default())?;
        println!("{}: logits [{}, {}]", self.out.display(), rows.len(), config.vocab);
        Ok(())
    }
}

/// Reads lists of `len` ids below `vocab`, one a line; blank lines are passed over.
fn read_tokens(path: &Path, len: usize, vocab: usize) -> Result<Vec<Vec<u32>>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, &e, "read"))?;
    let mut rows = vec![];
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}: line {}", path.display(), i + 1);
        let row: Vec<u32> = serde_json::from_str(line).map_err(|e| {
            // Of the one line that it was given.
            let message = e.to_string().replace(" at line 1 column", " at column");
            Error::input(
                &place,
                message,
                "write a list of token ids on each line, such as [0, 3, 1]",
            )
        })?;
        if row.len() != len {
            let message = format!("has {} ids, the model takes {len}", row.len());
            return Err(Error::input(&place, message, "give sequences of the model's length"));
        }
        if let Some(id) = row.iter().find(|&&id| id as usize >= vocab) {
            let message = format!("id {id} is outside of the vocabulary");
            return Err(Error::input(&place, message, format!("use ids from 0 to {}", vocab - 1)));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        let help = "write a list of token ids on each line";
        return Err(Error::input(path.display(), "holds no sequence", help));
    }
    Ok(rows)
}
