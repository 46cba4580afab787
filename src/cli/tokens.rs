//! `edgegrad tokens`.

use crate::cli::model::ModelPath;
use crate::cli::out::{Force, check_out};
use crate::cli::print::note;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::files::{atomic, input};
use edgegrad::formats::pairs::Encode;
use edgegrad::text::Tokenizer;
use std::path::{Path, PathBuf};

/// Show the tokens of a text: their ids, and what each stands for
#[derive(Debug, Args)]
pub(super) struct Tokens {
    /// A model folder with a tokenizer.json, a GGUF file, or a name in the Hugging Face cache
    #[arg(long, value_name = "MODEL")]
    model: ModelPath,
    /// The text
    #[arg(required_unless_present = "text_file", conflicts_with = "text_file")]
    text: Option<String>,
    /// Texts: on each line a JSON string
    #[arg(long, value_name = "FILE.jsonl")]
    text_file: Option<PathBuf>,
    /// Leave out the tokens that stand around a whole text, such as a beginning of sequence
    #[arg(long)]
    bare: bool,
    /// Where to write the ids: on each line a list of them
    #[arg(long, value_name = "FILE.jsonl")]
    out: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
}

impl Tokens {
    pub(super) fn run(&self) -> Result<()> {
        if let Some(out) = &self.out {
            check_out(
                out,
                self.force,
                [Some(&*self.model), self.text_file.as_deref()].into_iter().flatten(),
            )?;
        }
        self.model.fetch()?;
        let tokenizer = Tokenizer::read(&self.model)?;
        let mut texts = vec![];
        if let Some(text) = &self.text {
            texts.push(("text".to_string(), text.clone()));
        }
        if let Some(path) = &self.text_file {
            texts = read_texts(path)?;
        }
        let encode = |(place, text): &(String, String)| {
            tokenizer.encode(text, !self.bare).map_err(|e| e.within(place))
        };
        let ids: Vec<Vec<u32>> = texts.iter().map(encode).collect::<Result<_>>()?;
        match (&ids[..], &self.text) {
            ([ids], Some(_)) => show(&tokenizer, ids),
            _ => summary(&tokenizer, &ids, self.out.is_none()),
        }
        if let Some(out) = &self.out {
            let lines: String = ids.iter().map(|ids| format!("{ids:?}\n")).collect();
            atomic::write_bytes(out, lines.as_bytes())?;
            println!("ids: {}", out.display());
        }
        Ok(())
    }
}

/// A row for each token of a text.
fn show(tokenizer: &Tokenizer, ids: &[u32]) {
    let columns = [("position", "position"), ("id", "id"), ("token", "token")];
    let mut table = Table::new("tokens", columns);
    for (position, &id) in ids.iter().enumerate() {
        let piece = tokenizer.piece(id);
        let shown = format!("{piece:?}");
        table.row([Cell::count(position), Cell::count(id), Cell::text(piece).shown(shown)]);
    }
    table.print();
}

/// How many tokens there are, and a row for each text.
fn summary(tokenizer: &Tokenizer, ids: &[Vec<u32>], each: bool) {
    if each {
        let columns = [("text", "text"), ("count", "count"), ("tokens", "tokens")];
        let mut table = Table::new("texts", columns);
        for (i, ids) in ids.iter().enumerate() {
            let pieces: Vec<String> =
                ids.iter().map(|&id| format!("{:?}", tokenizer.piece(id))).collect();
            table.row([Cell::count(i), Cell::count(ids.len()), Cell::text(pieces.join(" "))]);
        }
        table.print();
    } else {
        note("sequences", ids.len());
    }
    let total: usize = ids.iter().map(Vec::len).sum();
    note("tokens", total);
    println!("{} texts, {total} tokens", ids.len());
}

/// The texts of a file, each with its place.
fn read_texts(path: &Path) -> Result<Vec<(String, String)>> {
    const HELP: &str = "write a JSON string on each line, such as \"a text\"";
    let all = input::text(path, input::DATA)?;
    let mut texts = vec![];
    for (i, line) in all.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}: line {}", path.display(), i + 1);
        let text = serde_json::from_str(line).map_err(|e| {
            // Of the one line that it was given.
            let message = e.to_string().replace(" at line 1 column", " at column");
            Error::input(&place, message, HELP)
        })?;
        texts.push((place, text));
    }
    if texts.is_empty() {
        return Err(Error::input(path.display(), "holds no text", HELP));
    }
    Ok(texts)
}
