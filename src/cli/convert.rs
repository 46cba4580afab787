//! `edgegrad convert`.

use crate::cli::Dtype;
use crate::cli::model::ModelPath;
use crate::cli::question::choice;
use clap::Args;
use edgegrad::checkpoints::{Form, convert};
use edgegrad::error::Result;
use edgegrad::files::atomic;
use edgegrad::files::gguf::Header;
use edgegrad::named::Named;
use edgegrad::text::tokenizer_json;
use std::path::PathBuf;

/// Write a model as a folder of another form, with the files of its tokenizer
///
/// A GGUF file's tokenizer becomes a tokenizer.json with the same ids.
#[derive(Debug, Args)]
pub(super) struct Convert {
    /// A model folder, a GGUF file, or a name in the Hugging Face cache
    model: ModelPath,
    /// The folder to write; it must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The form of the folder
    #[arg(long, default_value = Form::HuggingFace.name(), value_parser = choice::<Form>())]
    form: Form,
    /// The precision of the weights
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
}

impl Convert {
    pub(super) fn run(&self) -> Result<()> {
        self.model.fetch()?;
        match self.dtype {
            Dtype::F32 => convert::<f32>(&self.model, self.form, &self.out)?,
            Dtype::F64 => convert::<f64>(&self.model, self.form, &self.out)?,
        }
        self.tokenizer()?;
        println!("{}: {}", self.form.name(), self.out.display());
        Ok(())
    }

    /// Writes the tokenizer of a GGUF file into the folder, if it has one.
    fn tokenizer(&self) -> Result<()> {
        if !self.model.is_file() {
            return Ok(());
        }
        let header = Header::read(&*self.model)?;
        if header.text("tokenizer.ggml.model")?.is_none() {
            return Ok(());
        }
        let place = self.out.join("tokenizer.json");
        match tokenizer_json(&header) {
            Ok(value) => atomic::write_bytes(place, format!("{value}\n").as_bytes()),
            // The model is as good without it.
            Err(e) => {
                eprintln!("warning: {e}; the folder has no tokenizer");
                Ok(())
            }
        }
    }
}
