//! `edgegrad convert`.

use crate::cli::Dtype;
use crate::cli::model::ModelPath;
use crate::cli::out::ForceFolder;
use crate::cli::question::{choice, on_threads};
use clap::Args;
use edgegrad::checkpoints::{Form, check_converted, put_converted};
use edgegrad::error::Result;
use edgegrad::files::atomic;
use edgegrad::files::gguf::Header;
use edgegrad::files::own::check_out_folder;
use edgegrad::named::Named;
use edgegrad::text::tokenizer_json;
use std::path::{Path, PathBuf};

/// Write a model as a folder of another form, with the files of its tokenizer
///
/// A GGUF file's tokenizer becomes a tokenizer.json with the same ids.
#[derive(Debug, Args)]
pub(super) struct Convert {
    /// A model folder, a GGUF file, or a name in the Hugging Face cache
    model: ModelPath,
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    force: ForceFolder,
    /// The form of the folder
    #[arg(long, default_value = Form::HuggingFace.name(), value_parser = choice::<Form>())]
    form: Form,
    /// The precision of the weights
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Threads to read with; all of them unless given. The result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
}

impl Convert {
    pub(super) fn run(&self) -> Result<()> {
        self.model.fetch()?;
        let replace = self.force.force;
        check_out_folder(&self.out, replace, [&*self.model], check_converted)?;
        let fill = |folder: &Path| {
            match self.dtype {
                Dtype::F32 => put_converted::<f32>(&self.model, self.form, folder)?,
                Dtype::F64 => put_converted::<f64>(&self.model, self.form, folder)?,
            }
            self.tokenizer(folder)
        };
        on_threads(self.threads, || atomic::put_folder(&self.out, replace, fill))?;
        println!("{}: {}", self.form.name(), self.out.display());
        Ok(())
    }

    /// Writes the tokenizer of a GGUF file into the folder, if it has one.
    fn tokenizer(&self, folder: &Path) -> Result<()> {
        if !self.model.is_file() {
            return Ok(());
        }
        let header = Header::read(&*self.model)?;
        if header.text("tokenizer.ggml.model")?.is_none() {
            return Ok(());
        }
        match tokenizer_json(&header) {
            Ok(value) => {
                let text = format!("{value}\n");
                atomic::write_bytes(folder.join("tokenizer.json"), text.as_bytes())
            }
            // The model is as good without it.
            Err(e) => {
                eprintln!("warning: {e}; the folder has no tokenizer");
                Ok(())
            }
        }
    }
}
